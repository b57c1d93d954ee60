# SPDX-License-Identifier: Apache-2.0
"""A robot that drives through a random street, and everything its sensors say, with the truth beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.synthetic.lidar import LidarModel, elevation_table, scan
from mono_depth_ros.synthetic.random_camera import camera_pose, random_photometry
from mono_depth_ros.synthetic.rendering import render
from mono_depth_ros.synthetic.street import random_street
from mono_depth_ros.synthetic.world import Float32, Float64

START_X_M = -6.0  # behind the first car of our lane
_SWING, _SWING_PERIOD_S = 0.15, 12.0  # speed varies by 15 % in 12 s


@dataclass(frozen=True, slots=True, eq=False)
class DriveFrame:
    """What the robot's sensors say at one instant.

    Attributes:
        stamp_ns: of image, points and odometry alike.
        image_rgb: uint8 [H, W, 3].
        camera: its intrinsics.
        T_odom_base: float64 [4, 4], odometry with its drift; base_link lies on the ground, x forward.
        speed_mps: as measured by the wheels.
        points_lidar: float32 [N, 3], lidar frame.
        truth_depth_m: float32 [H, W], exact Z, NaN in the sky.
        T_base_camera, T_base_lidar: float64 [4, 4], mounts; the camera frame is optical.
    """

    stamp_ns: int
    image_rgb: npt.NDArray[np.uint8]
    camera: PinholeCamera
    T_odom_base: Float64
    speed_mps: float
    points_lidar: Float32
    truth_depth_m: Float32
    T_base_camera: Float64
    T_base_lidar: Float64


class SyntheticDrive:
    """A drive; the same arguments give the same frames, in any order of asking."""

    def __init__(
        self,
        seed: int,
        rate_hz: float = 10.0,
        width_px: int = 640,
        height_px: int = 192,
        lidar_beams: int = 4,
        fov_deg: float = 81.0,
        duration_s: float = 20.0,
        samples: int = 2,
    ) -> None:
        """Furnish a street long enough for the drive.

        Args:
            seed: which street, camera look and noise.
            rate_hz: frames per second.
            width_px, height_px: image size; pixels are square.
            lidar_beams: 1, 4, 8, 16, 32 or 64.
            fov_deg: horizontal field of view.
            duration_s: the street is furnished for so long.
            samples: colour samples per pixel.

        Raises:
            ConfigError: on a rate, duration or field of view that cannot be.
        """
        if rate_hz <= 0 or duration_s <= 0 or not 1.0 < fov_deg < 170.0:
            raise ConfigError(
                f"drive: expected rate_hz > 0, duration_s > 0 and fov_deg in 1..170, "
                f"got {rate_hz}, {duration_s}, {fov_deg}"
            )
        rng = np.random.default_rng([seed, 3])
        cruise = float(rng.uniform(5.0, 8.0))
        self.street = random_street(seed, length_m=max(140.0, 1.2 * cruise * duration_s + 60.0))
        ahead = [m.speed_mps for m in self.street.world.movers if m.speed_mps > 0]
        self._cruise_mps = min([cruise, *(0.85 * speed for speed in ahead)])
        # keep to the lane, but clear of parked cars where the road is narrow
        self._lateral_m = -max(0.2, min(-self.street.lane_m, self.street.half_width_m - 3.2))
        focal = 0.5 * width_px / np.tan(np.deg2rad(fov_deg) / 2)
        self.camera = PinholeCamera(width_px, height_px, focal, focal, 0.5 * (width_px - 1), 0.5 * (height_px - 1))
        self.T_base_camera = camera_pose(np.array([1.2, 0.0, 1.55]), 0.0, 0.02, 0.0)
        self.T_base_lidar = np.eye(4)
        self.T_base_lidar[:3, 3] = (0.9, 0.0, 1.75)
        self.lidar = LidarModel(elevation_table(lidar_beams))
        self.rate_hz = rate_hz
        self._seed, self._samples = seed, samples
        self._odometry_scale = 1.0 + float(rng.normal(0.0, 0.005))
        self._yaw_drift_radps = float(rng.normal(0.0, 0.001))

    def speed_mps(self, time_s: float) -> float:
        """True speed along world x."""
        return self._cruise_mps * (1.0 + _SWING * np.sin(2 * np.pi * time_s / _SWING_PERIOD_S))

    def T_world_base(self, time_s: float) -> Float64:
        """True pose float64 [4, 4] of base_link in the world."""
        swing = _SWING * _SWING_PERIOD_S / (2 * np.pi) * (1.0 - np.cos(2 * np.pi * time_s / _SWING_PERIOD_S))
        return self.street.path.pose(START_X_M + self._cruise_mps * (time_s + float(swing)), self._lateral_m)

    def odometry(self, index: int) -> Float64:
        """Pose T_odom_base float64 [4, 4] as dead reckoning has it: a scale error, a slow turn, a little jitter."""
        time_s = index / self.rate_hz
        T_odom_base = invert_rigid(self.T_world_base(0.0)) @ self.T_world_base(time_s)
        rng = np.random.default_rng([self._seed, 4, index])
        turn = self._yaw_drift_radps * time_s + float(rng.normal(0.0, 0.0003))
        c, s = np.cos(turn), np.sin(turn)
        drift = np.eye(4)
        drift[:2, :2] = [[c, -s], [s, c]]
        T_odom_base = drift @ T_odom_base
        T_odom_base[:3, 3] = T_odom_base[:3, 3] * self._odometry_scale + rng.normal(0.0, (0.004, 0.004, 0.001))
        return np.asarray(T_odom_base)

    def frame(self, index: int) -> DriveFrame:
        """Frame number `index`, at index / rate_hz seconds."""
        time_s = index / self.rate_hz
        T_world_base = self.T_world_base(time_s)
        view = render(self.street.world, self.camera, T_world_base @ self.T_base_camera, time_s, self._samples)
        look = np.random.default_rng([self._seed, 5])  # one sensor: the same lens and gains in every frame
        image = random_photometry(look, view.image_rgb, np.random.default_rng([self._seed, 6, index]))
        noise = np.random.default_rng([self._seed, 7, index])
        points = scan(self.street.world, self.lidar, T_world_base @ self.T_base_lidar, time_s, noise)
        speed = self.speed_mps(time_s) * self._odometry_scale + float(noise.normal(0.0, 0.02))
        return DriveFrame(
            stamp_ns=round(index * 1e9 / self.rate_hz),
            image_rgb=image,
            camera=self.camera,
            T_odom_base=self.odometry(index),
            speed_mps=speed,
            points_lidar=points,
            truth_depth_m=view.depth_m,
            T_base_camera=self.T_base_camera,
            T_base_lidar=self.T_base_lidar,
        )
