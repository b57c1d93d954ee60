# SPDX-License-Identifier: Apache-2.0
"""A driver that publishes its calibration once, for whoever comes later."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_robot import camera_info_of, image_of
from sensor_msgs.msg import CameraInfo, Image

from mono_depth_ros.msg import DepthStatus

pytestmark = pytest.mark.ros


def test_a_camera_info_that_was_sent_before_the_node_began_reaches_it(robot, dial_model):
    latched = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    robot.peer.create_publisher(CameraInfo, "/camera_info", latched).publish(camera_info_of(0))
    assert robot.start_node(model=str(dial_model))
    robot.listen("/depth_node/status", DepthStatus)
    robot.advertise("/image", Image)
    robot.wait(lambda: robot.node.count_publishers("/camera_info") > 0, "the node to find the calibration")
    # The first image makes the node ask for it.
    robot.publish("/image", image_of(0))
    robot.wait(lambda: robot.node.work.camera.stream.buffer.camera() is not None, "the calibration")
    robot.publish("/image", image_of(1))
    robot.wait(lambda: robot.messages["/depth_node/status"][-1].mode == DepthStatus.MODE_PREDICTION, "depth")
