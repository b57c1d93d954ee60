# SPDX-License-Identifier: Apache-2.0
"""The node with every kind of sensor, with parameters that change, and with nobody who listens."""

from __future__ import annotations

import array
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from ros_robot import (
    CAMERA_FRAME,
    HEIGHT_PX,
    T_BASE_CAMERA,
    T_CAMERA_LIDAR,
    WIDTH_PX,
    camera_info_of,
    cloud_of,
    header_of,
    image_of,
    laser_scan,
    lidar_points,
    odometry,
    sparse_depth,
)
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2, Range

from mono_depth_ros.msg import DepthStatus, SensorHealth
from mono_depth_ros.ros.conversions import MESSAGES

if TYPE_CHECKING:
    from pathlib import Path

    from ros_robot import Robot

pytestmark = pytest.mark.ros

STATUS = "/depth_node/status"
PREDICTION, COMPLETION = DepthStatus.MODE_PREDICTION, DepthStatus.MODE_COMPLETION


def start(robot: Robot, model: Path, *topics: tuple[str, type], **values: object) -> None:
    """An active node with calibration whose status is listened to, and publishers of images and of these topics."""
    values.setdefault("sync__max_wait_s", 0.0)
    for sensor in ("lidar", "scan", "range"):
        values.setdefault(f"extrinsics__T_camera_{sensor}", T_CAMERA_LIDAR)
    values.setdefault("extrinsics__T_base_camera", T_BASE_CAMERA)
    assert robot.start_node(model=str(model), **values), robot.node.failure
    robot.listen(STATUS, DepthStatus)
    for topic, message_type in (("/image", Image), ("/camera_info", CameraInfo), *topics):
        robot.advertise(topic, message_type)
    robot.publish("/camera_info", camera_info_of(0))
    robot.wait(lambda: robot.node.work.camera.stream.buffer.camera() is not None, "the calibration")


def received(robot: Robot, sensor: str, count: int) -> None:
    """Waits until so many messages of an input were taken in."""
    buffer = robot.node.work.camera.stream.buffer
    log = buffer._logs.get(sensor) or buffer._points.log(sensor)

    def came() -> bool:
        robot.node.work.camera.drain()  # as the next image would
        return log.received >= count

    robot.wait(came, f"{count} of {sensor}")


def status_of(robot: Robot, frame: int, image: Image | None = None) -> DepthStatus:
    """Publishes an image and returns its status."""
    count = len(robot.messages[STATUS])
    robot.publish("/image", image or image_of(frame))
    return robot.wait_for(STATUS, count + 1)


def health(status: DepthStatus, name: str) -> SensorHealth:
    return next(sensor for sensor in status.sensors if sensor.name == name)


def test_scanner_sparse_depth_and_range_finder_are_points_too_and_all_are_merged(robot, dial_model):
    sources = (("/scan", LaserScan), ("/sparse_depth", Image), ("/range", Range))
    start(robot, dial_model, *sources)
    reading = Range(header=header_of(0, "range"), min_range=0.1, max_range=9.0, range=4.0)
    used = {}
    for number, (topic, message) in enumerate(
        (("/range", reading), ("/scan", laser_scan(0)), ("/sparse_depth", sparse_depth(0)))
    ):
        robot.publish(topic, message)
        received(robot, topic.strip("/"), 1)
        status = status_of(robot, 0)
        used[topic] = status.points_used
        assert status.mode == (PREDICTION if number == 0 else COMPLETION)
    assert used["/scan"] > 10 and used["/sparse_depth"] > used["/scan"] + 100
    states = {sensor.name: (sensor.state, sensor.used) for sensor in status.sensors}
    assert states["points"] == (SensorHealth.ABSENT, False)
    assert states["scan"] == states["sparse_depth"] == states["range"] == (SensorHealth.OK, True)
    assert health(status, "range").used_share == pytest.approx(2 / 3)


def test_a_source_that_is_not_asked_for_is_not_listened_to(robot, dial_model):
    start(robot, dial_model, ("/points", PointCloud2), points__sources=["points"])
    assert robot.node.count_subscribers("/scan") == 0 and robot.node.count_subscribers("/points") == 1


def test_a_big_endian_cloud_with_other_types_and_padding_is_read(robot, dial_model):
    import plain_messages as make

    start(robot, dial_model, ("/points", PointCloud2))
    fields = (("intensity", "u1"), ("z", "f8"), ("x", "f4"), ("y", "f8"))
    plain = make.cloud(1, lidar_points(), fields, big_endian=True, padding=5)
    plain.data = np.frombuffer(plain.data, np.uint8)
    robot.publish("/points", MESSAGES.cloud(header_of(0, "lidar"), plain))
    received(robot, "points", 1)
    status = status_of(robot, 0)
    assert (status.mode, status.reason) == (COMPLETION, "points_used")
    assert health(status, "points").rejected == 0


