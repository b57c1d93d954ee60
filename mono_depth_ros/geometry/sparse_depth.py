# SPDX-License-Identifier: Apache-2.0
"""LiDAR points as sparse depth on an image grid: one cell, one depth, the nearest wins."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera, Points


@dataclass(frozen=True, slots=True, eq=False)
class SparseDepth:
    """Depths at some cells of an image grid; every cell occurs once, in row-major order.

    Attributes:
        height_px, width_px: size of the grid.
        rows, cols: int64 [N].
        depth_m: float32 [N], metres along z, > 0.

    Raises:
        DataError: if lengths differ or a cell lies outside the grid.
    """

    height_px: int
    width_px: int
    rows: npt.NDArray[np.int64]
    cols: npt.NDArray[np.int64]
    depth_m: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if not self.rows.shape == self.cols.shape == self.depth_m.shape or self.rows.ndim != 1:
            raise DataError(
                f"sparse depth: expected rows, cols, depth_m of one length [N], got {self.rows.shape}, "
                f"{self.cols.shape}, {self.depth_m.shape}"
            )
        if len(self.rows) and not (
            self.rows.min() >= 0
            and self.cols.min() >= 0
            and self.rows.max() < self.height_px
            and self.cols.max() < self.width_px
        ):
            raise DataError(f"sparse depth: expected cells inside {self.height_px}x{self.width_px}, got some outside")

    def __len__(self) -> int:
        return len(self.rows)


def project_points(
    points_camera_m: Points, camera: PinholeCamera, min_depth_m: float = 0.1, max_depth_m: float = 250.0
) -> SparseDepth:
    """Projects points into an image; of several in one cell the nearest wins.

    A farther point seen through the same cell is either an object's background or a point that the camera cannot see
    because the LiDAR looks from elsewhere; the nearest is the surface that the camera sees.

    Args:
        points_camera_m: float [N, 3] in the optical frame, metres; rows with NaN or inf are dropped.
        camera: the camera of the grid.
        min_depth_m, max_depth_m: points outside this range along z are dropped.

    >>> camera = PinholeCamera(4, 4, 2.0, 2.0, 1.0, 1.0)
    >>> sparse = project_points(np.array([[0, 0, 5.0], [0, 0, 3.0], [0, 0, -1.0]], np.float32), camera)
    >>> sparse.rows.tolist(), sparse.cols.tolist(), sparse.depth_m.tolist()
    ([1], [1], [3.0])
    """
    index, rows, cols = cells_of_points(points_camera_m, camera, min_depth_m, max_depth_m)
    depth_m = points_camera_m[index, 2].astype(np.float32)
    cell = rows * camera.width_px + cols
    order = np.lexsort((depth_m, cell))
    unique_cell, first = np.unique(cell[order], return_index=True)
    return SparseDepth(
        camera.height_px,
        camera.width_px,
        unique_cell // camera.width_px,
        unique_cell % camera.width_px,
        depth_m[order][first],
    )


def cells_of_points(
    points_camera_m: Points, camera: PinholeCamera, min_depth_m: float = 0.1, max_depth_m: float = 250.0
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which points are in view, and in which cell.

    Args:
        points_camera_m, camera, min_depth_m, max_depth_m: as in ``project_points``.

    Returns:
        Indices of the points in view, their rows and their columns, int64 [M] each; a cell may occur several times.

    Raises:
        DataError: if the shape is not [N, 3].
    """
    if points_camera_m.ndim != 2 or points_camera_m.shape[1] != 3:
        raise DataError(f"points: expected shape [N, 3], got {points_camera_m.shape}")
    x, y, z = points_camera_m.T.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        in_range = (z >= min_depth_m) & (z <= max_depth_m)
        col = camera.fx_px * x / z + camera.cx_px
        row = camera.fy_px * y / z + camera.cy_px
        # Half-open like the pixel itself; NaN and inf compare false. The tests come before the cast, since a cast of
        # a huge float to an integer is undefined.
        inside = (
            in_range & (col >= -0.5) & (col < camera.width_px - 0.5) & (row >= -0.5) & (row < camera.height_px - 0.5)
        )
    rows = np.floor(row[inside] + 0.5).astype(np.int64)
    cols = np.floor(col[inside] + 0.5).astype(np.int64)
    return np.flatnonzero(inside).astype(np.int64), rows, cols


def points_in_view(points_camera_m: Points, camera: PinholeCamera) -> Points:
    """The finite points in front of the camera that fall on its image, float32 [M, 3]."""
    return points_camera_m[cells_of_points(points_camera_m, camera, 1e-6, float(np.finfo(np.float32).max))[0]]


def sparse_to_dense(sparse: SparseDepth) -> DepthMap:
    """float32 [H, W], metres, NaN where there is no point."""
    depth_m = np.full((sparse.height_px, sparse.width_px), np.nan, np.float32)
    depth_m[sparse.rows, sparse.cols] = sparse.depth_m
    return depth_m


def dense_to_sparse(depth_m: DepthMap) -> SparseDepth:
    """The cells of a depth image whose depth is finite and positive."""
    if depth_m.ndim != 2:
        raise DataError(f"depth image: expected shape [H, W], got {depth_m.shape}")
    with np.errstate(invalid="ignore"):
        rows, cols = np.nonzero(np.isfinite(depth_m) & (depth_m > 0))
    return SparseDepth(
        depth_m.shape[0],
        depth_m.shape[1],
        rows.astype(np.int64),
        cols.astype(np.int64),
        depth_m[rows, cols].astype(np.float32),
    )
