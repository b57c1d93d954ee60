# SPDX-License-Identifier: Apache-2.0
"""What depth_node listens to. The callbacks only store: small messages in the snapshot buffer, images at the worker."""

import time
from collections.abc import Callable
from typing import Any, Protocol

from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2, Range

from mono_depth_ros.errors import MonoDepthError
from mono_depth_ros.messages.sensor_intake import SensorIntake
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.perception.point_memory import POINTS, RANGE, SCAN, SPARSE_DEPTH
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer
from mono_depth_ros.ros.image_health import ImageHealth
from mono_depth_ros.ros.image_worker import ImageTaker, ReceivedImage
from mono_depth_ros.ros.node_config import DepthNodeConfig
from mono_depth_ros.ros.problem_log import ProblemLog
from mono_depth_ros.ros.qos_health import QosHealth
from mono_depth_ros.ros.topic_names import camera_topics

_DEPTHS = {"image": 5, "camera_info": 10, POINTS: 5, SCAN: 5, SPARSE_DEPTH: 5, RANGE: 20, "odometry": 50, "twist": 50}
_OVERRIDABLE = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DEPTH,
    QoSPolicyKind.RELIABILITY,
    QoSPolicyKind.DURABILITY,
    QoSPolicyKind.DEADLINE,
)


class InputStream(Protocol):
    """Where the messages go: DepthStream."""

    buffer: SnapshotBuffer
    worker: ImageTaker
    images: ImageHealth
    config: DepthNodeConfig
    intake: SensorIntake
    qos: QosHealth

    def wanted(self) -> bool: ...


class DepthInputs:
    """Subscriptions of one camera, from activation to deactivation.

    Args:
        node: owns the subscriptions.
        stream: takes the messages.
        problems: is told of what cannot be used.
        prefix: before the names of what belongs to the camera (image, camera_info, sparse_depth); those of the
            robot's other sensors stay as they are.
    """

    def __init__(self, node: Node, stream: InputStream, problems: ProblemLog, prefix: str = "") -> None:
        self._node = node
        self._stream = stream
        self._problems = problems
        config, intake = stream.config, stream.intake
        topics = camera_topics(
            node.resolve_topic_name,
            lambda name: node.resolve_topic_name(name, only_expand=True),
            config.image_transport,
            prefix,
        )
        image_type = CompressedImage if config.image_transport == "compressed" else Image
        compressed_depth = config.sparse_depth_transport == "compressedDepth"
        depth_topic = f"{prefix}sparse_depth" + ("/compressedDepth" if compressed_depth else "")
        sources: dict[str, tuple[Any, str, Callable[[Any], None]]] = {
            POINTS: (PointCloud2, "points", intake.put_points),
            SCAN: (LaserScan, "scan", intake.put_scan),
            SPARSE_DEPTH: (CompressedImage if compressed_depth else Image, depth_topic, intake.put_sparse_depth),
            RANGE: (Range, "range", intake.put_range),
        }
        self._subscriptions = [
            self._subscribe("image", image_type, topics.image, self._store_image),
            self._store("camera_info", CameraInfo, topics.camera_info, intake.put_camera_info),
            self._store("odometry", Odometry, "odom", intake.put_odometry),
            self._store("twist", TwistStamped, "twist", intake.put_twist),
        ]
        self._point_topics = {}
        for source in config.point_sources:
            message_type, topic, put = sources[source]
            self._subscriptions.append(self._store(source, message_type, topic, put))
            self._point_topics[source] = node.resolve_topic_name(topic)

    def expected_sources(self) -> list[str]:
        """The sources of points that somebody publishes now, so that holding an image for them makes sense."""
        return [source for source, topic in self._point_topics.items() if self._node.count_publishers(topic) > 0]

    def destroy(self) -> None:
        """Ends the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _store(self, sensor: str, message_type: Any, topic: str, put: Callable[[Any], None]) -> Subscription:
        """Subscribes a small message, which is decoded at once."""

        def store(message: Any) -> None:
            try:
                put(message)
            except Exception as error:
                # Anything else than a refusal is a mistake of ours, which would end the executor and the node with it.
                refused = isinstance(error, MonoDepthError)
                problem = str(error) if refused else f"internal_error: {type(error).__name__}: {error}"
                self._stream.buffer.reject(sensor, problem)
                self._problems.report(sensor, problem)
                return
            self._stream.worker.wake()

        return self._subscribe(sensor, message_type, topic, store)

    def _subscribe(self, sensor: str, message_type: Any, topic: str, callback: Callable[[Any], None]) -> Subscription:
        """Best effort by default, so that it matches every publisher; every policy can be overridden by parameter."""
        qos = self._stream.qos

        def create(events: SubscriptionEventCallbacks) -> Subscription:
            return self._node.create_subscription(
                message_type,
                topic,
                callback,
                QoSProfile(depth=_DEPTHS[sensor], reliability=ReliabilityPolicy.BEST_EFFORT),
                qos_overriding_options=QoSOverridingOptions(policy_kinds=_OVERRIDABLE),
                event_callbacks=events,
            )

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

    def _store_image(self, message: Image | CompressedImage) -> None:
        stamp_ns = stamp_ns_of(message.header.stamp)
        self._stream.images.image_arrived(stamp_ns)
        if self._stream.wanted():
            self._stream.worker.offer(ReceivedImage(message, stamp_ns, time.monotonic()))
        else:
            self._stream.worker.skip()
