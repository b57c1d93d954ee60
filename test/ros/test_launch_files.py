# SPDX-License-Identifier: Apache-2.0
"""The launch files, for real, wherever launch_ros is installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")
pytest.importorskip("launch_ros", reason="needs launch_ros (a distribution's ROS 2)")

from rcl_interfaces.srv import GetParameters
from ros_robot import camera_info_of, image_of
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from mono_depth_ros.msg import DepthStatus

if TYPE_CHECKING:
    from ros_robot import Robot

ROS2 = shutil.which("ros2")
pytestmark = [
    pytest.mark.ros,
    pytest.mark.skipif(ROS2 is None, reason="needs the ros2 command (a distribution's ROS 2)"),
]
_COMMON = ("model", "mode", "providers", "params_file", "use_sim_time", "autostart", "log_level", "image_transport")


@contextmanager
def launched(domain: int, name: str, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A launch file while it runs; ended as Ctrl-C would."""
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), **variables}
    command = [str(ROS2), "launch", "mono_depth_ros", name, *arguments]
    launch = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        yield launch
    finally:
        launch.send_signal(signal.SIGINT)
        try:
            output, _ = launch.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(launch.pid, signal.SIGKILL)
            output, _ = launch.communicate()
            pytest.fail(f"{name} did not end within 30 s of SIGINT\n{output}")
    assert "process has died" not in output, output


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("depth.launch.py", ("namespace", "image", "camera_info", "points", "scan", "odom", "twist", *_COMMON)),
        ("rig.launch.py", ("cameras", "image", "points", "odom", "single_process", *_COMMON)),
        ("demo.launch.py", ("world", "seed", "seconds", "failures", "model", "rviz", "rviz_config")),
        ("replay.launch.py", ("bag", "rate", "loop", "rviz", "rviz_config", "image", "points")),
    ],
)
def test_show_args_describes_every_argument(name, arguments):
    shown = subprocess.run(
        [str(ROS2), "launch", "mono_depth_ros", name, "--show-args"], capture_output=True, text=True, check=True
    ).stdout
    for argument in arguments:
        _, _, after = shown.partition(f"'{argument}':\n")
        description = after.strip().splitlines()[0] if after else ""
        assert len(description) > 10, f"{argument}: {shown}"


