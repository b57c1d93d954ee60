# SPDX-License-Identifier: Apache-2.0
"""A turning sensor in a moving world: one revolution, packet by packet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mono_depth_ros.synthetic.render.world import Float32, Float64, PosedWorld, World, cast_grid
from mono_depth_ros.synthetic.sensors.echoes import Echoes, echoes_of


def packets_of(columns: int, packets: int) -> list[slice]:
    """Columns in so many packets of nearly the same size, in order; fewer packets where columns are few.

    >>> [(p.start, p.stop) for p in packets_of(5, 2)]
    [(0, 3), (3, 5)]
    """
    borders = sorted({-(-columns * number // packets) for number in range(packets + 1)})
    return [slice(first, behind) for first, behind in pairwise(borders)]


def cast_sweep(
    world: World,
    T_world_sensor: Callable[[float], Float64],
    rays: Float32,
    azimuth_rad: Float64,
    packets: list[tuple[slice, float]],
    max_range_m: float,
) -> Echoes:
    """Casts a grid of rays that turns about the sensor's z axis while robot and world move.

    All rays of a packet leave at one time, from the sensor's pose at that time: exact for points that are stamped by
    packet.

    Args:
        world: what there is.
        T_world_sensor: time in s -> float64 [4, 4].
        rays: float32 [3, beams, columns], unit, in the sensor's frame.
        azimuth_rad: float64 [columns] of the rays, growing evenly from -pi or later.
        packets: columns, and when they fire, s.
        max_range_m: solids beyond are left out.

    Returns:
        Echoes of shape [beams, columns].
    """
    range_m = np.full(rays.shape[1:], np.inf, dtype=np.float32)
    reflectance = np.zeros(rays.shape[1:], dtype=np.float32)
    posed: PosedWorld | None = None
    for columns, time_s in packets:
        posed = world.at(time_s) if posed is None else _moved(world, posed, time_s)
        pose = T_world_sensor(time_s)
        part = rays[:, :, columns]
        rays_world = (pose[:3, :3].astype(np.float32) @ part.reshape(3, -1)).reshape(part.shape)
        windows = _windows(posed, pose, azimuth_rad, rays.shape[1], max_range_m)
        windows[:, 2:] = np.clip(windows[:, 2:] - columns.start, 0, columns.stop - columns.start)
        hits = cast_grid(posed, pose[:3, 3], rays_world, windows)
        echoes = echoes_of(world, posed, pose[:3, 3], rays_world, hits)
        range_m[:, columns], reflectance[:, columns] = echoes.range_m, echoes.reflectance
    return Echoes(range_m, reflectance)


def _moved(world: World, posed: PosedWorld, time_s: float) -> PosedWorld:
    """The world at another time: what stands still, and that is most of it, is not posed again."""
    moving, part = _moving(world)
    if not len(moving):
        return posed
    then = part.at(time_s)
    centre_world_m, rotation_solid_world = posed.centre_world_m.copy(), posed.rotation_solid_world.copy()
    centre_world_m[moving], rotation_solid_world[moving] = then.centre_world_m, then.rotation_solid_world
    return replace(posed, centre_world_m=centre_world_m, rotation_solid_world=rotation_solid_world)


@lru_cache(maxsize=1)
def _moving(world: World) -> tuple[npt.NDArray[np.int64], World]:
    """Which solids move, int64 [M], and a world of these alone."""
    moving = [index for index, solid in enumerate(world.solids) if solid.mover >= 0]
    return np.array(moving, dtype=np.int64), World(tuple(world.solids[i] for i in moving), movers=world.movers)


def _windows(
    posed: PosedWorld, T_world_sensor: Float64, azimuth_rad: Float64, beams: int, max_range_m: float
) -> npt.NDArray[np.int64]:
    """Rays [S, 4] that can hit each solid, by its bounding sphere's azimuth; all of them where that wraps around."""
    columns, step = len(azimuth_rad), float(azimuth_rad[1] - azimuth_rad[0])
    centre = (posed.centre_world_m - T_world_sensor[:3, 3]) @ T_world_sensor[:3, :3]
    radius, away = posed.radius_m(), np.linalg.norm(centre, axis=1)
    level = np.hypot(centre[:, 0], centre[:, 1])
    around = radius >= level
    half = np.arcsin(np.clip(np.where(around, 1.0, radius / np.maximum(level, 1e-9)), 0.0, 1.0))
    azimuth = np.arctan2(centre[:, 1], centre[:, 0])
    first = np.floor((azimuth - half - azimuth_rad[0]) / step)
    last = np.ceil((azimuth + half - azimuth_rad[0]) / step) + 1
    whole = around | (azimuth - half < -np.pi) | (azimuth + half > np.pi)
    windows = np.zeros((len(away), 4), dtype=np.int64)
    windows[:, 1] = beams
    windows[:, 2] = np.where(whole, 0, np.clip(first, 0, columns))
    windows[:, 3] = np.where(whole, columns, np.clip(last, 0, columns))
    windows[np.isfinite(radius) & (away - radius > max_range_m)] = 0
    return windows
