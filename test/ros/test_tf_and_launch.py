# SPDX-License-Identifier: Apache-2.0
"""TF extrinsics and the launch files, for real, wherever tf2_msgs and launch_ros are installed."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_robot import (
    CAMERA_FRAME,
    T_CAMERA_LIDAR,
    camera_info_of,
    cloud_of,
    image_of,
)
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from mono_depth_ros.msg import DepthStatus

if TYPE_CHECKING:
    from ros_robot import Robot

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parent.parent.parent
STATUS = "/depth_node/status"


def publish_static_transform(robot: Robot) -> object:
    """Publishes where the LiDAR sits, as robot_state_publisher would; returns the publisher, which must live on."""
    from tf2_msgs.msg import TFMessage

    transform = TransformStamped(child_frame_id="lidar")
    transform.header.frame_id = CAMERA_FRAME
    translation, rotation = transform.transform.translation, transform.transform.rotation
    translation.x, translation.y, translation.z, rotation.x, rotation.y, rotation.z, rotation.w = T_CAMERA_LIDAR
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = robot.peer.create_publisher(TFMessage, "/tf_static", qos)
    publisher.publish(TFMessage(transforms=[transform]))
    return publisher


def send_until_completed(robot: Robot, frames: int = 100) -> list[DepthStatus]:
    """Calibration, points and image again and again, until TF has arrived and a depth image is completed."""
    statuses = robot.messages[STATUS]
    for frame in range(frames):
        robot.publish("/camera_info", camera_info_of(frame))
        robot.publish("/points", cloud_of(frame))
        robot.publish("/image", image_of(frame))
        robot.reached(lambda frame=frame: len(statuses) > frame, within_s=0.2)
        if any(status.mode == DepthStatus.MODE_COMPLETION for status in statuses):
            break
    return statuses


def test_the_place_of_the_lidar_comes_from_tf(robot, dial_model):
    pytest.importorskip("tf2_msgs", reason="needs tf2_msgs (a distribution's ROS 2)")
    robot.start_node(model=str(dial_model))
    robot.listen(STATUS, DepthStatus)
    robot.advertise("/image", Image)
    robot.advertise("/camera_info", CameraInfo)
    robot.advertise("/points", PointCloud2)
    robot.publish("/camera_info", camera_info_of(0))
    robot.publish("/points", cloud_of(0))
    robot.publish("/image", image_of(0))
    before = robot.wait_for(STATUS, 1)
    assert before.mode == DepthStatus.MODE_PREDICTION
    reasons = [sensor.reason for sensor in before.sensors if sensor.name == "points"]
    assert reasons and all("extrinsics" in reason for reason in reasons)
    publisher = publish_static_transform(robot)
    statuses = send_until_completed(robot)
    assert statuses[-1].mode == DepthStatus.MODE_COMPLETION
    assert statuses[-1].points_used > 100
    assert publisher is not None


def test_the_launch_file_starts_a_node_that_completes_with_extrinsics_from_tf(robot, dial_model):
    pytest.importorskip("launch_ros", reason="needs launch_ros (a distribution's ROS 2)")
    pytest.importorskip("tf2_msgs", reason="needs tf2_msgs (a distribution's ROS 2)")
    ros2 = shutil.which("ros2")
    if ros2 is None:
        pytest.skip("needs the ros2 command (a distribution's ROS 2)")
    publisher = publish_static_transform(robot)
    command = [ros2, "launch", "mono_depth_ros", "depth.launch.py", f"model:={dial_model}", "points:=/points"]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(robot.domain)}
    launch = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        robot.listen(STATUS, DepthStatus)
        robot.advertise("/image", Image)
        robot.advertise("/camera_info", CameraInfo)
        robot.advertise("/points", PointCloud2)
        statuses = send_until_completed(robot)
        launch.send_signal(signal.SIGINT)
        output, _ = launch.communicate(timeout=30)
    finally:
        if launch.poll() is None:
            os.killpg(launch.pid, signal.SIGKILL)
            launch.communicate()
    assert statuses[-1].mode == DepthStatus.MODE_COMPLETION, output
    assert "process has died" not in output, output
    assert publisher is not None


@pytest.mark.parametrize("name", ["depth.launch.py", "replay.launch.py", "rig.launch.py", "demo.launch.py"])
def test_a_launch_file_is_python_with_the_function_that_launch_calls(name):
    tree = ast.parse((ROOT / "launch" / name).read_text())
    assert "generate_launch_description" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(
    ("name", "topics"),
    [
        ("depth.rviz", {"image", "points", "points_dense", "depth/preview"}),
        ("rig.rviz", {"points", "points_dense", "camera_front/depth/preview", "camera_rear/depth/preview"}),
    ],
)
def test_rviz_shows_what_the_node_publishes(name, topics):
    import yaml

    displays = yaml.safe_load((ROOT / "config" / "rviz" / name).read_text())["Visualization Manager"]["Displays"]
    shown = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    assert topics <= shown
    assert all(topic.endswith(("image", "points", "points_dense", "depth/preview")) for topic in shown)
