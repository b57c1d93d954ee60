# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.inference.completion import NETWORK_ALONE, CompletionPolicy, through_points
from mono_depth_ros.inference.guided_fill import FillPolicy, guided_fill, mixed_with_fill

HEIGHT, WIDTH = 96, 320
GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def points_at(rows, cols, depth_m, height=HEIGHT, width=WIDTH) -> SparseDepth:
    rows, cols = (np.asarray(values, np.int64).ravel() for values in np.broadcast_arrays(rows, cols))
    depth = np.ascontiguousarray(np.broadcast_to(np.asarray(depth_m, np.float32), rows.shape))
    return SparseDepth(height, width, rows, cols, depth)


def beams(*rows: int) -> tuple[np.ndarray, np.ndarray]:
    grid = np.meshgrid(rows, np.arange(0, WIDTH, 2), indexing="ij")
    return grid[0].ravel(), grid[1].ravel()


def two_halves() -> np.ndarray:
    image = GREY.copy()
    image[:, 160:] = 255
    return image


def test_one_round_is_weighted_least_squares_along_rows_then_columns():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    points = points_at([0, 2, 4], [1, 5, 3], [4.0, 10.0, 2.0], 5, 7)
    policy = FillPolicy(reach=0.4, edge=0.3, rounds=1)

    def solved(line: np.ndarray, colours: np.ndarray) -> np.ndarray:
        """(1 + smoothness * Laplacian) x = line, written out."""
        system = np.eye(len(line))
        for at in range(len(line) - 1):
            step = np.abs(colours[at + 1].astype(float) - colours[at]).max() / 255
            bond = 1.5 * (0.4 * 5) ** 2 / 3 * math.exp(-step / 0.3)
            system[at : at + 2, at : at + 2] += bond * np.array([[1, -1], [-1, 1]])
        return np.linalg.solve(system, line)

    spread = []
    for value in (1.0 / points.depth_m, np.ones(3)):
        plane = np.zeros((5, 7))
        plane[points.rows, points.cols] = value
        plane = np.stack([solved(plane[row], image[row]) for row in range(5)])
        spread.append(np.stack([solved(plane[:, col], image[:, col]) for col in range(7)], axis=1))
    fill = guided_fill(image, points, policy)
    np.testing.assert_allclose(fill.depth_m, spread[1] / spread[0], rtol=1e-4)
    np.testing.assert_allclose(fill.log10_support, np.log10(spread[1]), atol=1e-4)


def test_depth_of_the_points_is_spread_and_support_fades_with_distance():
    fill = guided_fill(GREY, points_at(48, np.arange(0, WIDTH, 2), 7.0))
    near = fill.log10_support > -6
    np.testing.assert_allclose(fill.depth_m[near], 7.0, rtol=1e-3)
    column = fill.log10_support[48:, 160]
    assert (np.diff(column)[:40] < 0).all()
    assert column[0] > column[20] + 1


def test_points_do_not_cross_an_edge_of_the_image():
    rows, cols = beams(30, 60)
    fill = guided_fill(two_halves(), points_at(rows, cols, np.where(cols < 160, 5.0, 25.0)))
    np.testing.assert_allclose(fill.depth_m[20:70, 150:160], 5.0, rtol=0.02)
    np.testing.assert_allclose(fill.depth_m[20:70, 160:170], 25.0, rtol=0.02)
    smeared = guided_fill(GREY, points_at(rows, cols, np.where(cols < 160, 5.0, 25.0)))
    assert smeared.depth_m[45, 161] < 15.0


def test_the_fill_of_twice_the_size_is_the_same():
    rows, cols = beams(20, 50, 80)
    depth_m = 5.0 + 10.0 * cols / WIDTH
    small = guided_fill(two_halves(), points_at(rows, cols, depth_m))
    image = two_halves().repeat(2, axis=0).repeat(2, axis=1)
    large = guided_fill(image, points_at(2 * rows, 2 * cols, depth_m, 2 * HEIGHT, 2 * WIDTH))
    np.testing.assert_allclose(large.depth_m[::2, ::2][10:90], small.depth_m[10:90], rtol=0.05)


def test_the_share_of_the_fill_by_hand():
    policy = FillPolicy(share=0.4, faint=-10.0, firm=-2.0)
    points = points_at(48, np.arange(0, WIDTH, 2), 20.0)
    support = guided_fill(GREY, points, policy).log10_support[:, 160]
    mixed = mixed_with_fill(np.full((HEIGHT, WIDTH), 10.0, np.float32), GREY, points, policy)[:, 160]
    assert mixed[48] == pytest.approx(10.0 * 2.0**0.4, rel=1e-3)  # nearer than firm
    between = int(np.argmin(np.abs(support - -6.0)))
    assert mixed[between] == pytest.approx(10.0 * 2.0 ** (0.4 * (support[between] + 10.0) / 8.0), rel=1e-3)


def test_far_from_every_point_the_network_is_left_alone():
    mixed = mixed_with_fill(np.full((HEIGHT, WIDTH), 10.0, np.float32), GREY, points_at([48], [5], [30.0]))
    np.testing.assert_array_equal(mixed[:, 250:], 10.0)
    assert mixed[48, 5] == pytest.approx(10.0 * 3.0**0.45, rel=1e-3)


def test_without_points_nothing_changes():
    depth_m = np.full((HEIGHT, WIDTH), 10.0, np.float32)
    assert through_points(depth_m, GREY, points_at([], [], [])) is depth_m
    assert through_points(depth_m, GREY, points_at([3], [3], [5.0]), NETWORK_ALONE) is depth_m


@pytest.mark.parametrize("depth_m", [1e-6, 1e9, np.inf])
def test_depths_beyond_all_measure_stay_finite_where_points_are(depth_m):
    mixed = through_points(np.full((HEIGHT, WIDTH), depth_m, np.float32), GREY, points_at(*beams(40, 60), 8.0))
    assert not np.isnan(mixed).any()


def test_each_step_may_be_left_out():
    depth_m = np.full((HEIGHT, WIDTH), 10.0, np.float32)
    points = points_at(*beams(20, 40, 60, 80), 13.0)
    both = through_points(depth_m, GREY, points)
    filled = through_points(depth_m, GREY, points, CompletionPolicy(anchor=None))
    anchored = through_points(depth_m, GREY, points, CompletionPolicy(fill=None))
    assert 10.0 < filled[50, 100] < both[50, 100]
    for depth in (both, anchored):
        np.testing.assert_allclose(depth, 13.0, rtol=0.02)


@pytest.mark.parametrize("field", ["reach", "edge", "rounds"])
def test_a_policy_that_spreads_nothing_is_refused(field):
    with pytest.raises(ConfigError, match="expected positive reach"):
        FillPolicy(**{field: 0})


@pytest.mark.parametrize("wrong", [{"share": 1.1}, {"faint": -6.0}, {"faint": -40.0}])
def test_shares_out_of_order_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected a share of"):
        FillPolicy(**wrong)