def test_lost_points_are_remembered_as_long_as_odometry_carries_them(robot, dial_model):
    start(robot, dial_model, ("/points", PointCloud2), ("/odom", Odometry), lidar__memory_s=0.55)
    robot.publish("/points", cloud_of(0))
    received(robot, "points", 1)
    modes = []
    for frame in range(9):
        robot.publish("/odom", odometry(frame))
        received(robot, "odometry", frame + 1)
        modes.append(status_of(robot, frame).mode)
    assert modes == [COMPLETION] * 6 + [PREDICTION] * 3
    last = robot.messages[STATUS][-1]
    assert (last.images_received, last.images_processed) == (9, 9)


def test_twists_carry_points_in_place_of_odometry(robot, dial_model):
    start(robot, dial_model, ("/points", PointCloud2), ("/twist", TwistStamped))
    robot.publish("/points", cloud_of(0))
    received(robot, "points", 1)
    for frame in range(6):
        robot.publish("/twist", TwistStamped(header=header_of(frame, "base_link")))
        received(robot, "twist", frame + 1)
    status = status_of(robot, 5)
    assert status.mode == COMPLETION
    assert (health(status, "twist").used, health(status, "twist").reason) == (True, "carries_points")
    assert health(status, "odometry").state == SensorHealth.ABSENT


def test_the_mode_is_forced_and_freed_at_the_next_image(robot, dial_model):
    start(robot, dial_model, ("/points", PointCloud2))

    def told(frame: int) -> tuple[int, str]:
        robot.publish("/points", cloud_of(frame))
        received(robot, "points", frame + 1)
        status = status_of(robot, frame)
        return status.mode, status.reason

    def force(mode: str) -> None:
        (result,) = robot.node.set_parameters([Parameter("mode", value=mode)])
        assert result.successful, result.reason

    assert told(0) == (COMPLETION, "points_used")
    force("prediction")
    assert told(1) == (PREDICTION, "prediction_forced")
    force("completion")
    assert told(2) == (COMPLETION, "points_used")
    robot.node.work.camera.stream.time_jumped()
    status = status_of(robot, 3)
    assert (status.mode, status.reason) == (DepthStatus.MODE_NONE, "completion_forced_without_points")
    force("auto")
    assert status_of(robot, 4).mode == PREDICTION


def test_nobody_who_listens_means_no_work_unless_kept_warm(robot, dial_model):
    assert robot.start_node(model=str(dial_model), diagnostics__period_s=0.1)
    engine, worker = robot.node.work.camera.stream.engine, robot.node.work.worker
    calls = []
    working = engine.infer
    engine.infer = lambda *arrays: calls.append(1) or working(*arrays)
    robot.advertise("/image", Image)
    robot.advertise("/camera_info", CameraInfo)
    robot.publish("/camera_info", camera_info_of(0))
    robot.wait(lambda: robot.node.work.camera.stream.buffer.camera() is not None, "the calibration")
    for frame in range(3):
        robot.publish("/image", image_of(frame))
    robot.wait(lambda: worker.counts().idle == 3, "three images left alone")
    assert calls == [] and worker.counts().received == 3
    (result,) = robot.node.set_parameters([Parameter("keep_warm", value=True)])
    assert result.successful
    robot.publish("/image", image_of(3))
    robot.wait(lambda: worker.counts().processed == 1, "the image that keeps it warm")
    assert len(calls) == 1
    robot.node.set_parameters([Parameter("keep_warm", value=False)])
    robot.listen("/depth/image_rect", Image)
    robot.publish("/image", image_of(4))
    robot.wait_for("/depth/image_rect", 1)
    counts = worker.counts()
    assert (counts.received, counts.processed, counts.idle) == (5, 2, 3)


def test_a_parameter_that_does_not_exist_is_named_with_the_nearest_that_does(robot, dial_model):
    assert robot.start_node(model=str(dial_model), lidar__memory=0.5, diagnostics__period_s=0.1)
    robot.listen("/diagnostics", DiagnosticArray)
    robot.wait(
        lambda: any(
            "lidar.memory: no such parameter; did you mean lidar.memory_s?" in line.message
            for message in robot.messages["/diagnostics"]
            for line in message.status
        ),
        "the unknown parameter in /diagnostics",
    )


def test_a_limit_that_contradicts_another_is_refused_and_both_together_are_not(robot, dial_model):
    start(robot, dial_model)
    (result,) = robot.node.set_parameters([Parameter("dial.min_points", value=50)])
    assert not result.successful and "min_points <= resume_points" in result.reason
    both = [Parameter("dial.min_points", value=50), Parameter("dial.resume_points", value=60)]
    assert robot.node.set_parameters_atomically(both).successful
    assert status_of(robot, 0).mode == PREDICTION
    assert robot.node.work.camera.stream.pipeline._policy.min_points == 50


