# SPDX-License-Identifier: Apache-2.0
"""Moments of a rig: clips of all its cameras at the same time, who sees what another sees, and self-occlusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid, transform_points
from mono_depth_ros.training.config import RigConfig
from mono_depth_ros.training.drive_cache import DriveCache
from mono_depth_ros.training.drive_clips import Clip, DriveClips

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
NEIGHBOURS = 2  # of each camera: those that see most of what it sees
_STILL_SHARE = 0.25  # of the median temporal deviation of an image; less is the robot itself
_FRAMES_TO_LEARN = 64


@dataclass(frozen=True, slots=True, eq=False)
class RigGeometry:
    """One drive of a rig.

    Attributes:
        T_rig_camera: float64 [N, 4, 4], where each camera is mounted.
        neighbours: int64 [N, NEIGHBOURS], whose images each camera is compared with; -1 for none.
        visible: bool [N, H, W], where an image does not show the robot itself.
    """

    T_rig_camera: Float64
    neighbours: npt.NDArray[np.int64]
    visible: Mask


class RigClips:
    """The moments of some drives of a rig.

    Attributes:
        clips: of every camera of every drive, the cameras of a drive after one another; as for single cameras.
        moments: per moment the clips of its cameras, in the order of the recipe.
        geometry: by drive.
    """

    def __init__(self, clips: DriveClips, rig: RigConfig) -> None:
        """Put the clips of the cameras together.

        Args:
            clips: of caches in the order drive 0 camera 0, drive 0 camera 1, ..., drive 1 camera 0, ...
            rig: which cameras, and how near their stamps have to be.

        Raises:
            DataError: a camera has no known mount, or no moment has all cameras.
        """
        count = len(rig.cameras)
        self.clips = clips
        self.moments: list[tuple[Clip, ...]] = []
        self.geometry: list[RigGeometry] = []
        for first in range(0, len(clips.drives), count):
            drives = clips.drives[first : first + count]
            self.geometry.append(rig_geometry(drives, rig))
            own: list[list[Clip]] = [[] for _ in drives]
            for clip in clips.clips:
                if first <= clip.drive < first + count:
                    own[clip.drive - first].append(clip)
            self.moments += moments(drives, own, round(rig.stamps_s * 1e9))
        if not self.moments:
            raise DataError(
                f"rig: expected moments with an image of every camera ({', '.join(rig.cameras)}) within "
                f"{rig.stamps_s:g} s, got none of {len(clips.clips)} clips; see rig.stamps_s"
            )

    def geometry_of(self, moment: Sequence[Clip], cameras: int) -> RigGeometry:
        """Of the drive that a moment belongs to."""
        return self.geometry[moment[0].drive // cameras]


def moments(drives: Sequence[DriveCache], clips: Sequence[Sequence[Clip]], tolerance_ns: int) -> list[tuple[Clip, ...]]:
    """Clips of the first camera with those of all others whose target has about the same stamp."""
    stamps = [
        np.array([drive.stamps_ns[clip.target] for clip in own], np.int64)
        for drive, own in zip(drives, clips, strict=True)
    ]
    found = []
    for number, stamp_ns in enumerate(stamps[0]):
        together = [clips[0][number]]
        for others, at_ns in zip(clips[1:], stamps[1:], strict=True):
            if not len(at_ns):
                break
            nearest = int(np.argmin(np.abs(at_ns - stamp_ns)))
            if abs(int(at_ns[nearest] - stamp_ns)) > tolerance_ns:
                break
            together.append(others[nearest])
        if len(together) == len(drives):
            found.append(tuple(together))
    return found


def rig_geometry(drives: Sequence[DriveCache], rig: RigConfig) -> RigGeometry:
    """Mounts, neighbours and masks of the cameras of one drive.

    Raises:
        DataError: a mount is unknown or moves, no camera has a neighbour, or a mask cannot be read.
    """
    T_rig_camera = np.stack([_mount(drive, name) for drive, name in zip(drives, rig.cameras, strict=True)])
    cameras = [drive.camera(0) for drive in drives]
    neighbours = neighbours_of(cameras, T_rig_camera, rig)
    if (neighbours < 0).all():
        raise DataError(
            f"rig: expected cameras that see something of each other's view, got none of {', '.join(rig.cameras)} with "
            f"{rig.least_overlap:g} of an image at {rig.overlap_m:g} m; see rig.least_overlap"
        )
    files = dict(mask.split("=", 1) for mask in rig.masks)
    visible = np.stack(
        [_visible(drive, name, files, rig.learn_masks) for drive, name in zip(drives, rig.cameras, strict=True)]
    )
    return RigGeometry(T_rig_camera, neighbours, visible)


def neighbours_of(cameras: Sequence[PinholeCamera], T_rig_camera: Float64, rig: RigConfig) -> npt.NDArray[np.int64]:
    """int64 [N, NEIGHBOURS]: of each camera the others that see most of its view at a distance, -1 for none."""
    found = np.full((len(cameras), NEIGHBOURS), -1, np.int64)
    for target, camera in enumerate(cameras):
        shares = {
            other: overlap(
                camera, cameras[other], invert_rigid(T_rig_camera[other]) @ T_rig_camera[target], rig.overlap_m
            )
            for other in range(len(cameras))
            if other != target
        }
        best = sorted(
            (other for other, share in shares.items() if share >= rig.least_overlap), key=lambda o: -shares[o]
        )
        found[target, : len(best[:NEIGHBOURS])] = best[:NEIGHBOURS]
    return found


def overlap(camera: PinholeCamera, other: PinholeCamera, T_other_camera: Float64, distance_m: float) -> float:
    """Share of a camera's pixels whose points at a distance another camera has in its image."""
    rays = camera.rays().reshape(-1, 3).astype(np.float64)
    points = distance_m * rays / np.linalg.norm(rays, axis=1, keepdims=True)
    seen = transform_points(T_other_camera, points.astype(np.float32))
    with np.errstate(divide="ignore", invalid="ignore"):
        u = other.fx_px * seen[:, 0] / seen[:, 2] + other.cx_px
        v = other.fy_px * seen[:, 1] / seen[:, 2] + other.cy_px
        inside = (seen[:, 2] > 0) & (u >= 0) & (u <= other.width_px - 1) & (v >= 0) & (v <= other.height_px - 1)
    return float(inside.mean())


