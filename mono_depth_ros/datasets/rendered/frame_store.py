# SPDX-License-Identifier: Apache-2.0
"""Rendered frames in a folder, one .npz each: what an interrupted simulation has made is not made again."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.robot import CameraView, DriveFrame, RobotSensors
from mono_depth_ros.synthetic.sensors.lidar import SyntheticScan
from mono_depth_ros.synthetic.sensors.range_sensors import PlanarScan, ZoneScan
from mono_depth_ros.whole_file import whole_file, write_whole

Arrays = dict[str, npt.NDArray[Any]]
_PLAN_FILE = "plan.txt"


class FrameStore:
    """A folder of frames of one drive. Files appear whole or not at all; a broken one counts as absent.

    Args:
        folder: made when it is needed.
        robot: the sensors of the drive; what they have in common over all frames is not stored.
    """

    def __init__(self, folder: Path, robot: RobotSensors) -> None:
        self._folder, self._robot = folder, robot

    def __len__(self) -> int:
        """Number of frames in the folder."""
        return sum(1 for _ in self._folder.glob("[0-9]*.npz"))

    def claim(self, plan: str) -> int:
        """Makes the folder that of a drive; frames of any other drive in it are removed.

        Args:
            plan: describes everything that frames depend on.

        Returns:
            Number of frames that are there.

        Raises:
            ConfigError: the folder cannot be written, or is something else.
        """
        described = self._folder / _PLAN_FILE
        try:
            if self._folder.exists() and not described.is_file():
                raise ConfigError(
                    f"frames {self._folder}: expected a folder with {_PLAN_FILE}; remove it, or say --out"
                )
            if described.is_file() and described.read_text(encoding="utf-8") != plan:
                shutil.rmtree(self._folder)
            self._folder.mkdir(parents=True, exist_ok=True)
            if not described.is_file():
                write_whole(described, plan)
            return len(self)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"frames {self._folder}: expected a folder to write to, got {error}") from error

    def read(self, index: int) -> DriveFrame | None:
        """A frame, or None where there is none."""
        try:
            with np.load(self._file(index), allow_pickle=False) as stored:
                return _frame(dict(stored), self._robot)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def write(self, index: int, frame: DriveFrame) -> None:
        """Keeps a frame.

        Raises:
            ConfigError: the folder cannot be written.
        """
        try:
            with whole_file(self._file(index)) as beside:
                np.savez(beside, **_arrays(frame))  # type: ignore[arg-type]
        except OSError as error:
            raise ConfigError(f"frames {self._folder}: expected a folder to write to, got {error}") from error

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, index: int) -> Path:
        return self._folder / f"{index:06d}.npz"


def _arrays(frame: DriveFrame) -> Arrays:
    """What differs between frames."""
    motion = np.array([frame.speed_mps, frame.yaw_rate_radps])
    arrays: Arrays = {"stamp_ns": np.array(frame.stamp_ns), "T_odom_base": frame.T_odom_base, "motion": motion}
    for number, view in enumerate(frame.views):
        arrays[f"image_{number}"], arrays[f"depth_{number}"] = view.image_rgb, view.truth_depth_m
        arrays[f"labels_{number}"] = view.truth_labels
    if frame.lidar is not None:
        arrays["points"], arrays["points_time"] = frame.lidar.points_lidar, frame.lidar.time_s
        arrays["points_ring"], arrays["points_intensity"] = frame.lidar.ring, frame.lidar.intensity
    if frame.planar is not None:
        arrays["planar_range"], arrays["planar_intensity"] = frame.planar.range_m, frame.planar.intensity
        arrays["planar_step"] = np.array(frame.planar.time_step_s)
    if frame.tof is not None:
        arrays["tof"] = frame.tof.range_m
    if frame.range_finder is not None:
        arrays["range"] = frame.range_finder.range_m
    return arrays


def _frame(arrays: Arrays, robot: RobotSensors) -> DriveFrame:
    """Raises KeyError when an array is missing."""
    views = tuple(
        CameraView(
            name=mount.name,
            image_rgb=arrays[f"image_{number}"],
            camera=mount.camera,
            distortion=mount.distortion,
            T_base_camera=mount.T_base_camera(),
            truth_depth_m=arrays[f"depth_{number}"],
            truth_labels=arrays[f"labels_{number}"],
        )
        for number, mount in enumerate(robot.cameras)
    )
    lidar = planar = tof = range_finder = None
    if robot.lidar is not None:
        names = ("points", "points_time", "points_ring", "points_intensity")
        points, time_s, ring, intensity = (arrays[name] for name in names)
        lidar = SyntheticScan(points, time_s, ring, intensity, robot.lidar[1].T_base_sensor())
    if robot.scanner is not None:
        planar = PlanarScan(
            robot.scanner[0],
            arrays["planar_range"],
            arrays["planar_intensity"],
            float(arrays["planar_step"]),
            robot.scanner[1].T_base_sensor(),
        )
    if robot.tof is not None:
        tof = ZoneScan(robot.tof[0], arrays["tof"], robot.tof[1].T_base_sensor())
    if robot.range_finder is not None:
        range_finder = ZoneScan(robot.range_finder[0], arrays["range"], robot.range_finder[1].T_base_sensor())
    return DriveFrame(
        stamp_ns=int(arrays["stamp_ns"]),
        views=views,
        T_odom_base=arrays["T_odom_base"],
        speed_mps=float(arrays["motion"][0]),
        yaw_rate_radps=float(arrays["motion"][1]),
        lidar=lidar,
        planar=planar,
        tof=tof,
        range_finder=range_finder,
    )
