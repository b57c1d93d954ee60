# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros.errors import FrameError
from mono_depth_ros.geometry.rigid import (
    interpolate_rigid,
    invert_rigid,
    quaternion_from_rigid,
    rigid_from_quaternion,
    transform_points,
)


def random_rigid(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    quaternion = rng.standard_normal(4)
    return rigid_from_quaternion(rng.uniform(-5, 5, 3), quaternion / np.linalg.norm(quaternion))


def test_quarter_turn_about_z_takes_x_to_y():
    T_a_b = rigid_from_quaternion([1.0, 2.0, 3.0], [0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
    np.testing.assert_allclose(transform_points(T_a_b, np.array([[1.0, 0.0, 0.0]], np.float32)), [[1.0, 3.0, 3.0]])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_a_quaternion_gives_a_rotation_whose_inverse_undoes_it(seed):
    T_a_b = random_rigid(seed)
    np.testing.assert_allclose(T_a_b[:3, :3] @ T_a_b[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T_a_b[:3, :3]) == pytest.approx(1.0)
    np.testing.assert_allclose(invert_rigid(T_a_b) @ T_a_b, np.eye(4), atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_interpolation_ends_at_both_poses_and_halves_compose(seed):
    T_w_a, T_w_b = random_rigid(seed), random_rigid(seed + 1)
    np.testing.assert_allclose(interpolate_rigid(T_w_a, T_w_b, 0.0), T_w_a, atol=1e-9)
    np.testing.assert_allclose(interpolate_rigid(T_w_a, T_w_b, 1.0), T_w_b, atol=1e-7)
    T_w_half = interpolate_rigid(T_w_a, T_w_b, 0.5)
    first = T_w_a[:3, :3].T @ T_w_half[:3, :3]
    second = T_w_half[:3, :3].T @ T_w_b[:3, :3]
    np.testing.assert_allclose(first, second, atol=1e-7)


@pytest.mark.parametrize("quaternion", [[0, 0, 0, 0], [0, 0, 0, 2], [0, 0, 0, float("nan")]])
def test_a_quaternion_that_is_no_rotation_is_refused(quaternion):
    with pytest.raises(FrameError, match="unit quaternion"):
        rigid_from_quaternion([0, 0, 0], quaternion)


def test_a_translation_that_is_not_finite_is_refused():
    with pytest.raises(FrameError, match="finite"):
        rigid_from_quaternion([0, float("inf"), 0], [0, 0, 0, 1])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_a_quaternion_survives_the_matrix(seed):
    T_a_b = random_rigid(seed)
    quaternion = quaternion_from_rigid(T_a_b)
    assert quaternion[3] >= 0
    np.testing.assert_allclose(rigid_from_quaternion(T_a_b[:3, 3], quaternion), T_a_b, atol=1e-9)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_half_turns_have_a_quaternion_too(axis):
    quaternion = np.zeros(4)
    quaternion[axis] = 1.0
    np.testing.assert_allclose(quaternion_from_rigid(rigid_from_quaternion([0, 0, 0], quaternion)), quaternion)
