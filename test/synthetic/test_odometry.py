# SPDX-License-Identifier: Apache-2.0
"""Wheel odometry: exact without errors, and each error does what it says."""

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.synthetic.course import Course
from mono_depth_ros.synthetic.render.world import World
from mono_depth_ros.synthetic.sensors.wheel_odometry import OdometryModel, WheelOdometry

EXACT = OdometryModel(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def curve(time_s: float) -> np.ndarray:
    """A circle of 10 m, at 2 m/s, beginning anywhere."""
    turn = 0.2 * time_s
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    pose[:3, 3] = (5.0 + 10.0 * np.sin(turn), 10.0 * (1.0 - np.cos(turn)), 1.0)
    return pose


COURSE = Course(World(()), curve, 2.0)


def test_the_velocity_of_a_course_is_that_of_its_poses() -> None:
    linear, angular = COURSE.velocity(3.0)
    np.testing.assert_allclose(linear, [2.0, 0.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(angular, [0.0, 0.0, 0.2], atol=1e-6)


def test_without_errors_odometry_is_the_motion_since_the_start() -> None:
    reading = WheelOdometry(COURSE, EXACT, 10.0, 0).reading(50)
    np.testing.assert_allclose(reading.T_odom_base, invert_rigid(curve(0.0)) @ curve(5.0), atol=1e-9)
    assert reading.speed_mps == pytest.approx(2.0, abs=1e-4)
    assert reading.yaw_rate_radps == pytest.approx(0.2, abs=1e-5)


def test_odometry_drifts_a_little_and_is_the_same_in_any_order() -> None:
    one, other = (WheelOdometry(COURSE, OdometryModel(), 10.0, 3) for _ in range(2))
    other.reading(300)
    for index in (0, 17, 150):
        np.testing.assert_array_equal(one.reading(index).T_odom_base, other.reading(index).T_odom_base)
    true = invert_rigid(curve(0.0)) @ curve(15.0)
    measured = one.reading(150).T_odom_base
    assert 1e-3 < np.linalg.norm(measured[:3, 3] - true[:3, 3]) < 1.5  # 30 m driven
    np.testing.assert_allclose(measured[:3, :3] @ measured[:3, :3].T, np.eye(3), atol=1e-9)


def test_slip_makes_the_wheels_measure_too_much_or_too_little_in_episodes() -> None:
    model = OdometryModel(0, 0, 0, 0, 0, 0, 0, 0, slips_per_s=0.5, slip_s=1.0, slip_share=0.3)
    odometry = WheelOdometry(COURSE, model, 10.0, 5)
    slips = np.array([odometry.slip(index / 10.0) for index in range(600)])
    assert 0.1 < np.mean(slips != 0) < 0.6 and np.abs(slips).max() <= 0.3
    assert slips.min() < 0 < slips.max()
    speeds = np.array([odometry.reading(index).speed_mps for index in range(600)])
    np.testing.assert_allclose(speeds, 2.0 * (1.0 + slips), atol=1e-4)
    lengths = [
        np.linalg.norm((invert_rigid(odometry.reading(i).T_odom_base) @ odometry.reading(i + 1).T_odom_base)[:3, 3])
        for i in range(599)
    ]
    halfway = np.array([odometry.slip((index + 0.5) / 10.0) for index in range(599)])
    np.testing.assert_allclose(lengths, 0.2 * (1.0 + halfway), rtol=1e-3)


def test_a_scale_error_stretches_the_way_and_a_bias_bends_it() -> None:
    stretched = WheelOdometry(COURSE, OdometryModel(0.05, *[0] * 10), 10.0, 1).reading(50).T_odom_base
    true = invert_rigid(curve(0.0)) @ curve(5.0)
    scale = np.linalg.norm(stretched[:3, 3]) / np.linalg.norm(true[:3, 3])
    np.testing.assert_allclose(stretched[:3, 3], scale * true[:3, 3], atol=1e-9)
    assert 1e-3 < abs(scale - 1.0) < 0.2
    bent = WheelOdometry(COURSE, OdometryModel(0, 0.02, *[0] * 9), 10.0, 1)
    turns = [np.arctan2(*(bent.reading(i).T_odom_base @ invert_rigid(curve(i / 10)))[[1, 0], 0]) for i in (10, 20, 40)]
    np.testing.assert_allclose(np.array(turns) / turns[0], [1.0, 2.0, 4.0], rtol=1e-6)
    assert abs(turns[0]) > 1e-4


def test_errors_below_zero_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 0"):
        OdometryModel(scale_sigma=-0.1)
