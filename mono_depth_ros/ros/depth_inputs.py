# SPDX-License-Identifier: Apache-2.0
"""What depth_node listens to. The callbacks only store: small messages in the snapshot buffer, images at the worker."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.callback_groups import CallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2, Range

from mono_depth_ros.intake.sensor_intake import PoseSamples
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.perception.point_memory import POINTS, RANGE, SCAN, SPARSE_DEPTH
from mono_depth_ros.ros.drained_topic import DrainedTopic
from mono_depth_ros.stream.image_worker import ImageTaker, ReceivedImage
from mono_depth_ros.stream.topic_names import camera_topics

if TYPE_CHECKING:
    from mono_depth_ros.ros.depth_camera import DepthCamera

_DEPTHS = {
    "image": 5,
    "camera_info": 10,
    POINTS: 5,
    SCAN: 5,
    SPARSE_DEPTH: 5,
    RANGE: 20,
    "odometry": 1000,
    "twist": 1000,
}
_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
    QoSPolicyKind.DEADLINE,
)


class DepthInputs:
    """Subscriptions of one camera, from activation to deactivation.

    Args:
        node: owns the subscriptions.
        camera: its stream takes the messages.
        taker: takes the images.
        point_sources: that are listened to.
        wanted: whether depth is to be made at all.
        prefix: before the names of what belongs to the camera (image, camera_info, sparse_depth); those of the
            robot's other sensors stay as they are.
        transforms: tell the motion where nobody publishes odometry or twist; None if they are not asked.
    """

    def __init__(
        self,
        node: Node,
        camera: "DepthCamera",
        taker: ImageTaker,
        point_sources: Sequence[str],
        wanted: Callable[[], bool],
        prefix: str = "",
        transforms: PoseSamples | None = None,
    ) -> None:
        self._transforms = transforms
        self._node, self._stream, self._qos = node, camera.stream, camera.qos
        self._taker, self._wanted = taker, wanted
        config = self._stream.config
        topics = camera_topics(
            node.resolve_topic_name,
            lambda name: node.resolve_topic_name(name, only_expand=True),
            config.image_transport,
            prefix,
        )
        image_type = CompressedImage if config.image_transport == "compressed" else Image
        compressed_depth = config.sparse_depth_transport == "compressedDepth"
        depth_topic = f"{prefix}sparse_depth" + ("/compressedDepth" if compressed_depth else "")
        sources: dict[str, tuple[Any, str]] = {
            POINTS: (PointCloud2, "points"),
            SCAN: (LaserScan, "scan"),
            SPARSE_DEPTH: (CompressedImage if compressed_depth else Image, depth_topic),
            RANGE: (Range, "range"),
        }
        self._camera_info = self._store("camera_info", CameraInfo, topics.camera_info)
        self._subscriptions = [
            self._camera_info,
            self._subscribe("image", image_type, topics.image, self._store_image),
        ]
        # What comes most often is decoded when an image asks for it.
        self._drained = {
            "odometry": DrainedTopic(node, partial(self._store, "odometry", Odometry, "odom")),
            "twist": DrainedTopic(node, partial(self._store, "twist", TwistStamped, "twist")),
        }
        self._info_topic = topics.camera_info
        self._latched: Subscription | None = None
        self._point_topics = {}
        for source in point_sources:
            message_type, topic = sources[source]
            self._subscriptions.append(self._store(source, message_type, topic))
            self._point_topics[source] = node.resolve_topic_name(topic)

    def expected_sources(self) -> list[str]:
        """The sources of points that somebody publishes now, so that holding an image for them makes sense."""
        return [source for source, topic in self._point_topics.items() if self._node.count_publishers(topic) > 0]

    def destroy(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        for topic in self._drained.values():
            topic.destroy()
        self._drained.clear()

    def drain(self) -> None:
        """Takes the motion that waits in the middleware; where nobody publishes any, that of transforms."""
        drained = dict(self._drained)
        for sensor, topic in drained.items():
            for message in topic.take():
                self._stream.receive(sensor, message)
        if self._transforms is not None and drained and not any(map(_has_publisher, drained.values())):
            self._stream.intake.hear_motion(self._transforms)

    def _store(self, sensor: str, message_type: Any, topic: str, group: CallbackGroup | None = None) -> Subscription:
        """Subscribes a small message, which is decoded at once."""

        def store(message: Any) -> None:
            if not self._stream.receive(sensor, message):
                self._taker.wake()

        return self._subscribe(sensor, message_type, topic, store, group)

    def _subscribe(
        self,
        sensor: str,
        message_type: Any,
        topic: str,
        callback: Callable[[Any], None],
        group: CallbackGroup | None = None,
    ) -> Subscription:
        """Best effort by default, so that it matches every publisher; every policy can be overridden by parameter."""
        qos = self._qos

        def create(events: SubscriptionEventCallbacks) -> Subscription:
            return self._node.create_subscription(
                message_type,
                topic,
                callback,
                QoSProfile(depth=_DEPTHS[sensor], reliability=ReliabilityPolicy.BEST_EFFORT),
                qos_overriding_options=QoSOverridingOptions(policy_kinds=_OVERRIDABLE),
                event_callbacks=events,
                callback_group=group,
            )

        if group is not None:  # nobody waits for its events
            return create(SubscriptionEventCallbacks(use_default_callbacks=False))
        try:
            return create(
                SubscriptionEventCallbacks(
                    incompatible_qos=lambda event: qos.incompatible(sensor, topic, event),
                    message_lost=lambda event: qos.lost(sensor, topic, event),
                    deadline=lambda event: qos.deadline_missed(sensor, topic, event),
                )
            )
        except UnsupportedEventTypeError:
            # A middleware that does not tell.
            return create(SubscriptionEventCallbacks(use_default_callbacks=False))

    def _hear_latched(self) -> None:
        """Asks for a camera_info that was sent once, before this node came, if a publisher keeps it (transient local).

        The subscription that matches every publisher gets nothing from before. This one would not match a publisher
        that keeps nothing, which would warn of it, so it is only made where one is known that does.
        """
        if any(_is_latched(publisher) for publisher in self._node.get_publishers_info_by_topic(self._info_topic)):
            qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self._latched = self._node.create_subscription(
                CameraInfo,
                self._info_topic,
                self._camera_info.callback,
                qos,
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            )
            self._subscriptions.append(self._latched)

    def _store_image(self, message: Image | CompressedImage) -> None:
        if self._latched is None and self._stream.buffer.camera() is None:
            self._hear_latched()
        stamp_ns = stamp_ns_of(message.header.stamp)
        self._stream.image_arrived(stamp_ns)
        if self._wanted():
            self._taker.offer(ReceivedImage(message, stamp_ns, time.monotonic()))
        else:
            self._taker.skip()


def _has_publisher(topic: DrainedTopic) -> bool:
    return bool(topic.subscription.get_publisher_count())


def _is_latched(publisher: TopicEndpointInfo) -> bool:
    qos = publisher.qos_profile
    return bool(qos.durability == DurabilityPolicy.TRANSIENT_LOCAL and qos.reliability == ReliabilityPolicy.RELIABLE)
