# SPDX-License-Identifier: Apache-2.0
"""Sparse points as real sensors leave them: beams, single rows, scattered pixels, few or none; noisy, shifted, broken.

A model trained with one pattern learns the pattern. Everything here works on the image grid: the truth is sampled where
a beam would cross it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth

Rng = np.random.Generator
Float32 = npt.NDArray[np.float32]
Cells = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class PointPatterns:
    """How sparse depth is drawn.

    Attributes:
        beams, scattered, single_row, few, none: relative shares of the patterns.
        beam_count: fewest and most rows, log-uniform.
        scattered_share: of all pixels, log-uniform.
        few_count: of the pattern `few`, uniform.
        range_noise: largest relative sigma of range noise, given to a third of the images.
        outlier_share: largest share of points with a wrong depth, given to a fifth of the images.
        shift_px: points of a third of the images are seen up to so far from where they are, as rolling scans and
            calibration make it.
        parallax_m: half of the images have their points from a LiDAR up to so far above or below the camera, and half
            as far beside it: it sees what the camera cannot, past the edges of what is near.
    """

    beams: float = 0.6
    scattered: float = 0.22
    single_row: float = 0.07
    few: float = 0.07
    none: float = 0.04
    beam_count: tuple[int, int] = (2, 64)
    scattered_share: tuple[float, float] = (0.0005, 0.1)
    few_count: tuple[int, int] = (1, 30)
    range_noise: float = 0.03
    outlier_share: float = 0.03
    shift_px: int = 1
    parallax_m: float = 0.0

    def __post_init__(self) -> None:
        shares = self.shares()
        if min(shares) < 0 or sum(shares) <= 0:
            raise ConfigError(f"shares of the point patterns: expected none negative and some positive, got {shares}")

    def shares(self) -> tuple[float, ...]:
        """Shares in the order beams, scattered, single_row, few, none; not normalised."""
        return self.beams, self.scattered, self.single_row, self.few, self.none


def beam_cells(
    camera: PinholeCamera, elevations_rad: npt.NDArray[np.float64], roll_rad: float, columns: npt.NDArray[np.int64]
) -> Cells:
    """Cells that the beams of a spinning LiDAR at the camera's place cross.

    Args:
        camera: of the image.
        elevations_rad: float64 [K], above the camera's horizontal plane.
        roll_rad: of the LiDAR about the camera axis.
        columns: int64 [M], image columns that are hit.

    Returns:
        rows and columns of the cells inside the image, int64 each.
    """
    x = (columns - camera.cx_px) / camera.fx_px
    # a beam is a cone: at azimuth atan(x) it lies at height tan(elevation) * sqrt(1 + x^2) above the plane z = 1
    y = -np.tan(elevations_rad)[:, None] * np.sqrt(1.0 + x * x)[None] + np.tan(roll_rad) * x[None]
    rows = np.floor(camera.cy_px + camera.fy_px * y + 0.5).astype(np.int64)
    cols = np.broadcast_to(columns, rows.shape)
    inside = (rows >= 0) & (rows < camera.height_px)
    return rows[inside], cols[inside]


def _random_beams(rng: Rng, camera: PinholeCamera, count: int) -> Cells:
    half = np.arctan(0.5 * camera.height_px / camera.fy_px)
    top = rng.uniform(-0.6, 1.1) * half if count < 8 else rng.uniform(0.0, 1.1) * half
    bottom = -rng.uniform(0.3, 1.2) * half
    low, high = min(top, bottom), max(top, bottom)
    elevations = np.linspace(low, high, count) if count > 1 else np.array([0.5 * (low + high)])
    if rng.uniform() < 0.3:  # uneven tables exist
        elevations = elevations + rng.normal(0.0, 0.15 * (high - low) / max(count, 2), count)
    columns = np.arange(int(rng.integers(0, 3)), camera.width_px, int(rng.choice([1, 1, 2, 3, 5])))
    if rng.uniform() < 0.15:  # a sector is hidden or lost
        start, length = rng.uniform(0, camera.width_px), rng.uniform(0.1, 0.6) * camera.width_px
        columns = columns[(columns - start) % camera.width_px > length]
    return beam_cells(camera, elevations, float(rng.normal(0.0, 0.03)), columns)


def _log_uniform(rng: Rng, bounds: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]))))


def random_cells(rng: Rng, camera: PinholeCamera, patterns: PointPatterns) -> Cells:
    """Cells of one randomly drawn pattern, drop-out applied; may be empty."""
    shares = np.array(patterns.shares())
    kind = int(rng.choice(5, p=shares / shares.sum()))
    pixels = camera.width_px * camera.height_px
    if kind == 0:
        low, high = patterns.beam_count
        rows, cols = _random_beams(rng, camera, round(_log_uniform(rng, (low, high))))
        kept = rng.uniform(size=len(rows)) > rng.uniform(0.0, 0.5)
        return rows[kept], cols[kept]
    if kind == 2:
        return _random_beams(rng, camera, 1)
    if kind == 4:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    low_count, high_count = patterns.few_count
    count = (
        round(_log_uniform(rng, patterns.scattered_share) * pixels)
        if kind == 1
        else int(rng.integers(low_count, high_count + 1))
    )
    flat = rng.choice(pixels, size=min(max(count, 1), pixels), replace=False)
    return flat // camera.width_px, flat % camera.width_px


def seen_from_beside(depth: Float32, disparity_px: tuple[float, float]) -> Float32:
    """Depth as a camera beside this one sees it, float32 [H, W]; what only that one sees is filled from behind.

    Args:
        depth: float32 [H, W]; inf in the sky, NaN unknown.
        disparity_px: rows and columns by which a point at depth 1 is seen elsewhere; at depth d it is 1 / d of that.
    """
    height, width = depth.shape
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(np.isnan(depth), 0.0, 1.0 / depth)
    here = np.indices(depth.shape)
    rows, cols = (np.rint(at + d * inverse).astype(np.int64) for at, d in zip(here, disparity_px, strict=True))
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width) & ~np.isnan(depth)
    order = np.argsort(-depth[inside], kind="stable")  # the nearest is written last
    seen = np.full_like(depth, np.nan)
    seen[rows[inside][order], cols[inside][order]] = depth[inside][order]
    for shape in ((1, -1), (-1, 1)):  # a surface that is stretched shows no cracks
        before, after = (np.roll(seen, step, axis=shape.index(-1)) for step in (1, -1))
        seen = np.where(np.isnan(seen), 0.5 * (before + after), seen)
    axis = 0 if abs(disparity_px[0]) >= abs(disparity_px[1]) else 1
    return np.fmax(_carried(seen, axis), _carried(seen[::-1, ::-1], axis)[::-1, ::-1])


def _carried(depth: Float32, axis: int) -> Float32:
    """Each NaN takes the last value before it along an axis, where there is one."""
    at = np.arange(depth.shape[axis]).reshape((-1, 1) if axis == 0 else (1, -1))
    last = np.maximum.accumulate(np.where(np.isnan(depth), 0, at), axis=axis)
    carried: Float32 = np.take_along_axis(depth, last, axis)
    return carried


def sample_points(
    rng: Rng, depth_m: Float32, camera: PinholeCamera, patterns: PointPatterns, unit_m: float = 1.0
) -> SparseDepth:
    """Sparse depth of one image, as a sensor would give it.

    Args:
        rng: source of randomness.
        depth_m: float32 [H, W], truth; NaN unknown, inf sky (both give no point).
        camera: of the image.
        patterns: what to draw from.
        unit_m: metres per unit of the depth.

    Returns:
        SparseDepth on the image's grid.
    """
    rows, cols = random_cells(rng, camera, patterns)
    height, width = depth_m.shape
    disparity_px = np.zeros(2)
    seen = depth_m
    if patterns.parallax_m and rng.uniform() < 0.5:
        offset = rng.uniform(-1.0, 1.0, 2) * patterns.parallax_m * [1.0, 0.5] / unit_m
        disparity_px = offset * [camera.fy_px, camera.fx_px]
        seen = seen_from_beside(depth_m, (float(disparity_px[0]), float(disparity_px[1])))
    seen_rows, seen_cols = rows, cols
    if patterns.shift_px and rng.uniform() < 0.33:
        jitter = rng.integers(-patterns.shift_px, patterns.shift_px + 1, (2, len(rows)))
        seen_rows, seen_cols = np.clip(rows + jitter[0], 0, height - 1), np.clip(cols + jitter[1], 0, width - 1)
    depth = seen[seen_rows, seen_cols].copy()
    good = np.isfinite(depth) & (depth > 0.1)
    rows, cols, depth = rows[good], cols[good], depth[good]
    rows, cols = (np.rint(at - d / depth).astype(np.int64) for at, d in zip((rows, cols), disparity_px, strict=True))
    if rng.uniform() < 0.33:
        depth *= np.exp(rng.normal(0.0, rng.uniform(0.0, patterns.range_noise) + 1e-9, len(depth))).astype(np.float32)
    if rng.uniform() < 0.2:
        broken = rng.uniform(size=len(depth)) < rng.uniform(0.0, patterns.outlier_share)
        depth[broken] *= np.exp(rng.uniform(-1.2, 0.9, int(broken.sum()))).astype(np.float32)
    good = (depth > 0.1) & (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    cells, depth = (rows * width + cols)[good], depth[good]
    order = np.lexsort((depth, cells))  # of several in one cell the nearest
    flat, first = np.unique(cells[order], return_index=True)
    return SparseDepth(height, width, flat // width, flat % width, depth[order][first].astype(np.float32))
