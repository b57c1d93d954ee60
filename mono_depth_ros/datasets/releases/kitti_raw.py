# SPDX-License-Identifier: Apache-2.0
"""KITTI raw: synchronised and rectified drives with laser scans, inertial records, and three kinds of truth."""

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.releases.data_files import (
    MAX_ARRAY_BYTES,
    path_inside,
    read_bytes,
    read_depth_png,
    read_lines,
    read_npz_array,
    read_rgb,
    require_shape,
)
from mono_depth_ros.datasets.releases.kitti_calibration import (
    CAMERAS,
    KittiCalibration,
    KittiMotion,
    read_calibration,
    read_motion,
    relative_pose,
)
from mono_depth_ros.datasets.sample import ContextFrame, DepthSample
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid, transform_points
from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense

TRUTHS = ("velodyne", "improved", "velodyne_npz", "none")
_SIDES = {"l": "image_02", "r": "image_03"}
_FOLDER_LINE = re.compile(r"([0-9_]+/[0-9a-z_]+_sync) ([0-9]{1,10})(?: ([lr]))?")
_IMAGE_LINE = re.compile(r"([0-9_]+/[0-9a-z_]+_sync)/(image_0[0-3])/data/([0-9]{10})\.(?:png|jpg)(?: .*)?")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{9})")
_NOMINAL_PERIOD_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class KittiFrame:
    """One image: drive is "<date>/<date>_drive_XXXX_sync", camera_name "image_02", number the one in its name."""

    drive: str
    camera_name: str
    number: int

    @property
    def date(self) -> str:
        """The folder of the recording day."""
        return self.drive.split("/")[0]


