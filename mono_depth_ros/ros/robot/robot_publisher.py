# SPDX-License-Identifier: Apache-2.0
"""A synthetic robot on the ROS side: publishes a drive as its sensors would, and listens to what becomes of it."""

import threading
import time
from collections.abc import Collection
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform, quaternion_from_rigid
from mono_depth_ros.messages.camera_info import camera_from_info
from mono_depth_ros.messages.images import decode_depth_image, rgb_image_fields
from mono_depth_ros.messages.point_clouds import decode_xyz, xyz_cloud_fields
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.msg import DepthStatus
from mono_depth_ros.ros.conversions import MESSAGES
from mono_depth_ros.synthetic.robot import DriveFrame

CAMERA_FRAME, LIDAR_FRAME, BASE_FRAME, ODOM_FRAME = "camera", "lidar", "base_link", "odom"
PUBLISHED = ("camera", "camera_info", "lidar", "odom")


def pose_numbers(T_a_b: RigidTransform) -> list[float]:
    """x, y, z (m), qx, qy, qz, qw: how the parameters of depth_node take a transform."""
    return [*T_a_b[:3, 3].tolist(), *quaternion_from_rigid(T_a_b).tolist()]


class RobotPublisher:
    """Publishes image, camera_info, points and odom in the node's namespace.

    Args:
        node: owns the publishers.
    """

    def __init__(self, node: Node) -> None:
        qos = QoSProfile(depth=10)
        self._image = node.create_publisher(Image, "image", qos)
        self._camera_info = node.create_publisher(CameraInfo, "camera_info", qos)
        self._points = node.create_publisher(PointCloud2, "points", qos)
        self._odom = node.create_publisher(Odometry, "odom", qos)

    def all_heard(self) -> bool:
        """Whether somebody listens to each topic."""
        return all(
            publisher.get_subscription_count() > 0
            for publisher in (self._image, self._camera_info, self._points, self._odom)
        )

    def publish(self, frame: DriveFrame, stamp_ns: int, *, silent: Collection[str] = ()) -> None:
        """One moment of the drive, under another stamp: the first camera, odometry, and the LiDAR if there is one.

        The image goes last, as the slowest sensor's data would.

        Args:
            frame: what the sensors see.
            stamp_ns: of all messages.
            silent: of PUBLISHED, those that say nothing now.
        """
        view, header = frame.views[0], MESSAGES.header(stamp_ns, CAMERA_FRAME)
        if "odom" not in silent:
            said, speed_mps = MESSAGES.header(stamp_ns, ODOM_FRAME), np.array([frame.speed_mps, 0.0, 0.0])
            self._odom.publish(MESSAGES.odometry(said, BASE_FRAME, frame.T_odom_base, speed_mps))
        if "camera_info" not in silent:
            self._camera_info.publish(MESSAGES.camera_info(header, view.camera))
        if "lidar" not in silent and frame.lidar is not None:
            cloud = xyz_cloud_fields(frame.lidar.points_lidar)
            self._points.publish(MESSAGES.cloud(MESSAGES.header(stamp_ns, LIDAR_FRAME), cloud))
        if "camera" not in silent:
            self._image.publish(MESSAGES.image(header, rgb_image_fields(view.image_rgb)))


class DepthListener:
    """Keeps what depth_node publishes, by the stamp of the image.

    Args:
        node: owns the subscriptions.
        node_name: of the depth node, for its private status topic.

    Attributes:
        depth_m, cameras, clouds, statuses: by stamp in ns.
        arrived_s: monotonic time at which a depth image arrived.
    """

    def __init__(self, node: Node, node_name: str = "depth_node") -> None:
        self.depth_m: dict[int, DepthMap] = {}
        self.cameras: dict[int, PinholeCamera] = {}
        self.clouds: dict[int, Points] = {}
        self.statuses: dict[int, DepthStatus] = {}
        self.arrived_s: dict[int, float] = {}
        self._changed = threading.Condition()
        qos = QoSProfile(depth=50)
        self._subscriptions = [
            node.create_subscription(Image, "depth/image_rect", self._on_depth, qos),
            node.create_subscription(CameraInfo, "depth/camera_info", self._on_camera, qos),
            node.create_subscription(PointCloud2, "points_dense", self._on_cloud, qos),
            node.create_subscription(DepthStatus, f"{node_name}/status", self._on_status, qos),
        ]

    def all_heard(self) -> bool:
        """Whether somebody publishes each topic."""
        return all(subscription.get_publisher_count() > 0 for subscription in self._subscriptions)

    def wait_for(self, stamp_ns: int, timeout_s: float) -> bool:
        """Waits until every message of one image is here; returns whether they are."""
        kept: tuple[dict[int, Any], ...] = (self.depth_m, self.cameras, self.clouds, self.statuses)
        with self._changed:
            return self._changed.wait_for(lambda: all(stamp_ns in messages for messages in kept), timeout_s)

    def _on_depth(self, message: Image) -> None:
        now_s = time.monotonic()
        with self._changed:
            stamp_ns = stamp_ns_of(message.header.stamp)
            self.arrived_s[stamp_ns] = now_s
            self.depth_m[stamp_ns] = decode_depth_image(message)
            self._changed.notify_all()

    def _on_camera(self, message: CameraInfo) -> None:
        with self._changed:
            self.cameras[stamp_ns_of(message.header.stamp)] = camera_from_info(message)
            self._changed.notify_all()

    def _on_cloud(self, message: PointCloud2) -> None:
        with self._changed:
            self.clouds[stamp_ns_of(message.header.stamp)] = decode_xyz(message)
            self._changed.notify_all()

    def _on_status(self, message: DepthStatus) -> None:
        with self._changed:
            self.statuses[stamp_ns_of(message.header.stamp)] = message
            self._changed.notify_all()