def test_an_image_of_another_size_waits_for_its_calibration(robot, dial_model):
    start(robot, dial_model, sync__max_wait_s=1.0)
    assert status_of(robot, 0).mode == PREDICTION
    count = len(robot.messages[STATUS])
    small = Image(
        header=header_of(1, CAMERA_FRAME), height=HEIGHT_PX // 2, width=WIDTH_PX // 2, encoding="mono8",
        step=WIDTH_PX // 2, data=array.array("B", bytes(HEIGHT_PX * WIDTH_PX // 4)),
    )  # fmt: skip
    robot.publish("/image", small)
    robot.wait(lambda: robot.node.work.worker.counts().received == 2, "the image")
    info = camera_info_of(1)
    info.height, info.width = HEIGHT_PX // 2, WIDTH_PX // 2
    robot.publish("/camera_info", info)
    assert robot.wait_for(STATUS, count + 1).mode == PREDICTION


def test_raw_images_are_rectified_with_the_lens_of_their_calibration(robot, dial_model):
    start(robot, dial_model, rectified=False)
    info = camera_info_of(0)
    info.distortion_model, info.d = "plumb_bob", [-0.3, 0.0, 0.0, 0.0, 0.0]
    robot.publish("/camera_info", info)
    robot.wait(lambda: robot.node.work.camera.stream.intake.lens.rectifier is not None, "the lens")
    assert status_of(robot, 0).mode == PREDICTION
    info.d = [0.0, 0.0, 0.0, 0.0, 0.0]
    robot.publish("/camera_info", info)
    robot.wait(lambda: robot.node.work.camera.stream.intake.lens.rectifier is None, "the lens without distortion")


def test_images_whose_topic_says_nothing_of_rectified_ones_are_doubted(robot, dial_model):
    start(robot, dial_model)
    info = camera_info_of(1, distortion=-0.3)
    info.p[0] = 55.0  # another than K has, so that only the name of the topic tells
    robot.publish("/camera_info", info)
    robot.wait(lambda: "/image says nothing" in str(robot.node.work.camera.stream.intake.warnings()), "the warning")


