# SPDX-License-Identifier: Apache-2.0
"""What a beam is, by hand numbers."""

import itertools

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.lidar_beams import (
    BEAM_COUNTS,
    T_CAMERA_LIDAR_AHEAD,
    beam_bins,
    elevation_bins,
    in_beams,
    scan_of_points,
)
from mono_depth_ros.geometry.rigid import transform_points

CAMERA = PinholeCamera(64, 32, 40.0, 40.0, 31.5, 15.5)


def at_elevations(elevation_deg, distance_m=10.0):
    """Points straight ahead of a LiDAR."""
    elevation = np.deg2rad(np.asarray(elevation_deg, np.float64))
    directions = np.stack([np.cos(elevation), 0 * elevation, np.sin(elevation)], axis=1)
    return (directions * np.reshape(distance_m, (-1, 1))).astype(np.float32)


def test_bins_divide_the_elevations_of_the_scan_evenly():
    # 64 degrees from -32 to 32: a bin per degree.
    assert elevation_bins(at_elevations([-32, -31.5, -30.5, 0.5, 31.5, 32])).tolist() == [0, 0, 1, 32, 63, 63]


def test_bins_do_not_depend_on_the_distance():
    elevation_deg = np.linspace(-31.7, 31.7, 64)
    near, far = at_elevations(elevation_deg), at_elevations(elevation_deg, np.linspace(1.0, 90.0, 64))
    np.testing.assert_array_equal(elevation_bins(near), elevation_bins(far))


def test_points_without_an_elevation_are_in_no_beam():
    bins = elevation_bins(np.array([[0, 0, 0], [np.nan, 0, 1], [np.inf, 0, 1], [1, 0, 0], [1, 0, 1]], np.float32))
    assert bins.tolist() == [-1, -1, -1, 0, 63]
    assert not in_beams(bins, 64)[:3].any() and in_beams(bins, 64)[3:].all()
    assert elevation_bins(np.zeros((0, 3), np.float32)).shape == (0,)


def test_a_scan_of_one_elevation_is_in_any_number_of_beams():
    turned = np.array([[1, 0, 1e-7], [0, 2, 0], [-30, 0, -1e-6]], np.float32)  # as rounding leaves it
    for beams in BEAM_COUNTS[1:]:
        assert in_beams(elevation_bins(turned), beams).all()


@pytest.mark.parametrize(
    ("beams", "kept"), [(0, []), (1, [32]), (2, [0, 32]), (4, [0, 16, 32, 48]), (32, list(range(0, 64, 2)))]
)
def test_fewer_beams_are_evenly_spaced_bins(beams, kept):
    assert np.flatnonzero(in_beams(np.arange(64), beams)).tolist() == kept


def test_fewer_beams_are_a_part_of_more():
    kept = [set(np.flatnonzero(in_beams(np.arange(64), beams))) for beams in BEAM_COUNTS]
    assert all(fewer <= more for fewer, more in itertools.pairwise(kept))
    assert len(kept[-1]) == 64


@pytest.mark.parametrize("beams", [-1, 3, 48, 128])
def test_an_impossible_number_of_beams_is_refused(beams):
    with pytest.raises(ConfigError, match=f"beams: expected one of 0, 1, 2, 4, .*, got {beams}"):
        in_beams(np.arange(64), beams)


def test_elevation_is_that_of_the_lidar_and_not_of_the_camera():
    """A LiDAR a metre above the camera, nose down by 0.2 rad."""
    T_lidar_nose = np.eye(4)
    T_lidar_nose[:3, :3] = [[np.cos(0.2), 0, np.sin(0.2)], [0, 1, 0], [-np.sin(0.2), 0, np.cos(0.2)]]
    T_camera_lidar = T_CAMERA_LIDAR_AHEAD @ T_lidar_nose
    T_camera_lidar[1, 3] = -1.0
    points_lidar_m = at_elevations(np.linspace(-25.0, 2.0, 64), np.linspace(4.0, 60.0, 64))
    points_camera_m = transform_points(T_camera_lidar, points_lidar_m)
    scan_m, T_scan = scan_of_points(points_camera_m, CAMERA, T_camera_lidar)
    assert scan_m is points_camera_m  # also what the camera does not see
    np.testing.assert_array_equal(beam_bins(scan_m, T_scan), np.arange(64))


OPTICAL = np.eye(4)


@pytest.mark.parametrize("T_camera_sensor", [None, OPTICAL], ids=["unknown", "depth camera"])
def test_points_without_a_lidar_are_the_scan_of_one_in_the_camera(T_camera_sensor):
    # From 10 rows below the middle of the image to 10 above it; and one that only a LiDAR around the camera would see.
    y = np.linspace(10.0, -10.0, 21) / 40.0
    wall = np.stack([0 * y, y, np.ones(21)], axis=1)
    points_m = np.concatenate([[[0.0, 3.0, -1.0]], wall]).astype(np.float32)
    scan_m, T_camera_lidar = scan_of_points(points_m, CAMERA, T_camera_sensor)
    np.testing.assert_array_equal(scan_m, points_m[1:])
    bins = beam_bins(scan_m, T_camera_lidar)
    assert (bins[0], bins[-1]) == (0, 63) and (np.diff(bins) > 0).all()