def test_a_value_that_is_none_of_the_choices_is_refused_before_anything_starts(domain):
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
    ended = subprocess.run(
        [str(ROS2), "launch", "mono_depth_ros", "depth.launch.py", "mode:=maybe"],
        env=environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "maybe" in ended.stderr + ended.stdout and "prediction" in ended.stderr + ended.stdout


def refused(domain: int, name: str, *arguments: str) -> str:
    """What a launch says that must end by itself, with an error, before any process has started."""
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
    ended = subprocess.run(
        [str(ROS2), "launch", "mono_depth_ros", name, *arguments],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "process started" not in ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("depth.launch.py", ("params_file:=/nowhere.yaml",), "params_file: expected a file with parameters"),
        ("rig.launch.py", ("cameras:=a,b", "params_file:=/nowhere.yaml"), "params_file: expected a file"),
        ("rig.launch.py", ("cameras:=a,a",), "cameras: expected different names"),
        ("replay.launch.py", ("bag:=/nowhere",), "bag: expected the folder of a recorded drive"),
        ("demo.launch.py", ("world:=mars",), "mars"),
        ("demo.launch.py", ("failures:=['sonar 2-4']",), "failures: expected lines such as 'lidar 3-6'"),
        ("demo.launch.py", ("failures:=lidar 2-4",), "failures: expected a list"),
        (
            "depth.launch.py",
            ("image:=/a/image_raw/compressed", "image_transport:=raw"),
            "image_transport: expected compressed",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(domain, name, arguments, said):
    assert said in refused(domain, name, *arguments)


def test_a_picture_that_cannot_be_shown_costs_no_depth(robot, dial_model):
    if subprocess.run([str(ROS2), "pkg", "prefix", "rviz2"], capture_output=True, check=False).returncode == 0:
        pytest.skip("rviz2 is installed here")
    cameras = ["front"]
    arguments = ("cameras:=front", f"model:={dial_model}", "rviz:=true")
    with launched(robot.domain, "rig.launch.py", *arguments) as launch:
        heard = [robot.listen("/front/depth_node/status", DepthStatus)]
        advertise_cameras(robot, cameras)
        send(robot, cameras, heard)
        assert launch.stdout is not None
        assert any("rviz2 is not installed" in line for line in launch.stdout)


def test_a_compressed_topic_and_an_output_size_are_understood(robot, dial_model):
    arguments = ("image:=/front/image_raw/compressed", f"model:={dial_model}", "output_size:=network")
    with launched(robot.domain, "depth.launch.py", *arguments):
        asked = GetParameters.Request(names=["image_transport", "output.size"])
        transport, size = robot.call("/depth_node/get_parameters", GetParameters, asked).values
        assert (transport.string_value, size.string_value) == ("compressed", "network")
        robot.wait(
            lambda: robot.peer.count_subscribers("/front/image_raw/compressed") == 1, "the subscription of the images"
        )


def test_the_demo_ends_with_its_robot(domain, dial_model, tmp_path):
    arguments = ("seconds:=3600.0", f"model:={dial_model}", "rviz:=false")
    with launched(domain, "demo.launch.py", *arguments) as launch:
        assert launch.stdout is not None
        waiting, pid = {"rendering 18000 images", "activate: success"}, 0
        for line in launch.stdout:
            if "[synthetic_robot-1]: process started with pid" in line:
                pid = int(line.split("[")[-1].split("]")[0])
            waiting -= {words for words in waiting if words in line}
            if not waiting:
                break
        os.kill(pid, signal.SIGTERM)
        assert launch.wait(timeout=60) == 0


def send(robot: Robot, cameras: list[str], statuses: list[list[DepthStatus]], frames: int = 100) -> None:
    """Images of all cameras until every one has given depth."""
    for frame in range(frames):
        for camera in cameras:
            robot.publish(f"/{camera}/camera_info", camera_info_of(frame))
            robot.publish(f"/{camera}/image_raw", image_of(frame))
        if robot.reached(lambda: all(any(status.mode for status in heard) for heard in statuses), within_s=0.2):
            return
    pytest.fail(f"no depth from every camera: {[[status.reason for status in heard] for heard in statuses]}")


def advertise_cameras(robot: Robot, cameras: list[str]) -> None:
    for camera in cameras:
        robot.advertise(f"/{camera}/camera_info", CameraInfo)
        robot.advertise(f"/{camera}/image_raw", Image)


def test_a_rig_is_a_node_per_camera(robot, dial_model):
    cameras = ["front", "rear"]
    with launched(robot.domain, "rig.launch.py", "cameras:=front,rear", f"model:={dial_model}"):
        heard = [robot.listen(f"/{camera}/depth_node/status", DepthStatus) for camera in cameras]
        advertise_cameras(robot, cameras)
        send(robot, cameras, heard)
        names = [f"{space}/{name}" for name, space in robot.peer.get_node_names_and_namespaces()]
        assert {"/front/depth_node", "/rear/depth_node"} <= set(names)


def test_a_rig_in_a_single_process_gives_one_cloud(robot, dial_model):
    cameras = ["front", "rear"]
    arguments = ("cameras:=front,rear", f"model:={dial_model}", "single_process:=true")
    with launched(robot.domain, "rig.launch.py", *arguments):
        heard = [robot.listen(f"/rig_node/{camera}/status", DepthStatus) for camera in cameras]
        robot.listen("/points_dense", PointCloud2)
        advertise_cameras(robot, cameras)
        send(robot, cameras, heard)
        names = [name for name, _ in robot.peer.get_node_names_and_namespaces()]
        assert names.count("rig_node") == 1 and "depth_node" not in names


def test_the_demo_drives_and_loses_its_lidar_on_schedule(robot):
    pytest.importorskip("tf2_msgs", reason="needs tf2_msgs (a distribution's ROS 2)")
    arguments = ("seconds:=3.0", "width_px:=160", "height_px:=48", "failures:=['lidar 1-3']", "rviz:=false")
    with launched(robot.domain, "demo.launch.py", *arguments):
        statuses = robot.listen("/depth_node/status", DepthStatus)
        modes = (DepthStatus.MODE_COMPLETION, DepthStatus.MODE_PREDICTION)
        robot.wait(
            lambda: all(any(status.mode == mode for status in statuses) for mode in modes), "both modes", timeout_s=90.0
        )


def test_replay_starts_the_player_with_a_clock_and_ends_with_it(domain, dial_model, tmp_path):
    player, asked = tmp_path / "ros2", tmp_path / "asked"
    player.write_text(f'#!/bin/sh\necho "$@" > {asked}\n')
    player.chmod(0o755)
    bag = tmp_path / "drive"
    bag.mkdir()
    arguments = (f"bag:={bag}", "rate:=0.5", "loop:=true", f"model:={dial_model}", "rviz:=false")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    with launched(domain, "replay.launch.py", *arguments, PATH=path) as launch:
        assert launch.wait(timeout=60) == 0
    assert asked.read_text().split() == ["bag", "play", str(bag), "--clock", "100", "--rate", "0.5", "--loop"]


def test_a_bag_is_replayed_with_its_clock(robot, shared_data):
    if subprocess.run([str(ROS2), "bag", "--help"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs ros2 bag (a distribution's ROS 2)")
    arguments = (
        f"bag:={shared_data / 'data' / 'kitti_drive'}", "image:=/camera_02/image_raw/compressed",
        "points:=/lidar/points", "odom:=/odom", "rviz:=false",
    )  # fmt: skip
    with launched(robot.domain, "replay.launch.py", *arguments) as launch:
        statuses = robot.listen("/depth_node/status", DepthStatus)
        asked = GetParameters.Request(names=["use_sim_time"])
        (simulated,) = robot.call("/depth_node/get_parameters", GetParameters, asked).values
        times = robot.listen("/clock", Clock, reliable=False)
        robot.wait(lambda: launch.poll() is not None, "the end of the bag", timeout_s=60.0)
    assert launch.returncode == 0 and simulated.bool_value
    assert any(status.mode == DepthStatus.MODE_COMPLETION for status in statuses)
    # The clock is that of the recording, years ago.
    assert times[-1].clock.sec == pytest.approx(statuses[-1].header.stamp.sec, abs=2)
