# SPDX-License-Identifier: Apache-2.0
"""A spinning LiDAR in a world: beams by elevation, noise, lost returns. Lidar frame: x forward, y left, z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.world import Float32, Float64, PosedWorld, World, cast_grid

# (highest, lowest) elevation in degrees of sensors with so many beams
_ELEVATION_RANGE_DEG = {
    1: (-1.0, -1.0),
    4: (1.5, -9.0),
    8: (2.0, -14.0),
    16: (4.0, -16.0),
    32: (7.0, -21.0),
    64: (2.0, -24.8),
}


def elevation_table(beams: int) -> tuple[float, ...]:
    """Elevations in rad, highest first, of a typical sensor with so many beams.

    Raises:
        ConfigError: for a number of beams without a table.

    >>> [round(float(np.rad2deg(e)), 1) for e in elevation_table(4)]
    [1.5, -2.0, -5.5, -9.0]
    """
    if beams not in _ELEVATION_RANGE_DEG:
        raise ConfigError(
            f"lidar beams: expected one of {sorted(_ELEVATION_RANGE_DEG)}, got {beams}; or give LidarModel elevations"
        )
    high, low = _ELEVATION_RANGE_DEG[beams]
    return tuple(float(e) for e in np.deg2rad(np.linspace(high, low, beams)))


@dataclass(frozen=True, slots=True)
class LidarModel:
    """A spinning LiDAR.

    Attributes:
        elevations_rad: one per beam.
        azimuth_step_rad: between two shots of a beam.
        min_range_m, max_range_m: returns outside are lost.
        range_sigma_m: of the noise along the ray.
        drop_out: probability that a return is lost.
    """

    elevations_rad: tuple[float, ...]
    azimuth_step_rad: float = np.deg2rad(0.4)
    min_range_m: float = 0.5
    max_range_m: float = 100.0
    range_sigma_m: float = 0.02
    drop_out: float = 0.05

    def __post_init__(self) -> None:
        if not self.elevations_rad or not 0 < self.azimuth_step_rad < np.pi:
            raise ConfigError(
                f"lidar: expected some elevations and an azimuth step in (0, pi) rad, got {len(self.elevations_rad)} "
                f"elevations and {self.azimuth_step_rad}"
            )
        if not 0.0 <= self.drop_out <= 1.0 or self.range_sigma_m < 0 or not 0 <= self.min_range_m < self.max_range_m:
            raise ConfigError(
                f"lidar: expected drop_out in 0..1, range_sigma_m >= 0 and min_range_m < max_range_m, got {self}"
            )

    def directions(self) -> Float32:
        """Unit rays float32 [3, beams, shots] in the lidar frame; azimuth from -pi upwards."""
        azimuth = np.arange(-np.pi, np.pi, self.azimuth_step_rad)
        elevation = np.asarray(self.elevations_rad)[:, None]
        return np.stack(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.broadcast_to(np.sin(elevation), (len(elevation), len(azimuth))),
            ]
        ).astype(np.float32)


def scan(world: World, lidar: LidarModel, T_world_lidar: Float64, time_s: float, rng: np.random.Generator) -> Float32:
    """One revolution, taken in an instant.

    Args:
        world: what there is.
        lidar: the sensor.
        T_world_lidar: float64 [4, 4].
        time_s: when.
        rng: source of noise and drop-out.

    Returns:
        float32 [N, 3], returns in the lidar frame, metres, beam by beam.
    """
    posed = world.at(time_s)
    rays = lidar.directions()
    rotation = T_world_lidar[:3, :3].astype(np.float32)
    rays_world = (rotation @ rays.reshape(3, -1)).reshape(rays.shape)
    hits = cast_grid(posed, T_world_lidar[:3, 3], rays_world, _windows(posed, lidar, T_world_lidar, rays.shape[1:]))
    reach = hits.distance
    kept = np.isfinite(reach) & (reach >= lidar.min_range_m) & (reach <= lidar.max_range_m)
    kept &= rng.uniform(size=reach.shape) >= lidar.drop_out
    measured = reach[kept] + rng.normal(0.0, lidar.range_sigma_m, int(kept.sum())).astype(np.float32)
    return np.ascontiguousarray((rays[:, kept] * measured).T)


def _windows(
    posed: PosedWorld, lidar: LidarModel, T_world_lidar: Float64, grid: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    """Shots [S, 4] that can hit each solid, by its bounding sphere's azimuth; all of them where that wraps around."""
    beams, shots = grid
    centre = (posed.centre_world_m - T_world_lidar[:3, 3]) @ T_world_lidar[:3, :3]
    radius, away = posed.radius_m(), np.linalg.norm(centre, axis=1)
    level = np.hypot(centre[:, 0], centre[:, 1])
    around = radius >= level
    half = np.arcsin(np.clip(np.where(around, 1.0, radius / np.maximum(level, 1e-9)), 0.0, 1.0))
    azimuth = np.arctan2(centre[:, 1], centre[:, 0])
    first = np.floor((azimuth - half + np.pi) / lidar.azimuth_step_rad)
    last = np.ceil((azimuth + half + np.pi) / lidar.azimuth_step_rad) + 1
    whole = around | (first < 0) | (last > shots)
    out = np.zeros((len(away), 4), dtype=np.int64)
    out[:, 1] = beams
    out[:, 2], out[:, 3] = np.where(whole, 0, first), np.where(whole, shots, last)
    out[np.isfinite(radius) & (away - radius > lidar.max_range_m)] = 0
    return out
