# SPDX-License-Identifier: Apache-2.0
"""nav_msgs/Odometry, geometry_msgs/Twist and Transform -> poses and speeds."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.rigid import rigid_from_quaternion

# Drivers round quaternions; within this distance of 1 the length is taken for rounding, beyond it for an error.
QUATERNION_LENGTH_TOLERANCE = 1e-2


class VectorMessage(Protocol):
    """The attributes of geometry_msgs/Vector3 and Point."""

    x: float
    y: float
    z: float


class QuaternionMessage(VectorMessage, Protocol):
    """The attributes of geometry_msgs/Quaternion."""

    w: float


class PoseMessage(Protocol):
    """The attributes of geometry_msgs/Pose."""

    position: VectorMessage
    orientation: QuaternionMessage


class PoseWithCovarianceMessage(Protocol):
    """The attributes of geometry_msgs/PoseWithCovariance that are read here."""

    pose: PoseMessage


class TwistMessage(Protocol):
    """The attributes of geometry_msgs/Twist that are read here."""

    linear: VectorMessage
    angular: VectorMessage


class TwistWithCovarianceMessage(Protocol):
    """The attributes of geometry_msgs/TwistWithCovariance that are read here."""

    twist: TwistMessage


class OdometryMessage(Protocol):
    """The attributes of nav_msgs/Odometry that are read here."""

    pose: PoseWithCovarianceMessage
    twist: TwistWithCovarianceMessage


class TransformMessage(Protocol):
    """The attributes of geometry_msgs/Transform."""

    translation: VectorMessage
    rotation: QuaternionMessage


@dataclass(frozen=True, slots=True, eq=False)
class OdometryReading:
    """What is used of an odometry message: T_odom_base float64 [4,4] and the speed in m/s, never negative."""

    T_odom_base: NDArray[np.float64]
    speed_mps: float


@dataclass(frozen=True, slots=True, eq=False)
class TwistReading:
    """Velocity of a body in its own axes: float64 [3] in m/s, float64 [3] in rad/s, all finite."""

    linear_mps: NDArray[np.float64]
    angular_radps: NDArray[np.float64]


def decode_odometry(msg: OdometryMessage) -> OdometryReading:
    """Pose of the child frame in the header's frame, and speed from the twist.

    Raises:
        DataError: a number is not finite, or the quaternion is zero or far from unit length.
    """
    pose = msg.pose.pose
    return OdometryReading(_rigid(pose.position, pose.orientation, "odometry"), decode_speed(msg.twist.twist))


def decode_speed(twist: TwistMessage) -> float:
    """Length of the linear velocity in m/s (the twist of an Odometry or of a TwistStamped).

    Raises:
        DataError: a number is not finite.
    """
    speed_mps = float(np.linalg.norm(_vector(twist.linear)))
    if not np.isfinite(speed_mps):
        raise DataError(f"twist: expected a finite linear velocity, got {_vector(twist.linear).tolist()}")
    return speed_mps


def decode_twist(twist: TwistMessage) -> TwistReading:
    """Both parts of a twist.

    Raises:
        DataError: a number is not finite.
    """
    reading = TwistReading(_vector(twist.linear), _vector(twist.angular))
    if not np.isfinite([reading.linear_mps, reading.angular_radps]).all():
        raise DataError(f"twist: expected finite velocities, got {reading.linear_mps} and {reading.angular_radps}")
    return reading


def decode_transform(transform: TransformMessage) -> NDArray[np.float64]:
    """T_parent_child float64 [4,4] of a TransformStamped's transform.

    Raises:
        DataError: a number is not finite, or the quaternion is zero or far from unit length.
    """
    return _rigid(transform.translation, transform.rotation, "transform")


def _vector(msg: VectorMessage) -> NDArray[np.float64]:
    return np.array([msg.x, msg.y, msg.z], dtype=np.float64)


def _rigid(position: VectorMessage, orientation: QuaternionMessage, name: str) -> NDArray[np.float64]:
    translation_m = _vector(position)
    if not np.isfinite(translation_m).all():
        raise DataError(f"{name}: expected a finite position, got {translation_m.tolist()}")
    quaternion = np.array([orientation.x, orientation.y, orientation.z, orientation.w], dtype=np.float64)
    length = float(np.linalg.norm(quaternion))
    if not abs(length - 1.0) <= QUATERNION_LENGTH_TOLERANCE:  # also catches NaN
        hint = "; an all-zero quaternion means it was never filled in" if length == 0.0 else ""
        raise DataError(
            f"{name}: expected a unit quaternion, got {quaternion.tolist()} of length {length:.4g} (x, y, z, w){hint}"
        )
    return rigid_from_quaternion(translation_m, quaternion / length)
