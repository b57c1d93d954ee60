# SPDX-License-Identifier: Apache-2.0
"""A spinning LiDAR: beams by elevation, a scan that takes time, noise, lost echoes. Frame: x forward, y left, z up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.render.world import Float32, Float64, World
from mono_depth_ros.synthetic.sensors.echoes import heard
from mono_depth_ros.synthetic.sensors.sweep import cast_sweep, packets_of

# (highest, lowest) elevation in degrees of sensors with so many beams
_ELEVATION_RANGE_DEG = {
    1: (-1.0, -1.0),
    4: (1.5, -9.0),
    8: (2.0, -14.0),
    16: (4.0, -16.0),
    32: (7.0, -21.0),
    64: (2.0, -24.8),
}
PACKETS = 18  # of a revolution: 20 degrees each
FULL_INTENSITY = 255.0


def elevation_table(beams: int) -> tuple[float, ...]:
    """Elevations in rad, highest first, of a typical sensor with so many beams.

    Raises:
        ConfigError: for a number of beams without a table.

    >>> [round(float(np.rad2deg(e)), 1) for e in elevation_table(4)]
    [1.5, -2.0, -5.5, -9.0]
    """
    if beams not in _ELEVATION_RANGE_DEG:
        raise ConfigError(
            f"lidar beams: expected one of {sorted(_ELEVATION_RANGE_DEG)}, got {beams}; or give a list of elevations"
        )
    high, low = _ELEVATION_RANGE_DEG[beams]
    return tuple(float(e) for e in np.deg2rad(np.linspace(high, low, beams)))


@dataclass(frozen=True, slots=True)
class LidarModel:
    """A spinning LiDAR.

    Attributes:
        elevations_rad: one per beam; the first is ring 0.
        azimuth_step_rad: between two shots of a beam.
        min_range_m, max_range_m: returns outside are lost.
        range_sigma_m: of the noise along the ray.
        drop_out: share of the returns that is lost whatever they come from.
        reach_10_percent_m: where half of the returns from a surface of 10 % reflectance are lost (`chance_heard`).
    """

    elevations_rad: tuple[float, ...]
    azimuth_step_rad: float = np.deg2rad(0.4)
    min_range_m: float = 0.5
    max_range_m: float = 100.0
    range_sigma_m: float = 0.02
    drop_out: float = 0.02
    reach_10_percent_m: float = 60.0

    def __post_init__(self) -> None:
        if not self.elevations_rad or not 0 < self.azimuth_step_rad < np.pi:
            raise ConfigError(
                f"lidar: expected some elevations and an azimuth step in (0, pi) rad, got {len(self.elevations_rad)} "
                f"elevations and {self.azimuth_step_rad}"
            )
        if not all(abs(elevation) < np.pi / 2 for elevation in self.elevations_rad):  # also catches NaN
            raise ConfigError(f"lidar: expected elevations within 90 degrees, got {self.elevations_rad} rad")
        if not 0.0 <= self.drop_out <= 1.0 or self.range_sigma_m < 0 or not 0 <= self.min_range_m < self.max_range_m:
            raise ConfigError(
                f"lidar: expected drop_out in 0..1, range_sigma_m >= 0 and min_range_m < max_range_m, got {self}"
            )
        if not self.reach_10_percent_m > 0:
            raise ConfigError(f"lidar: expected reach_10_percent_m above 0, got {self.reach_10_percent_m}")

    def azimuths(self) -> Float64:
        """Azimuth of each shot of a beam, rad, float64 [shots], from -pi (behind the sensor) upwards."""
        return np.arange(-np.pi, np.pi, self.azimuth_step_rad)

    def directions(self) -> Float32:
        """Unit rays float32 [3, beams, shots] in the lidar frame."""
        azimuth, elevation = self.azimuths(), np.asarray(self.elevations_rad)[:, None]
        return np.stack(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.broadcast_to(np.sin(elevation), (len(elevation), len(azimuth))),
            ]
        ).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticScan:
    """One revolution, beam by beam.

    Attributes:
        points_lidar: float32 [N, 3], each in the lidar frame at its own time, metres.
        time_s: float32 [N], when each was measured, relative to the stamp of the scan.
        ring: uint16 [N], its beam.
        intensity: float32 [N], 0..255: reflectance of the surface as seen from here, whatever its distance.
        T_base_lidar: float64 [4, 4], the mount as calibration knows it.
    """

    points_lidar: Float32
    time_s: Float32
    ring: npt.NDArray[np.uint16]
    intensity: Float32
    T_base_lidar: Float64


def scan(
    world: World,
    lidar: LidarModel,
    T_world_lidar: Callable[[float], Float64],
    stamp_s: float,
    period_s: float,
    rng: np.random.Generator,
    T_base_lidar: Float64,
) -> SyntheticScan:
    """One revolution around `stamp_s`.

    The sensor turns counter-clockwise, begins behind itself half a period before the stamp, and faces forward at the
    stamp. It fires in `PACKETS` packets; all shots of a packet have one time, at which they are exact.

    Args:
        world: what there is.
        lidar: the sensor.
        T_world_lidar: time in s -> float64 [4, 4].
        stamp_s: when the sensor faces forward.
        period_s: of a revolution; 0 takes the scan in an instant.
        rng: source of noise and drop-out.
        T_base_lidar: handed on.
    """
    rays, azimuth = lidar.directions(), lidar.azimuths()
    packets = _packets(len(azimuth), period_s)
    fired = [(columns, stamp_s + offset_s) for columns, offset_s in packets]
    echoes = cast_sweep(world, T_world_lidar, rays, azimuth, fired, lidar.max_range_m)
    kept = heard(echoes, lidar.reach_10_percent_m, lidar.drop_out, rng)
    kept &= (echoes.range_m >= lidar.min_range_m) & (echoes.range_m <= lidar.max_range_m)
    measured = echoes.range_m[kept] + rng.normal(0.0, lidar.range_sigma_m, int(kept.sum())).astype(np.float32)
    offset_s = np.concatenate([np.full(columns.stop - columns.start, at, np.float32) for columns, at in packets])
    beam = np.arange(len(rays[0]), dtype=np.uint16)[:, None]
    return SyntheticScan(
        points_lidar=np.ascontiguousarray((rays[:, kept] * measured).T),
        time_s=np.broadcast_to(offset_s, kept.shape)[kept],
        ring=np.broadcast_to(beam, kept.shape)[kept],
        intensity=(FULL_INTENSITY * echoes.reflectance[kept]).astype(np.float32),
        T_base_lidar=T_base_lidar,
    )


def _packets(shots: int, period_s: float) -> list[tuple[slice, float]]:
    """Columns of each packet and its time after the stamp, in the middle of its part of the revolution."""
    if period_s <= 0:
        return [(slice(0, shots), 0.0)]
    return [(part, period_s * ((part.start + part.stop) / (2 * shots) - 0.5)) for part in packets_of(shots, PACKETS)]
