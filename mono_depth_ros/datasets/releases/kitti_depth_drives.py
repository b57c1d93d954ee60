# SPDX-License-Identifier: Apache-2.0
"""KITTI depth completion: the whole drives of its training and validation sets, with images and motion of KITTI raw."""

import dataclasses
import re
from pathlib import Path

from mono_depth_ros.datasets.releases.data_files import read_depth_png, require_shape
from mono_depth_ros.datasets.releases.kitti_raw import KittiFrame, KittiRawReader, image_path
from mono_depth_ros.datasets.sample import ContextFrame, DepthSample
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera

SPLITS = ("train", "val")
_CAMERAS = ("image_02", "image_03")
_DRIVE = re.compile(r"(\d{4}_\d\d_\d\d)_drive_\d{4}_sync")
_NUMBER = re.compile(r"[0-9]{10}")


class KittiDrivesReader:
    """Every image of a split that has truth, read when it is asked for.

    Points are the pixels of the raw scan at their pixel centres; the truth is what 11 scans agree on, so that the first
    and last five images of a drive have none. Camera, stamp, pose and speed are those of KITTI raw.

    Args:
        root: folder with data_depth_annotated/ and data_depth_velodyne/ (or train/ and val/ of both in one place).
        raw: folder of KITTI raw's recording days.
        split: "train" or "val".

    Attributes:
        left_out: how many images with truth have no image in KITTI raw, or no scan.

    Raises:
        ConfigError: another split.
        DataError: the folders are not there or have nothing in common.
    """

    def __init__(self, root: Path, raw: Path, split: str = "val") -> None:
        if split not in SPLITS:
            raise ConfigError(f"drives: expected one of {', '.join(SPLITS)}, got {split!r}")
        self._truth_root = _split_folder(root, "data_depth_annotated", split)
        self._scan_root = _split_folder(root, "data_depth_velodyne", split)
        with_truth = list_truth(self._truth_root)
        frames = [
            frame
            for frame in with_truth
            if self._scan_path(frame).is_file() and image_path(raw / frame.drive, frame).is_file()
        ]
        if not frames:
            raise DataError(
                f"{self._truth_root}: expected truth with a scan in {self._scan_root} and an image in {raw}, "
                f"got none of {len(with_truth)}; raw= names the folder of KITTI raw"
            )
        self.left_out = len(with_truth) - len(frames)
        self._frames = frames
        self._raw = KittiRawReader(raw, frames, truth="none", with_points=False)

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, index: int) -> DepthSample:
        """Sample `index`. Raises DataError where a file is missing or broken."""
        sample = self._raw.read(index)
        frame = self._frames[index]
        points_m = _depth(self._scan_path(frame), sample.camera)
        truth_m = _depth(_truth_path(self._truth_root, frame), sample.camera)
        return dataclasses.replace(
            sample,
            points_camera_m=sample.camera.unproject(points_m)[points_m > 0],
            truth_depth_m=truth_m,
            truth_camera=sample.camera,
        )

    def read_context(self, index: int, step: int) -> ContextFrame | None:
        """The image `step` frames after sample `index`, also one without truth; see `KittiRawReader.read_context`."""
        return self._raw.read_context(index, step)

    def _scan_path(self, frame: KittiFrame) -> Path:
        folder = self._scan_root / Path(frame.drive).name / "proj_depth" / "velodyne_raw"
        return folder / frame.camera_name / f"{frame.number:010d}.png"


def list_truth(folder: Path) -> list[KittiFrame]:
    """The frames of <drive>/proj_depth/groundtruth/image_0{2,3}/<number>.png, by drive, camera and number.

    Folders and files of other names are no part of the format and are passed over.
    """
    frames = []
    for drive in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        found = _DRIVE.fullmatch(drive)
        if found is None:
            continue
        for camera_name in _CAMERAS:
            images = (folder / drive / "proj_depth" / "groundtruth" / camera_name).glob("*.png")
            numbers = sorted(int(path.stem) for path in images if _NUMBER.fullmatch(path.stem))
            frames += [KittiFrame(f"{found[1]}/{drive}", camera_name, number) for number in numbers]
    return frames


def _truth_path(folder: Path, frame: KittiFrame) -> Path:
    truth = folder / Path(frame.drive).name / "proj_depth" / "groundtruth"
    return truth / frame.camera_name / f"{frame.number:010d}.png"


def _split_folder(root: Path, name: str, split: str) -> Path:
    folders = (root / name / split, root / split)
    for folder in folders:
        if folder.is_dir():
            return folder
    raise DataError(f"{root}: expected a folder {' or '.join(map(str, folders))}, got none")


def _depth(path: Path, camera: PinholeCamera) -> DepthMap:
    depth_m = read_depth_png(path)
    require_shape(depth_m, (camera.height_px, camera.width_px), path, "its image")
    return depth_m
