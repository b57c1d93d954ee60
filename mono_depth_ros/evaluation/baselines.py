# SPDX-License-Identifier: Apache-2.0
"""Depth completion without learning: what a model has to beat."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.sparse_depth import SparseDepth, sparse_to_dense

# Side of the tiles, in pixels, that share a short list of candidate points in the search for the nearest one.
_TILE_PX = 32


def nearest_point_depth(sparse: SparseDepth) -> NDArray[np.float32]:
    """Every pixel gets the depth of the point nearest to it in the image.

    Returns:
        float32 [H,W], metres.

    Raises:
        DataError: there is no point.
    """
    _need_points(sparse)
    depth_m = np.empty((sparse.height_px, sparse.width_px), np.float32)
    for top in range(0, sparse.height_px, _TILE_PX):
        rows = np.arange(top, min(top + _TILE_PX, sparse.height_px))
        for left in range(0, sparse.width_px, _TILE_PX):
            cols = np.arange(left, min(left + _TILE_PX, sparse.width_px))
            depth_m[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1] = _nearest_in_tile(sparse, rows, cols)
    return depth_m


def classical_depth(sparse: SparseDepth) -> NDArray[np.float32]:
    """Completion by image morphology, in the spirit of IP-Basic (Ku, Harakeh, Waslander 2018).

    Works on inverse depth, where an empty pixel is 0 and a dilation lets the nearer surface win: grow the points by a
    small diamond, close the gaps between scan lines, fill what is still empty with ever larger windows, then smooth
    outliers (median) and steps (bilateral filter) away.

    Returns:
        float32 [H,W], metres.

    Raises:
        DataError: there is no point.
    """
    _need_points(sparse)
    inv_depth = np.nan_to_num(1.0 / sparse_to_dense(sparse), nan=0.0).astype(np.float32)
    inv_depth = cv2.dilate(inv_depth, _diamond(5))
    inv_depth = cv2.morphologyEx(inv_depth, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    size = 7
    while not inv_depth.all():
        grown = cv2.dilate(inv_depth, np.ones((size, size), np.uint8))
        inv_depth = np.where(inv_depth > 0, inv_depth, grown)
        size = min(2 * size + 1, 63)
    inv_depth = cv2.medianBlur(inv_depth, 5)
    inv_depth = cv2.bilateralFilter(inv_depth, 5, sigmaColor=0.02, sigmaSpace=2.0)
    return np.asarray(1.0 / inv_depth, np.float32)


def _nearest_in_tile(sparse: SparseDepth, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float32]:
    """Depth of the nearest point, [len(rows), len(cols)]."""
    row_mid, col_mid = 0.5 * (rows[0] + rows[-1]), 0.5 * (cols[0] + cols[-1])
    to_middle = np.hypot(sparse.rows - row_mid, sparse.cols - col_mid)
    # No pixel of the tile is farther from its middle than the radius, so the nearest point of any of them is at most
    # two radii farther from the middle than the point nearest to the middle.
    radius = float(np.hypot(rows[0] - row_mid, cols[0] - col_mid))
    near = np.flatnonzero(to_middle <= to_middle.min() + 2.0 * radius + 1e-6)
    square = (rows[:, None, None] - sparse.rows[near]) ** 2 + (cols[None, :, None] - sparse.cols[near]) ** 2
    return sparse.depth_m[near[np.argmin(square, axis=2)]]


def _need_points(sparse: SparseDepth) -> None:
    if not len(sparse):
        raise DataError("baseline: expected at least one point in the image, got none")


def _diamond(size: int) -> NDArray[np.uint8]:
    """The pixels of a size x size window whose distance from its centre, along rows plus columns, is within reach."""
    offset = np.abs(np.arange(size) - size // 2)
    return (offset[:, None] + offset[None, :] <= size // 2).astype(np.uint8)
