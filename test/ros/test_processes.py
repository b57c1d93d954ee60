# SPDX-License-Identifier: Apache-2.0
"""The installed executable as a process of its own, and the shipped profile for large messages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_robot import camera_info_of, image_of
from sensor_msgs.msg import CameraInfo, Image

from mono_depth_ros.msg import DepthStatus

if TYPE_CHECKING:
    from ros_robot import Robot

pytestmark = pytest.mark.ros

ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def process(command: list[str], robot: Robot, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A process in the robot's domain; killed if it is still there at the end."""
    environment = {**os.environ, "ROS_DOMAIN_ID": str(robot.domain), **variables}
    running = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.communicate()


def installed(relative: str) -> Path:
    """A file of the sourced installation."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix) / relative
        if prefix and path.exists():
            return path
    pytest.skip(f"needs a sourced install/ with {relative}: make build")


def test_the_installed_node_runs_with_its_parameter_file_and_ends_cleanly_on_ctrl_c(robot, dial_model):
    executable = installed("lib/mono_depth_ros/depth_node")
    parameters = installed("share/mono_depth_ros/config/depth_node.yaml")
    arguments = ["--ros-args", "--params-file", str(parameters), "-p", f"model:={dial_model}"]
    arguments += ["-r", "image:=/front/image_raw"]
    with process([sys.executable, str(executable), *arguments], robot) as node:
        robot.listen("/depth_node/status", DepthStatus)
        robot.advertise("/front/image_raw", Image)
        robot.advertise("/front/camera_info", CameraInfo)
        # When the other process has found our topics cannot be seen from here, so ask until it answers with depth.
        statuses = robot.messages["/depth_node/status"]
        for frame in range(100):
            robot.publish("/front/camera_info", camera_info_of(frame))
            robot.publish("/front/image_raw", image_of(frame))
            if robot.reached(lambda: any(status.mode for status in statuses), within_s=0.2):
                break
        assert DepthStatus.MODE_PREDICTION in {status.mode for status in statuses}
        node.send_signal(signal.SIGINT)
        output, _ = node.communicate(timeout=20)
    assert node.returncode == 0, output
    assert "Traceback" not in output


def test_with_the_shipped_profile_no_large_image_is_lost_on_the_way_to_a_best_effort_subscriber(robot):
    profile = ROOT / "config" / "fastdds_large_messages.xml"
    arrived: list[int] = []
    robot.messages["/large"] = arrived
    robot.peer.create_subscription(
        Image,
        "/large",
        lambda message: robot._store("/large", len(message.data)),
        QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT),
    )
    command = [sys.executable, str(ROOT / "test" / "fixtures" / "large_image_publisher.py"), "20"]
    with process(command, robot, FASTRTPS_DEFAULT_PROFILES_FILE=str(profile)) as driver:
        robot.wait(lambda: len(arrived) == 20, "20 large images")
        output, _ = driver.communicate("", timeout=20)
    assert set(arrived) == {600 * 800 * 3}
    # An unreadable profile is only a line in the log, and the images might arrive all the same.
    assert "XML" not in output


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (
            "extrinsics.T_camera_lidar: [0, -0.2, 0.0, 0.5, -0.5, 0.5, 0.5]",
            "at line_num 3; a list holds numbers of one",
        ),
        ('providers: ["CPUExecutionProvider", 3]', "Sequence should be of same type"),
        ("model: [", "Error parsing"),
        ("use_sim_time: 5", "'use_sim_time' to '5' of type 'INTEGER', expecting type 'BOOL'"),
    ],
)
def test_parameters_that_cannot_be_read_end_the_node_with_2_and_no_trace(robot, tmp_path, parameter, words):
    file = tmp_path / "parameters.yaml"
    file.write_text(f"depth_node:\n  ros__parameters:\n    {parameter}\n")
    command = [str(installed("lib/mono_depth_ros/depth_node")), "--ros-args", "--params-file", str(file)]
    with process(command, robot) as node:
        output, _ = node.communicate(timeout=30.0)
    assert node.returncode == 2
    assert "expected ROS arguments and parameter files that can be read, got: " in output and words in output
    assert "Traceback" not in output


def test_the_synthetic_robot_ends_while_it_renders(robot):
    executable = installed("lib/mono_depth_ros/synthetic_robot")
    arguments = ["--ros-args", "-p", "seconds:=3600.0"]
    with process([sys.executable, str(executable), *arguments], robot) as rendering:
        assert rendering.stdout is not None
        assert any("rendering 18000 images" in line for line in rendering.stdout)
        rendering.send_signal(signal.SIGTERM)
        output, _ = rendering.communicate(timeout=30)
    assert rendering.returncode == 0, output
    assert "Traceback" not in output
