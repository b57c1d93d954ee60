# SPDX-License-Identifier: Apache-2.0
"""Truth that lies beside a bag: a folder of .npz files, one per image, found by camera and stamp.

Our own format. A file is called `[CAMERA_...]STAMP.npz`, STAMP in nanoseconds being the last word, and holds
`depth_cm` uint16 [h,w] (centimetres, 0 unknown), `K_half` float [3,3] (intrinsics of that grid, whatever its size) and
`stamp_ns` (an integer). Other arrays are not read.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from mono_depth_ros.datasets.bags.reader import BagMessage
from mono_depth_ros.datasets.releases.data_files import read_npz_array
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.intake.sensor_intake import CameraImage

_NAME = re.compile(r"(?:(.+)_)?([0-9]{1,19})\.npz")
# How far the shape of a grid may be from that of the image: a cut-off row of a small image.
_MAX_SHAPE_DIFFERENCE_PX = 2.0


class NpzTruth:
    """Truth of one camera's images from a folder.

    Args:
        folder: with the files.
        camera_name: files whose names begin with another camera's name are left alone, if some begin with this one.

    Raises:
        DataError: the folder has no such file.
    """

    def __init__(self, folder: Path, camera_name: str) -> None:
        found = [(path, _NAME.fullmatch(path.name)) for path in sorted(folder.glob("*.npz"))]
        named = [(path, match) for path, match in found if match is not None]
        own = [(path, match) for path, match in named if (match[1] or "").startswith(camera_name)]
        self._paths = {int(match[2]): path for path, match in own or named}
        if not named:
            raise DataError(f"{folder}: expected truth in files [CAMERA_]STAMP.npz, got {len(found)} other .npz files")
        if len(self._paths) != len(own or named):
            raise DataError(f"{folder}: expected one file per stamp for camera {camera_name!r}, got several; name them")

    def topics(self) -> tuple[str, ...]:
        """What `put` wants to see: nothing."""
        return ()

    def put(self, message: BagMessage, decoded: Any) -> None:
        """Takes any message."""

    def at(self, image: CameraImage, camera: PinholeCamera) -> tuple[DepthMap, PinholeCamera] | None:
        """Depth and its camera at an image; None if no file has its stamp.

        Raises:
            DataError: the file is broken, or not of this image.
        """
        path = self._paths.get(image.stamp_ns)
        if path is None:
            return None
        stored, stamp = read_npz_array(path, "depth_cm"), read_npz_array(path, "stamp_ns")
        if stored.dtype != np.uint16 or stored.ndim != 2 or stored.size == 0:
            raise DataError(f"{path}: expected depth_cm uint16 [h,w], got {stored.dtype} {stored.shape}")
        if stamp.dtype.kind not in "iu" or stamp.size != 1 or int(stamp.reshape(-1)[0]) != image.stamp_ns:
            raise DataError(f"{path}: expected stamp_ns {image.stamp_ns} as in its name, got {stamp.tolist()}")
        truth_camera = _grid_camera(path, stored.shape[0], stored.shape[1], camera)
        depth_m = stored.astype(np.float32) / np.float32(100.0)
        depth_m[stored == 0] = np.nan
        return depth_m, truth_camera


def _grid_camera(path: Path, height_px: int, width_px: int, camera: PinholeCamera) -> PinholeCamera:
    K = read_npz_array(path, "K_half")
    if K.dtype.kind != "f" or K.shape != (3, 3) or not np.isfinite(K).all():
        raise DataError(f"{path}: expected K_half of 3x3 finite floats, got {K.dtype} {K.shape}")
    try:
        truth = PinholeCamera(width_px, height_px, float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]))
    except DataError as error:
        raise DataError(f"{path}: K_half: {error}") from error
    scale = truth.fx_px / camera.fx_px
    difference_px = np.abs([width_px / scale - camera.width_px, height_px / scale - camera.height_px])
    if (difference_px * scale > _MAX_SHAPE_DIFFERENCE_PX).any():
        raise DataError(
            f"{path}: expected a grid with the field of view of the image ({camera.width_px}x{camera.height_px}, "
            f"fx {camera.fx_px:g}), got {width_px}x{height_px} with fx {truth.fx_px:g}"
        )
    return truth