def test_a_deadline_that_is_missed_and_a_publisher_that_cannot_be_heard_are_counted(robot, dial_model):
    from rclpy.duration import Duration
    from rclpy.qos import ReliabilityPolicy

    deadline_ns = 50_000_000
    start(
        robot,
        dial_model,
        **{
            "qos_overrides./points.subscription.deadline".replace(".", "__"): deadline_ns,
            "qos_overrides./scan.subscription.reliability".replace(".", "__"): "reliable",
        },
    )
    fitting = QoSProfile(depth=1, deadline=Duration(nanoseconds=deadline_ns))
    publisher = robot.peer.create_publisher(PointCloud2, "/points", fitting)
    robot.peer.create_publisher(LaserScan, "/scan", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    robot.wait(lambda: publisher.get_subscription_count() > 0, "the node")
    publisher.publish(cloud_of(0))
    qos = robot.node.work.camera.qos
    robot.wait(lambda: qos.counts("points").deadlines_missed > 0, "a missed deadline")
    robot.wait(lambda: qos.counts("scan").incompatible == 1, "the incompatible publisher")
    status = status_of(robot, 0)
    assert health(status, "points").deadlines_missed > 0 and health(status, "points").incompatible_qos == 0


def test_three_loops_of_a_drive_give_as_many_depth_images_each_time(robot, dial_model):
    from builtin_interfaces.msg import Time
    from rosgraph_msgs.msg import Clock

    start(robot, dial_model, ("/points", PointCloud2), ("/clock", Clock), use_sim_time=True)
    made = []
    for loop in range(3):
        before = robot.node.work.worker.counts().processed
        for frame in range(20):
            stamp = image_of(frame).header.stamp
            robot.publish("/clock", Clock(clock=Time(sec=stamp.sec, nanosec=stamp.nanosec)))
            # A clock that jumps forgets the points that came before it.
            robot.wait(
                lambda stamp=stamp: robot.node.get_clock().now().nanoseconds == stamp.sec * 10**9 + stamp.nanosec,
                f"the clock of frame {frame}",
            )
            robot.publish("/points", cloud_of(frame))
            received(robot, "points", 20 * loop + frame + 1)
            status = status_of(robot, frame)
            assert (status.mode, status.reason) == (COMPLETION, "points_used"), (loop, frame)
        made.append(robot.node.work.worker.counts().processed - before)
    assert made == [20, 20, 20]
    points = health(status, "points")
    assert points.rate_hz == pytest.approx(10.0) and points.jitter_s == pytest.approx(0.0, abs=1e-6)


def test_a_network_without_metres_has_them_from_points_or_gives_the_reason(robot, tmp_path):
    pytest.importorskip("onnx", reason="makes a network of its own")
    from image_model import write_image_model

    start(robot, write_image_model(tmp_path / "relative"), ("/points", PointCloud2))
    status = status_of(robot, 0)
    assert (status.mode, status.reason, status.metric) == (DepthStatus.MODE_NONE, "not_metric", False)
    robot.publish("/points", cloud_of(1))
    received(robot, "points", 1)
    status = status_of(robot, 1)
    assert (status.mode, status.reason, status.metric) == (COMPLETION, "points_used", True)
    assert status.scale_source == "points"


def test_the_scale_of_a_prediction_follows_the_points_that_were_there(robot, tmp_path):
    from dial_model import write_model

    # Without metres of its own, and for 2.5 m where the wall is at 8 m.
    model = write_model(tmp_path / "unscaled", metric=False)
    start(robot, model, ("/points", PointCloud2), lidar__memory_s=0.0)
    for frame in range(3):
        robot.publish("/points", cloud_of(frame))
        received(robot, "points", frame + 1)
        assert status_of(robot, frame).scale_source == "points"
    status = status_of(robot, 9)
    assert (status.mode, status.reason, status.metric) == (PREDICTION, "points_stale", True)
    assert status.scale_source == "points" and 2.6 < status.scale_value < 4.1
    assert 0.0 < status.scale_sigma < 1.0 and status.scale_age_s == pytest.approx(0.9, abs=0.21)
    points = health(status, "points")
    assert (points.used, points.reason, points.state) == (False, "points_stale", SensorHealth.STALE)


def test_a_mistake_of_ours_in_a_callback_costs_one_message(robot, dial_model, monkeypatch):
    start(robot, dial_model, ("/points", PointCloud2))
    intake_module = "mono_depth_ros.intake.sensor_intake.decode_timed_points"
    with monkeypatch.context() as patched:
        patched.setattr(intake_module, lambda *_: np.zeros(3)[5])
        robot.publish("/points", cloud_of(0))
        received(robot, "points", 1)
    robot.publish("/points", cloud_of(1))
    received(robot, "points", 2)
    status = status_of(robot, 1)
    assert status.mode == COMPLETION
    assert health(status, "points").rejected == 1
    assert health(status, "points").last_error.startswith("internal_error: IndexError")


def test_a_middleware_that_tells_no_events_is_listened_to_all_the_same(robot, dial_model, monkeypatch):
    from rclpy.event_handler import UnsupportedEventTypeError

    from mono_depth_ros.ros.depth_node import DepthNode

    original = DepthNode.create_subscription

    def create(node, *args, event_callbacks=None, **options):
        if event_callbacks is not None and event_callbacks.deadline is not None:
            raise UnsupportedEventTypeError("no such event")
        return original(node, *args, event_callbacks=event_callbacks, **options)

    monkeypatch.setattr(DepthNode, "create_subscription", create)
    start(robot, dial_model)
    assert status_of(robot, 0).mode == PREDICTION


def test_odometry_tells_the_scale_where_a_pose_network_sees_the_same_motion(robot, tmp_path):
    pytest.importorskip("onnx", reason="makes a network of its own")
    from dial_model import write_model
    from pose_model import write_pose_model

    depth = write_model(tmp_path / "unscaled", metric=False)
    pose = write_pose_model(tmp_path / "pose", depth_model="closed_form", ahead=1.0)
    start(robot, depth, ("/odom", Odometry), pose_model=str(pose))
    for frame in range(5):
        # Half a metre between two images, of which the network says one unit.
        driven = odometry(frame)
        driven.pose.pose.position.x = 0.5 * frame
        driven.twist.twist.linear.x = 5.0
        robot.publish("/odom", driven)
        received(robot, "odometry", frame + 1)
        status = status_of(robot, frame)
    assert (status.mode, status.metric, status.scale_source) == (PREDICTION, True, "odometry")
    assert status.scale_value == pytest.approx(0.5, rel=0.02) and 0.0 < status.scale_sigma < 0.1


def test_the_pose_network_of_another_depth_model_is_refused(robot, dial_model, tmp_path):
    pytest.importorskip("onnx", reason="makes a network of its own")
    from pose_model import write_pose_model

    pose = write_pose_model(tmp_path / "pose", depth_model="another", ahead=1.0)
    assert not robot.start_node(model=str(dial_model), pose_model=str(pose))
    assert "expected the one of depth model 'closed_form', got that of 'another'" in robot.node.failure
