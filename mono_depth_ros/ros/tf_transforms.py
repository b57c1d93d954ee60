# SPDX-License-Identifier: Apache-2.0
"""TF as a source of extrinsics, and of the motion where no odometry is published."""

import threading
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from mono_depth_ros.errors import DataError, FrameError
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.intake.transform_tree import TransformTree
from mono_depth_ros.ros.drained_topic import DrainedTopic

_STATIC_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_MOVING_QOS = QoSProfile(depth=1000, reliability=ReliabilityPolicy.BEST_EFFORT)


class TfTransforms:
    """The transforms of /tf_static, and of /tf from the first look-up on that they do not answer.

    Of its own, not tf2_ros: that decodes every message of /tf as it comes, which at 500 Hz is a third of a core. Here
    they wait until an image needs them.

    Args:
        node: listens. tf2_msgs is imported here; without it every look-up fails and says what to do instead.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._tree = TransformTree()
        self._lock = threading.Lock()
        self._moving: DrainedTopic | None = None
        self._message_type: Any = None
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            return
        self._message_type = TFMessage
        node.create_subscription(TFMessage, "/tf_static", lambda message: self._put(message, True), _STATIC_QOS)

    def lookup(self, frame_a: str, frame_b: str, stamp_ns: int | None = None) -> RigidTransform:
        """T_a_b at a stamp; without one, the newest.

        Raises:
            FrameError: if TF does not know it, or tf2_msgs is not installed.
        """
        self._drain()
        try:
            with self._lock:
                return self._tree.lookup(frame_a, frame_b, stamp_ns)
        except FrameError as error:
            self._hear_moving()
            raise FrameError(self._advised(str(error), frame_a, frame_b)) from None

    def known_until_ns(self, frame_a: str, frame_b: str) -> int | None:
        """Until which stamp it is known, of what moves; None of what does not. Raises FrameError as `lookup`."""
        self._drain()
        with self._lock:
            return self._tree.known_until_ns(frame_a, frame_b)

    def samples(self, parent: str, child: str, after_ns: int) -> list[tuple[int, RigidTransform]]:
        """(stamp, T_parent_child) later than a stamp; /tf is listened to from the first time on that this is asked."""
        self._hear_moving()
        self._drain()
        with self._lock:
            return self._tree.samples(parent, child, after_ns)

    def _advised(self, problem: str, frame_a: str, frame_b: str) -> str:
        if not frame_a or not frame_b:
            return problem
        how = "set the parameters extrinsics.T_camera_lidar (_scan, _range) and extrinsics.T_base_camera"
        if self._message_type is None:
            return f"no_tf2_msgs: expected tf2_msgs to place {frame_b!r} in {frame_a!r}, it is not installed; {how}"
        return f"{problem.partition('; record')[0]}; publish it on /tf_static, or {how}"

    def _hear_moving(self) -> None:
        if self._moving is None and self._message_type is not None:
            self._moving = DrainedTopic(
                self._node,
                lambda group: self._node.create_subscription(
                    self._message_type,
                    "/tf",
                    lambda _message: None,
                    _MOVING_QOS,
                    callback_group=group,
                    event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
                ),
            )

    def _drain(self) -> None:
        if self._moving is not None:
            for message in self._moving.take():
                self._put(message, False)

    def _put(self, message: Any, static: bool) -> None:
        with self._lock:
            try:
                self._tree.put(message, static)
            except DataError as error:
                self._node.get_logger().warning(str(error), throttle_duration_sec=10.0)
