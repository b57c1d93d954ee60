# SPDX-License-Identifier: Apache-2.0
"""One depth node while the doctor looks at it, and what its messages come to."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, LaserScan, PointCloud2, Range

from mono_depth_ros.errors import MonoDepthError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.inference.contract import load_contract
from mono_depth_ros.messages.camera_info import camera_from_info, rectified_warning
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.msg import DepthStatus
from mono_depth_ros.ros.doctor.facts import (
    CAMERA_INFO,
    IMAGE,
    ODOMETRY,
    POINTS,
    InputHealth,
    ModelFacts,
    PublisherFacts,
    StatusSummary,
    TopicFacts,
)
from mono_depth_ros.share import model_path

TYPES: dict[str, tuple[str, Any]] = {
    "sensor_msgs/msg/Image": (IMAGE, Image),
    "sensor_msgs/msg/CompressedImage": (IMAGE, CompressedImage),
    "sensor_msgs/msg/CameraInfo": (CAMERA_INFO, CameraInfo),
    "sensor_msgs/msg/PointCloud2": (POINTS, PointCloud2),
    "sensor_msgs/msg/LaserScan": ("scan", LaserScan),
    "sensor_msgs/msg/Range": ("range", Range),
    "nav_msgs/msg/Odometry": (ODOMETRY, Odometry),
}
_MODES = {DepthStatus.MODE_NONE: "NONE", DepthStatus.MODE_PREDICTION: "PREDICTION"}


class HeardTopic:
    """One topic of one node: its messages, but for their contents.

    Args:
        node: the doctor's.
        role, name, type_name: of the topic.
        now_ns: time of the depth node's clock; None while that is not known.
    """

    def __init__(self, node: Node, role: str, name: str, type_name: str, now_ns: Callable[[], int | None]) -> None:
        self.role, self.name, self.type_name = role, name, type_name
        self.newest: Any = None
        self._now_ns = now_ns
        self._stamps_ns: list[int] = []
        self._delays_s: list[float] = []
        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        node.create_subscription(TYPES[type_name][1], name, self._hear, qos)
        publishers = node.get_publishers_info_by_topic(name)
        if role == CAMERA_INFO and any(
            end.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for end in publishers
        ):
            # One that was sent once, before the doctor came.
            latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            silent = SubscriptionEventCallbacks(use_default_callbacks=False)
            node.create_subscription(CameraInfo, name, self._hear_latched, latched, event_callbacks=silent)

    def facts(self, publishers: Sequence[PublisherFacts], similar: Sequence[str], seconds: float) -> TopicFacts:
        """What was heard in this time."""
        message = self.newest
        frame = None if message is None else message.header.frame_id
        if self.role == ODOMETRY and message is not None:
            frame = message.child_frame_id
        size = (int(message.width), int(message.height)) if isinstance(message, (Image, CameraInfo)) else None
        return TopicFacts(
            self.role,
            self.name,
            self.type_name,
            tuple(publishers),
            len(self._stamps_ns),
            len(self._stamps_ns) / seconds,
            statistics.median(self._delays_s) if self._delays_s else None,
            frame,
            size,
            tuple(similar),
        )

    def _hear_latched(self, message: Any) -> None:
        if self.newest is None:
            self._hear(message)

    def _hear(self, message: Any) -> None:
        self.newest = message
        stamp_ns = stamp_ns_of(message.header.stamp)
        self._stamps_ns.append(stamp_ns)
        now_ns = self._now_ns()
        if now_ns is not None:
            self._delays_s.append((now_ns - stamp_ns) * 1e-9)


class Patient:
    """One depth node, or one camera of a rig_node, while it is looked at."""

    def __init__(self, name: str, lifecycle: str, parameters: dict[str, object], camera: str = "") -> None:
        self.name, self.lifecycle, self.parameters, self.camera = name, lifecycle, parameters, camera
        self.topics: list[HeardTopic] = []
        self.statuses: list[DepthStatus] = []


def of_another_camera(topic: str, patient: Patient) -> bool:
    """Whether a topic of a rig belongs to another of its cameras."""
    cameras = patient.parameters.get("rig.cameras")
    others = [camera for camera in cameras if camera != patient.camera] if isinstance(cameras, Sequence) else []
    return bool(patient.camera) and any(f"/{camera}/" in topic for camera in others)


def camera_of(patient: Patient) -> tuple[PinholeCamera | None, str]:
    """The camera of the newest camera_info, or why that cannot be used."""
    message = next((heard.newest for heard in patient.topics if heard.role == CAMERA_INFO), None)
    if message is None:
        return None, ""
    try:
        return camera_from_info(message, patient.parameters.get("rectified") is not False), ""
    except MonoDepthError as error:
        return None, str(error)


def lens_problem(patient: Patient) -> str:
    """Why images that are taken for rectified may be raw ones; empty if nothing says so, or no camera_info came."""
    message = next((heard.newest for heard in patient.topics if heard.role == CAMERA_INFO), None)
    image = next((heard.name for heard in patient.topics if heard.role == IMAGE), "")
    if message is None:
        return ""
    return rectified_warning(message, patient.parameters.get("rectified") is not False, image)


def model_facts(parameters: dict[str, object]) -> ModelFacts | None:
    """The contract of the model that the parameters name; None if they name none."""
    name = parameters.get("model")
    if not isinstance(name, str):
        return None
    try:
        contract = load_contract(model_path(name))
    except MonoDepthError as error:
        return ModelFacts(name, problem=str(error))
    return ModelFacts(name, contract.width_px, contract.height_px, contract.trained_fx_px, contract.completes)


def status_facts(statuses: Sequence[DepthStatus], seconds: float) -> StatusSummary | None:
    """What the messages of this time say; None without any."""
    if not statuses:
        return None
    first, newest = statuses[0], statuses[-1]
    made = [status for status in statuses if status.mode != DepthStatus.MODE_NONE]
    return StatusSummary(
        count=len(statuses),
        rate_hz=len(made) / seconds,
        mode=_MODES.get(newest.mode, "COMPLETION"),
        reason=newest.reason,
        metric=newest.metric,
        latency_s=statistics.median(status.latency_s for status in statuses),
        images=newest.images_received - first.images_received + 1,
        dropped=newest.images_dropped - first.images_dropped,
        rejected=newest.images_rejected - first.images_rejected,
        provider=newest.provider,
        inputs=tuple(
            InputHealth(health.name, health.used, health.reason, health.received, health.rejected, health.last_error)
            for health in newest.sensors
        ),
    )
