# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.anchoring import AnchorPass, AnchorPolicy, anchor_to_points

HEIGHT, WIDTH = 96, 320


def points_at(rows, cols, depth_m, height=HEIGHT, width=WIDTH) -> SparseDepth:
    rows, cols = np.asarray(rows, np.int64), np.asarray(cols, np.int64)
    depth = np.broadcast_to(np.asarray(depth_m, np.float32), rows.shape)
    return SparseDepth(height, width, rows, cols, np.ascontiguousarray(depth))


def beams(*rows: int) -> tuple[np.ndarray, np.ndarray]:
    grid = np.meshgrid(rows, np.arange(0, WIDTH, 2), indexing="ij")
    return grid[0].ravel(), grid[1].ravel()


def smooth_field(seed: int, amplitude: float) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(-amplitude, amplitude, (3, 6)).astype(np.float32)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def test_without_points_nothing_changes():
    depth_m = np.exp(smooth_field(0, 1.0))
    assert anchor_to_points(depth_m, points_at([], [], [])) is depth_m


def test_a_wrong_scale_is_corrected_everywhere():
    depth_m = np.full((HEIGHT, WIDTH), 10.0, np.float32)
    anchored = anchor_to_points(depth_m, points_at(*beams(20, 40, 60, 80), 13.0))
    np.testing.assert_allclose(anchored, 13.0, rtol=0.02)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_a_smooth_error_is_mostly_removed_between_the_points_too(seed):
    truth_m = 10 * np.exp(smooth_field(seed, 0.5))
    depth_m = truth_m * np.exp(smooth_field(seed + 1, 0.3))
    rows, cols = beams(15, 35, 55, 75)
    anchored = anchor_to_points(depth_m, points_at(rows, cols, truth_m[rows, cols]))
    inside = slice(10, 80)
    before = np.abs(np.log(depth_m / truth_m))[inside].mean()
    after = np.abs(np.log(anchored / truth_m))[inside].mean()
    assert after < 0.4 * before


def test_a_correction_does_not_cross_a_depth_border():
    depth_m = np.full((HEIGHT, WIDTH), 5.0, np.float32)
    depth_m[:, 160:] = 25.0
    rows, cols = beams(20, 50, 80)
    on_the_near_side = cols < 160
    anchored = anchor_to_points(depth_m, points_at(rows[on_the_near_side], cols[on_the_near_side], 6.0))
    np.testing.assert_allclose(anchored[:, :155], 6.0, rtol=0.03)
    np.testing.assert_allclose(anchored[:, 160:], 25.0, rtol=1e-3)


def test_far_from_every_point_nothing_changes():
    depth_m = np.full((HEIGHT, WIDTH), 10.0, np.float32)
    anchored = anchor_to_points(depth_m, points_at([48], [10], [14.0]))
    assert anchored[48, 10] > 12.0
    np.testing.assert_allclose(anchored[:, 280:], 10.0, rtol=1e-3)


def test_one_point_of_another_surface_among_many_does_little():
    depth_m = np.full((HEIGHT, WIDTH), 10.0, np.float32)
    rows, cols = beams(40, 44, 48, 52)
    measured_m = np.full(len(rows), 10.0, np.float32)
    outlier = int(np.flatnonzero((rows == 48) & (cols == 160))[0])
    measured_m[outlier] = 60.0
    anchored = anchor_to_points(depth_m, points_at(rows, cols, measured_m))
    assert np.abs(np.log(anchored / 10.0)).max() < 0.05


def test_points_seen_past_the_edge_of_a_near_surface_do_not_pull_it_away():
    depth_m = np.full((HEIGHT, WIDTH), 25.0, np.float32)
    depth_m[30:70, 120:200] = 5.0
    rows, cols = beams(35, 45, 55, 65)
    # The LiDAR stands elsewhere: on a third of the near surface it reports the wall behind.
    measured_m = np.where((cols >= 120) & (cols < 200), 5.0, 25.0)
    measured_m[(cols >= 120) & (cols < 147)] = 25.0
    anchored = anchor_to_points(depth_m, points_at(rows, cols, measured_m))
    np.testing.assert_allclose(anchored[32:68, 150:198], 5.0, rtol=0.03)
    np.testing.assert_allclose(anchored[32:68, 122:145], 5.0, rtol=0.25)


def test_the_result_does_not_depend_on_the_resolution():
    small_m = 10 * np.exp(smooth_field(3, 0.5))
    rows, cols = beams(15, 35, 55, 75)
    measured_m = small_m[rows, cols] * np.exp(smooth_field(4, 0.3))[rows, cols]
    large_m = cv2.resize(small_m, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_LINEAR)
    small = anchor_to_points(small_m, points_at(rows, cols, measured_m))
    large = anchor_to_points(large_m, points_at(2 * rows, 2 * cols, measured_m, 2 * HEIGHT, 2 * WIDTH))
    np.testing.assert_allclose(cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), small, rtol=0.06)


def test_sky_stays_far_and_finite():
    depth_m = np.full((HEIGHT, WIDTH), 1e6, np.float32)
    depth_m[48:] = 10.0
    anchored = anchor_to_points(depth_m, points_at(*beams(60, 80), 12.0))
    assert np.isfinite(anchored).all()
    np.testing.assert_allclose(anchored[:40], 1e6, rtol=1e-3)


def test_dense_points_that_agree_are_followed_closely():
    truth_m = 10 * np.exp(smooth_field(5, 0.8))
    depth_m = 7 * np.exp(smooth_field(6, 0.2))
    rows, cols = np.nonzero(np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.3)
    anchored = anchor_to_points(depth_m, points_at(rows, cols, truth_m[rows, cols]))
    assert np.abs(np.log(anchored / truth_m)).mean() < 0.02


@pytest.mark.parametrize(
    "wrong",
    [
        {"passes": ()},
        {"passes": (AnchorPass(0.1, 0.0, 0.1),)},
        {"passes": (AnchorPass(0.1, 0.1, -0.1),)},
        {"rounds": 0},
    ],
)
def test_a_policy_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match="anchor: expected at least one pass"):
        AnchorPolicy(**wrong)
