# SPDX-License-Identifier: Apache-2.0
"""Cameras and where they sit on a robot."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.distortion import Distortion
from mono_depth_ros.synthetic.render.world import Float64
from mono_depth_ros.synthetic.sensors.random_camera import camera_pose

MAX_CAMERAS = 6
MIN_SIDE_PX, MAX_SIDE_PX = 32, 4096
DEFAULT_CAMERA = "camera"  # of a robot with one camera
_NAME = re.compile(r"[a-z][a-z0-9_]*")  # it becomes a namespace of topics and a frame
_TAKEN = {"lidar", "scan", "tof", "range", "odom", "twist", "truth", "base_link", "world", "tf", "tf_static"}

# Camera and its heading, degrees to the left. Six: all around, as on DDAD's cars.
_RIGS: dict[str, tuple[tuple[str, float], ...]] = {
    "single": ((DEFAULT_CAMERA, 0.0),),
    "stereo": (("camera_left", 0.0), ("camera_right", 0.0)),
    "front3": (("camera_front_left", 55.0), ("camera_front", 0.0), ("camera_front_right", -55.0)),
    "rig6": (
        ("camera_front", 0.0),
        ("camera_front_left", 60.0),
        ("camera_rear_left", 120.0),
        ("camera_rear", 180.0),
        ("camera_rear_right", -120.0),
        ("camera_front_right", -60.0),
    ),
}
RIG_NAMES = tuple(_RIGS)


@dataclass(frozen=True, slots=True)
class CameraMount:
    """A camera on a robot.

    Attributes:
        name: of its topics and its frame.
        camera: size and intrinsics of its images.
        position_m: in base_link: x forward, y left, z up from the ground.
        yaw_deg, pitch_deg, roll_deg: to the left, nose down, right side down; 0, 0, 0 looks forward.
        distortion: of the lens; None for straight images.

    Raises:
        ConfigError: a name that is no topic name or is a sensor's, an odd size, or a number that is not finite.
    """

    name: str
    camera: PinholeCamera
    position_m: tuple[float, float, float]
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    distortion: Distortion | None = None

    def __post_init__(self) -> None:
        wrong = []
        if not _NAME.fullmatch(self.name) or self.name in _TAKEN:
            wrong.append(f"name: expected small letters, digits and _, and none of {sorted(_TAKEN)}, got {self.name!r}")
        sides = self.camera.width_px, self.camera.height_px
        if not MIN_SIDE_PX <= min(sides) <= max(sides) <= MAX_SIDE_PX:
            wrong.append(f"size: expected sides of {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels, got {sides[0]}x{sides[1]}")
        numbers = (*self.position_m, self.yaw_deg, self.pitch_deg, self.roll_deg)
        if len(self.position_m) != 3 or not np.isfinite(numbers).all():
            wrong.append(f"mount: expected three finite coordinates and finite angles, got {numbers}")
        if wrong:
            raise ConfigError(f"camera {self.name}: " + ", ".join(wrong))

    def T_base_camera(self) -> Float64:
        """float64 [4, 4] of the optical frame (x right, y down, z forward)."""
        yaw, pitch, roll = np.deg2rad((self.yaw_deg, self.pitch_deg, self.roll_deg))
        return camera_pose(np.array(self.position_m), float(yaw), float(pitch), float(roll))


@dataclass(frozen=True, slots=True)
class RobotBody:
    """Where sensors sit on a robot, metres in base_link.

    Attributes:
        camera_m: of a camera that looks forward; other cameras of a rig sit on an ellipse of half axes `camera_m[0]`
            along x and `side_m` along y.
        side_m: how far cameras stand out to the sides: less than a car's half width, since streets are narrow.
        camera_pitch_deg: nose down.
        baseline_m: of a stereo pair.
        lidar_m, scanner_m, tof_m: of LiDAR, planar scanner and time-of-flight sensors; these look along x.
    """

    camera_m: tuple[float, float, float]
    side_m: float
    camera_pitch_deg: float
    baseline_m: float
    lidar_m: tuple[float, float, float]
    scanner_m: tuple[float, float, float]
    tof_m: tuple[float, float, float]


CAR = RobotBody((1.2, 0.0, 1.55), 0.6, 1.15, 0.54, (0.9, 0.0, 1.75), (1.9, 0.0, 0.5), (1.9, 0.0, 0.6))
LOW_ROBOT = RobotBody((0.12, 0.0, 0.38), 0.12, 0.0, 0.12, (0.0, 0.0, 0.48), (0.0, 0.0, 0.25), (0.14, 0.0, 0.3))
FLYER = RobotBody((0.1, 0.0, 0.0), 0.1, 0.0, 0.12, (0.0, 0.0, 0.1), (0.0, 0.0, 0.05), (0.1, 0.0, 0.05))


def pinhole(width_px: int, height_px: int, fov_deg: float) -> PinholeCamera:
    """A camera with square pixels and its principal point in the middle of the image.

    Args:
        width_px, height_px: of the image.
        fov_deg: horizontal field of view.

    Raises:
        ConfigError: a field of view that no pinhole camera has.
    """
    if not 1.0 < fov_deg < 170.0:
        raise ConfigError(f"fov_deg: expected 1..170, got {fov_deg}")
    focal = 0.5 * width_px / float(np.tan(np.deg2rad(fov_deg) / 2))
    return PinholeCamera(width_px, height_px, focal, focal, 0.5 * (width_px - 1), 0.5 * (height_px - 1))


def named_rig(name: str, body: RobotBody, camera: PinholeCamera) -> tuple[CameraMount, ...]:
    """One of the rigs that have a name, with the same camera everywhere.

    Args:
        name: single, stereo, front3 or rig6.
        body: the robot.
        camera: of every mount.

    Raises:
        ConfigError: no such rig.
    """
    if name not in _RIGS:
        raise ConfigError(f"rig: expected one of {', '.join(_RIGS)}, or a YAML file, got {name!r}")
    mounts = []
    for number, (camera_name, yaw_deg) in enumerate(_RIGS[name]):
        yaw = np.deg2rad(yaw_deg)
        x, y = body.camera_m[0] * np.cos(yaw), body.side_m * np.sin(yaw)
        if name == "stereo":
            y = body.baseline_m * (0.5 - number)
        position_m = (float(x), float(y), body.camera_m[2])
        mounts.append(CameraMount(camera_name, camera, position_m, yaw_deg, body.camera_pitch_deg))
    return tuple(mounts)


def check_rig(rig: tuple[CameraMount, ...]) -> list[str]:
    """What is wrong with a rig, in words; empty when nothing is."""
    names = [mount.name for mount in rig]
    wrong = []
    if not 1 <= len(rig) <= MAX_CAMERAS:
        wrong.append(f"cameras: expected 1 to {MAX_CAMERAS}, got {len(rig)}")
    if len(set(names)) < len(names):
        wrong.append(f"cameras: expected different names, got {', '.join(names)}")
    return wrong