class KittiRawReader:
    """The images of a list, read when they are asked for.

    Points are the whole scan, which was turned to the time of the camera by the recorder. The
    pose comes from the inertial records; speed is their forward speed vf. The stamp is that of timestamps.txt; without
    that file it is the frame number at the nominal 10 Hz.

    Images for which the data set has no truth (of the 697 of Eigen's test only 652 have the improved one) or, with
    points, no scan are left out and counted.

    Args:
        root: folder of the recording days.
        frames: which images.
        truth: "velodyne" (this scan, projected), "improved" (proj_depth/groundtruth), "velodyne_npz" (proj_depth/
            velodyne, array velodyne_depth) or "none".
        with_points: whether samples have the scan as their points.

    Attributes:
        left_out: how many of `frames` have no truth or no scan.

    Raises:
        ConfigError: another truth.
        DataError: there are no frames, or none with what is asked for.
    """

    def __init__(self, root: Path, frames: list[KittiFrame], truth: str = "improved", with_points: bool = True) -> None:
        if truth not in TRUTHS:
            raise ConfigError(f"truth: expected one of {', '.join(TRUTHS)}, got {truth!r}")
        self._root = root
        self._truth = truth
        self._with_points = with_points
        self._frames = [frame for frame in frames if all(path.is_file() for path in self._needed(frame))]
        self.left_out = len(frames) - len(self._frames)
        if not self._frames:
            needed = [str(path) for frame in frames[:1] for path in self._needed(frame)]
            raise DataError(f"{root}: expected some images with {' and '.join(needed)}, got none of {len(frames)}")
        self._calibrations: dict[tuple[str, str], KittiCalibration] = {}
        self._first_motions: dict[str, KittiMotion] = {}

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, index: int) -> DepthSample:
        """Sample `index`.

        Raises:
            DataError: a file is missing or broken.
        """
        frame = self._frames[index]
        drive = self._root / frame.drive
        calibration = self._calibration(frame)
        image_rgb = read_rgb(image_path(drive, frame))
        camera = calibration.camera(*image_rgb.shape[:2])
        points_m = None
        if self._with_points or self._truth == "velodyne":
            points_m = transform_points(calibration.T_camera_velo, read_scan(_scan_path(drive, frame.number)))
        truth_m = self._truth_depth(frame, camera, points_m)
        return DepthSample(
            name=f"{Path(frame.drive).name}_{frame.number:010d}_{frame.camera_name}",
            stamp_ns=_stamp_ns(drive / frame.camera_name / "timestamps.txt", frame.number),
            camera_name=frame.camera_name,
            image_rgb=image_rgb,
            camera=camera,
            points_camera_m=points_m if self._with_points else None,
            truth_depth_m=truth_m,
            truth_camera=None if truth_m is None else camera,
            speed_mps=read_motion(_record_path(drive, frame.number)).speed_mps,
            T_world_camera=self._T_world_camera(frame),
            T_camera_lidar=calibration.T_camera_velo if self._with_points else None,
        )

    def read_context(self, index: int, step: int) -> ContextFrame | None:
        """The image `step` frames after sample `index` (before it: negative), also if it is not in the list.

        Returns:
            None where the drive has no such image or no inertial record of it.

        Raises:
            DataError: a file is broken, or the image has another size.
        """
        frame = self._frames[index]
        other = KittiFrame(frame.drive, frame.camera_name, frame.number + step)
        drive = self._root / frame.drive
        path = image_path(drive, other)
        if other.number < 0 or not path.is_file() or not _record_path(drive, other.number).is_file():
            return None
        image_rgb = read_rgb(path)
        require_shape(image_rgb, read_rgb(image_path(drive, frame)).shape, path, "the sample's image")
        return ContextFrame(
            stamp_ns=_stamp_ns(drive / other.camera_name / "timestamps.txt", other.number),
            image_rgb=image_rgb,
            T_context_sample=invert_rigid(self._T_world_camera(other)) @ self._T_world_camera(frame),
        )

    def _T_world_camera(self, frame: KittiFrame) -> NDArray[np.float64]:
        motion = read_motion(_record_path(self._root / frame.drive, frame.number))
        T_world_imu = relative_pose(self._first_motion(frame.drive), motion)
        return T_world_imu @ invert_rigid(self._calibration(frame).T_camera_imu)

    def _calibration(self, frame: KittiFrame) -> KittiCalibration:
        key = (frame.date, frame.camera_name)
        if key not in self._calibrations:
            self._calibrations[key] = read_calibration(self._root / frame.date, frame.camera_name)
        return self._calibrations[key]

    def _first_motion(self, drive: str) -> KittiMotion:
        """The record that is the origin of a drive."""
        if drive not in self._first_motions:
            records = self._root / drive / "oxts" / "data"
            self._first_motions[drive] = read_motion(min(records.glob("*.txt"), default=records / "0000000000.txt"))
        return self._first_motions[drive]

    def _needed(self, frame: KittiFrame) -> list[Path]:
        """The files without which an image is left out."""
        truth = self._truth_path(frame)
        scan = _scan_path(self._root / frame.drive, frame.number)
        with_scan = self._with_points or self._truth == "velodyne"
        return ([] if truth is None else [truth]) + ([scan] if with_scan else [])

    def _truth_path(self, frame: KittiFrame) -> Path | None:
        folder = self._root / frame.drive / "proj_depth"
        if self._truth == "improved":
            return folder / "groundtruth" / frame.camera_name / f"{frame.number:010d}.png"
        if self._truth == "velodyne_npz":
            return folder / "velodyne" / frame.camera_name / f"{frame.number:010d}.npz"
        return None

    def _truth_depth(
        self, frame: KittiFrame, camera: PinholeCamera, points_m: NDArray[np.float32] | None
    ) -> NDArray[np.float32] | None:
        """float32 [H,W], NaN where unknown."""
        path = self._truth_path(frame)
        if path is None:
            if self._truth == "none" or points_m is None:
                return None
            return sparse_to_dense(project_points(points_m, camera))
        if self._truth == "improved":
            depth_m = read_depth_png(path)
        else:
            stored = read_npz_array(path, "velodyne_depth")
            if stored.dtype.kind != "f":
                raise DataError(f"{path}: expected velodyne_depth of floats, got {stored.dtype}")
            depth_m = stored.astype(np.float32)
            depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = np.nan
        require_shape(depth_m, (camera.height_px, camera.width_px), path, "its image")
        return depth_m


