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
        shift_px: points of a third of the images are seen up to so far from where they are, as parallax between LiDAR
            and camera, rolling scans and calibration make it.
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


def sample_points(
    rng: Rng, depth_m: npt.NDArray[np.float32], camera: PinholeCamera, patterns: PointPatterns
) -> SparseDepth:
    """Sparse depth of one image, as a sensor would give it.

    Args:
        rng: source of randomness.
        depth_m: float32 [H, W], truth; NaN unknown, inf sky (both give no point).
        camera: of the image.
        patterns: what to draw from.

    Returns:
        SparseDepth on the image's grid.
    """
    rows, cols = random_cells(rng, camera, patterns)
    height, width = depth_m.shape
    seen_rows, seen_cols = rows, cols
    if patterns.shift_px and rng.uniform() < 0.33:
        jitter = rng.integers(-patterns.shift_px, patterns.shift_px + 1, (2, len(rows)))
        seen_rows, seen_cols = np.clip(rows + jitter[0], 0, height - 1), np.clip(cols + jitter[1], 0, width - 1)
    depth = depth_m[seen_rows, seen_cols].copy()
    if rng.uniform() < 0.33:
        depth *= np.exp(rng.normal(0.0, rng.uniform(0.0, patterns.range_noise) + 1e-9, len(depth))).astype(np.float32)
    if rng.uniform() < 0.2:
        broken = rng.uniform(size=len(depth)) < rng.uniform(0.0, patterns.outlier_share)
        depth[broken] *= np.exp(rng.uniform(-1.2, 0.9, int(broken.sum()))).astype(np.float32)
    good = np.isfinite(depth) & (depth > 0.1)
    flat, first = np.unique(rows[good] * width + cols[good], return_index=True)
    return SparseDepth(height, width, flat // width, flat % width, depth[good][first].astype(np.float32))
