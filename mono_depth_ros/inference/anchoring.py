# SPDX-License-Identifier: Apache-2.0
"""Anchors completed depth to its points: what was measured is not smoothed away by a network.

A network follows its points only roughly on images unlike those it was trained on. Here the error that is left at the
points, as a log ratio, is spread over the surfaces they lie on: a normalised convolution (Knutsson and Westin, CVPR
1993) on a bilateral grid (Chen, Paris and Durand, SIGGRAPH 2007) of row, column and log depth, so that a correction
does not cross a depth border; from wide to narrow, each pass correcting what the one before left. Far from every
point nothing changes. Measured in docs/evaluation.md.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import SparseDepth

Float32 = npt.NDArray[np.float32]
_BLUR = np.array([1.0, 4.0, 6.0, 4.0, 1.0], np.float32) / 16.0  # sigma of one cell
_FARTHEST_M = 1e4  # an inverse depth of zero is far, not infinite, while logs are taken


@dataclass(frozen=True, slots=True)
class AnchorPolicy:
    """How far a point speaks for the pixels around it, and how strongly.

    Attributes:
        reaches: sigma of each pass in image heights, wide to narrow.
        tolerances: log ratio per pass at which a point loses three quarters of its weight (Geman and McClure 1987): one
            that disagrees more with what the network made of image and points alike is likely on a surface that the
            LiDAR sees past the edge of another, and the camera does not.
        log_depth_reach: sigma across depth; surfaces that differ by more (0.2 is a factor of 1.2) are separate.
        doubt_points: a pixel follows the points around it with weight n / (n + doubt_points), n being their number,
            each counted by its nearness (1 at the pixel's own place) and its weight.

    Raises:
        ConfigError: if a value is not positive or the two tuples differ in length.
    """

    reaches: tuple[float, ...] = (0.5, 0.16, 0.05, 0.02)
    tolerances: tuple[float, ...] = (0.3, 0.2, 0.15, 0.15)
    log_depth_reach: float = 0.2
    doubt_points: float = 0.3

    def __post_init__(self) -> None:
        values = (*self.reaches, *self.tolerances, self.log_depth_reach, self.doubt_points)
        if not self.reaches or len(self.reaches) != len(self.tolerances) or not min(values) > 0:
            raise ConfigError(f"anchor: expected positive values and a tolerance for each reach, got {self}")


DEFAULT_ANCHOR_POLICY = AnchorPolicy()


def anchor_to_points(depth_m: DepthMap, points: SparseDepth, policy: AnchorPolicy = DEFAULT_ANCHOR_POLICY) -> DepthMap:
    """Depth that goes through its points, as far as they agree with each other.

    Args:
        depth_m: float32 [H, W], metres, > 0, every pixel filled.
        points: on the same grid.
        policy: reach and strength.

    Returns:
        float32 [H, W], metres; ``depth_m`` itself where no point is near, and everywhere when there is none.
    """
    if len(points) == 0:
        return depth_m
    log_depth = np.log(np.clip(depth_m, 1e-3, _FARTHEST_M)).astype(np.float32)
    residual = np.log(points.depth_m) - log_depth[points.rows, points.cols]
    correction = np.zeros_like(log_depth)
    for reach, tolerance in zip(policy.reaches, policy.tolerances, strict=True):
        left = residual - correction[points.rows, points.cols]
        weight = 1.0 / (1.0 + (left / tolerance) ** 2) ** 2
        correction += _spread(left, weight, points, log_depth, max(1.0, reach * points.height_px), policy)
    anchored: DepthMap = depth_m * np.exp(correction)
    return anchored


def _spread(
    residual: Float32,
    weight: Float32,
    points: SparseDepth,
    log_depth: Float32,
    sigma_px: float,
    policy: AnchorPolicy,
) -> Float32:
    """Smooth field through the weighted residuals on a bilateral grid with cells of one sigma; float32 [H, W]."""
    lowest = float(log_depth.min())
    bins = int((float(log_depth.max()) - lowest) / policy.log_depth_reach) + 2
    height, width = log_depth.shape
    shape = (int(np.ceil(height / sigma_px)), int(np.ceil(width / sigma_px)), bins)
    at = (
        (points.rows + 0.5) * shape[0] / height - 0.5,
        (points.cols + 0.5) * shape[1] / width - 0.5,
        (log_depth[points.rows, points.cols] - lowest) / policy.log_depth_reach,
    )
    field = _blur(_splat(weight * residual, at, shape))
    # The blurred weight of a single point at its own cell is the unit in which points are counted.
    field /= _blur(_splat(weight, at, shape)) + policy.doubt_points * float(_BLUR.max()) ** 3
    return _slice(field, (log_depth - lowest) / policy.log_depth_reach)


def _splat(values: Float32, at: tuple[npt.NDArray[np.floating], ...], shape: tuple[int, int, int]) -> Float32:
    """Adds each value to the 8 grid nodes around its place, by linear weights."""
    floors = [np.floor(axis).astype(np.int64) for axis in at]
    fractions = [axis - floor for axis, floor in zip(at, floors, strict=True)]
    grid = np.zeros(shape, np.float64).reshape(-1)
    for corner in np.ndindex(2, 2, 2):
        index, share = 0, values.astype(np.float64)
        for size, floor, fraction, step in zip(shape, floors, fractions, corner, strict=True):
            index = index * size + np.clip(floor + step, 0, size - 1)
            share = share * (fraction if step else 1.0 - fraction)
        grid += np.bincount(index, share, minlength=grid.size)
    return grid.reshape(shape).astype(np.float32)


def _blur(grid: Float32) -> Float32:
    """Gaussian of one cell along all three axes; beyond the grid there is nothing."""
    for axis in range(3):
        padded = np.pad(grid, [(2, 2) if other == axis else (0, 0) for other in range(3)])
        length = grid.shape[axis]
        parts = [_BLUR[tap] * np.take(padded, range(tap, tap + length), axis=axis) for tap in range(5)]
        grid = np.sum(parts, axis=0, dtype=np.float32)
    return grid


def _slice(field: Float32, place: Float32) -> Float32:
    """The grid read at every pixel, linear in all three axes.

    Args:
        field: float32 [rows, cols, bins].
        place: float32 [H, W], position along the bins.
    """
    height, width = place.shape
    upsampled = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    below = np.clip(np.floor(place).astype(np.int64), 0, field.shape[2] - 2)
    share = (place - below).astype(np.float32)
    lower = np.take_along_axis(upsampled, below[..., None], axis=2)[..., 0]
    upper = np.take_along_axis(upsampled, below[..., None] + 1, axis=2)[..., 0]
    sliced: Float32 = lower + share * (upper - lower)
    return sliced
