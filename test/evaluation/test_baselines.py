# SPDX-License-Identifier: Apache-2.0
"""Completion without learning."""

import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.baselines import classical_depth, nearest_point_depth
from mono_depth_ros.evaluation.metrics import depth_metrics, mean_metrics
from mono_depth_ros.geometry.sparse_depth import SparseDepth, dense_to_sparse

BASELINES = [nearest_point_depth, classical_depth]


def random_points(height_px, width_px, count, seed):
    rng = np.random.default_rng(seed)
    depth_m = np.full((height_px, width_px), np.nan, np.float32)
    depth_m[rng.integers(0, height_px, count), rng.integers(0, width_px, count)] = rng.uniform(1, 80, count)
    return dense_to_sparse(depth_m)


@pytest.mark.parametrize(("height_px", "width_px", "count"), [(1, 1, 1), (40, 70, 3), (33, 100, 40), (64, 64, 900)])
def test_nearest_takes_a_point_at_the_smallest_distance_everywhere(height_px, width_px, count):
    sparse = random_points(height_px, width_px, count, seed=count)
    depth_m = nearest_point_depth(sparse)
    rows, cols = np.mgrid[0:height_px, 0:width_px]
    square = (rows[..., None] - sparse.rows) ** 2 + (cols[..., None] - sparse.cols) ** 2
    same_depth = depth_m[..., None] == sparse.depth_m
    assert np.array_equal(np.where(same_depth, square, 10**9).min(axis=2), square.min(axis=2))


@pytest.mark.parametrize("baseline", BASELINES)
def test_baselines_fill_everything_within_the_depths_of_the_points(baseline):
    sparse = random_points(48, 160, 60, seed=3)
    depth_m = baseline(sparse)
    assert depth_m.shape == (48, 160) and depth_m.dtype == np.float32
    assert depth_m.min() >= sparse.depth_m.min() * 0.999 and depth_m.max() <= sparse.depth_m.max() * 1.001


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_wall_is_completed_exactly(baseline):
    wall = np.full((32, 64), np.nan, np.float32)
    wall[::6, ::9] = 12.5
    np.testing.assert_allclose(baseline(dense_to_sparse(wall)), 12.5, rtol=1e-5)


def test_one_point_fills_the_image():
    point = SparseDepth(100, 300, np.array([99]), np.array([0]), np.array([7.0], np.float32))
    np.testing.assert_allclose(classical_depth(point), 7.0, rtol=1e-5)


def test_classical_lets_the_nearer_surface_win():
    depth_m = np.full((15, 40), np.nan, np.float32)
    depth_m[7, 20], depth_m[7, 22] = 5.0, 50.0
    assert classical_depth(dense_to_sparse(depth_m))[7, 21] < 10.0


@pytest.mark.parametrize("baseline", BASELINES)
def test_no_point_is_an_error(baseline):
    empty = dense_to_sparse(np.full((4, 4), np.nan, np.float32))
    with pytest.raises(DataError, match="at least one point"):
        baseline(empty)


@pytest.mark.parametrize(
    ("drive", "cap_m", "images", "abs_rel", "rmse_m"),
    [("kitti_drive", 80, 39, 0.1994, 5.501), ("ddad_parked", 200, 9, 0.3614, 13.241)],
)
def test_nearest_reproduces_the_known_score_of_a_recorded_drive(shared_data, drive, cap_m, images, abs_rel, rmse_m):
    """The reference took scipy's nearest neighbour; only equally near points may differ."""
    paths = sorted((shared_data / "data" / "gt" / drive).glob("*.npz"))
    if not paths:
        pytest.skip(f"recorded drive: no truth of {drive} in {shared_data}")
    scores = []
    for path in paths:
        arrays = np.load(path)
        truth_m, sparse_m = arrays["depth_cm"] / 100.0, (arrays["depth4_cm"] / 100.0).astype(np.float32)
        scored = (truth_m > 0) & (truth_m <= cap_m) & (sparse_m == 0)
        depth_m = np.clip(nearest_point_depth(dense_to_sparse(sparse_m)), 0.5, cap_m)
        scores.append(depth_metrics(depth_m[scored], truth_m[scored]))
    mean = mean_metrics(scores)
    assert len(scores) == images
    assert mean.abs_rel == pytest.approx(abs_rel, abs=3e-4)
    assert mean.rmse == pytest.approx(rmse_m, abs=5e-3)
