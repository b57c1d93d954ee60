# SPDX-License-Identifier: Apache-2.0
"""A robot that drives a course, and everything its sensors say, with the truth beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.distortion import Distortion
from mono_depth_ros.synthetic.course import Course
from mono_depth_ros.synthetic.failures import CalibrationBump
from mono_depth_ros.synthetic.render.exposure import AutoExposure
from mono_depth_ros.synthetic.render.rendering import render
from mono_depth_ros.synthetic.render.world import Float32, Float64
from mono_depth_ros.synthetic.sensors.camera_rig import CameraMount, check_rig
from mono_depth_ros.synthetic.sensors.lidar import LidarModel, SyntheticScan, scan
from mono_depth_ros.synthetic.sensors.random_camera import random_photometry
from mono_depth_ros.synthetic.sensors.range_sensors import (
    PlanarScan,
    PlanarScanner,
    ZoneScan,
    ZoneSensor,
    planar_scan,
    zone_scan,
)
from mono_depth_ros.synthetic.sensors.wheel_odometry import OdometryModel, WheelOdometry

LIDAR, SCANNER, TOF, RANGE_FINDER = "lidar", "scan", "tof", "range"  # names of sensors and of their frames


@dataclass(frozen=True, slots=True, eq=False)
class CameraView:
    """What one camera sees.

    Attributes:
        name: of the camera.
        image_rgb: uint8 [H, W, 3]; distorted where the lens is.
        camera: intrinsics of the image.
        distortion: of the lens, or None; image and truth lie in the same, distorted, grid.
        T_base_camera: float64 [4, 4], the mount as calibration knows it; the camera frame is optical.
        truth_depth_m: float32 [H, W], exact Z, NaN in the sky.
        truth_labels: uint8 [H, W], `Label`.
    """

    name: str
    image_rgb: npt.NDArray[np.uint8]
    camera: PinholeCamera
    distortion: Distortion | None
    T_base_camera: Float64
    truth_depth_m: Float32
    truth_labels: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class DriveFrame:
    """What the robot's sensors say at one instant; None for those that it does not have.

    Attributes:
        stamp_ns: of everything here, since the start of the drive.
        views: one per camera, in the order of the rig.
        T_odom_base: float64 [4, 4], odometry with its drift; base_link lies on the ground, x forward.
        speed_mps, yaw_rate_radps: as measured by wheels and gyroscope.
        lidar: a revolution around the stamp.
        planar: a turn that begins at the stamp.
        tof: an 8x8 time-of-flight reading.
        range_finder: a single-point time-of-flight reading.
    """

    stamp_ns: int
    views: tuple[CameraView, ...]
    T_odom_base: Float64
    speed_mps: float
    yaw_rate_radps: float
    lidar: SyntheticScan | None
    planar: PlanarScan | None
    tof: ZoneScan | None
    range_finder: ZoneScan | None


@dataclass(frozen=True, slots=True)
class SensorMount:
    """Where a ranging sensor sits in base_link, metres, looking along x."""

    x_m: float
    y_m: float
    z_m: float

    def T_base_sensor(self) -> Float64:
        """float64 [4, 4]."""
        T_base_sensor = np.eye(4)
        T_base_sensor[:3, 3] = (self.x_m, self.y_m, self.z_m)
        return T_base_sensor


@dataclass(frozen=True, slots=True)
class RobotSensors:
    """The sensors of a robot; None for those that it does not have.

    Attributes:
        cameras: 1 to 6.
        lidar, scanner, tof, range_finder: model and mount of each.
        odometry: errors of the wheels.
        rolling: whether LiDAR and scanner take a frame's period for a turn, or an instant.
    """

    cameras: tuple[CameraMount, ...]
    lidar: tuple[LidarModel, SensorMount] | None = None
    scanner: tuple[PlanarScanner, SensorMount] | None = None
    tof: tuple[ZoneSensor, SensorMount] | None = None
    range_finder: tuple[ZoneSensor, SensorMount] | None = None
    odometry: OdometryModel = field(default_factory=OdometryModel)
    rolling: bool = True


class SyntheticDrive:
    """A drive; the same arguments give the same frames, in any order of asking."""

    def __init__(
        self,
        course: Course,
        sensors: RobotSensors,
        seed: int,
        rate_hz: float = 10.0,
        samples: int = 2,
        bumps: tuple[CalibrationBump, ...] = (),
    ) -> None:
        """Puts a robot on a course.

        Args:
            course: world and true motion.
            sensors: of the robot.
            seed: of camera looks and noise.
            rate_hz: frames per second, of every sensor.
            samples: colour samples per pixel.
            bumps: sensors that from some time on sit elsewhere than calibration says.

        Raises:
            ConfigError: a rate that is not positive, or a rig that cannot be.
        """
        wrong = check_rig(sensors.cameras)
        if not rate_hz > 0:
            wrong.append(f"rate_hz: expected more than 0, got {rate_hz}")
        if wrong:
            raise ConfigError("drive: " + "; ".join(wrong))
        self.course, self.sensors, self.rate_hz = course, sensors, rate_hz
        self._seed, self._samples, self._bumps = seed, samples, bumps
        self._odometry = WheelOdometry(course, sensors.odometry, rate_hz, seed)
        # in rooms and under street lamps every picture is exposed for itself
        self._exposures = {
            mount.name: AutoExposure(course.world, partial(self.T_world_sensor, mount.name))
            for mount in sensors.cameras
            if not course.world.light.rooms
        }

    def mounts(self) -> dict[str, Float64]:
        """T_base_sensor float64 [4, 4] of every sensor that has a frame, as calibration knows it."""
        ranging = {
            LIDAR: self.sensors.lidar,
            SCANNER: self.sensors.scanner,
            TOF: self.sensors.tof,
            RANGE_FINDER: self.sensors.range_finder,
        }
        mounts = {mount.name: mount.T_base_camera() for mount in self.sensors.cameras}
        return mounts | {name: sensor[1].T_base_sensor() for name, sensor in ranging.items() if sensor is not None}

    def T_world_sensor(self, name: str, time_s: float) -> Float64:
        """Where a sensor really is, float64 [4, 4], bumps included."""
        T_base_sensor = self.mounts()[name]
        for bump in self._bumps:
            if bump.sensor == name and time_s >= bump.from_s:
                T_base_sensor = T_base_sensor @ bump.T_calibrated_bumped()
        return self.course.T_world_base(time_s) @ T_base_sensor

    def frame(self, index: int) -> DriveFrame:
        """Frame number `index`, at index / rate_hz seconds."""
        time_s = index / self.rate_hz
        odometry = self._odometry.reading(index)
        return DriveFrame(
            stamp_ns=round(index * 1e9 / self.rate_hz),
            views=tuple(self._view(number, index, time_s) for number in range(len(self.sensors.cameras))),
            T_odom_base=odometry.T_odom_base,
            speed_mps=odometry.speed_mps,
            yaw_rate_radps=odometry.yaw_rate_radps,
            lidar=self._lidar(index, time_s),
            planar=self._planar(index, time_s),
            tof=self._zones(TOF, self.sensors.tof, index, time_s),
            range_finder=self._zones(RANGE_FINDER, self.sensors.range_finder, index, time_s),
        )

    def _view(self, number: int, index: int, time_s: float) -> CameraView:
        mount, world = self.sensors.cameras[number], self.course.world
        T_world_camera = self.T_world_sensor(mount.name, time_s)
        exposure = self._exposures.get(mount.name)
        gain = 1.0 if exposure is None else exposure.gain(time_s)
        view = render(
            world, mount.camera, T_world_camera, time_s, self._samples, distortion=mount.distortion, exposure=gain
        )
        look = np.random.default_rng([self._seed, 5, number])  # one sensor: the same lens and gains in every frame
        noise = np.random.default_rng([self._seed, 6, number, index])
        return CameraView(
            name=mount.name,
            image_rgb=random_photometry(look, view.image_rgb, noise, exposed=exposure is not None),
            camera=mount.camera,
            distortion=mount.distortion,
            T_base_camera=mount.T_base_camera(),
            truth_depth_m=view.depth_m,
            truth_labels=view.labels,
        )

    def _lidar(self, index: int, time_s: float) -> SyntheticScan | None:
        if self.sensors.lidar is None:
            return None
        model, mount = self.sensors.lidar
        noise = np.random.default_rng([self._seed, 7, index])
        return scan(
            self.course.world,
            model,
            lambda at_s: self.T_world_sensor(LIDAR, at_s),
            time_s,
            self._turn_s(),
            noise,
            mount.T_base_sensor(),
        )

    def _planar(self, index: int, time_s: float) -> PlanarScan | None:
        if self.sensors.scanner is None:
            return None
        model, mount = self.sensors.scanner
        noise = np.random.default_rng([self._seed, 11, index])
        return planar_scan(
            self.course.world,
            model,
            lambda at_s: self.T_world_sensor(SCANNER, at_s),
            time_s,
            self._turn_s(),
            noise,
            mount.T_base_sensor(),
        )

    def _zones(
        self, name: str, sensor: tuple[ZoneSensor, SensorMount] | None, index: int, time_s: float
    ) -> ZoneScan | None:
        if sensor is None:
            return None
        noise = np.random.default_rng([self._seed, 12 if name == TOF else 13, index])
        T_world_sensor = self.T_world_sensor(name, time_s)
        return zone_scan(self.course.world, sensor[0], T_world_sensor, time_s, noise, sensor[1].T_base_sensor())

    def _turn_s(self) -> float:
        return 1.0 / self.rate_hz if self.sensors.rolling else 0.0
