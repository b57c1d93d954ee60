# SPDX-License-Identifier: Apache-2.0
"""VOID: indoor images with 150, 500 or 1500 points of visual-inertial odometry, by the lists of its release."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.releases.data_files import (
    path_inside,
    read_depth_png,
    read_lines,
    read_numbers,
    read_rgb,
    read_uint16_png,
    require_shape,
)
from mono_depth_ros.datasets.sample import ContextFrame, DepthSample
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid

DENSITIES = (150, 500, 1500)
_KINDS = ("image", "sparse_depth", "validity_map", "ground_truth", "absolute_pose", "intrinsics")
# How far a rotation read from text may be from orthonormal.
_ROTATION_TOLERANCE = 1e-3


class VoidReader:
    """The images of a list, read when they are asked for.

    Args:
        root: void_release, the folder above it, or void_<points>.
        points: 150, 500 or 1500, the density of the sparse points.
        split: "train" or "test" (800 images).

    Raises:
        ConfigError: another density or split.
        DataError: a list is missing, empty, of another length than the others, or names a path outside.
    """

    def __init__(self, root: Path, points: int = 1500, split: str = "test") -> None:
        if points not in DENSITIES:
            raise ConfigError(f"points: expected one of {', '.join(map(str, DENSITIES))}, got {points}")
        if split not in ("train", "test"):
            raise ConfigError(f"split: expected train or test, got {split!r}")
        folder = _density_folder(root, points)
        lists = {kind: folder / f"{split}_{kind}.txt" for kind in _KINDS}
        rows = {kind: read_lines(path) for kind, path in lists.items()}
        wrong = [f"{lists[kind].name}: {len(row)}" for kind, row in rows.items() if len(row) != len(rows["image"])]
        if wrong or not rows["image"]:
            raise DataError(
                f"{lists['image']}: expected some lines, as many in each list, got {len(rows['image'])}; {wrong}"
            )
        base = _base_of_lists(folder, rows["image"][0], lists["image"])
        self._images_of: dict[Path, list[Path]] = {}
        self._paths = {kind: [path_inside(base, line, lists[kind]) for line in row] for kind, row in rows.items()}

    def __len__(self) -> int:
        return len(self._paths["image"])

    def read(self, index: int) -> DepthSample:
        """Sample `index`.

        Raises:
            DataError: a file is missing or broken.
        """
        paths = {kind: found[index] for kind, found in self._paths.items()}
        image_rgb = read_rgb(paths["image"])
        camera = _camera(paths["intrinsics"], image_rgb)
        sparse_m = _depth(paths["sparse_depth"], camera)
        validity = read_uint16_png(paths["validity_map"])
        require_shape(validity, sparse_m.shape, paths["validity_map"], "its image")
        known = np.isfinite(sparse_m) & (validity > 0)
        sequence = paths["image"].parent.parent.name
        return DepthSample(
            name=f"{sequence}_{paths['image'].stem}",
            stamp_ns=_stamp_ns(paths["image"]),
            camera_name="d435i",
            image_rgb=image_rgb,
            camera=camera,
            points_camera_m=camera.unproject(sparse_m)[known],
            truth_depth_m=_depth(paths["ground_truth"], camera),
            truth_camera=camera,
            T_world_camera=_pose(paths["absolute_pose"]),
        )

    def read_context(self, index: int, step: int) -> ContextFrame | None:
        """The image `step` frames after sample `index` in its sequence's folder (before it: negative).

        Returns:
            None where the sequence has no such image, or no pose of it.

        Raises:
            DataError: a file is broken, or the image has another size.
        """
        path, pose_path = self._paths["image"][index], self._paths["absolute_pose"][index]
        images = self._sequence(path.parent)
        place = images.index(path) + step if path in images else -1
        if not 0 <= place < len(images):
            return None
        other = images[place]
        other_pose = pose_path.parent / f"{other.stem}.txt"
        if not other_pose.is_file():
            return None
        image_rgb = read_rgb(other)
        require_shape(image_rgb, read_rgb(path).shape, other, "the sample's image")
        return ContextFrame(_stamp_ns(other), image_rgb, invert_rigid(_pose(other_pose)) @ _pose(pose_path))

    def _sequence(self, folder: Path) -> list[Path]:
        """The images of a sequence in the order of their stamps; read from the disk once."""
        if folder not in self._images_of:
            self._images_of[folder] = sorted(folder.glob("*.png"), key=_stamp_ns)
        return self._images_of[folder]


def _density_folder(root: Path, points: int) -> Path:
    name = f"void_{points}"
    folders = [root / name, root / "void_release" / name, *([root] if root.name == name else [])]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise DataError(f"{root}: expected a folder {name} or void_release/{name} in it, got none")


def _base_of_lists(folder: Path, first_line: str, source: Path) -> Path:
    """The folder that the paths of a list start from: releases differ in whether void_release/ is part of them."""
    bases = (folder.parent, folder.parent.parent, folder)
    for base in bases:
        if path_inside(base, first_line, source).is_file():
            return base
    raise DataError(f"{source}: expected its first path {first_line!r} below {', '.join(map(str, bases))}, got none")


def _camera(path: Path, image_rgb: NDArray[np.uint8]) -> PinholeCamera:
    fx, _, cx, _, fy, cy, *_ = read_numbers(path, (9,))
    try:
        return PinholeCamera(image_rgb.shape[1], image_rgb.shape[0], float(fx), float(fy), float(cx), float(cy))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _depth(path: Path, camera: PinholeCamera) -> NDArray[np.float32]:
    depth_m = read_depth_png(path)
    require_shape(depth_m, (camera.height_px, camera.width_px), path, "its image")
    return depth_m


def _pose(path: Path) -> NDArray[np.float64]:
    """T_world_camera from 3x4 or 4x4 numbers, row by row."""
    T_world_camera = np.eye(4)
    rows = read_numbers(path, (12, 16)).reshape(-1, 4)
    T_world_camera[: len(rows)] = rows
    rotation = T_world_camera[:3, :3]
    is_rotation = (
        np.allclose(rotation @ rotation.T, np.eye(3), atol=_ROTATION_TOLERANCE) and np.linalg.det(rotation) > 0
    )
    if not is_rotation or T_world_camera[3].tolist() != [0.0, 0.0, 0.0, 1.0]:
        raise DataError(f"{path}: expected a rotation and a translation (3x4 or 4x4), got {rows.tolist()}")
    return T_world_camera


def _stamp_ns(path: Path) -> int:
    """Nanoseconds from a name like 1552097919.2371.png, exactly: a float has no room for them."""
    seconds, _, fraction = path.stem.partition(".")
    digits = seconds + fraction
    if not (seconds and digits.isascii() and digits.isdigit() and len(seconds) <= 10 and len(fraction) <= 9):
        raise DataError(f"{path}: expected a name of seconds, for example 1552097919.2371.png, got another")
    return int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0"))
