# SPDX-License-Identifier: Apache-2.0
"""Depth between points without a network, and how much of it goes into a completion.

Points are spread by edge-preserving smoothing: weighted least squares, solved along rows and columns in turn (Min et
al., Fast Global Image Smoothing Based on Weighted Least Squares, TIP 2014), which does not cross edges of the image.
Inverse depth is spread, which is linear over a plane. How much of what was spread arrives at a pixel, its support,
tells how much the fill knows there.

A network and such a fill err for different reasons: one does not follow its points on images unlike those it was
trained on, the other knows nothing of what things look like. Their mean is better than either. Measured in
docs/evaluation.md.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from scipy.linalg import solveh_banded

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import SparseDepth

Float32: TypeAlias = npt.NDArray[np.float32]
_LOG10_LEAST = -30.0  # of the support: well within float32
_MOST_PX = 40_000  # larger images are filled at a part of their size: the network and its anchors have the details
_NEAREST_M, _FARTHEST_M = 1e-3, 1e4


@dataclass(frozen=True, slots=True)
class FillPolicy:
    """How far points are spread, and how much of that goes into a completion.

    Attributes:
        reach: in image heights; smoothness weighs `reach`^2 against the points.
        edge: difference of neighbouring pixels' colours, of 0..1, at which they hold together by 1/e less.
        rounds: of rows and columns.
        share: of the fill where points are near; chosen on rendered streets by `bench/completion.py`.
        faint, firm: log10 of the support up to which the fill has no share, and from which on it has all of it.

    Raises:
        ConfigError: reach, edge or rounds is not positive, or the others are out of order.
    """

    reach: float = 0.033
    edge: float = 0.05
    rounds: int = 3
    share: float = 0.45
    faint: float = -12.0
    firm: float = -6.0

    def __post_init__(self) -> None:
        if not min(self.reach, self.edge, self.rounds) > 0:
            raise ConfigError(f"fill: expected positive reach, edge and rounds, got {self}")
        if not (0.0 <= self.share <= 1.0 and _LOG10_LEAST <= self.faint < self.firm):
            raise ConfigError(f"fill: expected a share of 0..1 and {_LOG10_LEAST} <= faint < firm, got {self}")


DEFAULT_FILL_POLICY = FillPolicy()


class Fill(NamedTuple):
    """Points spread over an image.

    Attributes:
        depth_m: float32 [H, W], metres; no meaning where nothing arrives.
        log10_support: float32 [H, W], at least -30.
    """

    depth_m: DepthMap
    log10_support: Float32


def guided_fill(
    image_rgb: npt.NDArray[np.uint8], points: SparseDepth, policy: FillPolicy = DEFAULT_FILL_POLICY
) -> Fill:
    """Spreads points over an image, not across its edges.

    Args:
        image_rgb: uint8 [H, W, 3].
        points: on the same grid, at least one.
        policy: how far.
    """
    height, width = points.height_px, points.width_px
    step = math.ceil(math.sqrt(height * width / _MOST_PX))
    rows, cols = math.ceil(height / step), math.ceil(width / step)
    values = np.zeros((rows, cols, 2), np.float32)
    cell = points.rows * rows // height, points.cols * cols // width
    np.add.at(values, cell, np.stack([1.0 / points.depth_m, np.ones_like(points.depth_m)], axis=-1))
    guide_rgb = image_rgb if step == 1 else cv2.resize(image_rgb, (cols, rows), interpolation=cv2.INTER_AREA)
    spread = _smoothed(values, guide_rgb, policy)
    support = np.maximum(spread[..., 1], 10.0**_LOG10_LEAST)
    mean_inv_depth = np.clip(spread[..., 0] / support, 1.0 / _FARTHEST_M, 1.0 / _NEAREST_M)
    fill = np.stack([1.0 / mean_inv_depth, np.log10(support)], axis=-1, dtype=np.float32)
    if step > 1:
        fill = cv2.resize(fill, (width, height), interpolation=cv2.INTER_LINEAR)
    return Fill(fill[..., 0], fill[..., 1])


def mixed_with_fill(
    depth_m: DepthMap, image_rgb: npt.NDArray[np.uint8], points: SparseDepth, policy: FillPolicy = DEFAULT_FILL_POLICY
) -> DepthMap:
    """A network's completion, mixed with what the points around each pixel say; a mean of logarithms.

    Args:
        depth_m: float32 [H, W], metres, > 0, every pixel filled.
        image_rgb: uint8 [H, W, 3].
        points: on the same grid.
        policy: how much of the fill, and where.

    Returns:
        float32 [H, W], metres; ``depth_m`` itself without points.
    """
    if len(points) == 0:
        return depth_m
    fill = guided_fill(image_rgb, points, policy)
    difference = np.log(fill.depth_m / np.clip(depth_m, _NEAREST_M, _FARTHEST_M))
    share = policy.share * np.clip((fill.log10_support - policy.faint) / (policy.firm - policy.faint), 0.0, 1.0)
    mixed: DepthMap = depth_m * np.exp(share * difference)
    return mixed


def _smoothed(values: Float32, image_rgb: npt.NDArray[np.uint8], policy: FillPolicy) -> Float32:
    """Edge-preserving smoothing of float32 [H, W, C]; the smoothness of each round is a quarter of the one before."""
    along_rows, along_cols = (_bonds(image_rgb, axis, policy.edge) for axis in (1, 0))
    whole = (policy.reach * values.shape[0]) ** 2
    for number in range(policy.rounds):
        smoothness = 1.5 * whole * 4.0 ** (policy.rounds - 1 - number) / (4.0**policy.rounds - 1.0)
        values = _lines_smoothed(values, along_rows, smoothness)
        columns = np.ascontiguousarray(values.transpose(1, 0, 2))
        values = np.ascontiguousarray(_lines_smoothed(columns, along_cols.T, smoothness).transpose(1, 0, 2))
    return values


def _bonds(image_rgb: npt.NDArray[np.uint8], axis: int, edge: float) -> Float32:
    """How firmly each pixel holds to the next along an axis, 0..1; the largest difference of a channel counts."""
    difference = np.abs(np.diff(image_rgb.astype(np.int16), axis=axis)).max(axis=-1)
    bonds: Float32 = np.exp(difference * np.float32(-1.0 / (255.0 * edge)))
    return bonds


def _lines_smoothed(values: Float32, bonds: Float32, smoothness: float) -> Float32:
    """Solves (1 + smoothness * Laplacian) x = values for each line, all as one tridiagonal system.

    Args:
        values: float32 [lines, N, C].
        bonds: float32 [lines, N - 1].
        smoothness: >= 0.
    """
    lines, length, channels = values.shape
    with_ends = np.zeros((lines, length), np.float32)  # nothing holds the end of a line to the next line
    with_ends[:, :-1] = smoothness * bonds
    to_next = with_ends.reshape(-1)
    system = np.empty((2, lines * length), np.float32)
    system[0] = 1.0 + to_next
    system[0, 1:] += to_next[:-1]
    system[1] = -to_next
    flat = values.reshape(-1, channels)
    solved = solveh_banded(system, flat, overwrite_ab=True, lower=True, check_finite=False)
    smoothed: Float32 = solved.reshape(values.shape)
    return smoothed
