# SPDX-License-Identifier: Apache-2.0
"""Fits a network's depth to points by one factor and one offset in inverse depth.

Networks that were trained without metres (MiDaS, Ranftl et al. 2022, and what followed) give inverse depth up to a
factor and an offset. The fit is a least squares fit of relative errors, repeated with Huber's weights (1964), so that
points on borders and on things that moved do not pull it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import SparseDepth

FARTHEST_M = 1e4  # an inverse depth of zero or less is far, not infinite
Float64 = npt.NDArray[np.float64]
_ROUNDS = 12
_HUBER = 1.345  # 95 % of the efficiency of least squares under normal errors
# With fewer points a factor and an offset would fit anything.
MIN_POINTS_FOR_OFFSET = 3
# Where the inverse depths at the points lie closer together than this (a share of their mean), an offset and a factor
# cannot be told apart.
_MIN_SPREAD = 0.05


@dataclass(frozen=True, slots=True)
class InverseDepthFit:
    """``1 / depth_m = scale * inverse + offset``.

    Attributes:
        scale: > 0.
        offset: 1/m; 0 where the points tell only a factor.
        spread: robust standard deviation of the relative error at the points.
        points: that the fit rests on.
    """

    scale: float
    offset: float
    spread: float
    points: int


def inverse_of(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 / values, at most FARTHEST_M; depth to inverse depth and back."""
    inverse: npt.NDArray[np.float32] = np.reciprocal(np.maximum(values, 1.0 / FARTHEST_M), dtype=np.float32)
    return inverse


def align_to_points(inverse: npt.NDArray[np.float32], points: SparseDepth) -> DepthMap:
    """A network's inverse depth, fitted to points.

    Args:
        inverse: float32 [H, W], finite, right up to a factor and an offset.
        points: on the same grid, at least one.

    Returns:
        float32 [H, W], depth in metres.
    """
    fit = fit_inverse_depth(inverse[points.rows, points.cols], points.depth_m)
    return inverse_of(np.float32(fit.scale) * inverse + np.float32(fit.offset))


def fit_inverse_depth(inverse: npt.NDArray[np.float32], depth_m: npt.NDArray[np.float32]) -> InverseDepthFit:
    """The factor and offset that bring inverse depths to points.

    Fewer than three points, points all at about one inverse depth, or a best factor that is not positive give a factor
    alone: the median ratio.

    Args:
        inverse: float32 [N], N >= 1, of the network at the points, finite.
        depth_m: float32 [N], of the points, > 0.

    >>> fit = fit_inverse_depth(np.float32([0.9, 0.4, 0.15]), np.float32([1.0, 2.0, 4.0]))
    >>> round(fit.scale, 4), round(fit.offset, 4)
    (1.0, 0.1)
    """
    network = inverse.astype(np.float64)
    wanted = 1.0 / depth_m.astype(np.float64)
    size = float(np.mean(np.abs(network)))
    if len(network) >= MIN_POINTS_FOR_OFFSET and float(np.std(network)) > _MIN_SPREAD * size:
        scale, offset, spread = _robust_line(network, wanted)
        # A line that turns the nearest things into far ones is no fit.
        if scale > 0 and scale * float(np.median(network)) + offset > 0:
            return InverseDepthFit(scale, offset, spread, len(network))
    network = np.maximum(network, 1.0 / FARTHEST_M)
    ratio = float(np.median(wanted / network))
    spread = _robust_sigma(ratio * network / wanted - 1.0)
    return InverseDepthFit(ratio, 0.0, spread, len(network))


def _robust_line(x: Float64, y: Float64) -> tuple[float, float, float]:
    """Slope and intercept that minimise Huber's loss of (slope x + intercept - y) / y, and its robust sigma."""
    # The relative error of depth is about that of inverse depth: far points count as much as near ones.
    design = np.stack([x, np.ones_like(x)], axis=1) / y[:, None]
    target = np.ones_like(y)
    weight = np.ones_like(y)
    solution: Float64 = np.zeros(2)
    sigma = 0.0
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)
        solution = np.asarray(np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0], np.float64)
        error: Float64 = np.asarray(design @ solution - target, np.float64)
        sigma = _robust_sigma(error)
        limit = _HUBER * max(sigma, 1e-9)
        weight[:] = np.minimum(1.0, limit / np.maximum(np.abs(error), 1e-12))
    return float(solution[0]), float(solution[1]), sigma


def _robust_sigma(error: Float64) -> float:
    """Standard deviation of a normal distribution with this median absolute error."""
    return 1.4826 * float(np.median(np.abs(error)))
