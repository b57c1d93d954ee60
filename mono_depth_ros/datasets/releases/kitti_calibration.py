# SPDX-License-Identifier: Apache-2.0
"""The calibration and the inertial records of KITTI raw.

Frames: `velo` (x forward, y left, z up), `imu` (x forward, y left, z up), the rectified cameras (optical). The world of
a drive is the imu frame at its first record.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.releases.data_files import parse_numbers, read_lines, read_numbers
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid

CAMERAS = ("image_00", "image_01", "image_02", "image_03")
EARTH_RADIUS_M = 6378137.0
_OXTS_NUMBERS = 30
_FORWARD_SPEED = 8  # place of vf in a record
_ROTATION_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class KittiCalibration:
    """One camera of one recording day.

    Attributes:
        intrinsics_px: fx, fy, cx, cy of the rectified image.
        T_camera_velo, T_camera_imu: float64 [4,4].
    """

    intrinsics_px: tuple[float, float, float, float]
    T_camera_velo: NDArray[np.float64]
    T_camera_imu: NDArray[np.float64]

    def camera(self, height_px: int, width_px: int) -> PinholeCamera:
        """Of an image of this size."""
        return PinholeCamera(width_px, height_px, *self.intrinsics_px)


@dataclass(frozen=True, slots=True, eq=False)
class KittiMotion:
    """One inertial record: speed_mps (the size of vf, the forward velocity) and what makes a pose."""

    speed_mps: float
    latitude_deg: float
    longitude_deg: float
    altitude_m: float
    roll_pitch_yaw_rad: tuple[float, float, float]


def read_calibration(folder: Path, camera_name: str) -> KittiCalibration:
    """Of a camera of the day `folder`, from its three files calib_*.txt.

    Raises:
        DataError: a file or entry is missing or broken.
    """
    to_cameras = folder / "calib_cam_to_cam.txt"
    entries = _entries(to_cameras)
    number = camera_name.removeprefix("image_")
    P = _entry(entries, f"P_rect_{number}", 12, to_cameras).reshape(3, 4)
    T_rect0_cam0 = np.eye(4)
    T_rect0_cam0[:3, :3] = _rotation(entries, "R_rect_00", to_cameras)
    fx, fy, cx, cy = float(P[0, 0]), float(P[1, 1]), float(P[0, 2]), float(P[1, 2])
    if fx <= 0 or fy <= 0 or P[1:, 0].any() or P[2, 1] != 0 or P[2, 2] != 1:
        raise DataError(f"{to_cameras}: expected P_rect_{number} = K [I|t] with fx, fy > 0, got {P.tolist()}")
    # P = K [I | t]: the camera's own place beside camera 0 of the rig.
    T_camera_rect0 = np.eye(4)
    T_camera_rect0[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    T_cam0_velo = _rigid(folder / "calib_velo_to_cam.txt")
    T_camera_velo = T_camera_rect0 @ T_rect0_cam0 @ T_cam0_velo
    return KittiCalibration((fx, fy, cx, cy), T_camera_velo, T_camera_velo @ _rigid(folder / "calib_imu_to_velo.txt"))


def read_motion(path: Path) -> KittiMotion:
    """One oxts record.

    Raises:
        DataError: it is not there or does not have 30 numbers, or the latitude is not one.
    """
    numbers = read_numbers(path, (_OXTS_NUMBERS,))
    latitude, longitude, altitude, roll, pitch, yaw = (float(number) for number in numbers[:6])
    if not abs(latitude) < 89.0:  # Mercator ends at the poles
        raise DataError(f"{path}: expected a latitude within 89 degrees, got {latitude}")
    return KittiMotion(abs(float(numbers[_FORWARD_SPEED])), latitude, longitude, altitude, (roll, pitch, yaw))


def relative_pose(first: KittiMotion, motion: KittiMotion) -> NDArray[np.float64]:
    """T_world_imu: pose of `motion` in the frame of the drive's first record."""
    scale = float(np.cos(np.radians(first.latitude_deg)))
    return invert_rigid(_mercator_pose(first, scale)) @ _mercator_pose(motion, scale)


def _mercator_pose(motion: KittiMotion, scale: float) -> NDArray[np.float64]:
    """T_map_imu on the Mercator map of `scale` (x east, y north, z up), metres."""
    roll, pitch, yaw = motion.roll_pitch_yaw_rad
    (sr, sp, sy), (cr, cp, cy) = np.sin([roll, pitch, yaw]), np.cos([roll, pitch, yaw])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    T_map_imu = np.eye(4)
    T_map_imu[:3, :3] = about_z @ about_y @ about_x
    T_map_imu[0, 3] = scale * EARTH_RADIUS_M * np.radians(motion.longitude_deg)
    north = np.log(np.tan(np.pi / 4 + np.radians(motion.latitude_deg) / 2))
    T_map_imu[1, 3] = scale * EARTH_RADIUS_M * north
    T_map_imu[2, 3] = motion.altitude_m
    return T_map_imu


def _entries(path: Path) -> dict[str, str]:
    """Name -> text of the lines "name: values"."""
    pairs = (line.partition(":") for line in read_lines(path))
    return {name.strip(): values for name, colon, values in pairs if colon}


def _entry(entries: dict[str, str], name: str, count: int, path: Path) -> NDArray[np.float64]:
    if name not in entries:
        raise DataError(f"{path}: expected a line {name!r}, got {', '.join(entries) or 'none'}")
    return parse_numbers(entries[name], (count,), f"{path}: {name}")


def _rigid(path: Path) -> NDArray[np.float64]:
    """The transform of a file with the lines R and T."""
    entries = _entries(path)
    T_a_b = np.eye(4)
    T_a_b[:3, :3] = _rotation(entries, "R", path)
    T_a_b[:3, 3] = _entry(entries, "T", 3, path)
    return T_a_b


def _rotation(entries: dict[str, str], name: str, path: Path) -> NDArray[np.float64]:
    rotation = _entry(entries, name, 9, path).reshape(3, 3)
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=_ROTATION_TOLERANCE) or np.linalg.det(rotation) < 0:
        raise DataError(f"{path}: expected {name} to be a rotation, got {rotation.tolist()}")
    return rotation
