# SPDX-License-Identifier: Apache-2.0
"""Which pixels of a depth become points of the node's cloud, and what each point carries.

Networks smooth depth across the border of an object, and the pixels of that ramp float in the air behind it. Such a
pixel has nearer and farther neighbours and is like neither, while one at the rim of an object is like the nearest or
the farthest of them. So has a pixel of the road far ahead, but the road goes on: its inverse depth is linear in row and
column, which that of a ramp with its two ends is not. Measured in docs/evaluation.md.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import DepthMap, Points
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.perception.dial import Mode
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.snapshot import RgbImage

_Mask = npt.NDArray[np.bool_]
# Log ratio by which a floating pixel differs from its nearest and from its farthest neighbour; and what a plane through
# the 5x5 around it leaves of their inverse depths, root mean square over its own. Chosen so that a drive loses less
# than 5 % of what is right at edges.
_UNLIKE, _OFF_PLANE = 0.08, 0.04
_AGREES = 0.05  # log ratio of a pixel to a measured point beside it that confirms it
_BEYOND_M = 1e4  # an unknown pixel counts as far away, as the sky


@dataclass(frozen=True, slots=True)
class CloudPolicy:
    """What is left out of clouds.

    Attributes:
        stride: every n-th pixel of every n-th row becomes a point.
        edge_filter: whether pixels that float between two surfaces are left out.
        max_depth_m: points farther than this along the optical axis are left out.
        max_height_m: points higher than this above the ground are left out, where the camera's place is known.
        base_height_m: of the base above the ground.
        marked: whether points carry sigma and mode.
    """

    stride: int = 1
    edge_filter: bool = True
    max_depth_m: float = 60.0
    max_height_m: float = 5.0
    base_height_m: float = 0.0
    marked: bool = False


class Cloud(NamedTuple):
    """Points, organized as an image or in one row.

    Attributes:
        points_m: float32 [h, w, 3], metres, NaN where there is none.
        image_rgb: uint8 [h, w, 3], their colours.
        sigma_m: float32 [h, w], standard deviation of their depth, NaN where unknown; None if they are not marked.
        mode: uint8 [h, w], the `Mode` that made them; None if they are not marked.
    """

    points_m: Points
    image_rgb: RgbImage
    sigma_m: DepthMap | None = None
    mode: npt.NDArray[np.uint8] | None = None


def result_cloud(result: DepthResult, policy: CloudPolicy, T_base_camera: RigidTransform | None) -> Cloud:
    """The cloud of a result at network resolution, in the optical frame; arguments as for ``cloud_depth``."""
    step = np.s_[:: policy.stride, :: policy.stride]
    depth_m = cloud_depth(result, policy, T_base_camera)
    points_m, image_rgb = result.camera.unproject(depth_m)[step], result.image_rgb[step]
    if not policy.marked:
        return Cloud(points_m, image_rgb)
    return Cloud(points_m, image_rgb, known_sigma(result)[step], mode_map(result.mode, points_m.shape[:2]))


def cloud_depth(result: DepthResult, policy: CloudPolicy, T_base_camera: RigidTransform | None) -> DepthMap:
    """The depth of a result, NaN at the pixels that become no point.

    Args:
        result: at network resolution.
        policy: what is left out; not the stride.
        T_base_camera: where the camera sits above the ground that the base stands on; None if unknown.
    """
    kept: _Mask = result.depth_m <= policy.max_depth_m  # the sky, NaN, is not
    if policy.edge_filter:
        kept &= ~floating(result.depth_m, result.points)
    if T_base_camera is not None:
        up = result.camera.rays() @ T_base_camera[2, :3].astype(np.float32)
        height_m = up * result.depth_m + np.float32(T_base_camera[2, 3] + policy.base_height_m)
        kept &= height_m <= policy.max_height_m
    return np.where(kept, result.depth_m, np.float32(np.nan))


def floating(depth_m: DepthMap, points: SparseDepth | None = None) -> _Mask:
    """Pixels between two surfaces and on neither: bool [H, W].

    Args:
        depth_m: float32 [H, W], metres along z, NaN where unknown.
        points: measured, on the same grid: a pixel that agrees with one of the 3x3 around it does not float.

    >>> ramp_m = np.array([[5.0, 5.0, 8.0, 12.0, 12.0]], np.float32)
    >>> floating(ramp_m).tolist()
    [[False, False, True, False, False]]
    """
    log_depth = np.log(np.where(np.isfinite(depth_m), depth_m, np.float32(_BEYOND_M)))
    around = np.ones((3, 3), np.uint8)
    unlike = np.minimum(cv2.dilate(log_depth, around) - log_depth, log_depth - cv2.erode(log_depth, around)) > _UNLIKE
    unlike &= _off_plane(np.exp(-log_depth)) > _OFF_PLANE
    if points is not None:
        measured = np.log(points.depth_m)
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                rows = np.clip(points.rows + down, 0, points.height_px - 1)
                cols = np.clip(points.cols + right, 0, points.width_px - 1)
                agrees = np.abs(measured - log_depth[rows, cols]) < _AGREES
                unlike[rows[agrees], cols[agrees]] = False
    return np.asarray(unlike)


def _off_plane(inv_depth: DepthMap) -> npt.NDArray[np.float32]:
    """What the plane that fits the 5x5 around a pixel best leaves of them, root mean square over its own; [H, W]."""
    along, evenly, size = np.arange(-2, 3, dtype=np.float32), np.ones(5, np.float32), (5, 5)
    mean, mean_square = cv2.blur(inv_depth, size), cv2.blur(inv_depth * inv_depth, size)
    slopes = (cv2.sepFilter2D(inv_depth, -1, *axes) / 50.0 for axes in ((along, evenly), (evenly, along)))
    left = mean_square - mean * mean - 2.0 * sum(slope * slope for slope in slopes)
    off: npt.NDArray[np.float32] = np.sqrt(np.maximum(left, 0.0)) / inv_depth
    return off


def known_sigma(result: DepthResult) -> DepthMap:
    """Sigma of a result, float32 [h, w], metres; NaN everywhere if its model tells none."""
    return np.full_like(result.depth_m, np.nan) if result.sigma_m is None else result.sigma_m


def mode_map(mode: Mode, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """A mode for every point."""
    return np.full(shape, int(mode), np.uint8)
