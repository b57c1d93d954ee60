# SPDX-License-Identifier: Apache-2.0
"""A scan made worse, by hand numbers."""

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.evaluation.dropout.sensor_fading import (
    azimuth_sectors,
    hold_out,
    mount_error,
    outside_cells,
    without_lost_packets,
)
from mono_depth_ros.geometry.camera import PinholeCamera

CAMERA = PinholeCamera(64, 32, 40.0, 40.0, 31.5, 15.5)


def wall(depth_m=10.0):
    """Camera frame, one point per pixel, row by row, float32 [2048, 3]."""
    return CAMERA.unproject(np.full((32, 64), depth_m, np.float32)).reshape(-1, 3)


def test_sectors_are_two_degrees_wide():
    azimuth = np.deg2rad([-179.0, -177.0, -0.5, 0.5, 2.5, 179.0])
    points = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(6)], axis=1).astype(np.float32)
    assert azimuth_sectors(points).tolist() == [0, 1, 89, 90, 91, 179]


def test_lost_packets_take_whole_sectors_in_their_order():
    azimuth = np.deg2rad(np.arange(180) * 2.0 - 179.0)
    points = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(180)], axis=1).astype(np.float32)
    order = np.arange(180)[::-1].copy()
    assert without_lost_packets(points, 0.0, order).all()
    assert np.flatnonzero(~without_lost_packets(points, 0.1, order)).tolist() == list(range(162, 180))
    assert not without_lost_packets(points, 1.0, order).any()


@pytest.mark.parametrize(("share", "order"), [(1.1, np.arange(180)), (-0.1, np.arange(180)), (0.5, np.zeros(180, int))])
def test_an_impossible_loss_is_refused(share, order):
    with pytest.raises(ConfigError, match=r"share in .* permutation of 180"):
        without_lost_packets(np.zeros((1, 3), np.float32), share, order)


def test_a_bump_turns_about_its_axis_and_moves_along_its_direction():
    bump = mount_error(2.0, 0.2, np.array([0.0, 0.0, 5.0]), np.array([0.0, -3.0, 0.0]))
    turned_by_deg = np.rad2deg(np.arctan2(bump[1, 0], bump[0, 0]))
    assert turned_by_deg == pytest.approx(2.0)
    np.testing.assert_allclose(bump[:3, 3], [0.0, -0.2, 0.0])
    np.testing.assert_array_equal(mount_error(0.0, 0.0, np.ones(3), np.ones(3)), np.eye(4))


def test_half_of_the_cells_between_the_beams_are_held_out():
    bins = np.repeat(np.arange(32), 64)  # a bin per row of the image
    held_out = hold_out(wall(), bins, CAMERA, 80.0, np.random.default_rng(0))
    assert held_out.cells.sum() == 16 * 64 // 2
    assert not held_out.cells[0::2].any() and held_out.cells[1::2].any(axis=1).all()
    np.testing.assert_allclose(held_out.truth_m, 10.0)


def test_the_nearest_point_of_a_cell_is_its_truth_and_far_truth_is_not_scored():
    points = np.concatenate([wall(50.0), wall(30.0)[:1024]])
    bins = np.concatenate([np.ones(2048, np.int64), np.zeros(1024, np.int64)])
    held_out = hold_out(points, bins, CAMERA, 40.0, np.random.default_rng(0))
    # The nearer points, of the upper half, hide those of the odd bin; below, the truth is too far.
    assert held_out.cells[:16].any() and not held_out.cells[16:].any()
    np.testing.assert_allclose(held_out.truth_m, 30.0)


def test_points_of_scored_cells_are_found():
    cells = np.zeros((32, 64), bool)
    cells[3, 5] = True
    points = np.concatenate([wall(), wall(20.0), [[0, 0, -1]]]).astype(np.float32)
    outside = outside_cells(points, CAMERA, cells)
    assert np.flatnonzero(~outside).tolist() == [3 * 64 + 5, 2048 + 3 * 64 + 5]
