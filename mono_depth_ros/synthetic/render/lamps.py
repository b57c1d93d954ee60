# SPDX-License-Identifier: Apache-2.0
"""Light inside buildings: lamps, windows that let daylight in, and the room that their light stays in."""

from __future__ import annotations

from dataclasses import dataclass

from mono_depth_ros.errors import ConfigError

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Lamp:
    """A small light, or the middle of a large one.

    Args:
        position_m: world frame.
        rgb: irradiance of a facing surface 1 m away, linear.
        towards: unit vector it shines to, with the cosine law of a flat panel; None: it shines every way alike.
        radius_m: half its size: nearer than this, light grows no further.
        shadows: whether furniture casts shadows from it.

    Raises:
        ConfigError: on a radius that is not positive.
    """

    position_m: Point
    rgb: Point
    towards: Point | None = None
    radius_m: float = 0.3
    shadows: bool = True

    def __post_init__(self) -> None:
        if self.radius_m <= 0:
            raise ConfigError(f"lamp radius_m: expected more than 0, got {self.radius_m}")


@dataclass(frozen=True, slots=True)
class RoomLight:
    """The light inside one room, an upright box: what is in there sees its lamps and no other room's.

    Args:
        low_m, high_m: lowest and highest corner in the world frame, walls included up to their middle.
        wall_m: how far floor, ceiling and walls reach into that box: the room proper is that much smaller.
        ambient_rgb: what walls, floor and ceiling throw back, linear.
        lamps: the lamps and windows of this room.
        corner_dark: share of the ambient light that an inner corner loses to each wall.
        corner_m: distance from a wall at which that loss has fallen to 1 / e.

    Raises:
        ConfigError: when the room is not a box with room inside.
    """

    low_m: Point
    high_m: Point
    wall_m: float
    ambient_rgb: Point
    lamps: tuple[Lamp, ...] = ()
    corner_dark: float = 0.35
    corner_m: float = 0.4

    def __post_init__(self) -> None:
        if any(high - low <= 2 * self.wall_m for low, high in zip(self.low_m, self.high_m, strict=True)):
            raise ConfigError(
                f"room light: expected high_m above low_m by more than two walls of {self.wall_m} m, "
                f"got {self.low_m} and {self.high_m}"
            )
