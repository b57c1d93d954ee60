# SPDX-License-Identifier: Apache-2.0
"""A scan that was made while driving."""

import numpy as np

from mono_depth_ros.geometry.rigid import invert_rigid, transform_points
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack
from mono_depth_ros.perception.scan_motion import points_at_stamp

STAMP_NS = 5_000_000_000
T_BASE_SENSOR = np.array([[0.0, -1, 0, 0.3], [1, 0, 0, 0.1], [0, 0, 1, 1.2], [0, 0, 0, 1]])


def pose(time_s):
    """10 m/s ahead, turning left at 0.5 rad/s."""
    angle = 0.5 * time_s
    T = np.eye(4)
    T[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    T[:3, 3] = 20 * np.sin(angle), 20 * (1 - np.cos(angle)), 0
    return T


def track():
    odometry = OdometryTrack(5.0, 0.3)
    for number in range(-2, 13):
        odometry.add(OdometrySample(STAMP_NS + number * 10_000_000, pose(number * 0.01), 10.0))
    return odometry


def test_a_wall_is_where_it_is_seen_from_the_stamp():
    rng = np.random.default_rng(3)
    world_m = rng.uniform(-20, 20, (400, 3)).astype(np.float32)
    offsets_s = rng.permutation(np.linspace(0.0, 0.1, 400))
    seen_m = np.concatenate(
        [
            transform_points(invert_rigid(pose(time) @ T_BASE_SENSOR), point[None])
            for time, point in zip(offsets_s, world_m, strict=True)
        ]
    )
    at_once_m = transform_points(invert_rigid(pose(0.0) @ T_BASE_SENSOR), world_m)
    assert np.abs(seen_m - at_once_m).max() > 0.9
    moved_m = points_at_stamp(seen_m, offsets_s, STAMP_NS, track(), T_BASE_SENSOR)
    # Half a millisecond at 10 m/s, and at 0.5 rad/s and 35 m.
    assert np.abs(moved_m - at_once_m).max() < 0.02


def test_without_odometry_for_all_of_the_scan_nothing_is_made_up():
    points_m = np.ones((2, 3), np.float32)
    assert points_at_stamp(points_m, np.array([0.0, 0.9]), STAMP_NS, track(), T_BASE_SENSOR) is None
    assert points_at_stamp(points_m, np.zeros(2), STAMP_NS, OdometryTrack(5.0, 0.3), T_BASE_SENSOR) is None


def test_a_scan_without_points_stays_one():
    moved_m = points_at_stamp(np.empty((0, 3), np.float32), np.empty(0), STAMP_NS, track(), T_BASE_SENSOR)
    assert moved_m.shape == (0, 3)
