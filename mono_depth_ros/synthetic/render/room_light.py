# SPDX-License-Identifier: Apache-2.0
"""How bright a surface in a room is: ambient light that fades into corners, lamps with their distance and shadows.

Irradiance E of a surface from a small source: E = I cos(s) cos(l) / d^2, with s at the surface and l at the lamp (the
inverse square law and Lambert's law). Ambient light is what walls throw back: a formula by distance to the walls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.synthetic.render.lamps import Lamp, RoomLight
from mono_depth_ros.synthetic.render.world import Float32, Float64, PosedWorld, Shape, interval

_SHINE = 60.0  # exponent of the highlight that a lamp leaves on something glossy


@dataclass(frozen=True, slots=True, eq=False)
class RoomShade:
    """Light at N surface points.

    Args:
        irradiance: float32 [3, N], linear; 0 where `inside` is False.
        mirrored: float32 [3, N], what a mirror at the point would show; 0 where `inside` is False.
        inside: bool [N], whether the point is in any room.
        reached: bool [lamps of all rooms, N], which lamps the points see.
    """

    irradiance: Float32
    mirrored: Float32
    inside: npt.NDArray[np.bool_]
    reached: npt.NDArray[np.bool_]


def room_shade(
    rooms: tuple[RoomLight, ...],
    posed: PosedWorld,
    opaque: npt.NDArray[np.bool_],
    points_m: Float32,
    normal: Float32,
    bounced: Float32,
    reached: npt.NDArray[np.bool_] | None,
) -> RoomShade:
    """Light of surface points in rooms.

    Args:
        rooms: that do not overlap.
        posed: the world at one instant.
        opaque: bool [S], which solids cast shadows.
        points_m: float32 [3, N], world frame.
        normal: float32 [3, N], unit, towards the viewer's side.
        bounced: float32 [3, N], unit, where a mirror would look.
        reached: bool [lamps, N] when it is known already which lamps the points see; None: find out.
    """
    number = points_m.shape[1]
    irradiance, mirrored = np.zeros((2, 3, number), dtype=np.float32)
    inside = np.zeros(number, dtype=bool)
    known = reached is not None
    seen = reached if reached is not None else np.ones((sum(len(r.lamps) for r in rooms), number), dtype=bool)
    first, waiting = 0, np.arange(number)
    for room in rooms:
        here, waiting = _split(room, points_m, waiting)
        rows = range(first, first + len(room.lamps))
        first += len(room.lamps)
        if not len(here):
            continue
        inside[here] = True
        points, facing, mirror = points_m[:, here], normal[:, here], bounced[:, here]
        total = _column(room.ambient_rgb) * _ambient(room, points, facing)
        shown = np.repeat(0.8 * _column(room.ambient_rgb), len(here), axis=1)
        casters = np.flatnonzero(opaque & _inner(room, posed)) if not known else np.empty(0, dtype=np.int64)
        for row, lamp in zip(rows, room.lamps, strict=True):
            strength, towards = lamp_strength(lamp, points)
            slope = np.maximum(_dot(facing, towards), 0.0)
            if not known and lamp.shadows:
                # what looks away is not reached: at an outline, the next sample may see another surface
                seen[row, here] = slope > 0.0
                turned = np.flatnonzero(slope * strength > 0.01)
                lifted = points[:, turned] + np.float32(0.01) * facing[:, turned]
                seen[row, here[turned]] = unshadowed(posed, casters, lifted, np.asarray(lamp.position_m))
            strength = strength * seen[row, here]
            total += _column(lamp.rgb) * (slope * strength)
            shown += _column(lamp.rgb) * (strength * np.maximum(_dot(mirror, towards), 0.0) ** _SHINE)
        irradiance[:, here], mirrored[:, here] = total, shown
    return RoomShade(irradiance, mirrored, inside, seen)


def _column(rgb: tuple[float, float, float]) -> Float32:
    return np.array(rgb, dtype=np.float32)[:, None]


def _dot(first: Float32, second: Float32) -> Float32:
    """Products [N] of vectors [3, N]; three terms are quicker than a sum over an axis of three."""
    return np.asarray(first[0] * second[0] + first[1] * second[1] + first[2] * second[2], dtype=np.float32)


def _split(
    room: RoomLight, points_m: Float32, candidates: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which of the candidates, indices into points [3, N], lie in the room, and which do not."""
    inside = np.ones(len(candidates), dtype=bool)
    for axis in range(3):
        place = points_m[axis, candidates]
        inside &= (place >= np.float32(room.low_m[axis])) & (place < np.float32(room.high_m[axis]))
    return candidates[inside], candidates[~inside]


