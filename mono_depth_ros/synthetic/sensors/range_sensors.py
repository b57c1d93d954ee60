# SPDX-License-Identifier: Apache-2.0
"""Planar laser scanners and time-of-flight sensors. Frames: x forward, y left, z up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.synthetic.render.rendering import ray_grid, visible_windows
from mono_depth_ros.synthetic.render.world import Float32, Float64, World, cast_grid
from mono_depth_ros.synthetic.sensors.echoes import chance_heard, echoes_of, heard
from mono_depth_ros.synthetic.sensors.lidar import FULL_INTENSITY, PACKETS
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose
from mono_depth_ros.synthetic.sensors.sweep import cast_sweep, packets_of

T_SENSOR_OPTICAL = camera_pose(np.zeros(3), 0.0, 0.0, 0.0)  # the sensor's x forward is the optical z
_RAYS_PER_ZONE = 4  # along each side of a time-of-flight zone
_LEAST_SHARE = 0.25  # of a zone's light that has to come back


@dataclass(frozen=True, slots=True)
class PlanarScanner:
    """A laser scanner in the plane z = 0 of its frame.

    Attributes:
        angle_min_rad: of the first ray; it turns counter-clockwise.
        angle_step_rad: between two rays.
        rays: how many.
        min_range_m, max_range_m: of what it measures.
        range_sigma_m: of the noise.
        drop_out: share of the returns that is lost whatever they come from.
        reach_10_percent_m: where half of the returns from a surface of 10 % reflectance are lost.
    """

    angle_min_rad: float = -np.pi
    angle_step_rad: float = np.deg2rad(0.5)
    rays: int = 720
    min_range_m: float = 0.1
    max_range_m: float = 25.0
    range_sigma_m: float = 0.01
    drop_out: float = 0.01
    reach_10_percent_m: float = 10.0

    def __post_init__(self) -> None:
        if self.rays < 2 or not 0 < self.angle_step_rad * self.rays < 2 * np.pi + 1e-6 or self.angle_min_rad < -np.pi:
            raise ConfigError(f"planar scanner: expected at least 2 rays within one turn from -pi on, got {self}")
        if not 0 <= self.min_range_m < self.max_range_m or self.range_sigma_m < 0 or not 0 <= self.drop_out <= 1:
            raise ConfigError(
                f"planar scanner: expected min_range_m < max_range_m, range_sigma_m >= 0 and drop_out in 0..1, "
                f"got {self}"
            )

    def azimuths(self) -> Float64:
        """Angle of each ray, rad, float64 [rays]."""
        return np.asarray(self.angle_min_rad + self.angle_step_rad * np.arange(self.rays))


@dataclass(frozen=True, slots=True, eq=False)
class PlanarScan:
    """What a planar scanner measures in a turn; ray i at angle_min_rad + i * angle_step_rad.

    Attributes:
        model: the scanner.
        range_m: float32 [rays]; inf where nothing was measured (REP 117).
        intensity: float32 [rays], 0..255, as `SyntheticScan`.
        time_step_s: between two rays; the first is measured at the stamp.
        T_base_scanner: float64 [4, 4], the mount as calibration knows it.
    """

    model: PlanarScanner
    range_m: Float32
    intensity: Float32
    time_step_s: float
    T_base_scanner: Float64


def planar_scan(
    world: World,
    scanner: PlanarScanner,
    T_world_scanner: Callable[[float], Float64],
    stamp_s: float,
    period_s: float,
    rng: np.random.Generator,
    T_base_scanner: Float64,
) -> PlanarScan:
    """One turn that begins at `stamp_s`; rays go out in packets of 20 degrees, at the middle of the packet's time.

    Args:
        world, rng: as for `lidar.scan`.
        scanner: the sensor.
        T_world_scanner: time in s -> float64 [4, 4].
        stamp_s: of the first ray.
        period_s: of a whole turn; 0 takes the scan in an instant.
        T_base_scanner: handed on.
    """
    azimuth = scanner.azimuths()
    rays = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros_like(azimuth)]).astype(np.float32)[:, None, :]
    time_step_s = period_s * scanner.angle_step_rad / (2 * np.pi)
    parts = packets_of(scanner.rays, PACKETS if period_s > 0 else 1)
    fired = [(part, stamp_s + time_step_s * (part.start + part.stop - 1) / 2) for part in parts]
    echoes = cast_sweep(world, T_world_scanner, rays, azimuth, fired, scanner.max_range_m)
    noise_m = rng.normal(0.0, scanner.range_sigma_m, scanner.rays).astype(np.float32)
    kept = heard(echoes, scanner.reach_10_percent_m, scanner.drop_out, rng)[0]
    measured = echoes.range_m[0] + noise_m
    kept &= (measured >= scanner.min_range_m) & (measured <= scanner.max_range_m)
    return PlanarScan(
        model=scanner,
        range_m=np.where(kept, measured, np.float32(np.inf)),
        intensity=np.where(kept, FULL_INTENSITY * echoes.reflectance[0], 0.0).astype(np.float32),
        time_step_s=time_step_s,
        T_base_scanner=T_base_scanner,
    )


@dataclass(frozen=True, slots=True)
class ZoneSensor:
    """A time-of-flight sensor that flashes and measures one mean range in each zone of its view.

    Attributes:
        zones: along each side of the square view; 1 is a single-point sensor.
        fov_rad: full angle of the view, horizontally and vertically.
        min_range_m, max_range_m: of what it measures.
        range_sigma_m: of the noise.
        reach_10_percent_m: where half of the light from a surface of 10 % reflectance is too weak.
    """

    zones: int = 8
    fov_rad: float = np.deg2rad(45.0)
    min_range_m: float = 0.05
    max_range_m: float = 4.0
    range_sigma_m: float = 0.015
    reach_10_percent_m: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.zones <= 64 or not 0.0 < self.fov_rad < np.deg2rad(120.0):
            raise ConfigError(f"time of flight: expected 1..64 zones and a view of 0..120 degrees, got {self}")
        if not 0 <= self.min_range_m < self.max_range_m or self.range_sigma_m < 0:
            raise ConfigError(f"time of flight: expected min_range_m < max_range_m and range_sigma_m >= 0, got {self}")

    def centre_rays(self) -> Float32:
        """Unit ray through the middle of each zone, sensor frame; float32 [zones, zones, 3], top left zone first."""
        rays = ray_grid(_eye(self.zones, self.fov_rad)).reshape(3, -1)
        ahead = (T_SENSOR_OPTICAL[:3, :3].astype(np.float32) @ (rays / np.linalg.norm(rays, axis=0))).T
        return np.asarray(ahead.reshape(self.zones, self.zones, 3), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ZoneScan:
    """What a time-of-flight sensor measures at once.

    Attributes:
        model: the sensor.
        range_m: float32 [zones, zones], along each zone's central ray, top left zone first; inf where nothing was
            measured.
        T_base_sensor: float64 [4, 4], the mount as calibration knows it.
    """

    model: ZoneSensor
    range_m: Float32
    T_base_sensor: Float64

    def points(self) -> Float32:
        """Points float32 [zones, zones, 3] in the sensor's frame, metres; NaN where nothing was measured."""
        with np.errstate(invalid="ignore"):
            points = self.model.centre_rays() * self.range_m[..., None]
        points[~np.isfinite(self.range_m)] = np.nan
        return np.asarray(points, np.float32)