def read_split(root: Path, split: str) -> list[KittiFrame]:
    """The images of a split file, in its order.

    Lines are "<date>/<drive>_sync <number> l|r" (l: image_02, r: image_03) or start with an image's path
    "<date>/<drive>_sync/image_02/data/<number>.png"; what follows the path is ignored.

    Args:
        split: a name such as eigen_test, found as eigen_test_files.txt or eigen_test.txt in root/data_splits or root;
            or the path of a file.

    Raises:
        DataError: there is no such file, or a line is none of these; the message has its number.
    """
    folders = (root / "data_splits", root)
    paths = [folder / f"{split}{suffix}" for folder in folders for suffix in ("_files.txt", ".txt")] + [Path(split)]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise DataError(f"split {split!r}: expected one of {', '.join(map(str, paths))}, got none of them")
    return [_frame_of_line(line, path, place) for place, line in enumerate(read_lines(path), start=1)]


def list_drive(root: Path, drive: str, camera_name: str = "image_02") -> list[KittiFrame]:
    """Every image of a drive that has an inertial record.

    Args:
        drive: "<date>/<date>_drive_XXXX_sync".

    Raises:
        ConfigError: no such camera.
        DataError: there is no such drive, or nothing in it.
    """
    if camera_name not in CAMERAS:
        raise ConfigError(f"camera: expected one of {', '.join(CAMERAS)}, got {camera_name!r}")
    folder = path_inside(root, drive, root)
    if not folder.is_dir() or folder.parent.parent != root:
        raise DataError(f"{folder}: expected a drive <date>/<date>_drive_XXXX_sync, got none there")
    numbers = sorted(
        int(path.stem)
        for path in (folder / camera_name / "data").glob("*")
        if path.suffix in (".png", ".jpg") and re.fullmatch("[0-9]{10}", path.stem)
    )
    numbers = [number for number in numbers if _record_path(folder, number).is_file()]
    if not numbers:
        raise DataError(f"{folder}: expected images of {camera_name} with oxts records, got none")
    return [KittiFrame(f"{folder.parent.name}/{folder.name}", camera_name, number) for number in numbers]


def read_scan(path: Path) -> NDArray[np.float32]:
    """Points [N,3] of a scan in the velo frame, metres, float32.

    Raises:
        DataError: it is not there, or not made of four floats per point.
    """
    data = read_bytes(path, MAX_ARRAY_BYTES)
    if len(data) % 16 or not data:
        raise DataError(f"{path}: expected points of 16 bytes (float32 x, y, z, r), got {len(data)} bytes")
    points: NDArray[np.float32] = np.frombuffer(data, "<f4").reshape(-1, 4)[:, :3].astype(np.float32)
    return points[np.isfinite(points).all(axis=1)]


def _frame_of_line(line: str, path: Path, place: int) -> KittiFrame:
    if found := _FOLDER_LINE.fullmatch(line):
        return KittiFrame(found[1], _SIDES[found[3] or "l"], int(found[2]))
    if found := _IMAGE_LINE.fullmatch(line):
        return KittiFrame(found[1], found[2], int(found[3]))
    raise DataError(
        f"{path}: line {place}: expected '<date>/<drive>_sync <number> l|r' or "
        f"'<date>/<drive>_sync/image_02/data/<number>.png', got {line[:120]!r}"
    )


def image_path(drive: Path, frame: KittiFrame) -> Path:
    """The image; many copies of this data set hold JPEG in place of PNG."""
    png = drive / frame.camera_name / "data" / f"{frame.number:010d}.png"
    jpeg = png.with_suffix(".jpg")
    return jpeg if jpeg.is_file() and not png.is_file() else png


def _scan_path(drive: Path, number: int) -> Path:
    return drive / "velodyne_points" / "data" / f"{number:010d}.bin"


def _record_path(drive: Path, number: int) -> Path:
    return drive / "oxts" / "data" / f"{number:010d}.txt"


def _stamp_ns(path: Path, number: int) -> int:
    """Stamp of an image by its line in timestamps.txt, taken as UTC."""
    if not path.is_file():
        return number * _NOMINAL_PERIOD_NS
    lines = read_lines(path)
    found = _STAMP.fullmatch(lines[number]) if number < len(lines) else None
    if found is None:
        got = repr(lines[number][:60]) if number < len(lines) else f"{len(lines)} lines"
        raise DataError(f"{path}: expected a stamp '2011-09-26 13:02:25.964389445' in line {number + 1}, got {got}")
    try:
        moment = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise DataError(f"{path}: line {number + 1}: {error}") from error
    return int(moment.timestamp()) * 1_000_000_000 + int(found[2])
