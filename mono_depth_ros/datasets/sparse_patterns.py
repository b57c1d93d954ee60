# SPDX-License-Identifier: Apache-2.0
"""Sparse input made from a dense scan or from the truth, and the rule that it is held out of the truth."""

import dataclasses
import operator
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.sample import ContextFrame, DepthSample, DepthSamples, prepare
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera, Points
from mono_depth_ros.geometry.lidar_beams import beam_bins, in_beams, require_beams, scan_of_points
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.geometry.sparse_depth import points_in_view, project_points

PATTERNS = ("all", "beams", "random", "grid", "tof", "single", "none")
# Zones along each side of a time-of-flight matrix.
TOF_ZONES = (4, 8)


@dataclass(frozen=True, slots=True)
class SparsePattern:
    """Which points of a sample are given to the model.

    Attributes:
        kind: "all" leaves the points as they are; "beams" chooses among those of the scan (lidar_beams.py), "random",
            "grid", "tof" and "single" among those in view, all among the pixels of the truth where a sample has no
            points; "none" takes them away.
        amount: beams (of 64; a power of two, or 0), points, the side of a grid cell in pixels, or the zones of a
            time-of-flight matrix along a side (4 or 8); "single" has none.
        seed: of "random"; the choice for an image depends on this and on its name only.

    Raises:
        ConfigError: another kind, or an amount that it cannot have.
    """

    kind: str = "all"
    amount: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in PATTERNS:
            raise ConfigError(f"sparse pattern: expected one of {', '.join(PATTERNS)}, got {self.kind!r}")
        if self.kind == "beams":
            require_beams(self.amount)
        if self.kind == "tof" and self.amount not in TOF_ZONES:
            raise ConfigError(f"tof: expected {' or '.join(map(str, TOF_ZONES))} zones along a side, got {self.amount}")
        least = 1 if self.kind == "grid" else 0
        if self.amount < least or self.seed < 0:
            raise ConfigError(
                f"sparse pattern {self.kind}: expected at least {least} and a seed of at least 0, "
                f"got {self.amount} and {self.seed}"
            )


class PatternedSamples:
    """Samples with another sparse input, and with or without this input in their truth."""

    def __init__(self, samples: DepthSamples, pattern: SparsePattern, hold_out: bool) -> None:
        self._samples = samples
        self._pattern = pattern
        self._hold_out = hold_out

    def __len__(self) -> int:
        return len(self._samples)

    def __iter__(self) -> Iterator[DepthSample]:
        return (_patterned(sample, self._pattern, self._hold_out) for sample in self._samples)

    def __getitem__(self, index: int) -> DepthSample:
        """Sample `index`. Raises what the samples raise, and DataError where a sample has nothing to choose from."""
        return _patterned(self._samples[index], self._pattern, self._hold_out)

    def context(self, index: int, step: int) -> ContextFrame | None:
        """The image `step` frames after sample `index`, as the samples give it."""
        return self._samples.context(index, step)

    def prepare(self, on_progress: Callable[[int, int], None] | None = None) -> None:
        """Makes what the samples have to make; see `sample.prepare`."""
        prepare(self._samples, on_progress)


class PatternedStream:
    """The same for samples that can only be gone through, as those of a bag."""

    def __init__(self, samples: Iterable[DepthSample], pattern: SparsePattern, hold_out: bool) -> None:
        self._samples = samples
        self._pattern = pattern
        self._hold_out = hold_out

    def __length_hint__(self) -> int:
        return operator.length_hint(self._samples)

    def __iter__(self) -> Iterator[DepthSample]:
        return (_patterned(sample, self._pattern, self._hold_out) for sample in self._samples)


def apply_pattern(sample: DepthSample, pattern: SparsePattern) -> DepthSample:
    """The sample with the points that the pattern leaves.

    Raises:
        DataError: the sample has neither points nor truth to choose from.
    """
    if pattern.kind == "all":
        return sample
    if pattern.kind == "none":
        return dataclasses.replace(sample, points_camera_m=np.zeros((0, 3), np.float32))
    if sample.points_camera_m is not None:
        points_m, T_camera_lidar = sample.points_camera_m, sample.T_camera_lidar
    elif sample.truth_depth_m is not None and sample.truth_camera is not None:
        points_m, T_camera_lidar = depth_points(sample.truth_depth_m, sample.truth_camera), None
    else:
        raise DataError(f"sample {sample.name}: expected points or truth to choose {pattern.kind} from, got neither")
    return dataclasses.replace(sample, points_camera_m=_chosen(points_m, T_camera_lidar, sample, pattern))


def _chosen(
    points_camera_m: Points, T_camera_lidar: RigidTransform | None, sample: DepthSample, pattern: SparsePattern
) -> Points:
    if pattern.kind == "beams":
        scan_m, T_camera_lidar = scan_of_points(points_camera_m, sample.camera, T_camera_lidar)
        return scan_m[in_beams(beam_bins(scan_m, T_camera_lidar), pattern.amount)]
    points_m = points_in_view(points_camera_m, sample.camera)
    if pattern.kind == "random":
        rng = np.random.default_rng([pattern.seed, zlib.crc32(sample.name.encode())])
        return random_points(points_m, pattern.amount, rng)
    if pattern.kind == "grid":
        return grid_points(points_m, sample.camera, pattern.amount)
    if pattern.kind == "tof":
        return zone_points(points_m, sample.camera, pattern.amount)
    return central_point(points_m, sample.camera)


def _patterned(sample: DepthSample, pattern: SparsePattern, hold_out: bool) -> DepthSample:
    changed = apply_pattern(sample, pattern)
    return hold_out_input(changed) if hold_out else changed


