# SPDX-License-Identifier: Apache-2.0
"""KITTI depth completion: the selected images of its validation and test sets, in the folders of the release."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.releases.data_files import read_depth_png, read_numbers, read_rgb, require_shape
from mono_depth_ros.datasets.sample import ContextFrame, DepthSample
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera

_FOLDERS = {"val": "val_selection_cropped", "test": "test_depth_completion_anonymous"}
_BELOW = ("", "data_depth_selection", "depth_selection", "data_depth_selection/depth_selection")
_MISSING = "is the data set unpacked as it was released?"


class KittiDepthReader:
    """The 1000 images of a split, read when they are asked for.

    Points are the given pixels of the raw scan at their pixel centres; the truth is what 11 scans agree on. The release
    has no poses, speeds or stamps: `stamp_ns` is the frame number at the nominal 10 Hz.

    Args:
        root: folder of the split, or one above it.
        split: "val" (with truth) or "test" (without).

    Raises:
        ConfigError: another split.
        DataError: the folder is not there or empty.
    """

    def __init__(self, root: Path, split: str = "val") -> None:
        if split not in _FOLDERS:
            raise ConfigError(f"split: expected one of {', '.join(_FOLDERS)}, got {split!r}")
        self._folder = _split_folder(root, split)
        self._with_truth = split == "val"
        self._names = sorted(path.name for path in (self._folder / "image").glob("*.png"))
        if not self._names:
            raise DataError(f"{self._folder / 'image'}: expected images (*.png), got none; {_MISSING}")

    def __len__(self) -> int:
        return len(self._names)

    def read(self, index: int) -> DepthSample:
        """Sample `index`.

        Raises:
            DataError: a file is missing or broken.
        """
        name = self._names[index]
        image_path = self._folder / "image" / name
        image_rgb = read_rgb(image_path)
        camera = _camera(self._folder / "intrinsics" / f"{Path(name).stem}.txt", image_rgb)
        points_depth_m = self._depth("velodyne_raw", name, camera)
        known = np.isfinite(points_depth_m)
        return DepthSample(
            name=Path(name).stem,
            stamp_ns=_frame_number(image_path) * 100_000_000,
            camera_name="image_03" if name.endswith("_image_03.png") else "image_02",
            image_rgb=image_rgb,
            camera=camera,
            points_camera_m=camera.unproject(points_depth_m)[known],
            truth_depth_m=self._depth("groundtruth_depth", name, camera) if self._with_truth else None,
            truth_camera=camera if self._with_truth else None,
        )

    def read_context(self, index: int, step: int) -> ContextFrame | None:  # noqa: ARG002
        """None: the release has no images before and after."""
        return None

    def _depth(self, kind: str, name: str, camera: PinholeCamera) -> NDArray[np.float32]:
        # The names differ in the middle: ..._sync_image_0000000761_image_02.png, ..._sync_velodyne_raw_0000000761_...
        path = self._folder / kind / name.replace("_sync_image_", f"_sync_{kind}_")
        depth_m = read_depth_png(path)
        require_shape(depth_m, (camera.height_px, camera.width_px), path, "its image")
        return depth_m


def _split_folder(root: Path, split: str) -> Path:
    folders = [root, *(root / below / _FOLDERS[split] for below in _BELOW)]
    for folder in folders:
        if (folder / "image").is_dir() and (folder / "velodyne_raw").is_dir():
            return folder
    raise DataError(f"{root}: expected a folder {_FOLDERS[split]} with image/ and velodyne_raw/, got none; {_MISSING}")


def _camera(path: Path, image_rgb: NDArray[np.uint8]) -> PinholeCamera:
    """The camera of the cropped image: nine numbers, K row by row."""
    fx, _, cx, _, fy, cy, *_ = read_numbers(path, (9,))
    try:
        return PinholeCamera(image_rgb.shape[1], image_rgb.shape[0], float(fx), float(fy), float(cx), float(cy))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _frame_number(path: Path) -> int:
    """The ten digits of 2011_10_03_drive_0047_sync_image_0000000761_image_02.png, or of 0000000761.png."""
    digits = [word for word in path.stem.split("_") if len(word) == 10 and word.isascii() and word.isdigit()]
    if len(digits) != 1:
        raise DataError(f"{path}: expected a name with one frame number of ten digits, got {len(digits)}")
    return int(digits[0])
