# SPDX-License-Identifier: Apache-2.0
"""Where a robot can go: a grid of the floor with the distance to the nearest obstacle, and ways through it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import DataError
from mono_depth_ros.synthetic.render.random_looks import Rng
from mono_depth_ros.synthetic.render.world import Float32, Float64, PosedWorld

CELL_M = 0.05
_ROBOT_BAND_M = (0.02, 1.5)  # a robot drives over rugs and under lamps
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class FreeSpace:
    """The floor, in cells of CELL_M.

    Args:
        origin_m: world x, y of the centre of cell [0, 0]; rows run along y, columns along x.
        clearance_m: float32 [rows, columns], distance from a cell's centre to the nearest obstacle, a cell less: never
            too large.
    """

    origin_m: tuple[float, float]
    clearance_m: Float32

    def cells(self, points_m: Float64) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows and columns int64 [N] of world points [N, 2], held inside the grid."""
        place = np.rint((points_m - self.origin_m) / CELL_M).astype(np.int64)
        rows, columns = self.clearance_m.shape
        return place[:, 1].clip(0, rows - 1), place[:, 0].clip(0, columns - 1)

    def clearance_at(self, points_m: Float64) -> Float32:
        """Distance float32 [N] (m) from world points float64 [N, 2] to the nearest obstacle; 0 outside."""
        return self.clearance_m[self.cells(points_m)]

    def region(self, clearance_m: float) -> npt.NDArray[np.bool_]:
        """The largest connected part bool [rows, columns] where that much clearance is kept."""
        number, parts, stats, _ = cv2.connectedComponentsWithStats(
            (self.clearance_m > clearance_m).astype(np.uint8), connectivity=4
        )
        if number < 2:
            return np.zeros(self.clearance_m.shape, dtype=bool)
        return np.asarray(parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))

    def spot(self, rng: Rng, region: npt.NDArray[np.bool_]) -> Float64:
        """A random place float64 [2] in a region.

        Raises:
            DataError: when the region is empty.
        """
        rows, columns = np.nonzero(region)
        if not len(rows):
            raise DataError("free space: expected some free floor, got none; is the robot too wide for this room?")
        pick = int(rng.integers(len(rows)))
        return np.array(self.origin_m) + CELL_M * np.array([columns[pick], rows[pick]], dtype=np.float64)

    def way(self, start_m: Float64, goal_m: Float64, clearance_m: float) -> Float64:
        """A short way float64 [N, 2] from start to goal that keeps a clearance, straight wherever it can be.

        Args:
            start_m, goal_m: float64 [2], both in one region of that clearance.
            clearance_m: to keep.

        Raises:
            DataError: when there is no way.
        """
        free = (self.clearance_m > clearance_m).astype(np.uint8)
        rows, columns = self.cells(np.stack([start_m, goal_m]))
        steps = _steps_from(free, int(rows[1]), int(columns[1]))
        if steps[rows[0], columns[0]] < 0:
            raise DataError(f"free space: expected a way of {clearance_m} m clearance to {goal_m}, got none")
        cells = _descend(steps, int(rows[0]), int(columns[0]))
        points = np.array(self.origin_m) + CELL_M * cells[:, ::-1].astype(np.float64)
        return self._pulled_tight(points, clearance_m)

    def _pulled_tight(self, points: Float64, clearance_m: float) -> Float64:
        """The points that remain when every stretch that may be straight is straight."""
        kept, at = [0], 0
        while at < len(points) - 1:
            low, high = at + 1, len(points) - 1  # the farthest point in sight, by bisection: good enough
            while low < high:
                middle = (low + high + 1) // 2
                low, high = (
                    (middle, high) if self._clear(points[at], points[middle], clearance_m) else (low, middle - 1)
                )
            kept.append(low)
            at = low
        return points[kept]

    def _clear(self, start: Float64, end: Float64, clearance_m: float) -> bool:
        number = 2 + int(np.linalg.norm(end - start) / (0.5 * CELL_M))
        line = start + np.linspace(0.0, 1.0, number)[:, None] * (end - start)
        return bool((self.clearance_at(line) > clearance_m).all())


def _steps_from(free: npt.NDArray[np.uint8], row: int, column: int) -> npt.NDArray[np.int32]:
    """Steps int32 [rows, columns] to a cell, -1 where it cannot be reached; diamonds and squares by turns."""
    steps = np.full(free.shape, -1, dtype=np.int32)
    front = np.zeros_like(free)
    front[row, column] = free[row, column]
    steps[row, column] = 0
    cross, square = (cv2.getStructuringElement(shape, (3, 3)) for shape in (cv2.MORPH_CROSS, cv2.MORPH_RECT))
    number = 0
    while front.any():
        number += 1
        grown = cv2.dilate(front, cross if number % 2 else square)
        front = (grown & free & (steps < 0)).astype(np.uint8)
        steps[front > 0] = number
    return steps


def _descend(steps: npt.NDArray[np.int32], row: int, column: int) -> npt.NDArray[np.int64]:
    """Cells int64 [N, 2] (row, column) from a cell down to step 0."""
    cells = [(row, column)]
    padded = np.pad(np.where(steps < 0, np.iinfo(np.int32).max, steps), 1, constant_values=np.iinfo(np.int32).max)
    while steps[row, column] > 0:
        around = padded[row : row + 3, column : column + 3].copy()
        best = int(np.argmin(around))
        row, column = row + best // 3 - 1, column + best % 3 - 1
        cells.append((row, column))
    return np.array(cells, dtype=np.int64)


def free_space(posed: PosedWorld, extent_m: tuple[float, float, float, float]) -> FreeSpace:
    """The floor of a building that is clear of everything between a robot's wheels and its top.

    Args:
        posed: the world at one instant.
        extent_m: x0, x1, y0, y1 of the building; outside counts as blocked.
    """
    x0, x1, y0, y1 = extent_m
    shape = (int((y1 - y0) / CELL_M) + 1, int((x1 - x0) / CELL_M) + 1)
    free = np.full(shape, 255, dtype=np.uint8)
    free[[0, -1]] = 0
    free[:, [0, -1]] = 0
    corners = np.einsum("skj,sji->ski", _CORNERS * posed.half_size_m[:, None, :], posed.rotation_solid_world)
    corners = corners + posed.centre_world_m[:, None, :]
    low, high = corners[..., 2].min(1), corners[..., 2].max(1)
    in_the_way = (low < _ROBOT_BAND_M[1]) & (high > _ROBOT_BAND_M[0]) & np.isfinite(posed.radius_m())
    for seen_from_above in corners[in_the_way][:, :, :2]:
        hull = cv2.convexHull(((seen_from_above - (x0, y0)) / CELL_M).astype(np.float32))
        cv2.fillConvexPoly(free, np.rint(hull * 16).astype(np.int32), (0,), shift=4)
    away = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # from a cell's centre to the centre of a blocked cell, whose solid may reach a cell's diagonal further
    return FreeSpace((x0, y0), np.maximum(away - 1.0, 0.0).astype(np.float32) * np.float32(CELL_M))
