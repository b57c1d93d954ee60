# SPDX-License-Identifier: Apache-2.0
"""NYU Depth v2 as one HDF5 file per image: rgb uint8 (3,480,640) and depth in metres (480,640)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.sample import ContextFrame, DepthSample
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera

HEIGHT_PX, WIDTH_PX = 480, 640
# The colour camera's calibration that comes with the raw data; every user of this format takes it for all images.
CAMERA = PinholeCamera(WIDTH_PX, HEIGHT_PX, 518.85790117, 519.46961112, 325.58244941, 253.73616633)
_FOLDERS = {"train": "train", "val": "val/official"}


class NyuReader:
    """The images of a split at their full size, read when they are asked for.

    Every pixel with a depth is truth. There are no sparse points, poses or stamps: points are drawn from the truth by
    `sparse_patterns`, and `stamp_ns` counts the images. Resizing and cropping belong to a protocol, not here.

    Args:
        root: the folder that holds train/ and val/, or one above it (nyudepthv2).
        split: "train" or "val" (654 images).

    Raises:
        ConfigError: another split.
        DataError: the folder is not there or has no files, or the package h5py is missing.
    """

    def __init__(self, root: Path, split: str = "val") -> None:
        if split not in _FOLDERS:
            raise ConfigError(f"split: expected one of {', '.join(_FOLDERS)}, got {split!r}")
        try:
            import h5py  # noqa: F401
        except ModuleNotFoundError as error:
            raise DataError("NYUv2: expected the Python package h5py, got none; pip install h5py") from error
        folders = [root / _FOLDERS[split], root / "nyudepthv2" / _FOLDERS[split]]
        self._root = next((folder for folder in folders if folder.is_dir()), folders[0])
        self._paths = sorted(self._root.rglob("*.h5"))
        if not self._paths:
            raise DataError(f"{self._root}: expected files *.h5 in it or below, got none; is this nyudepthv2?")

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, index: int) -> DepthSample:
        """Sample `index`.

        Raises:
            DataError: the file is broken.
        """
        path = self._paths[index]
        image_rgb, depth_m = _read(path)
        return DepthSample(
            name=path.relative_to(self._root).with_suffix("").as_posix().replace("/", "_"),
            stamp_ns=index,
            camera_name="kinect",
            image_rgb=image_rgb,
            camera=CAMERA,
            points_camera_m=None,
            truth_depth_m=depth_m,
            truth_camera=CAMERA,
        )

    def read_context(self, index: int, step: int) -> ContextFrame | None:  # noqa: ARG002
        """None: the release has no poses."""
        return None


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """uint8 [480,640,3] and float32 [480,640] with NaN where unknown."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            rgb = _array(file, "rgb", (3, HEIGHT_PX, WIDTH_PX), "u", path)
            depth = _array(file, "depth", (HEIGHT_PX, WIDTH_PX), "f", path)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: expected an HDF5 file, got {type(error).__name__}: {error}") from error
    if rgb.dtype != np.uint8:
        raise DataError(f"{path}: expected rgb of uint8, got {rgb.dtype}")
    depth_m = depth.astype(np.float32)
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = np.nan
    return np.ascontiguousarray(rgb.transpose(1, 2, 0)), depth_m  # [3,H,W] -> [H,W,3]


def _array(file: Any, key: str, shape: tuple[int, ...], kind: str, path: Path) -> NDArray[Any]:
    """One data set of the file, if it is stored in this file: HDF5 can point to any other file of the machine."""
    import h5py

    found = file.get(key) if isinstance(file.get(key, getlink=True), h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"{path}: expected an array {key!r} in the file, got none")
    if found.is_virtual or found.external:
        raise DataError(f"{path}: expected {key} stored in this file, got a reference to another file")
    if found.shape != shape or found.dtype.kind != kind:
        raise DataError(f"{path}: expected {key} of kind {kind!r} and shape {shape}, got {found.dtype} {found.shape}")
    if found.chunks is not None and any(chunk > side for chunk, side in zip(found.chunks, shape, strict=True)):
        raise DataError(f"{path}: expected chunks of {key} within {shape}, got {found.chunks}")
    array: NDArray[Any] = found[...]
    return array