def zone_scan(
    world: World,
    sensor: ZoneSensor,
    T_world_sensor: Float64,
    time_s: float,
    rng: np.random.Generator,
    T_base_sensor: Float64,
) -> ZoneScan:
    """One flash: the mean range of each zone, weighted by the light that comes back from each part of it.

    Args:
        world, rng: as for `lidar.scan`.
        sensor: the sensor.
        T_world_sensor: float64 [4, 4].
        time_s: when.
        T_base_sensor: handed on.
    """
    eye, posed = _eye(sensor.zones * _RAYS_PER_ZONE, sensor.fov_rad), world.at(time_s)
    T_world_optical = T_world_sensor @ T_SENSOR_OPTICAL
    rays = ray_grid(eye)
    rays_world = (T_world_optical[:3, :3].astype(np.float32) @ rays.reshape(3, -1)).reshape(rays.shape)
    origin = T_world_optical[:3, 3]
    hits = cast_grid(posed, origin, rays_world, visible_windows(posed, eye, T_world_optical))
    beam_rad = sensor.fov_rad / eye.width_px
    echoes = echoes_of(world, posed, origin, rays_world, hits, beam_rad)
    weight = _by_zone(chance_heard(echoes, sensor.reach_10_percent_m), sensor.zones)
    reach = _by_zone(echoes.range_m, sensor.zones)
    total = weight.sum(axis=2)
    mean_m = np.sum(weight * np.where(np.isfinite(reach), reach, 0.0), axis=2) / np.maximum(total, 1e-9)
    measured = mean_m + rng.normal(0.0, sensor.range_sigma_m, mean_m.shape)
    kept = (total >= _LEAST_SHARE * weight.shape[2]) & (measured >= sensor.min_range_m)
    kept &= measured <= sensor.max_range_m
    return ZoneScan(sensor, np.where(kept, measured, np.inf).astype(np.float32), T_base_sensor)


def _eye(side: int, fov_rad: float) -> PinholeCamera:
    """The sensor's view as a camera of so many rays along each side."""
    focal = 0.5 * side / np.tan(0.5 * fov_rad)
    return PinholeCamera(side, side, focal, focal, 0.5 * (side - 1), 0.5 * (side - 1))


def _by_zone(values: Float32, zones: int) -> Float32:
    """[zones * r, zones * r] as [zones, zones, r * r]."""
    rays = len(values) // zones
    blocks = values.reshape(zones, rays, zones, rays).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(blocks.reshape(zones, zones, rays * rays))
