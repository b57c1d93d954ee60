# SPDX-License-Identifier: Apache-2.0
"""What depth_node publishes. Each output is made only while somebody listens to it."""

from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from mono_depth_ros.messages.compressed_depth import compressed_depth_fields
from mono_depth_ros.messages.images import depth_image_fields, rgb_image_fields
from mono_depth_ros.messages.point_clouds import organized_cloud_fields
from mono_depth_ros.msg import DepthStatus
from mono_depth_ros.ros.conversions import MESSAGES
from mono_depth_ros.stream.depth_stream import StreamOutput
from mono_depth_ros.stream.output_view import OutputView, colour_depth, with_caption


class DepthOutputs:
    """Publishers of one camera, from configuration to clean-up; silent while the node is inactive.

    Args:
        node: owns the publishers.
        prefix: before the names of the topics, such as "front/".
    """

    def __init__(self, node: LifecycleNode, prefix: str = "") -> None:
        self._node = node
        self._depth = self._advertise(Image, f"{prefix}depth/image_rect")
        self._compressed = self._advertise(CompressedImage, f"{prefix}depth/image_rect/compressedDepth")
        self._camera_info = self._advertise(CameraInfo, f"{prefix}depth/camera_info")
        self._sigma = self._advertise(Image, f"{prefix}depth/sigma")
        self._cloud = self._advertise(PointCloud2, f"{prefix}points_dense")
        self._preview = self._advertise(Image, f"{prefix}depth/preview")
        self._status = self._advertise(DepthStatus, f"~/{prefix}status")
        self._all = (
            self._depth,
            self._compressed,
            self._camera_info,
            self._sigma,
            self._cloud,
            self._preview,
            self._status,
        )

    def wanted(self) -> bool:
        """Whether anybody listens to anything."""
        return any(publisher.get_subscription_count() > 0 for publisher in self._all)

    def publish_depth(self, output: StreamOutput, view: OutputView, header: Header, caption: str) -> None:
        """Publishes all that has the header of the image, but for the status.

        Args:
            output: of the stream.
            view: its own.
            header: of the image.
            caption: goes into the preview.
        """
        config = output.prepared.config
        if self._camera_info.get_subscription_count() > 0:
            self._camera_info.publish(MESSAGES.camera_info(header, view.camera))
        if self._depth.get_subscription_count() > 0:
            self._depth.publish(MESSAGES.image(header, depth_image_fields(view.depth_m, config.output_encoding)))
        if view.sigma_m is not None and self._sigma.get_subscription_count() > 0:
            self._sigma.publish(MESSAGES.image(header, depth_image_fields(view.sigma_m)))
        if self._compressed.get_subscription_count() > 0:
            fields = compressed_depth_fields(view.depth_m, config.output_encoding, config.compressed_depth)
            self._compressed.publish(MESSAGES.compressed_image(header, fields))
        if self._cloud.get_subscription_count() > 0 and (cloud := output.cloud()) is not None:
            self._cloud.publish(MESSAGES.cloud(header, organized_cloud_fields(*cloud)))
        if self._preview.get_subscription_count() > 0:
            picture = with_caption(colour_depth(view.depth_m, config.preview_max_depth_m), caption)
            self._preview.publish(MESSAGES.image(header, rgb_image_fields(picture)))

    def publish_status(self, status: DepthStatus) -> None:
        """Publishes how an image became depth, or why it did not."""
        self._status.publish(status)

    def can_publish(self) -> bool:
        """Whether ROS is still up."""
        return bool(self._node.context.ok())

    def destroy(self) -> None:
        """Ends the publishers."""
        for publisher in self._all:
            self._node.destroy_lifecycle_publisher(publisher)

    def _advertise(self, message_type: Any, topic: str) -> LifecyclePublisher:
        """Reliable, which serves both kinds of subscriber; every policy can be overridden by parameter."""
        return self._node.create_lifecycle_publisher(
            message_type,
            topic,
            QoSProfile(depth=5),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
