# SPDX-License-Identifier: Apache-2.0
"""Odometry, twist and transform messages."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.odometry import decode_odometry, decode_speed, decode_transform


def vector(x, y, z):
    return SimpleNamespace(x=x, y=y, z=z)


def quaternion(x, y, z, w):
    return SimpleNamespace(x=x, y=y, z=z, w=w)


def odometry(position=(1.0, 2.0, 3.0), orientation=(0.0, 0.0, 0.0, 1.0), velocity=(3.0, 4.0, 0.0)):
    pose = SimpleNamespace(position=vector(*position), orientation=quaternion(*orientation))
    twist = SimpleNamespace(linear=vector(*velocity))
    return SimpleNamespace(pose=SimpleNamespace(pose=pose), twist=SimpleNamespace(twist=twist))


def test_pose_takes_points_of_the_base_to_the_odometry_frame():
    quarter_turn = (0.0, 0.0, math.sin(math.pi / 4), math.cos(math.pi / 4))
    T_odom_base = decode_odometry(odometry(orientation=quarter_turn)).T_odom_base
    np.testing.assert_allclose(T_odom_base @ [1.0, 0.0, 0.0, 1.0], [1.0, 3.0, 3.0, 1.0], atol=1e-12)


def test_speed_is_the_length_of_the_linear_velocity():
    assert decode_odometry(odometry()).speed_mps == 5.0
    assert decode_speed(SimpleNamespace(linear=vector(-2.0, 0.0, 0.0))) == 2.0


def test_rounded_quaternions_are_normalised():
    T_odom_base = decode_odometry(odometry(orientation=(0.0, 0.0, 0.7, 0.71))).T_odom_base
    np.testing.assert_allclose(T_odom_base[:3, :3] @ T_odom_base[:3, :3].T, np.eye(3), atol=1e-12)


def test_zero_quaternion_is_refused_with_its_cause():
    with pytest.raises(DataError, match="never filled in"):
        decode_odometry(odometry(orientation=(0.0, 0.0, 0.0, 0.0)))


@pytest.mark.parametrize("orientation", [(0.0, 0.0, 0.0, 2.0), (0.0, 0.0, 0.0, math.nan)])
def test_quaternion_far_from_unit_length_is_refused(orientation):
    with pytest.raises(DataError, match="unit quaternion"):
        decode_odometry(odometry(orientation=orientation))


def test_position_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match="finite position"):
        decode_odometry(odometry(position=(math.inf, 0.0, 0.0)))


def test_velocity_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match="finite linear velocity"):
        decode_odometry(odometry(velocity=(math.nan, 0.0, 0.0)))


def test_transform_takes_points_of_the_child_to_its_parent():
    message = SimpleNamespace(translation=vector(0.0, 0.0, 1.5), rotation=quaternion(0.5, -0.5, 0.5, -0.5))
    T_parent_child = decode_transform(message)
    np.testing.assert_allclose(T_parent_child[:3, 3], [0.0, 0.0, 1.5])
    assert np.linalg.det(T_parent_child[:3, :3]) == pytest.approx(1.0)
