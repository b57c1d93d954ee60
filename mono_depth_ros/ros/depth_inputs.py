# SPDX-License-Identifier: Apache-2.0
"""What depth_node listens to. The callbacks only store: small messages in the snapshot buffer, images at the worker."""

import time
from typing import Any, Protocol

from nav_msgs.msg import Odometry
from rclpy.event_handler import (
    QoSMessageLostInfo,
    QoSRequestedIncompatibleQoSInfo,
    SubscriptionEventCallbacks,
)
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from mono_depth_ros.errors import MonoDepthError
from mono_depth_ros.messages.camera_info import camera_from_info
from mono_depth_ros.messages.odometry import decode_odometry
from mono_depth_ros.messages.point_clouds import decode_xyz
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer
from mono_depth_ros.ros.image_health import ImageHealth
from mono_depth_ros.ros.image_worker import ImageWorker, ReceivedImage
from mono_depth_ros.ros.parameters import DepthNodeConfig
from mono_depth_ros.ros.problem_log import ProblemLog
from mono_depth_ros.ros.topic_names import camera_topics

# Frames of points that are told apart; a driver that invents a new one per message must not fill the memory.
MAX_LIDAR_FRAMES = 16
_DEPTHS = {"image": 5, "camera_info": 10, "points": 5, "odom": 50}


class InputStream(Protocol):
    """Where the messages go: DepthStream."""

    buffer: SnapshotBuffer
    worker: ImageWorker
    images: ImageHealth
    config: DepthNodeConfig


class DepthInputs:
    """Subscriptions of one camera, from activation to deactivation.

    Args:
        node: owns the subscriptions.
        stream: takes the messages.
        problems: is told of what cannot be used.

    Attributes:
        lidar_frames: frames in which points arrived.
        base_frame: child frame of the odometry; empty before the first.
    """

    def __init__(self, node: Node, stream: InputStream, problems: ProblemLog) -> None:
        self._node = node
        self._buffer = stream.buffer
        self._worker = stream.worker
        self._images = stream.images
        self._problems = problems
        self._rectified = stream.config.rectified
        transport = stream.config.image_transport
        self.lidar_frames: set[str] = set()
        self.base_frame = ""
        topics = camera_topics(
            node.resolve_topic_name, lambda name: node.resolve_topic_name(name, only_expand=True), transport
        )
        image_type = CompressedImage if transport == "compressed" else Image
        self._subscriptions = [
            self._subscribe("image", image_type, topics.image, self._store_image),
            self._subscribe("camera_info", CameraInfo, topics.camera_info, self._store_camera),
            self._subscribe("points", PointCloud2, "points", self._store_points),
            self._subscribe("odom", Odometry, "odom", self._store_odometry),
        ]
        self._points_topic = node.resolve_topic_name("points")

    def points_expected(self) -> bool:
        """Whether somebody publishes points now, so that holding an image for them makes sense."""
        return int(self._node.count_publishers(self._points_topic)) > 0

    def destroy(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _subscribe(self, name: str, message_type: Any, topic: str, callback: Any) -> Subscription:
        """Best effort by default, so that it matches every publisher; every policy can be overridden by parameter."""
        return self._node.create_subscription(
            message_type,
            topic,
            callback,
            QoSProfile(depth=_DEPTHS[name], reliability=ReliabilityPolicy.BEST_EFFORT),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=lambda event: self._report_incompatible(name, topic, event),
                message_lost=lambda event: self._report_lost(name, topic, event),
            ),
        )

    def _store_image(self, message: Image | CompressedImage) -> None:
        stamp_ns = stamp_ns_of(message.header.stamp)
        self._images.image_arrived(stamp_ns)
        self._worker.offer(ReceivedImage(message, stamp_ns, time.monotonic()))

    def _store_camera(self, message: CameraInfo) -> None:
        try:
            camera = camera_from_info(message, self._rectified)
            self._buffer.add_camera(stamp_ns_of(message.header.stamp), camera)
        except MonoDepthError as error:
            self._refuse("camera_info", error)

    def _store_points(self, message: PointCloud2) -> None:
        frame = message.header.frame_id
        try:
            self._buffer.add_points(stamp_ns_of(message.header.stamp), decode_xyz(message), frame)
        except MonoDepthError as error:
            self._refuse("points", error)
            return
        if frame not in self.lidar_frames and len(self.lidar_frames) < MAX_LIDAR_FRAMES:
            # A new set, since the worker may be walking through the old one.
            self.lidar_frames = self.lidar_frames | {frame}
        self._worker.wake()

    def _store_odometry(self, message: Odometry) -> None:
        try:
            reading = decode_odometry(message)
            self._buffer.add_odometry(stamp_ns_of(message.header.stamp), reading.T_odom_base, reading.speed_mps)
        except MonoDepthError as error:
            self._refuse("odometry", error)
            return
        self.base_frame = message.child_frame_id

    def _refuse(self, sensor: str, error: MonoDepthError) -> None:
        self._buffer.reject(sensor, str(error))
        self._problems.report(sensor, str(error))

    def _report_incompatible(self, name: str, topic: str, event: QoSRequestedIncompatibleQoSInfo) -> None:
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        self._problems.report(
            name,
            f"incompatible_qos: a publisher of {topic} offers another {policy} than we ask for, nothing comes from it; "
            f"set qos_overrides.{topic}.subscription.{str(policy).split('_', 1)[0].lower()}",
        )

    def _report_lost(self, name: str, topic: str, event: QoSMessageLostInfo) -> None:
        self._problems.report(
            name,
            f"message_lost: the middleware lost {event.total_count} messages of {topic} so far; for large messages use "
            "config/fastdds_large_messages.xml on the publisher's side, or make this subscription reliable",
        )
