# SPDX-License-Identifier: Apache-2.0
"""Sun, sky and weather of a world."""

from __future__ import annotations

from dataclasses import dataclass

from mono_depth_ros.synthetic.render.lamps import RoomLight


@dataclass(frozen=True, slots=True)
class Light:
    """Sun, ambient light, sky and weather of a world, and the light of its rooms; colours are linear RGB, about 0..1.

    Inside a room its own light replaces the ambient light and haze; the sun still comes in where nothing stops it.
    """

    sun_direction: tuple[float, float, float] = (0.3, 0.2, 0.9)  # unit vector towards the sun, world frame
    sun_rgb: tuple[float, float, float] = (0.9, 0.85, 0.8)
    ambient_rgb: tuple[float, float, float] = (0.35, 0.38, 0.42)
    horizon_rgb: tuple[float, float, float] = (0.75, 0.8, 0.88)
    zenith_rgb: tuple[float, float, float] = (0.3, 0.5, 0.8)
    cloud_cover: float = 0.4  # 0 clear .. 1 overcast
    haze_m: float = 600.0  # distance at which 63 % of a surface's colour has become the horizon's
    seed: int = 0
    rooms: tuple[RoomLight, ...] = ()
    rain: float = 0.0  # 0 none .. 1 downpour: streaks before the camera
    snow_fall: float = 0.0  # 0 none .. 1 blizzard: flakes before the camera
    snow_cover: float = 0.0  # 0 none .. 1 everything that looks up is white
