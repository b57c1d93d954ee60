# SPDX-License-Identifier: Apache-2.0
"""A prediction against truth, step by step as a protocol says. Pure functions of arrays, in the order of their use."""

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.metrics import DepthMetrics, depth_metrics
from mono_depth_ros.evaluation.protocols import Crop, Grid, Protocol, Resize, Scaling
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera

Mask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float32]
_Places = npt.NDArray[np.floating]

# Garg et al. 2016: shares of the height and width of the truth.
_GARG_ROWS, _GARG_COLS = (0.40810811, 0.99189189), (0.03594771, 0.96405229)
_NYU_SHAPE, _NYU_ROWS, _NYU_COLS = (480, 640), (45, 471), (41, 601)


def score_depth(
    predicted_m: DepthMap, truth_m: DepthMap, protocol: Protocol, input_cells: Mask | None = None
) -> DepthMetrics:
    """The metrics of one image by a protocol.

    Args:
        predicted_m: float32 [h, w], metres, positive, every pixel filled; the whole view of the truth at any size.
        truth_m: float32 [H, W], metres, NaN or 0 where unknown.
        protocol: everything else. Its preparation and flip average are the caller's, and one image is a rig of its own.
        input_cells: bool [H, W], where an input point falls; None without points.

    Raises:
        DataError: no pixel is left to score, or a shape does not fit.
    """
    scored = scored_pixels(truth_m, protocol, input_cells)
    if not scored.any():
        raise DataError(f"protocol {protocol.name}: expected at least one pixel of truth to score, got none")
    at_truth_m = resized_to(predicted_m, truth_m.shape[0], truth_m.shape[1], protocol)[scored]
    factor = median_factor(at_truth_m, truth_m[scored], protocol)
    return depth_metrics(scaled_and_clipped(at_truth_m, factor, protocol), truth_m[scored])


def scored_pixels(truth_m: DepthMap, protocol: Protocol, input_cells: Mask | None = None) -> Mask:
    """bool [H, W]: truth within the limits, inside the crop and, unless the protocol scores them, outside the input.

    Raises:
        DataError: the crop is of another size of truth, or `input_cells` has another shape.
    """
    with np.errstate(invalid="ignore"):  # NaN compares false
        below = truth_m <= protocol.max_truth_m if protocol.includes_max_truth else truth_m < protocol.max_truth_m
        scored: Mask = (truth_m > protocol.min_truth_m) & below & (truth_m < np.inf)
    rows, cols = crop_window(protocol.crop, truth_m.shape[0], truth_m.shape[1])
    inside = np.zeros_like(scored)
    inside[rows, cols] = True
    scored &= inside
    if input_cells is not None and not protocol.score_inputs:
        if input_cells.shape != truth_m.shape:
            raise DataError(f"input_cells: expected the shape {truth_m.shape} of the truth, got {input_cells.shape}")
        scored &= ~input_cells
    return scored


def crop_window(crop: Crop, height_px: int, width_px: int) -> tuple[slice, slice]:
    """Rows and columns that count.

    Raises:
        DataError: the crop is defined for another size.

    >>> crop_window(Crop.GARG, 375, 1242)
    (slice(153, 371, None), slice(44, 1197, None))
    """
    if crop is Crop.NONE:
        return slice(0, height_px), slice(0, width_px)
    if crop is Crop.NYU_EIGEN:
        if (height_px, width_px) != _NYU_SHAPE:
            raise DataError(f"crop nyu_eigen: expected truth of {_NYU_SHAPE} pixels, got {(height_px, width_px)}")
        return slice(*_NYU_ROWS), slice(*_NYU_COLS)
    return (
        slice(int(_GARG_ROWS[0] * height_px), int(_GARG_ROWS[1] * height_px)),
        slice(int(_GARG_COLS[0] * width_px), int(_GARG_COLS[1] * width_px)),
    )


def resized_to(depth_m: DepthMap, height_px: int, width_px: int, protocol: Protocol) -> DepthMap:
    """Depth of the same view at another size; borders on borders unless the protocol puts corners on corners."""
    height, width = depth_m.shape
    if (height, width) == (height_px, width_px):
        return depth_m
    if protocol.grid is Grid.CORNERS:
        return _at(depth_m, _corner_places(height, height_px), _corner_places(width, width_px), protocol.resize)
    rows = (np.arange(height_px) + 0.5) * (height / height_px) - 0.5
    cols = (np.arange(width_px) + 0.5) * (width / width_px) - 0.5
    return _at(depth_m, rows, cols, protocol.resize)


def resampled(
    depth_m: DepthMap, camera: PinholeCamera, target: PinholeCamera, resize: Resize = Resize.DEPTH
) -> DepthMap:
    """Depth seen by `camera`, on the grid of another camera in the same place; bilinear.

    Beyond the border of `camera` the border value is repeated.

    Returns:
        float32 [target.height_px, target.width_px].
    """
    cols = (np.arange(target.width_px) - target.cx_px) / target.fx_px * camera.fx_px + camera.cx_px
    rows = (np.arange(target.height_px) - target.cy_px) / target.fy_px * camera.fy_px + camera.cy_px
    return _at(depth_m, rows, cols, resize)


