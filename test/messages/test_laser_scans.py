# SPDX-License-Identifier: Apache-2.0
"""Planar scans."""

from types import SimpleNamespace

import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.laser_scans import MAX_RAYS, decode_laser_scan


def scan(ranges, **changed):
    fields = dict(angle_min=-np.pi / 2, angle_increment=np.pi / 2, time_increment=0.0, range_min=0.5, range_max=10.0)
    return SimpleNamespace(ranges=np.array(ranges, np.float32), **{**fields, **changed})


def test_rays_turn_counter_clockwise_from_the_first_angle():
    points = decode_laser_scan(scan([2.0, 3.0, 4.0]))
    np.testing.assert_allclose(points.points_m, [[0, -2, 0], [3, 0, 0], [0, 4, 0]], atol=1e-6)
    assert points.points_m.dtype == np.float32 and points.offsets_s is None


@pytest.mark.parametrize("nothing", [np.nan, np.inf, -np.inf, 0.0, 0.4, 10.5, -1.0])
def test_rays_that_measured_nothing_are_dropped(nothing):
    points = decode_laser_scan(scan([nothing, 10.0, nothing]))
    np.testing.assert_allclose(points.points_m, [[10.0, 0.0, 0.0]], atol=1e-5)


def test_rays_nearer_than_the_minimum_are_dropped():
    assert len(decode_laser_scan(scan([0.05, 0.15, 2.0], range_min=0.0)).points_m) == 2
    assert len(decode_laser_scan(scan([0.05, 0.15, 2.0], range_min=0.0), min_range_m=1.0).points_m) == 1
    assert len(decode_laser_scan(scan([0.05, 0.0, 2.0], range_min=0.0), min_range_m=0.0).points_m) == 2


def test_each_ray_has_its_own_time():
    points = decode_laser_scan(scan([2.0, np.nan, 4.0], time_increment=0.01))
    np.testing.assert_allclose(points.offsets_s, [0.0, 0.02])


def test_an_infinite_range_max_is_no_limit():
    assert len(decode_laser_scan(scan([2.0, 300.0, np.inf], range_max=np.inf)).points_m) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"angle_min": np.nan}, "finite angle_min"), ({"range_max": 0.0}, "range_max"), ({"range_max": np.nan}, "range")],
)
def test_impossible_scans_are_refused(changed, message):
    with pytest.raises(DataError, match=message):
        decode_laser_scan(scan([1.0], **changed))


def test_a_scan_of_endless_rays_is_refused():
    with pytest.raises(DataError, match="at most 1000000 rays"):
        decode_laser_scan(scan(np.ones(MAX_RAYS + 1)))