def hold_out_input(sample: DepthSample) -> DepthSample:
    """The sample whose truth is unknown in every pixel on which a point of the input falls.

    A model that is scored where it was told the answer is scored for copying. Without truth or points the sample is
    returned as it is.
    """
    if sample.truth_depth_m is None or sample.truth_camera is None or sample.points_camera_m is None:
        return sample
    held_m = without_points(sample.truth_depth_m, sample.truth_camera, sample.points_camera_m)
    return dataclasses.replace(sample, truth_depth_m=held_m)


def without_points(truth_depth_m: DepthMap, camera: PinholeCamera, points_camera_m: Points) -> DepthMap:
    """Truth float32 [H,W] that is NaN where a point float32 [N,3] of the camera frame falls; a copy.

    >>> camera = PinholeCamera(2, 1, 1.0, 1.0, 0.0, 0.0)
    >>> without_points(np.array([[3.0, 4.0]], np.float32), camera, np.array([[0, 0, 9.0]], np.float32)).tolist()
    [[nan, 4.0]]
    """
    # Also a point that is hidden behind another, or far away, tells the model something about its pixel.
    sparse = project_points(points_camera_m, camera, min_depth_m=1e-6, max_depth_m=np.inf)
    held_m = truth_depth_m.copy()
    held_m[sparse.rows, sparse.cols] = np.nan
    return held_m


def random_points(points_camera_m: Points, count: int, rng: np.random.Generator) -> Points:
    """`count` of the points without repetition, in their order; all if there are fewer."""
    if count >= len(points_camera_m):
        return points_camera_m
    return points_camera_m[np.sort(rng.choice(len(points_camera_m), count, replace=False))]


def grid_points(points_camera_m: Points, camera: PinholeCamera, cell_px: int) -> Points:
    """For each square cell of the image the point nearest its centre, as a time-of-flight matrix would see it.

    Args:
        points_camera_m: float32 [N,3] in view of the camera.
        cell_px: side of a cell; cells at the right and lower border may be smaller.
    """
    cols_px, rows_px = _pixels(points_camera_m, camera)
    columns = -(-camera.width_px // cell_px)
    row_cell, col_cell = ((rows_px + 0.5) // cell_px).astype(int), ((cols_px + 0.5) // cell_px).astype(int)
    centre_px = (cell_px - 1) / 2
    offset = (rows_px - row_cell * cell_px - centre_px) ** 2 + (cols_px - col_cell * cell_px - centre_px) ** 2
    cell = row_cell * columns + col_cell
    order = np.lexsort((offset, cell))
    _, first = np.unique(cell[order], return_index=True)
    return points_camera_m[order[first]]


def zone_points(points_camera_m: Points, camera: PinholeCamera, zones: int) -> Points:
    """What a time-of-flight matrix says of the points: one depth per zone, on the ray through the zone's centre.

    The zones x zones zones cover the largest square in the middle of the image. A zone reports the nearest surface that
    fills a good part of it, as such sensors do for the first strong return: the lower quartile of its depths. So a
    point lies where the sensor believes it, which on slopes and at edges is not the surface: that is the sensor's
    error, and the model gets it too.

    Args:
        points_camera_m: float32 [N,3] in view of the camera.
        zones: along each side.

    Returns:
        float32 [M,3], at most zones * zones points, row by row; zones without a point give none.
    """
    side_px = min(camera.width_px, camera.height_px)
    left_px, top_px = (camera.width_px - side_px) / 2 - 0.5, (camera.height_px - side_px) / 2 - 0.5
    cols_px, rows_px = _pixels(points_camera_m, camera)
    zone_px = side_px / zones
    col = np.floor((cols_px - left_px) / zone_px).astype(int)
    row = np.floor((rows_px - top_px) / zone_px).astype(int)
    inside = (col >= 0) & (col < zones) & (row >= 0) & (row < zones)
    zone, depth_m = (row * zones + col)[inside], points_camera_m[inside, 2]
    points_m = []
    for found in np.unique(zone):
        nearest_m = float(np.quantile(depth_m[zone == found], 0.25))
        centre_col_px = left_px + (found % zones + 0.5) * zone_px
        centre_row_px = top_px + (found // zones + 0.5) * zone_px
        x, y = (centre_col_px - camera.cx_px) / camera.fx_px, (centre_row_px - camera.cy_px) / camera.fy_px
        points_m.append((x * nearest_m, y * nearest_m, nearest_m))
    return np.array(points_m, np.float32).reshape(-1, 3)


def central_point(points_camera_m: Points, camera: PinholeCamera) -> Points:
    """The one point nearest the middle of the image, as a single rangefinder beside the camera would give it.

    Args:
        points_camera_m: float32 [N,3] in view of the camera.

    Returns:
        float32 [1,3], or [0,3] without points.
    """
    if len(points_camera_m) == 0:
        return points_camera_m
    cols_px, rows_px = _pixels(points_camera_m, camera)
    offset = (cols_px - (camera.width_px - 1) / 2) ** 2 + (rows_px - (camera.height_px - 1) / 2) ** 2
    nearest = int(np.argmin(offset))
    return points_camera_m[nearest : nearest + 1]


def depth_points(depth_m: DepthMap, camera: PinholeCamera) -> Points:
    """The pixels of known depth as points float32 [N,3] in the camera frame, row by row."""
    return camera.unproject(depth_m)[np.isfinite(depth_m)]


def _pixels(points_camera_m: Points, camera: PinholeCamera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows, float64 [N] each, of points in front of the camera."""
    x, y, z = points_camera_m.T.astype(np.float64)
    return camera.fx_px * x / z + camera.cx_px, camera.fy_px * y / z + camera.cy_px