def placed_bottom_centre(depth_m: DepthMap, height_px: int, width_px: int, around: float = 0.0) -> DepthMap:
    """Depth of a window at the bottom, in the middle of a larger image; 0 or another value around it.

    Raises:
        DataError: the image is smaller than the window.

    >>> placed_bottom_centre(np.ones((1, 2), np.float32), 2, 5).tolist()
    [[0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0, 0.0]]
    """
    rows, cols = bottom_centre_window(depth_m.shape[0], depth_m.shape[1], height_px, width_px)
    placed_m = np.full((height_px, width_px), around, np.float32)
    placed_m[rows, cols] = depth_m
    return placed_m


def bottom_centre_window(window_height: int, window_width: int, height_px: int, width_px: int) -> tuple[slice, slice]:
    """Where a window lies that is put at the bottom, in the middle of an image.

    Raises:
        DataError: the image is smaller than the window.
    """
    if window_height > height_px or window_width > width_px:
        raise DataError(
            f"fit crop_bottom: expected an image of at least {window_height}x{window_width} pixels, the network's, got "
            f"{height_px}x{width_px}; use fit stretch"
        )
    left = (width_px - window_width) // 2
    return slice(height_px - window_height, height_px), slice(left, left + window_width)


def median_factor(predicted_m: Vector, truth_m: Vector, protocol: Protocol) -> float:
    """The factor on the scored pixels: 1 without scaling, else median of truth over median of prediction.

    The medians are the lower of the two middle values where the number is even, as in PackNet-SfM.

    Args:
        predicted_m, truth_m: float32 [N], before clipping; of all cameras of a time step where the factor is shared.

    Raises:
        DataError: the median of the prediction is not positive and finite.
    """
    if protocol.scaling is Scaling.NONE:
        return 1.0
    predicted_median = _lower_median(predicted_m)
    if not 0.0 < predicted_median < np.inf:
        raise DataError(f"median scaling: expected a positive median of the prediction, got {predicted_median}")
    return _lower_median(truth_m) / predicted_median


def scaled_and_clipped(predicted_m: Vector, factor: float, protocol: Protocol) -> Vector:
    """What is compared with the truth; scaling comes before clipping."""
    return np.asarray(np.clip(predicted_m * np.float32(factor), protocol.clip_min_m, protocol.clip_max_m), np.float32)


def flip_averaged(inv_depth: DepthMap, mirrored_back: DepthMap) -> DepthMap:
    """Mean of two inverse depths, except near the borders (Godard et al. 2017).

    The first 5 % of the columns are of the mirrored image's result, the last 5 % of the plain one, for each of them saw
    beyond that border; over the next 5 % the mean takes over.

    Args:
        inv_depth: float32 [H, W], of the image.
        mirrored_back: float32 [H, W], of the mirrored image, mirrored back.
    """
    place = np.linspace(0.0, 1.0, inv_depth.shape[1])
    left = (1.0 - np.clip(20.0 * (place - 0.05), 0.0, 1.0)).astype(np.float32)
    right = left[::-1]
    mean = 0.5 * (inv_depth + mirrored_back)
    averaged: DepthMap = right * inv_depth + left * mirrored_back + (1.0 - left - right) * mean
    return averaged


def _corner_places(size: int, target_size: int) -> _Places:
    return np.arange(target_size) * ((size - 1) / max(target_size - 1, 1))


def _lower_median(values: Vector) -> float:
    middle = (len(values) - 1) // 2
    return float(np.partition(values, middle)[middle])


def _at(depth_m: DepthMap, rows: _Places, cols: _Places, resize: Resize) -> DepthMap:
    """Bilinear at every pair of a row and a column; exact, where OpenCV's remap knows 1/32 of a pixel only."""
    source = depth_m
    if resize is Resize.INVERSE_DEPTH:
        with np.errstate(divide="ignore"):
            source = np.float32(1.0) / depth_m
    below, above, share = _neighbours(rows, source.shape[0])
    lines = source[below] + share[:, None] * (source[above] - source[below])
    left, right, share = _neighbours(cols, source.shape[1])
    values = lines[:, left] + share * (lines[:, right] - lines[:, left])
    if resize is Resize.INVERSE_DEPTH:
        with np.errstate(divide="ignore"):
            values = np.float32(1.0) / values
    return np.asarray(values, np.float32)


def _neighbours(places: _Places, size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Vector]:
    clipped = np.clip(places, 0.0, size - 1)
    first = np.minimum(np.floor(clipped).astype(np.int64), max(size - 2, 0))
    return first, np.minimum(first + 1, size - 1), (clipped - first).astype(np.float32)
