# SPDX-License-Identifier: Apache-2.0
"""Anchors completed depth to its points: what was measured is not smoothed away by a network.

A network follows its points only roughly on images unlike those it was trained on. Here the error that is left at the
points, as a log ratio, is spread over the surfaces they lie on: a normalised convolution (Knutsson and Westin, CVPR
1993) on a bilateral grid (Chen, Paris and Durand, SIGGRAPH 2007) of row, column and log depth, so that a correction
does not cross a depth border; from wide to narrow, each pass correcting what the one before left. Far from every
point nothing changes. Measured in docs/evaluation.md.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import SparseDepth

Float32: TypeAlias = npt.NDArray[np.float32]
Corner: TypeAlias = tuple[npt.NDArray[np.int64], Float32]
_BLUR = np.array([1.0, 4.0, 6.0, 4.0, 1.0], np.float32) / 16.0  # sigma of one cell
_FARTHEST_M = 1e4  # an inverse depth of zero is far, not infinite, while logs are taken


@dataclass(frozen=True, slots=True)
class AnchorPass:
    """One pass over the points.

    Attributes:
        reach: sigma in image heights: how far a point speaks for the pixels around it.
        tolerance: log ratio by which a point may differ from what its neighbours and the network say together; at this
            value it has lost three quarters of its weight (Geman and McClure 1987). A point that differs by more is
            likely on a surface that the LiDAR sees past the edge of another, and the camera does not.
        doubt_points: a pixel follows the points around it with weight n / (n + doubt_points), n being their number,
            each counted by its nearness (1 at the pixel's own place) and its weight.
    """

    reach: float
    tolerance: float
    doubt_points: float


@dataclass(frozen=True, slots=True)
class AnchorPolicy:
    """How far and how strongly points correct the depth around them.

    Attributes:
        passes: wide to narrow.
        log_depth_reach: sigma across depth; surfaces that differ by more (0.2 is a factor of 1.2) are separate.
        rounds: of weighting the points of a pass by how well they agree with the field through them.

    Raises:
        ConfigError: if a value is not positive.
    """

    passes: tuple[AnchorPass, ...] = (
        AnchorPass(0.5, 0.3, 0.3),
        AnchorPass(0.16, 0.2, 0.3),
        AnchorPass(0.05, 0.15, 0.1),
        AnchorPass(0.02, 0.15, 0.05),
    )
    log_depth_reach: float = 0.2
    rounds: int = 2

    def __post_init__(self) -> None:
        values = [value for step in self.passes for value in (step.reach, step.tolerance, step.doubt_points)]
        if not self.passes or not min(*values, self.log_depth_reach, self.rounds) > 0:
            raise ConfigError(f"anchor: expected at least one pass and positive values, got {self}")


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
    for step in policy.passes:
        left = residual - correction[points.rows, points.cols]
        correction += _spread(left, points, log_depth, step, policy)
    anchored: DepthMap = depth_m * np.exp(correction)
    return anchored


def _spread(
    residual: Float32, points: SparseDepth, log_depth: Float32, step: AnchorPass, policy: AnchorPolicy
) -> Float32:
    """Smooth field through the residuals on a bilateral grid with cells of one sigma; float32 [H, W]."""
    lowest = float(log_depth.min())
    height, width = log_depth.shape
    sigma_px = max(1.0, step.reach * height)
    bins = int((float(log_depth.max()) - lowest) / policy.log_depth_reach) + 2
    shape = (int(np.ceil(height / sigma_px)), int(np.ceil(width / sigma_px)), bins)
    at = (
        (points.rows + 0.5) * shape[0] / height - 0.5,
        (points.cols + 0.5) * shape[1] / width - 0.5,
        (log_depth[points.rows, points.cols] - lowest) / policy.log_depth_reach,
    )
    corners = _corners(at, shape)
    # The network has the first word: weights begin with how far a point is from its depth.
    expected = np.zeros_like(residual)
    for _ in range(policy.rounds):
        weight = 1.0 / (1.0 + ((residual - expected) / step.tolerance) ** 2) ** 2
        field = _blur(_splat(weight * residual, corners, shape))
        # The blurred weight of a single point at its own cell is the unit in which points are counted.
        field /= _blur(_splat(weight, corners, shape)) + step.doubt_points * float(_BLUR.max()) ** 3
        expected = np.sum([share * field.reshape(-1)[index] for index, share in corners], axis=0, dtype=np.float32)
    return _slice(field, (log_depth - lowest) / policy.log_depth_reach)


def _corners(at: tuple[npt.NDArray[np.floating], ...], shape: tuple[int, int, int]) -> list[Corner]:
    """The 8 grid nodes around each place: flat index int64 [N] and linear weight float32 [N]."""
    floors = [np.floor(axis).astype(np.int64) for axis in at]
    fractions = [(axis - floor).astype(np.float32) for axis, floor in zip(at, floors, strict=True)]
    corners = []
    for corner in np.ndindex(2, 2, 2):
        index, share = np.zeros_like(floors[0]), np.ones_like(fractions[0])
        for size, floor, fraction, step in zip(shape, floors, fractions, corner, strict=True):
            index = index * size + np.clip(floor + step, 0, size - 1)
            share = share * (fraction if step else 1.0 - fraction)
        corners.append((index, share))
    return corners


def _splat(values: Float32, corners: list[Corner], shape: tuple[int, int, int]) -> Float32:
    """Adds each value to the nodes around its place; float32 [rows, cols, bins]."""
    index = np.concatenate([index for index, _ in corners])
    shares = np.concatenate([share * values for _, share in corners])
    grid = np.bincount(index, shares, minlength=int(np.prod(shape)))
    return grid.reshape(shape).astype(np.float32)


def _blur(grid: Float32) -> Float32:
    """Gaussian of one cell along all three axes; beyond the grid there is nothing."""
    rows, cols, bins = grid.shape
    alone = np.ones(1, np.float32)
    flat = cv2.sepFilter2D(grid.reshape(rows * cols, bins), -1, _BLUR, alone, borderType=cv2.BORDER_CONSTANT)
    # One axis at a time as a single-channel image, for OpenCV's filters stop at four channels.
    flat = cv2.sepFilter2D(flat.reshape(rows, cols * bins), -1, alone, _BLUR, borderType=cv2.BORDER_CONSTANT)
    turned = np.ascontiguousarray(flat.reshape(rows, cols, bins).transpose(1, 0, 2)).reshape(cols, rows * bins)
    turned = cv2.sepFilter2D(turned, -1, alone, _BLUR, borderType=cv2.BORDER_CONSTANT)
    blurred: Float32 = np.ascontiguousarray(turned.reshape(cols, rows, bins).transpose(1, 0, 2))
    return blurred


def _slice(field: Float32, place: Float32) -> Float32:
    """The grid read at every pixel, linear in all three axes; beyond the outer nodes their value is repeated.

    Args:
        field: float32 [rows, cols, bins].
        place: float32 [H, W], position along the bins.
    """
    (height, width), (rows, cols, bins) = place.shape, field.shape
    above, below, share = _nodes(rows, height)
    lines = field[above]  # [H, cols, bins]: few columns, so rows come first
    lines += share[:, None, None] * (field[below] - lines)
    left, right, share = _nodes(cols, width)
    near = np.clip(place.astype(np.int32), 0, bins - 2)
    between = place - near
    flat, first = lines.reshape(-1), near + (np.arange(height, dtype=np.int32) * (cols * bins))[:, None]

    def at(columns: npt.NDArray[np.int32]) -> Float32:
        index = first + columns * bins
        value: Float32 = flat.take(index)
        value += between * (flat.take(index + 1) - value)
        return value

    sliced = at(left)
    sliced += share * (at(right) - sliced)
    return sliced


def _nodes(count: int, pixels: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], Float32]:
    """The two nodes around every pixel of an axis, and how far it is from the first to the second."""
    place = np.clip((np.arange(pixels) + 0.5) * (count / pixels) - 0.5, 0.0, count - 1.0)
    first = np.minimum(place.astype(np.int32), max(count - 2, 0))
    return first, np.minimum(first + 1, count - 1).astype(np.int32), (place - first).astype(np.float32)
