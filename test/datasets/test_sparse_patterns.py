# SPDX-License-Identifier: Apache-2.0
"""Sparse input chosen by rules whose result can be counted by hand."""

import dataclasses

import numpy as np
import pytest

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.datasets.sparse_patterns import (
    PatternedSamples,
    SparsePattern,
    apply_pattern,
    central_point,
    depth_points,
    grid_points,
    hold_out_input,
    random_points,
    zone_points,
)
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.lidar_beams import T_CAMERA_LIDAR_AHEAD
from mono_depth_ros.geometry.sparse_depth import points_in_view, project_points

CAMERA = PinholeCamera(6, 4, 4.0, 4.0, 2.5, 1.5)


def fan(count=65):
    """One point per degree-like step: point k has sin(pitch) so that its pitch is k / (count - 1) of the span."""
    pitch = np.linspace(-0.4, 0.2, count)
    return np.stack([np.zeros(count), np.sin(pitch), np.cos(pitch)], axis=1).astype(np.float32) * 10.0


def make_sample(points=None, name="a"):
    truth_m = np.arange(1, 25, dtype=np.float32).reshape(4, 6)
    truth_m[0, 0] = np.nan
    return DepthSample(name, 0, "front", np.zeros((4, 6, 3), np.uint8), CAMERA, points, truth_m, CAMERA)


def test_beams_are_bins_of_elevation_of_the_whole_scan():
    """A LiDAR in the camera's place; of its 64 beams the camera sees a few."""
    elevation = np.deg2rad(np.linspace(-60.0, 60.0, 64))
    points = np.stack([0 * elevation, -np.sin(elevation), np.cos(elevation)], axis=1).astype(np.float32)
    sample = dataclasses.replace(make_sample(points), T_camera_lidar=T_CAMERA_LIDAR_AHEAD)
    kept = apply_pattern(sample, SparsePattern("beams", 4)).points_camera_m
    np.testing.assert_array_equal(kept, points[[0, 16, 32, 48]])


def test_beams_of_a_depth_map_are_counted_from_the_camera():
    kept = apply_pattern(make_sample(), SparsePattern("beams", 2)).points_camera_m
    # Of four rows the lowest, and none of the others: two beams are the lowest bin and the one above the middle.
    assert set(np.round(kept[:, 1] / kept[:, 2] * 4 + 1.5).tolist()) == {3.0}


def test_beams_that_miss_the_image_leave_no_point_in_view():
    below = np.array([[0.0, 1.0, 0.1], [0.0, 0.8, 0.2], [0.0, 0.0, 5.0]], np.float32)  # one bin of 64 each
    sample = dataclasses.replace(make_sample(below), T_camera_lidar=T_CAMERA_LIDAR_AHEAD)
    found = apply_pattern(sample, SparsePattern("beams", 4))
    assert len(found.points_camera_m) == 1 and len(points_in_view(found.points_camera_m, CAMERA)) == 0
    held = hold_out_input(found)
    np.testing.assert_array_equal(held.truth_depth_m, sample.truth_depth_m)
    empty = dataclasses.replace(sample, points_camera_m=below[:0])
    assert apply_pattern(empty, SparsePattern("beams", 4)).points_camera_m.shape == (0, 3)


@pytest.mark.parametrize("beams", [3, 128, -4])
def test_other_numbers_of_beams_are_refused(beams):
    with pytest.raises(ConfigError, match="beams: expected one of 0, 1, 2, 4"):
        SparsePattern("beams", beams)


def test_random_points_are_so_many_different_ones():
    points = fan()
    chosen = random_points(points, 10, np.random.default_rng(0))
    assert chosen.shape == (10, 3) and len(np.unique(chosen[:, 1])) == 10
    assert np.isin(chosen[:, 1], points[:, 1]).all()
    assert random_points(points, 1000, np.random.default_rng(0)).shape == points.shape