def still_pixels(images: npt.NDArray[np.uint8]) -> Mask:
    """bool [H, W], what looks the same in all images, uint8 [K, H, W, 3], of a drive: the robot itself."""
    grey = images.astype(np.float32).mean(-1)
    deviation = cv2.GaussianBlur(grey.std(0), (5, 5), 0)
    still = (deviation < _STILL_SHARE * float(np.median(deviation))).astype(np.uint8)
    return cv2.morphologyEx(still, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0


def _mount(drive: DriveCache, name: str) -> Float64:
    mounts = np.asarray(drive.mounts)
    known = mounts[np.isfinite(mounts).all((1, 2))]
    if not len(known):
        raise DataError(f"rig: expected to know where camera {name} is mounted (TF in the bag), got nothing")
    if not np.allclose(known, known[0], atol=1e-3):
        raise DataError(f"rig: expected camera {name} to be mounted firmly, got one that moves in the base")
    return np.array(known[0])


def _visible(drive: DriveCache, name: str, files: Mapping[str, str], learn: bool) -> Mask:
    height, width = drive.meta.height_px, drive.meta.width_px
    visible = np.ones((height, width), bool)
    if name in files:
        path = Path(files[name]).expanduser()
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
        if mask is None:
            raise DataError(f"rig.masks: expected an image at {path}, got none that can be read")
        visible = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0
    if learn:
        chosen = np.linspace(0, len(drive) - 1, min(len(drive), _FRAMES_TO_LEARN)).astype(int)
        visible &= ~still_pixels(np.stack([np.array(drive.images[frame]) for frame in chosen]))
    return visible
