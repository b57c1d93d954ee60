# SPDX-License-Identifier: Apache-2.0
"""rig_node, with real messages: two cameras, one LiDAR, one cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from ros_robot import T_BASE_CAMERA, camera_info_of, cloud_of, image_of, odometry
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from mono_depth_ros.messages.images import decode_depth_image
from mono_depth_ros.messages.point_clouds import decode_xyz
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.msg import DepthStatus

if TYPE_CHECKING:
    from pathlib import Path

    from ros_robot import Robot

pytestmark = pytest.mark.ros
# The other camera looks back.
T_BASE_REAR = [-1.0, 0.0, 1.5, -0.5, 0.5, 0.5, -0.5]
T_BASE_LIDAR = [1.0, 0.0, 1.7, 0.0, 0.0, 0.0, 1.0]
CAMERAS = ("front", "rear")


def start_rig(robot: Robot, model: Path, **values: object) -> bool:
    from rclpy.parameter import Parameter

    from mono_depth_ros.ros.rig_node import RigNode

    given: dict[str, object] = {
        "model": str(model),
        "rig.cameras": list(CAMERAS),
        "rig.T_base_camera.front": T_BASE_CAMERA,
        "rig.T_base_camera.rear": T_BASE_REAR,
        "rig.T_base_lidar": T_BASE_LIDAR,
        **{name.replace("__", "."): value for name, value in values.items()},
    }
    parameters = [Parameter(name, value=value) for name, value in given.items()]
    return robot.run(RigNode(context=robot.context, parameters=parameters))


def listen_and_advertise(robot: Robot) -> None:
    for camera in CAMERAS:
        robot.listen(f"/rig_node/{camera}/status", DepthStatus)
        robot.listen(f"/{camera}/depth/image_rect", Image)
        robot.advertise(f"/{camera}/image", Image)
        robot.advertise(f"/{camera}/camera_info", CameraInfo)
    robot.listen("/points_dense", PointCloud2)
    robot.advertise("/points", PointCloud2)
    robot.advertise("/odom", Odometry)


def send(robot: Robot, frame: int, cameras: tuple[str, ...] = CAMERAS, with_points: bool = True) -> None:
    robot.publish("/odom", odometry(frame))
    if with_points:
        robot.publish("/points", cloud_of(frame))
    for camera in cameras:
        robot.publish(f"/{camera}/camera_info", camera_info_of(frame))
        robot.publish(f"/{camera}/image", image_of(frame))


def test_two_cameras_of_one_moment_each_with_its_own_points(robot, dial_model):
    assert start_rig(robot, dial_model)
    listen_and_advertise(robot)
    send(robot, 0)
    front, rear = (robot.wait_for(f"/rig_node/{camera}/status", 1) for camera in CAMERAS)
    # One subscription for all cameras; the wall of the LiDAR stands ahead.
    assert [each.topic_name for each in robot.node.subscriptions].count("/points") == 1
    assert (front.mode, front.reason) == (DepthStatus.MODE_COMPLETION, "points_used")
    assert (rear.mode, rear.reason) == (DepthStatus.MODE_PREDICTION, "too_few_points_in_view")
    assert stamp_ns_of(front.header.stamp) == stamp_ns_of(rear.header.stamp)
    for camera in CAMERAS:
        depth_m = decode_depth_image(robot.wait_for(f"/{camera}/depth/image_rect", 1))
        assert np.isfinite(depth_m).all()


def test_images_whose_topic_says_nothing_of_rectified_ones_are_doubted(robot, dial_model):
    start_rig(robot, dial_model)
    listen_and_advertise(robot)
    info = camera_info_of(0, distortion=-0.3)
    info.p[0] = 55.0  # another than K has, so that only the name of the topic tells
    robot.publish("/rear/camera_info", info)
    intake = robot.node.work.cameras["rear"].stream.intake
    robot.wait(lambda: "/rear/image says nothing" in str(intake.warnings()), "the warning")


def test_a_camera_that_is_not_the_first_completes_too(robot, dial_model):
    start_rig(robot, dial_model, rig__T_base_camera__front=T_BASE_REAR, rig__T_base_camera__rear=T_BASE_CAMERA)
    listen_and_advertise(robot)
    send(robot, 0)
    front, rear = (robot.wait_for(f"/rig_node/{camera}/status", 1) for camera in CAMERAS)
    assert (front.mode, rear.mode) == (DepthStatus.MODE_PREDICTION, DepthStatus.MODE_COMPLETION)


def test_one_cloud_in_the_base_of_both_cameras(robot, dial_model):
    start_rig(robot, dial_model)
    listen_and_advertise(robot)
    send(robot, 0, with_points=False)
    cloud = robot.wait_for("/points_dense", 1)
    points_m = decode_xyz(cloud)
    assert cloud.header.frame_id == "base_link"
    # Without points the model sees 2 to 3 m; the cameras look away from each other.
    ahead, behind = points_m[points_m[:, 0] > 0], points_m[points_m[:, 0] < 0]
    assert len(ahead) == len(behind) > 1000
    assert 3.0 <= ahead[:, 0].min() <= ahead[:, 0].max() <= 4.01
    assert -4.01 <= behind[:, 0].min() <= behind[:, 0].max() <= -3.0


def test_two_cameras_that_see_the_same_give_each_point_once(robot, dial_model):
    start_rig(robot, dial_model, rig__T_base_camera__rear=T_BASE_CAMERA, output__size="network")
    listen_and_advertise(robot)
    send(robot, 0, with_points=False)
    height, width = (decode_depth_image(robot.wait_for("/front/depth/image_rect", 1))).shape
    assert len(decode_xyz(robot.wait_for("/points_dense", 1))) == height * width


def test_a_camera_that_says_nothing_does_not_stop_the_others(robot, dial_model):
    start_rig(robot, dial_model, rig__max_wait_s=0.05)
    listen_and_advertise(robot)
    for frame in range(3):
        send(robot, frame, ("front",))
        assert robot.wait_for("/rig_node/front/status", frame + 1).mode == DepthStatus.MODE_COMPLETION
    assert not robot.messages["/rig_node/rear/status"]
    # And it is there again with its next image.
    send(robot, 3)
    robot.wait_for("/rig_node/rear/status", 1)


def test_an_image_after_its_moment_is_counted_as_dropped(robot, dial_model):
    start_rig(robot, dial_model, rig__max_wait_s=0.02)
    listen_and_advertise(robot)
    send(robot, 0, ("front",))
    robot.wait_for("/rig_node/front/status", 1)
    send(robot, 0, ("rear",))
    send(robot, 1)
    rear = robot.wait_for("/rig_node/rear/status", 1)
    assert (rear.images_received, rear.images_processed, rear.images_dropped) == (2, 1, 1)


def test_diagnostics_name_every_camera(robot, dial_model):
    start_rig(robot, dial_model, diagnostics__period_s=0.1)
    listen_and_advertise(robot)
    robot.listen("/diagnostics", DiagnosticArray)
    send(robot, 0)

    def names() -> set[str]:
        return {line.name for message in robot.messages["/diagnostics"] for line in message.status}

    wanted = {f"rig_node: {camera} {line}" for camera in CAMERAS for line in ("image", "points", "depth")}
    robot.wait(lambda: wanted <= names(), f"lines {sorted(wanted)}")


def test_the_doctor_looks_at_every_camera(robot, dial_model):
    from mono_depth_ros.ros.doctor.collector import DoctorCollector
    from mono_depth_ros.ros.doctor.diagnosis import diagnose

    start_rig(robot, dial_model, rig__max_wait_s=0.02)
    listen_and_advertise(robot)
    frames = iter(range(1000))
    robot.peer.create_timer(0.1, lambda: send(robot, next(frames), ("front",)))
    collector = DoctorCollector(context=robot.context)
    try:
        found = diagnose(collector.look(1.5, discovery_s=0.5))
    finally:
        collector.close()
    names = {title: {finding.name for finding in findings} for title, findings in found.items()}
    assert set(names) == {"/rig_node (front)", "/rig_node (rear)"}
    assert "depth_comes" in names["/rig_node (front)"]
    assert {"image_silent", "camera_info_silent"} <= names["/rig_node (rear)"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rig__cameras": ["front", "front"]}, "rig.cameras: expected different names"),
        ({"rig__tolerance_s": 5.0}, "rig.tolerance_s: expected 0.001 to 0.5, got 5.0"),
        ({"rig__T_base_lidar": [1.0]}, "rig.T_base_lidar: expected nothing, or x y z"),
        ({"rig__T_base_camera__rear": []}, "expected rig.T_base_camera of every camera"),
    ],
)
def test_a_rig_that_cannot_be_stays_unconfigured_with_the_reason(robot, dial_model, values, words):
    if values.get("rig__T_base_camera__rear") == []:
        from rclpy.parameter import Parameter

        from mono_depth_ros.ros.rig_node import RigNode

        parameters = [
            Parameter("model", value=str(dial_model)),
            Parameter("rig.cameras", value=list(CAMERAS)),
            Parameter("rig.T_base_lidar", value=T_BASE_LIDAR),
        ]
        assert not robot.run(RigNode(context=robot.context, parameters=parameters))
    else:
        assert not start_rig(robot, dial_model, **values)
    assert words in robot.node.failure


def test_the_rig_can_be_configured_again(robot, dial_model):
    from rclpy.lifecycle import TransitionCallbackReturn

    start_rig(robot, dial_model)
    assert robot.in_node(robot.node.trigger_deactivate) == TransitionCallbackReturn.SUCCESS
    assert robot.in_node(robot.node.trigger_cleanup) == TransitionCallbackReturn.SUCCESS
    assert robot.in_node(robot.node.autostart)
    listen_and_advertise(robot)
    send(robot, 0)
    robot.wait_for("/rig_node/front/status", 1)


def test_the_rig_s_parameters_are_described_and_set_while_unconfigured_only(robot, dial_model):
    from rclpy.parameter import Parameter

    start_rig(robot, dial_model)
    described = robot.node.describe_parameter("rig.tolerance_s")
    assert "one moment" in described.description and described.additional_constraints == "0.001 to 0.5"
    (refused,) = robot.in_node(lambda: robot.node.set_parameters([Parameter("rig.max_wait_s", value=0.2)]))
    assert not refused.successful and "rig.max_wait_s: only while the node is unconfigured" in refused.reason
    robot.in_node(robot.node.trigger_deactivate)
    robot.in_node(robot.node.trigger_cleanup)
    (taken,) = robot.in_node(lambda: robot.node.set_parameters([Parameter("rig.max_wait_s", value=0.2)]))
    assert taken.successful
    (taken,) = robot.in_node(lambda: robot.node.set_parameters([Parameter("rig.tolerance_s", value=9.0)]))
    assert not robot.in_node(robot.node.autostart)
    assert "rig.tolerance_s: expected 0.001 to 0.5, got 9" in robot.node.failure