def _ambient(room: RoomLight, points: Float32, normal: Float32) -> Float32:
    """Share float32 [N] of the ambient light: less near each wall that the surface is not part of, most facing up."""
    wall = np.float32(room.wall_m)
    share = np.float32(0.88) + np.float32(0.12) * normal[2]
    for axis in range(3):
        for distance in (points[axis] - room.low_m[axis] - wall, room.high_m[axis] - wall - points[axis]):
            near = np.exp(-np.maximum(distance, 0.0) / np.float32(room.corner_m))
            share = share * (1.0 - room.corner_dark * near * (1.0 - np.abs(normal[axis])))
    return np.asarray(share, dtype=np.float32)


def lamp_strength(lamp: Lamp, points: Float32) -> tuple[Float32, Float32]:
    """Irradiance [N] of facing surfaces in units of the lamp's rgb, and unit vectors [3, N] towards it."""
    towards = _column(lamp.position_m) - points
    squared = _dot(towards, towards)
    towards = np.asarray(towards / np.sqrt(np.maximum(squared, 1e-6)), dtype=np.float32)
    strength = 1.0 / (squared + np.float32(lamp.radius_m**2))
    if lamp.towards is not None:
        strength = strength * np.maximum(-_dot(_column(lamp.towards), towards), 0.0)
    return np.asarray(strength, dtype=np.float32), towards


def _inner(room: RoomLight, posed: PosedWorld) -> npt.NDArray[np.bool_]:
    """Which solids bool [S] stand inside the room: its own walls cannot hide its lamps."""
    low, high = np.asarray(room.low_m) + room.wall_m, np.asarray(room.high_m) - room.wall_m
    within = ((posed.centre_world_m > low) & (posed.centre_world_m < high)).all(axis=1)
    return np.asarray(within & np.isfinite(posed.radius_m()))


def unshadowed(
    posed: PosedWorld, casters: npt.NDArray[np.int64], points_m: Float32, lamp_m: Float64
) -> npt.NDArray[np.bool_]:
    """Which points bool [N] see a lamp past the casters; a solid that the lamp is inside of, its shade, hides nothing.

    Args:
        posed: the world at one instant.
        casters: int64 [M], indices of the solids that may be in the way.
        points_m: float32 [3, N], already lifted a little off their surface.
        lamp_m: float64 [3].
    """
    seen = np.ones(points_m.shape[1], dtype=bool)
    rays = points_m - lamp_m.astype(np.float32)[:, None]
    length = np.linalg.norm(rays, axis=0)
    radius = np.linalg.norm(posed.half_size_m, axis=1)
    for index in casters:
        centre = posed.centre_world_m[index] - lamp_m
        away = float(np.linalg.norm(centre))
        candidates = seen & (length > away - radius[index])
        if radius[index] < away:  # inside the cone around the solid's ball, seen from the lamp
            cosine = np.sqrt(1.0 - (radius[index] / away) ** 2)
            candidates &= (centre / away).astype(np.float32) @ rays > np.float32(cosine) * length
        near = np.flatnonzero(candidates)
        if not len(near):
            continue
        unit_world = posed.rotation_solid_world[index] / posed.half_size_m[index][:, None]
        origin = (unit_world @ -centre).astype(np.float32)[:, None]
        enter, leave = interval(Shape(posed.shape[index]), origin, unit_world.astype(np.float32) @ rays[:, near])
        seen[near[(enter <= leave) & (enter > 0.0) & (enter < 1.0)]] = False
    return seen
