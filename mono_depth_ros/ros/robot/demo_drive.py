# SPDX-License-Identifier: Apache-2.0
"""Runs the installed depth_node beside a synthetic robot, at the speed of the drive."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import rclpy

from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.ros.node_thread import NodeThread
from mono_depth_ros.ros.robot.robot_publisher import DepthListener, RobotPublisher, pose_numbers
from mono_depth_ros.synthetic.robot import DriveFrame

_START_TIMEOUT_S = 60.0
_IMAGE_TIMEOUT_S = 10.0
# Two ends of a topic do not find each other at the same moment; what is sent before the other end did is lost.
_DISCOVERY_S = 1.0
_NAMESPACE = "/demo"


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """Frames, when they are due, and whether the LiDAR is alive then.

    Attributes:
        frames: what the sensors see, in order.
        rate_hz: images per second.
        has_lidar: by frame.
    """

    frames: Sequence[DriveFrame]
    rate_hz: float
    has_lidar: Sequence[bool]


@dataclass(frozen=True, slots=True, eq=False)
class Driven:
    """What became of a drive.

    Attributes:
        stamps_ns: under which each frame was published.
        sent_s: monotonic time at which each frame was published.
        heard: what the node made of them.
    """

    stamps_ns: Sequence[int]
    sent_s: Sequence[float]
    heard: DepthListener


def drive_with_node(drive: Drive, model_dir: Path, profiles: Path, on_frame: Callable[[], None]) -> Driven:
    """Publishes a drive to a depth_node of its own and keeps everything that comes back.

    Args:
        drive: the frames.
        model_dir: the node's model.
        profiles: Fast DDS profile with room for large messages.
        on_frame: called after each frame, for progress.

    Raises:
        DataError: if the node ends or does not come up.
    """
    # A ROS domain of its own on this machine: a demonstration must not talk to a robot next door. Domains above 101 use
    # ports that Linux hands out to others.
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(profiles))
    rclpy.init()
    robot = rclpy.create_node("synthetic_robot", namespace=_NAMESPACE)
    publisher, listener = RobotPublisher(robot), DepthListener(robot)
    spinner = NodeThread(robot)
    node = subprocess.Popen(_node_command(model_dir, drive.frames[0]))
    try:
        _wait_for_node(node, lambda: publisher.all_heard() and listener.all_heard())
        stamps_ns, sent_s = _publish(drive, publisher, on_frame)
        listener.wait_for(stamps_ns[-1], _IMAGE_TIMEOUT_S)
    finally:
        _end(node)
        spinner.close()
        robot.destroy_node()
        rclpy.try_shutdown()
    return Driven(stamps_ns, sent_s, listener)


def installed_node() -> Path:
    """The executable `depth_node` of the installed package.

    Raises:
        ConfigError: if no sourced workspace has it.
    """
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    for prefix in prefixes:
        candidate = Path(prefix) / "lib" / "mono_depth_ros" / "depth_node"
        if candidate.is_file():
            return candidate
    raise ConfigError(
        f"depth_node: expected it below one of {prefixes}, got none; build and source the package: "
        "`make build && . install/setup.bash`"
    )


def _publish(drive: Drive, publisher: RobotPublisher, on_frame: Callable[[], None]) -> tuple[list[int], list[float]]:
    stamps_ns: list[int] = []
    sent_s: list[float] = []
    start_s, start_ns = time.monotonic() + _DISCOVERY_S, time.time_ns()
    for index, (frame, has_lidar) in enumerate(zip(drive.frames, drive.has_lidar, strict=True)):
        time.sleep(max(0.0, start_s + index / drive.rate_hz - time.monotonic()))
        stamps_ns.append(start_ns + frame.stamp_ns - drive.frames[0].stamp_ns)
        sent_s.append(time.monotonic())
        publisher.publish(frame, stamps_ns[-1], silent=() if has_lidar else ("lidar",))
        on_frame()
    return stamps_ns, sent_s


def _node_command(model_dir: Path, frame: DriveFrame) -> list[str]:
    if frame.lidar is None:
        raise ConfigError("demo: expected a drive with a LiDAR, got one without")
    T_base_camera = frame.views[0].T_base_camera
    T_camera_lidar = invert_rigid(T_base_camera) @ frame.lidar.T_base_lidar
    parameters = {
        "model": str(model_dir.resolve()),
        # The first image may come before the node has found who listens to its depth.
        "keep_warm": "true",
        "extrinsics.T_camera_lidar": pose_numbers(T_camera_lidar),
        "extrinsics.T_base_camera": pose_numbers(T_base_camera),
    }
    # With this Python, since the script's first line finds another one when .venv is not activated.
    command = [sys.executable, str(installed_node()), "--ros-args", "-r", f"__ns:={_NAMESPACE}"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    return command


def _wait_for_node(node: "subprocess.Popen[bytes]", connected: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _START_TIMEOUT_S
    while not connected():
        if node.poll() is not None:
            raise DataError(
                f"depth_node: expected it to run, it ended with code {node.returncode}; see its lines above"
            )
        if time.monotonic() > deadline_s:
            raise DataError(f"depth_node: expected its topics within {_START_TIMEOUT_S:g} s; see its lines above")
        time.sleep(0.05)


def _end(node: "subprocess.Popen[bytes]") -> None:
    node.terminate()
    try:
        node.wait(_IMAGE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        node.kill()
