# SPDX-License-Identifier: Apache-2.0
"""One cloud of a rig's depth images: where two cameras see a surface, it comes from the one that sees it better."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, transform_points
from mono_depth_ros.perception.snapshot import RgbImage

# Cameras within this share of each other are equally good; more than what rounding of the poses makes of equal ones.
_EQUAL = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class RigView:
    """Depth of one camera of a rig.

    Attributes:
        camera: intrinsics of ``depth_m``.
        depth_m: float32 [h, w], metres along z, NaN where unknown.
        image_rgb: uint8 [h, w, 3].
        T_base_camera: where the camera sits.
        sigma_m: float32 [h, w], standard deviation of the depth; None if nobody asks for it.

    Raises:
        DataError: if the sizes differ.
    """

    camera: PinholeCamera
    depth_m: DepthMap
    image_rgb: RgbImage
    T_base_camera: RigidTransform
    sigma_m: DepthMap | None = None

    def __post_init__(self) -> None:
        size = (self.camera.height_px, self.camera.width_px)
        if self.depth_m.shape != size or self.image_rgb.shape != (*size, 3):
            raise DataError(
                f"rig view: expected depth and image of {size}, got {self.depth_m.shape} and {self.image_rgb.shape}"
            )


class MergedPoints(NamedTuple):
    """All cameras' points.

    Attributes:
        points_m: float32 [N, 3] in the base.
        image_rgb: uint8 [N, 3], their colours.
        view: int64 [N], the number of the view of each.
        sigma_m: float32 [N], of its view, NaN where that tells none.
    """

    points_m: Points
    image_rgb: RgbImage
    view: npt.NDArray[np.int64]
    sigma_m: npt.NDArray[np.float32]


def merge_views(views: Sequence[RigView], stride: int = 1, tolerance: float = 0.2) -> MergedPoints:
    """All cameras' points in the base, each surface once.

    A point is dropped when it falls on a pixel of another camera that knows its depth, is not hidden from that camera
    by a surface in front of it, and is seen better there. Better is the smaller pixel on the surface: distance squared
    / (focal length * depth along the axis), which is the width of a pixel at that distance, made larger by how far the
    ray is from the optical axis. Where two are equal, the camera that comes first in the rig keeps its point. The rule
    looks at places only, so the same views give the same cloud.

    Args:
        views: of all cameras, at one moment.
        stride: every n-th pixel of every n-th row becomes a point; the other cameras are looked up in full.
        tolerance: a point farther than a camera's own depth by more than this share is hidden from it.

    Raises:
        ConfigError: a stride below 1, or a tolerance that is not positive.
    """
    if stride < 1 or not tolerance > 0:
        raise ConfigError(f"rig cloud: expected stride >= 1 and tolerance > 0, got {stride} and {tolerance}")
    points: list[Points] = [np.zeros((0, 3), np.float32)]
    colours: list[RgbImage] = [np.zeros((0, 3), np.uint8)]
    owners: list[npt.NDArray[np.int64]] = [np.zeros(0, np.int64)]
    sigmas: list[npt.NDArray[np.float32]] = [np.zeros(0, np.float32)]
    T_camera_base = [invert_rigid(view.T_base_camera) for view in views]
    for number, view in enumerate(views):
        in_camera = view.camera.unproject(view.depth_m)[::stride, ::stride]
        known = np.isfinite(in_camera[..., 2])
        own_points = in_camera[known]
        kept_m = transform_points(view.T_base_camera, own_points)
        kept_rgb = view.image_rgb[::stride, ::stride][known]
        sigma_m = np.full_like(view.depth_m, np.nan) if view.sigma_m is None else view.sigma_m
        kept_sigma_m = sigma_m[::stride, ::stride][known]
        width_m = _pixel_width(own_points, view.camera)
        for other, other_view in enumerate(views):
            if other == number or not len(kept_m):
                continue
            # One that comes first in the rig wins a draw.
            limit = width_m * np.float32(1.0 + _EQUAL if other < number else 1.0 - _EQUAL)
            taken = _seen_better(transform_points(T_camera_base[other], kept_m), other_view, limit, tolerance)
            kept_m, kept_rgb, width_m = kept_m[~taken], kept_rgb[~taken], width_m[~taken]
            kept_sigma_m = kept_sigma_m[~taken]
        points.append(kept_m)
        colours.append(kept_rgb)
        owners.append(np.full(len(kept_m), number, np.int64))
        sigmas.append(kept_sigma_m)
    return MergedPoints(np.concatenate(points), np.concatenate(colours), np.concatenate(owners), np.concatenate(sigmas))


def _seen_better(
    points_camera_m: Points, view: RigView, width_limit_m: npt.NDArray[np.float32], tolerance: float
) -> npt.NDArray[np.bool_]:
    """Which points another camera sees, and sees better than ``width_limit_m`` [N]; bool [N]."""
    camera = view.camera
    taken = np.zeros(len(points_camera_m), bool)
    ahead = np.flatnonzero(points_camera_m[:, 2] > 0.05)
    x, y, z = points_camera_m[ahead].T
    cols, rows = np.rint(camera.fx_px * x / z + camera.cx_px), np.rint(camera.fy_px * y / z + camera.cy_px)
    inside = (cols >= 0) & (cols < camera.width_px) & (rows >= 0) & (rows < camera.height_px)
    index = ahead[inside]
    own_m = view.depth_m[rows[inside].astype(np.int64), cols[inside].astype(np.int64)]
    with np.errstate(invalid="ignore"):
        visible = points_camera_m[index, 2] <= own_m * np.float32(1.0 + tolerance)
    better = _pixel_width(points_camera_m[index], camera) <= width_limit_m[index]
    taken[index] = visible & better
    return taken


def _pixel_width(points_camera_m: Points, camera: PinholeCamera) -> npt.NDArray[np.float32]:
    """Metres that a pixel covers at each point, float32 [N]: see ``merge_views``."""
    focal_px = np.float32((camera.fx_px * camera.fy_px) ** 0.5)
    width_m: npt.NDArray[np.float32] = np.sum(points_camera_m**2, axis=1) / (focal_px * points_camera_m[:, 2])
    return width_m
