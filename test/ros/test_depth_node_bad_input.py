# SPDX-License-Identifier: Apache-2.0
"""What cannot be used is counted, told and shown; the node lives on, or stays unconfigured with the reason."""

from __future__ import annotations

import array
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros_robot import T_BASE_CAMERA, T_CAMERA_LIDAR, camera_info_of, cloud_of, header_of, image_of, lidar_points
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from mono_depth_ros.msg import DepthStatus

if TYPE_CHECKING:
    from pathlib import Path

    from ros_robot import Robot

pytestmark = pytest.mark.ros

STATUS = "/depth_node/status"


@pytest.fixture
def started(robot: Robot, dial_model: Path) -> Robot:
    """An active node with publishers of everything, that was told nothing yet; diagnostics ten times a second."""
    assert robot.start_node(
        model=str(dial_model),
        extrinsics__T_camera_lidar=T_CAMERA_LIDAR,
        extrinsics__T_base_camera=T_BASE_CAMERA,
        sync__max_wait_s=0.0,
        diagnostics__period_s=0.1,
    )
    robot.listen(STATUS, DepthStatus)
    robot.listen("/diagnostics", DiagnosticArray)
    robot.advertise("/image", Image)
    robot.advertise("/camera_info", CameraInfo)
    robot.advertise("/points", PointCloud2)
    robot.advertise("/odom", Odometry)
    return robot


def diagnosed(robot: Robot, line: str, level: bytes, words: str) -> DiagnosticStatus:
    """Waits until a line of /diagnostics has this level and these words."""

    def find() -> list[DiagnosticStatus]:
        return [
            status
            for message in robot.messages["/diagnostics"]
            for status in message.status
            if status.name == f"depth_node: {line}" and status.level == level and words in status.message
        ]

    robot.wait(lambda: bool(find()), f"{line} with {words!r} in /diagnostics")
    return find()[0]


def send_image(robot: Robot, frame: int, image: Image | None = None) -> DepthStatus:
    """Publishes an image and returns the status that follows it."""
    count = len(robot.messages[STATUS])
    robot.publish("/image", image or image_of(frame))
    return robot.wait_for(STATUS, count + 1)


def sensor(status: DepthStatus, name: str):
    """One input's health."""
    return next(health for health in status.sensors if health.name == name)


def prove_alive(robot: Robot, frame: int) -> None:
    """Calibration, points and an image, all good, give a completed depth image."""
    robot.publish("/camera_info", camera_info_of(frame))
    robot.publish("/points", cloud_of(frame))
    stamp = cloud_of(frame).header.stamp
    buffer = robot.node.work.camera.stream.buffer
    robot.wait(lambda: buffer.has_points_near(stamp.sec * 10**9 + stamp.nanosec, 0.0), "the good scan")
    assert send_image(robot, frame).mode == DepthStatus.MODE_COMPLETION


def test_an_uncalibrated_camera_gives_no_depth_and_says_so(started):
    started.publish("/camera_info", camera_info_of(0, focal_px=0.0))
    started.wait(lambda: sensor_count(started, "camera_info") == 1, "the refusal")
    status = send_image(started, 0)
    assert (status.mode, status.reason) == (DepthStatus.MODE_NONE, "no_camera_info")
    assert (sensor(status, "camera_info").rejected, status.images_rejected) == (1, 1)
    assert "calibrate" in sensor(status, "camera_info").last_error
    diagnosed(started, "depth", DiagnosticStatus.ERROR, "no_camera_info")
    prove_alive(started, 1)


def sensor_count(robot: Robot, name: str) -> int:
    """Refused messages of an input so far."""
    buffer = robot.node.work.camera.stream.buffer
    return (buffer._points.log(name) if name == "points" else buffer._logs[name])._rejected


def test_a_cloud_without_x_is_refused_and_one_with_nan_is_cleaned(started):
    started.publish("/points", cloud_of(0, names="abc"))
    started.wait(lambda: sensor_count(started, "points") == 1, "the refusal")
    dirty = lidar_points()
    dirty[::2] = np.nan
    dirty[1::4, 0] = np.inf
    started.publish("/camera_info", camera_info_of(0))
    started.publish("/points", cloud_of(0, dirty))
    buffer = started.node.work.camera.stream.buffer
    stamp = cloud_of(0).header.stamp
    started.wait(lambda: buffer.has_points_near(stamp.sec * 10**9 + stamp.nanosec, 0.0), "the dirty scan")
    status = send_image(started, 0)
    assert status.mode == DepthStatus.MODE_COMPLETION
    assert 0 < status.points_used <= len(dirty) // 4
    assert sensor(status, "points").rejected == 1
    assert "expected fields x, y and z, got a, b, c" in sensor(status, "points").last_error


