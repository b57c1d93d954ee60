# SPDX-License-Identifier: Apache-2.0
"""Completes the depth of a network that knows no points: one factor and one offset, then what is left at the points.

Networks that were trained without metres (MiDaS, Ranftl et al. 2022, and what followed) give inverse depth up to a
factor and an offset. These are fitted by least squares in inverse depth, repeated with Huber's weights (1964), so that
points on borders and on things that moved do not pull them. What the fit leaves at the points is spread by the passes
of anchoring.py, but without its doubts: such a network has not seen the points, so they have the first word.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.anchoring import AnchorPass, AnchorPolicy, anchor_to_points

FARTHEST_M = 1e4  # an inverse depth of zero or less is far, not infinite
Float64 = npt.NDArray[np.float64]
# Far and firm: a point differs from the network by up to a factor before it loses its say, and the passes begin at the
# height of the image. Chosen on bench/stand_in_network.py among reaches, tolerances and doubts.
_FIELD = AnchorPolicy(
    passes=tuple(AnchorPass(reach, 1.0, 0.05) for reach in (1.0, 0.5, 0.25, 0.12, 0.06, 0.03)), log_depth_reach=0.3
)
_ROUNDS = 12
_LEARNED_SHARE = 0.2  # of a new offset: some seconds' looks are averaged
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
        spread: robust standard deviation of what is left at the points, 1/m.
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
    """A network's inverse depth, fitted to points and led through them.

    Args:
        inverse: float32 [H, W], finite, right up to a factor and an offset.
        points: on the same grid, at least one.

    Returns:
        float32 [H, W], depth in metres.
    """
    fit = fit_inverse_depth(inverse[points.rows, points.cols], points.depth_m)
    fitted_m = inverse_of(np.float32(fit.scale) * inverse + np.float32(fit.offset))
    return anchor_to_points(fitted_m, points, _FIELD)


class OffsetMemory:
    """The offset of a relative network, learned from points and kept for images without.

    A factor alone cannot make up for it: with an offset in inverse depth, far things lie at one distance. What is kept
    is the offset in the network's own unit, so that any source of scale fits to it.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    def learn(self, depth_m: DepthMap, points: SparseDepth) -> None:
        """Takes in points of an image; as few or as flat ones as tell only a factor are ignored.

        Args:
            depth_m: float32 [H, W], what the network gives without points.
            points: on the same grid.
        """
        if len(points) < MIN_POINTS_FOR_OFFSET:
            return
        fit = fit_inverse_depth(inverse_of(depth_m[points.rows, points.cols]), points.depth_m)
        if fit.offset == 0.0:
            return
        found = fit.offset / fit.scale
        self._offset = found if self._offset is None else self._offset + _LEARNED_SHARE * (found - self._offset)

    def apply(self, depth_m: DepthMap) -> DepthMap:
        """The network's depth with the offset taken into account, right up to a factor."""
        return depth_m if self._offset is None else inverse_of(inverse_of(depth_m) + np.float32(self._offset))


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
    spread = _robust_sigma(ratio * network - wanted)
    return InverseDepthFit(ratio, 0.0, spread, len(network))


def _robust_line(x: Float64, y: Float64) -> tuple[float, float, float]:
    """Slope and intercept that minimise Huber's loss of slope x + intercept - y, and its robust sigma."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    weight = np.ones_like(y)
    solution: Float64 = np.zeros(2)
    sigma = 0.0
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)
        solution = np.asarray(np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0], np.float64)
        error: Float64 = np.asarray(design @ solution - y, np.float64)
        sigma = _robust_sigma(error)
        limit = _HUBER * max(sigma, 1e-9)
        weight[:] = np.minimum(1.0, limit / np.maximum(np.abs(error), 1e-12))
    return float(solution[0]), float(solution[1]), sigma


def _robust_sigma(error: Float64) -> float:
    """Standard deviation of a normal distribution with this median absolute error."""
    return 1.4826 * float(np.median(np.abs(error)))
