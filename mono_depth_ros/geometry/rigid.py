# SPDX-License-Identifier: Apache-2.0
"""Rigid motions as 4x4 matrices. ``T_a_b @ p_b = p_a``: inner frames cancel when read."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import FrameError
from mono_depth_ros.geometry.camera import Points

RigidTransform: TypeAlias = npt.NDArray[np.float64]


def rigid_from_quaternion(translation_m: npt.ArrayLike, quaternion_xyzw: npt.ArrayLike) -> RigidTransform:
    """T_a_b from the pose of frame b in frame a, as ROS messages hold it.

    Args:
        translation_m: origin of b in a, metres, [3].
        quaternion_xyzw: rotation from b to a, [4]; normalised here, within 1 % of unit length.

    Raises:
        FrameError: if a value is not finite or the quaternion is far from unit length.
    """
    translation = np.asarray(translation_m, np.float64).reshape(3)
    quaternion = np.asarray(quaternion_xyzw, np.float64).reshape(4)
    length = float(np.linalg.norm(quaternion))
    if not np.isfinite(translation).all() or not abs(length - 1.0) < 0.01:
        raise FrameError(
            f"transform: expected a finite translation and a unit quaternion (x, y, z, w), got translation "
            f"{translation.tolist()} and quaternion {quaternion.tolist()} of length {length:.4g}"
        )
    x, y, z, w = quaternion / length
    T_a_b = np.eye(4)
    T_a_b[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    T_a_b[:3, 3] = translation
    return T_a_b


def quaternion_from_rigid(T_a_b: RigidTransform) -> npt.NDArray[np.float64]:
    """Rotation of a rigid T_a_b as a unit quaternion x, y, z, w with w >= 0; float64 [4].

    >>> quaternion_from_rigid(np.diag([1.0, -1.0, -1.0, 1.0])).tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    rotation = T_a_b[:3, :3]
    # The leading eigenvector of this matrix (Bar-Itzhack 2000) is the quaternion, for any angle.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx - yy - zz, 0.0, 0.0, 0.0],
            [xy + yx, yy - xx - zz, 0.0, 0.0],
            [xz + zx, yz + zy, zz - xx - yy, 0.0],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    _, vectors = np.linalg.eigh(symmetric)  # reads the lower triangle
    quaternion: npt.NDArray[np.float64] = vectors[:, -1]
    # q and -q are one rotation: the first of w, x, y, z that is not zero is positive. Adding 0.0 turns -0.0 into 0.0.
    sign = -1.0 if tuple(quaternion[[3, 0, 1, 2]] + 0.0) < (0.0, 0.0, 0.0, 0.0) else 1.0
    return sign * quaternion + 0.0


def invert_rigid(T_a_b: RigidTransform) -> RigidTransform:
    """T_b_a of a rigid T_a_b."""
    T_b_a = np.eye(4)
    T_b_a[:3, :3] = T_a_b[:3, :3].T
    T_b_a[:3, 3] = -T_a_b[:3, :3].T @ T_a_b[:3, 3]
    return T_b_a


def transform_points(T_a_b: RigidTransform, points_b: Points) -> Points:
    """Points [N, 3] of frame b in frame a, float32, metres."""
    x, y, z = points_b.astype(np.float32, copy=False).T
    points_a = np.empty((len(points_b), 3), dtype=np.float32)
    # Not a matrix product: for so thin a matrix BLAS spends its time waking threads, most of all on a busy machine.
    for axis, (r_x, r_y, r_z, shift) in enumerate(T_a_b[:3].astype(np.float32)):
        points_a[:, axis] = r_x * x + r_y * y + r_z * z + shift
    return points_a


def interpolate_rigid(T_w_a: RigidTransform, T_w_b: RigidTransform, fraction: float) -> RigidTransform:
    """The pose at ``fraction`` of the way from a (0) to b (1), at constant angular and linear velocity.

    Rotation by the exponential map, translation linear; a fraction outside [0, 1] extrapolates.
    """
    relative = T_w_a[:3, :3].T @ T_w_b[:3, :3]
    T_w_x = np.eye(4)
    T_w_x[:3, :3] = T_w_a[:3, :3] @ _rotation_from_vector(fraction * _vector_from_rotation(relative))
    T_w_x[:3, 3] = (1.0 - fraction) * T_w_a[:3, 3] + fraction * T_w_b[:3, 3]
    return T_w_x


def extrapolate_rigid(T_w_a: RigidTransform, T_w_b: RigidTransform, fraction: float) -> RigidTransform:
    """The pose ``fraction`` of the way from a to b *beyond* b, at the constant body twist that led from a to b.

    A body that turns while it drives goes on along its circle: the exponential map of SE(3).

    >>> quarter = rigid_from_quaternion([1.0, 1.0, 0.0], [0.0, 0.0, 0.5**0.5, 0.5**0.5])  # a quarter turn to the left
    >>> (extrapolate_rigid(np.eye(4), quarter, 1.0)[:3, 3].round(6) + 0.0).tolist()
    [0.0, 2.0, 0.0]
    """
    T_a_b = invert_rigid(T_w_a) @ T_w_b
    vector = _vector_from_rotation(T_a_b[:3, :3])
    velocity = np.linalg.solve(_left_jacobian(vector), T_a_b[:3, 3])
    T_b_x = np.eye(4)
    T_b_x[:3, :3] = _rotation_from_vector(fraction * vector)
    T_b_x[:3, 3] = _left_jacobian(fraction * vector) @ (fraction * velocity)
    T_w_x: RigidTransform = T_w_b @ T_b_x
    return T_w_x


def rigid_from_twist(
    linear_mps: npt.NDArray[np.float64], angular_radps: npt.NDArray[np.float64], elapsed_s: float
) -> RigidTransform:
    """T_before_after of a body that moves at a constant twist in its own axes: the exponential map of SE(3).

    >>> quarter = rigid_from_twist(np.array([np.pi / 2, 0.0, 0.0]), np.array([0.0, 0.0, np.pi / 2]), 1.0)
    >>> quarter[:2, 3].round(6).tolist()
    [1.0, 1.0]
    """
    T_before_after = np.eye(4)
    T_before_after[:3, :3] = _rotation_from_vector(elapsed_s * angular_radps)
    T_before_after[:3, 3] = _left_jacobian(elapsed_s * angular_radps) @ (elapsed_s * linear_mps)
    return T_before_after


def _left_jacobian(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """float64 [3, 3]: takes a body's velocity to its displacement while it turns by ``vector`` (rad)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-6:
        near_zero: npt.NDArray[np.float64] = np.eye(3) + 0.5 * cross
        return near_zero
    jacobian: npt.NDArray[np.float64] = (
        np.eye(3) + (1.0 - np.cos(angle)) / angle**2 * cross + (angle - np.sin(angle)) / angle**3 * cross @ cross
    )
    return jacobian


def _vector_from_rotation(rotation: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Axis times angle (rad) of a rotation of less than half a turn."""
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    sine = 0.5 * float(np.linalg.norm(skew))
    angle = float(np.arctan2(sine, 0.5 * (np.trace(rotation) - 1.0)))
    vector: npt.NDArray[np.float64] = skew * (0.5 if sine < 1e-9 else 0.5 * angle / sine)
    return vector


def _rotation_from_vector(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation: npt.NDArray[np.float64] = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    return rotation