def test_a_truncated_image_is_refused_and_the_next_one_is_not(started):
    started.publish("/camera_info", camera_info_of(0))
    broken = image_of(0)
    broken.data = broken.data[: len(broken.data) // 2]
    status = send_image(started, 0, broken)
    assert (status.mode, status.reason) == (DepthStatus.MODE_NONE, "image_unreadable")
    assert "truncated" in sensor(status, "image").last_error
    diagnosed(started, "image", DiagnosticStatus.ERROR, "image_unusable")
    prove_alive(started, 1)
    assert sensor(started.messages[STATUS][-1], "image").rejected == 1


def test_an_image_of_another_size_than_its_calibration_gives_no_depth(started):
    started.publish("/camera_info", camera_info_of(0))
    started.wait(lambda: started.node.work.camera.stream.buffer.camera() is not None, "the calibration")
    small = Image(
        header=header_of(0, "front_optical"),
        height=2,
        width=2,
        encoding="mono8",
        step=2,
        data=array.array("B", bytes(4)),
    )
    status = send_image(started, 0, small)
    assert (status.mode, status.reason) == (DepthStatus.MODE_NONE, "image_size_differs")
    prove_alive(started, 1)


def test_odometry_with_an_empty_quaternion_is_refused(started):
    odometry = Odometry(header=header_of(0, "odom"), child_frame_id="base_link")
    odometry.pose.pose.orientation.w = 0.0
    started.publish("/odom", odometry)
    started.wait(lambda: sensor_count(started, "odometry") == 1, "the refusal")
    prove_alive(started, 1)
    assert "quaternion" in sensor(started.messages[STATUS][-1], "odometry").last_error


def test_points_without_a_known_place_are_not_used_and_the_reason_is_told(robot, dial_model):
    robot.start_node(model=str(dial_model), sync__max_wait_s=0.0, diagnostics__period_s=0.1)
    robot.listen(STATUS, DepthStatus)
    robot.listen("/diagnostics", DiagnosticArray)
    robot.advertise("/image", Image)
    robot.advertise("/camera_info", CameraInfo)
    robot.advertise("/points", PointCloud2)
    robot.publish("/camera_info", camera_info_of(0))
    robot.publish("/points", cloud_of(0))
    robot.wait(lambda: robot.node.work.camera.stream.buffer.scan_count() > 0, "the scan in the node")
    status = send_image(robot, 0)
    assert status.mode == DepthStatus.MODE_PREDICTION
    points = sensor(status, "points")
    assert not points.used and "extrinsics.T_camera_lidar" in points.reason
    diagnosed(robot, "points", DiagnosticStatus.ERROR, "extrinsics.T_camera_lidar")


def test_diagnostics_tell_how_many_images_became_depth_and_nothing_of_a_node_that_stopped(started):
    started.publish("/camera_info", camera_info_of(0))
    started.wait(lambda: started.node.work.camera.stream.buffer.camera() is not None, "the calibration")
    send_image(started, 0)
    started.messages["/diagnostics"].clear()
    used = {pair.key: pair.value for pair in diagnosed(started, "image", DiagnosticStatus.OK, "in_use").values}
    assert used["used_share"] == "1.00"
    diagnosed(started, "depth", DiagnosticStatus.WARN, "no depth: no image for 2.")
    assert started.node.trigger_deactivate() is TransitionCallbackReturn.SUCCESS
    for line in ("image", "points", "depth"):
        diagnosed(started, line, DiagnosticStatus.STALE, "the node is inactive")
    assert started.node.trigger_cleanup() is TransitionCallbackReturn.SUCCESS
    diagnosed(started, "depth", DiagnosticStatus.STALE, "the node is unconfigured")


def test_an_exception_in_the_engine_costs_one_image(started, monkeypatch):
    engine = started.node.work.camera.stream.engine
    working = engine.infer
    calls = []

    def fail_once(*arrays):
        calls.append(arrays)
        if len(calls) == 1:
            raise RuntimeError("out of memory on the device")
        return working(*arrays)

    monkeypatch.setattr(engine, "infer", fail_once)
    started.publish("/camera_info", camera_info_of(0))
    started.wait(lambda: started.node.work.camera.stream.buffer.camera() is not None, "the calibration")
    started.publish("/image", image_of(0))
    started.wait(lambda: started.node.work.worker.counts().rejected == 1, "the failure")
    prove_alive(started, 1)
    image = sensor(started.messages[STATUS][-1], "image")
    assert image.rejected == 1 and "out of memory on the device" in image.last_error


def test_compressed_images_are_read_and_broken_ones_refused(robot, dial_model):
    import cv2
    from ros_robot import picture

    robot.start_node(model=str(dial_model), image_transport="compressed")
    robot.listen(STATUS, DepthStatus)
    robot.advertise("/image/compressed", CompressedImage)
    robot.advertise("/camera_info", CameraInfo)
    robot.publish("/camera_info", camera_info_of(0))
    robot.wait(lambda: robot.node.work.camera.stream.buffer.camera() is not None, "the calibration")
    png = cv2.imencode(".png", picture())[1].tobytes()
    outcomes = []
    for frame, data in enumerate((png, png[: len(png) // 2], b"", png)):
        message = CompressedImage(header=image_of(frame).header, format="png", data=array.array("B", data))
        robot.publish("/image/compressed", message)
        status = robot.wait_for(STATUS, frame + 1)
        outcomes.append((status.mode, status.reason))
    good = (DepthStatus.MODE_PREDICTION, "no_points")
    bad = (DepthStatus.MODE_NONE, "image_unreadable")
    assert outcomes == [good, bad, bad, good]


def test_a_damaged_model_leaves_the_node_unconfigured_with_the_reason(robot, tmp_path):
    from dial_model import write_model

    model = write_model(tmp_path / "model")
    content = (model / "model.onnx").read_bytes()
    (model / "model.onnx").write_bytes(content[:-10] + b"0123456789")
    assert not robot.start_node(model=str(model), diagnostics__period_s=0.1)
    robot.listen("/diagnostics", DiagnosticArray)
    line = diagnosed(robot, "node", DiagnosticStatus.ERROR, "sha256")
    assert {value.key: value.value for value in line.values}["lifecycle"] == "unconfigured"
    # Repaired, it needs no restart.
    (model / "model.onnx").write_bytes(content)
    assert robot.in_node(robot.node.trigger_configure) == TransitionCallbackReturn.SUCCESS
    assert robot.in_node(robot.node.trigger_activate) == TransitionCallbackReturn.SUCCESS
    diagnosed(robot, "node", DiagnosticStatus.OK, "active")


def test_a_contract_that_lies_about_its_graph_is_refused(robot, tmp_path):
    from dial_model import write_model

    model = write_model(tmp_path / "model")
    fields = json.loads((model / "model.json").read_text())
    fields["height_px"] = 64
    (model / "model.json").write_text(json.dumps(fields))
    assert not robot.start_node(model=str(model))
    assert "expected [B, 64, 64, 3]" in robot.node.failure


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("model", "no_such_model", "name of a shipped model"),
        ("sync.max_wait_s", 7.0, "expected 0 to 1, got 7.0"),
        ("sync.max_wait_s", "soon", "expected a number with a decimal point, got 'soon'"),
        ("sync.max_wait_s", 1, "expected a number with a decimal point, got 1"),
        ("output.encoding", "8UC1", "one of 32FC1, 16UC1"),
        ("extrinsics.T_camera_lidar", [1.0, 2.0], "x y z (m) and a unit quaternion"),
        ("providers", ["NoSuchProvider"], "expected one of"),
        ("dial.resume_points_age_s", 1.5, "resume_points_age_s <= max_points_age_s"),
    ],
)
def test_a_wrong_parameter_leaves_the_node_unconfigured_until_it_is_corrected(robot, dial_model, name, value, words):
    good = {
        "model": str(dial_model),
        "sync.max_wait_s": 0.1,
        "output.encoding": "32FC1",
        "extrinsics.T_camera_lidar": T_CAMERA_LIDAR,
        "providers": ["CPUExecutionProvider"],
        "dial.resume_points_age_s": 0.2,
    }
    values = {"model": str(dial_model), name: value}
    assert not robot.start_node(**{key.replace(".", "__"): item for key, item in values.items()})
    assert words in robot.node.failure
    (result,) = robot.node.set_parameters([Parameter(name, value=good[name])])
    assert result.successful, result.reason
    assert robot.in_node(robot.node.trigger_configure) == TransitionCallbackReturn.SUCCESS


def test_parameters_are_refused_with_a_reason_or_take_effect_at_once(started):
    node = started.node

    def refused(name: str, value: object) -> str:
        (result,) = node.set_parameters([Parameter(name, value=value)])
        assert not result.successful
        return result.reason

    assert "64" in refused("cloud.stride", 65)
    assert "one of network, image" in refused("output.size", "huge")
    assert "unconfigured" in refused("model", "street")
    assert "read-only" in refused("autostart", False)
    (result,) = node.set_parameters([Parameter("output.size", value="image")])
    assert result.successful
    started.listen("/depth/image_rect", Image)
    prove_alive(started, 0)
    assert started.wait_for("/depth/image_rect", 1).width == 96


def test_a_publisher_with_an_incompatible_quality_of_service_is_named_with_the_parameter_to_set(
    robot, dial_model, monkeypatch
):
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    lines: list[str] = []
    monkeypatch.setattr("mono_depth_ros.stream.problem_log.ProblemLog.report", lambda log, *words: lines.append(words))
    override = "qos_overrides./image.subscription.reliability"
    assert robot.start_node(model=str(dial_model), **{override.replace(".", "__"): "reliable"})
    robot.peer.create_publisher(Image, "/image", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    robot.wait(lambda: bool(lines), "the incompatible publisher")
    source, problem = lines[0]
    assert source == "image" and problem.startswith("incompatible_qos")
    assert f"set {override}" in problem


def test_an_unforeseen_error_in_a_transition_leads_back_to_unconfigured_with_the_reason(robot, dial_model, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("no more handles")

    with monkeypatch.context() as patched:
        patched.setattr("mono_depth_ros.ros.depth_camera.DepthInputs", fail)
        assert not robot.start_node(model=str(dial_model), diagnostics__period_s=0.1)
    robot.listen("/diagnostics", DiagnosticArray)
    diagnosed(robot, "node", DiagnosticStatus.ERROR, "activate failed: OSError: no more handles")
    assert robot.in_node(robot.node.trigger_configure) == TransitionCallbackReturn.SUCCESS
    assert robot.in_node(robot.node.trigger_activate) == TransitionCallbackReturn.SUCCESS
    diagnosed(robot, "node", DiagnosticStatus.OK, "active")


def test_a_transition_that_the_state_does_not_have_is_refused_and_the_node_lives(robot, dial_model):
    assert robot.start_node(model=str(dial_model))
    # Configuring what started by itself, as any lifecycle manager does; a number that is none; a name that is none.
    for wrong in (
        Transition(id=Transition.TRANSITION_CONFIGURE),
        Transition(id=200),
        Transition(label="no such transition"),
    ):
        assert not change_state(robot, "/depth_node", wrong)
    assert change_state(robot, "/depth_node", Transition(id=Transition.TRANSITION_DEACTIVATE))


def test_the_rig_refuses_a_transition_that_its_state_does_not_have_and_lives(robot, dial_model):
    from mono_depth_ros.ros.rig_node import RigNode

    values = {"model": str(dial_model), "rig.cameras": ["front", "rear"]}
    parameters = [Parameter(name, value=value) for name, value in values.items()]
    assert robot.run(RigNode(context=robot.context, parameters=parameters))
    assert not change_state(robot, "/rig_node", Transition(id=Transition.TRANSITION_CONFIGURE))
    assert change_state(robot, "/rig_node", Transition(id=Transition.TRANSITION_DEACTIVATE))


def change_state(robot: Robot, node: str, transition: Transition) -> bool:
    """Whether the node says that it made the transition."""
    answer = robot.call(f"{node}/change_state", ChangeState, ChangeState.Request(transition=transition))
    return bool(answer.success)