def test_random_points_depend_on_the_image_and_the_seed_only():
    first, again, other, reseeded = (
        apply_pattern(make_sample(name=name), SparsePattern("random", 5, seed)).points_camera_m
        for name, seed in (("a", 0), ("a", 0), ("b", 0), ("a", 1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other) and not np.array_equal(first, reseeded)


def test_a_grid_takes_the_pixel_in_the_middle_of_each_cell():
    sample = make_sample()
    chosen = grid_points(depth_points(sample.truth_depth_m, CAMERA), CAMERA, 3)
    sparse = project_points(chosen, CAMERA)
    # Cells of 3 px: rows 0-2 and the rest row 3, columns 0-2 and 3-5.
    assert list(zip(sparse.rows.tolist(), sparse.cols.tolist(), strict=True)) == [(1, 1), (1, 4), (3, 1), (3, 4)]
    np.testing.assert_allclose(sparse.depth_m, [8.0, 11.0, 20.0, 23.0])


def test_only_points_that_fall_on_the_image_are_in_view():
    inside = [[0.0, 0.0, 5.0], [-0.7, -0.4, 1.0]]
    outside = [[0.0, 0.0, -5.0], [9.0, 0.0, 1.0], [0.0, 9.0, 1.0], [np.nan, 0.0, 1.0], [0.0, 0.0, np.inf]]
    found = points_in_view(np.array(inside + outside, np.float32), CAMERA)
    np.testing.assert_array_equal(found, np.array(inside, np.float32))


def test_patterns_choose_among_the_points_and_else_among_the_truth():
    points = np.array([[0.0, 0.0, 5.0], [0.0, 0.0, -5.0]], np.float32)
    assert apply_pattern(make_sample(points), SparsePattern("random", 9)).points_camera_m.tolist() == [[0, 0, 5]]
    assert len(apply_pattern(make_sample(), SparsePattern("random", 99)).points_camera_m) == 23
    assert len(apply_pattern(make_sample(), SparsePattern("grid", 3)).points_camera_m) == 4
    assert len(apply_pattern(make_sample(points), SparsePattern("none")).points_camera_m) == 0
    sample = make_sample(points)
    assert apply_pattern(sample, SparsePattern()) is sample


def test_a_sample_with_nothing_to_choose_from_is_refused():
    sample = dataclasses.replace(make_sample(), truth_depth_m=None, truth_camera=None)
    with pytest.raises(DataError, match="sample a: expected points or truth to choose random from"):
        apply_pattern(sample, SparsePattern("random", 5))


def test_the_input_is_held_out_of_the_truth():
    # Hits pixel (1, 2), at (2 - 2.5) / 4 * 8 = -1 and (1 - 1.5) / 4 * 8 = -1; a point of another depth counts as well.
    points = np.array([[-1.0, -1.0, 8.0], [-50.0, -50.0, 400.0], [0.0, 0.0, -1.0]], np.float32)
    sample = make_sample(points)
    held = hold_out_input(sample)
    assert np.isnan(held.truth_depth_m[1, 2]) and sample.truth_depth_m[1, 2] == 9.0
    expected = sample.truth_depth_m.copy()
    expected[1, 2] = np.nan
    np.testing.assert_array_equal(held.truth_depth_m, expected)


def test_holding_out_follows_the_grid_of_the_truth():
    sample = make_sample(np.array([[-1.0, -1.0, 8.0]], np.float32))
    half = CAMERA.resized(3, 2)
    sample = dataclasses.replace(sample, truth_depth_m=np.ones((2, 3), np.float32), truth_camera=half)
    assert np.argwhere(np.isnan(hold_out_input(sample).truth_depth_m)).tolist() == [[0, 1]]


def test_nothing_is_held_out_without_points_or_truth():
    sample = make_sample()
    assert hold_out_input(sample) is sample


def test_patterned_samples_have_the_length_and_order_of_the_samples():
    samples = PatternedSamples([make_sample(name="a"), make_sample(name="b")], SparsePattern("random", 5), True)
    assert len(samples) == 2 and [sample.name for sample in samples] == ["a", "b"]
    assert np.isfinite(samples[1].truth_depth_m).sum() == 23 - 5


@pytest.mark.parametrize(("kind", "amount"), [("rings", 4), ("grid", 0), ("random", -1)])
def test_impossible_patterns_are_refused(kind, amount):
    with pytest.raises(ConfigError, match="sparse pattern"):
        SparsePattern(kind, amount)


def test_a_matrix_of_zones_reports_one_depth_per_zone_at_its_centre():
    # 12 x 8 pixels: zones of 2 px in columns 2 to 9.
    camera = PinholeCamera(12, 8, 10.0, 10.0, 5.5, 3.5)
    depth_m = np.full((8, 12), 6.0, np.float32)
    depth_m[:2, 2:4] = [[2.0, 3.0], [4.0, 5.0]]  # the first zone: lower quartile 2.75
    depth_m[:, 10:] = 1.0  # outside the square
    depth_m[6:, 8:10] = np.nan  # the last zone has nothing
    points_m = zone_points(depth_points(depth_m, camera), camera, 4)
    assert points_m.shape == (15, 3) and points_m.dtype == np.float32
    np.testing.assert_allclose(points_m[:, 2], [2.75] + [6.0] * 14)
    np.testing.assert_allclose(points_m[0], [(2.5 - 5.5) / 10 * 2.75, (0.5 - 3.5) / 10 * 2.75, 2.75])
    assert zone_points(np.empty((0, 3), np.float32), camera, 8).shape == (0, 3)


def test_a_single_point_is_the_one_nearest_the_middle():
    camera = PinholeCamera(12, 8, 10.0, 10.0, 5.5, 3.5)
    points_m = np.array([[1.0, 0.0, 5.0], [0.1, 0.1, 7.0], [-2.0, 0.0, 4.0]], np.float32)
    np.testing.assert_array_equal(central_point(points_m, camera), points_m[1:2])
    assert len(central_point(points_m[:0], camera)) == 0


def test_a_matrix_has_four_or_eight_zones():
    with pytest.raises(ConfigError, match="tof: expected 4 or 8 zones along a side, got 16"):
        SparsePattern("tof", 16)
