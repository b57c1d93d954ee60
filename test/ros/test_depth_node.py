# SPDX-License-Identifier: Apache-2.0
"""The node with real publishers and subscribers: what comes in, what must come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

from rclpy.parameter import Parameter
from ros_robot import (
    CAMERA_FRAME,
    T_BASE_CAMERA,
    T_CAMERA_LIDAR,
    camera_info_of,
    cloud_of,
    image_of,
)
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from mono_depth_ros.messages.compressed_depth import decode_compressed_depth
from mono_depth_ros.messages.images import decode_depth_image
from mono_depth_ros.msg import DepthStatus

if TYPE_CHECKING:
    from pathlib import Path

    from ros_robot import Robot

pytestmark = pytest.mark.ros

STATUS = "/depth_node/status"


def start(robot: Robot, model: Path, points: bool = True, **values: object) -> list[DepthStatus]:
    """An active node with calibration, its status listened to, and publishers of images (and points)."""
    values.setdefault("extrinsics__T_camera_lidar", T_CAMERA_LIDAR)
    values.setdefault("extrinsics__T_base_camera", T_BASE_CAMERA)
    values.setdefault("sync__max_wait_s", 1.0)
    assert robot.start_node(model=str(model), **values)
    statuses = robot.listen(STATUS, DepthStatus)
    robot.advertise("/image", Image)
    robot.advertise("/camera_info", CameraInfo)
    if points:
        robot.advertise("/points", PointCloud2)
    robot.publish("/camera_info", camera_info_of(0))
    return statuses


def play(robot: Robot, frames: range, with_points: bool) -> list[DepthStatus]:
    """Publishes image after image, each when the one before is done; returns their statuses."""
    statuses = []
    for frame in frames:
        count = len(robot.messages[STATUS])
        robot.publish("/image", image_of(frame))
        if with_points:
            robot.publish("/points", cloud_of(frame))
        statuses.append(robot.wait_for(STATUS, count + 1))
    return statuses


def test_an_image_alone_gives_a_prediction(robot, dial_model):
    start(robot, dial_model, points=False)
    depths = robot.listen("/depth/image_rect", Image)
    (status,) = play(robot, range(1), with_points=False)
    robot.wait_for("/depth/image_rect", 1)
    assert (status.mode, status.reason) == (DepthStatus.MODE_PREDICTION, "no_points")
    assert status.metric and status.scale_source == "model" and status.points_used == 0
    depth_m = decode_depth_image(depths[0])
    assert depth_m.shape == (48, 96)
    assert 2.0 <= depth_m[24, 1] < depth_m[24, 94] <= 3.0


def test_an_image_that_comes_before_its_points_waits_for_them_and_is_completed(robot, dial_model):
    start(robot, dial_model)
    (status,) = play(robot, range(1), with_points=True)
    assert (status.mode, status.reason) == (DepthStatus.MODE_COMPLETION, "points_used")
    assert status.points_used > 100
    assert status.scale_source == "points"
    points = next(sensor for sensor in status.sensors if sensor.name == "points")
    assert points.used and points.received == 1


def test_lost_points_dial_down_and_found_points_dial_up_and_no_image_is_lost(robot, dial_model):
    # The dial's limit is 0.25 s and images are 0.1 s apart: the third image without points is the first beyond it.
    start(robot, dial_model, sync__max_wait_s=0.0)
    before = [completed(robot, frame) for frame in range(5)]
    without = play(robot, range(5, 15), with_points=False)
    after = [completed(robot, frame) for frame in range(15, 20)]
    assert [status.mode for status in before] == [DepthStatus.MODE_COMPLETION] * 5
    assert [status.mode for status in without] == [DepthStatus.MODE_COMPLETION] * 2 + [DepthStatus.MODE_PREDICTION] * 8
    assert {status.reason for status in without[2:]} == {"points_stale"}
    assert [status.mode for status in after] == [DepthStatus.MODE_COMPLETION] * 5
    last = after[-1]
    assert (last.images_received, last.images_processed) == (20, 20)
    assert (last.images_dropped, last.images_rejected) == (0, 0)


def completed(robot: Robot, frame: int) -> DepthStatus:
    """The status of an image whose points came before it."""
    buffer = robot.node.work.camera.stream.buffer
    robot.publish("/points", cloud_of(frame))
    stamp = cloud_of(frame).header.stamp
    robot.wait(lambda: buffer.has_points_near(stamp.sec * 10**9 + stamp.nanosec, 0.0), f"scan {frame} in the node")
    return play(robot, range(frame, frame + 1), with_points=False)[0]


def test_outputs_carry_the_header_of_the_image_and_fit_each_other(robot, dial_model):
    start(robot, dial_model, output__size="network")
    depths = robot.listen("/depth/image_rect", Image)
    infos = robot.listen("/depth/camera_info", CameraInfo)
    play(robot, range(3), with_points=True)
    robot.wait_for("/depth/image_rect", 3)
    robot.wait_for("/depth/camera_info", 3)
    for frame in range(3):
        sent = image_of(frame).header
        for got in (depths[frame].header, infos[frame].header, robot.messages[STATUS][frame].header):
            assert got == sent and got.frame_id == CAMERA_FRAME
        assert (infos[frame].height, infos[frame].width) == (depths[frame].height, depths[frame].width)
    # 96x48 became 64x32: two thirds of the focal length, and centres that keep the image's borders.
    assert infos[0].k[0] == pytest.approx(60.0 * 64 / 96)
    assert infos[0].k[2] == pytest.approx((47.5 + 0.5) * 64 / 96 - 0.5)


def test_the_cloud_is_the_depth_image_unprojected(robot, dial_model):
    start(robot, dial_model, output__size="network")
    depths = robot.listen("/depth/image_rect", Image)
    infos = robot.listen("/depth/camera_info", CameraInfo)
    clouds = robot.listen("/points_dense", PointCloud2)
    robot.wait(lambda: robot.node.count_subscribers("/points_dense") == 1, "the cloud's subscriber")
    play(robot, range(1), with_points=True)
    cloud, depth, info = (
        robot.wait_for(topic, 1) for topic in ("/points_dense", "/depth/image_rect", "/depth/camera_info")
    )
    assert len(clouds) == len(depths) == len(infos) == 1
    assert (cloud.height, cloud.width, cloud.point_step) == (depth.height, depth.width, 16)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "rgb"]
    values = np.frombuffer(cloud.data, "<f4").reshape(cloud.height, cloud.width, 4)
    depth_m = decode_depth_image(depth)
    row, col = np.mgrid[: depth.height, : depth.width]
    expected = np.stack(
        [(col - info.k[2]) / info.k[0] * depth_m, (row - info.k[5]) / info.k[4] * depth_m, depth_m], axis=2
    )
    assert np.abs(values[..., :3] - expected).max() < 1e-4
    # Red, green and blue of the ramp are equal, and brighter to the right.
    packed = values[16, 60:61, 3].view("<u4")[0]
    assert packed >> 16 == (packed >> 8) & 0xFF == packed & 0xFF > 200


def test_output_at_image_size_has_the_camera_of_the_image(robot, dial_model):
    start(robot, dial_model, points=False, output__encoding="16UC1")
    robot.listen("/depth/image_rect", Image)
    robot.listen("/depth/camera_info", CameraInfo)
    robot.listen("/points_dense", PointCloud2)
    robot.wait(lambda: robot.node.count_subscribers("/points_dense") == 1, "the cloud's subscriber")
    play(robot, range(1), with_points=False)
    depth, info = robot.wait_for("/depth/image_rect", 1), robot.wait_for("/depth/camera_info", 1)
    cloud = robot.wait_for("/points_dense", 1)
    assert (cloud.height, cloud.width) == (32, 64)  # there are no more depths than the network's
    assert (depth.height, depth.width, depth.encoding) == (48, 96, "16UC1")
    assert (info.height, info.width, info.k[0]) == (48, 96, 60.0)
    assert 2000 <= np.frombuffer(depth.data, "<u2").min() <= 2100


@pytest.mark.parametrize("codec", ["png", "rvl"])
def test_compressed_depth_is_the_plain_one(robot, dial_model, codec):
    start(robot, dial_model, points=False, output__encoding="16UC1", output__compressed_depth=codec)
    topic = "/depth/image_rect/compressedDepth"
    robot.listen("/depth/image_rect", Image)
    robot.listen(topic, CompressedImage)
    robot.wait(lambda: robot.node.count_subscribers(topic) == 1, "the subscriber")
    play(robot, range(1), with_points=False)
    plain, compressed = robot.wait_for("/depth/image_rect", 1), robot.wait_for(topic, 1)
    assert compressed.format == f"16UC1; compressedDepth {codec}" and compressed.header == plain.header
    np.testing.assert_array_equal(decode_compressed_depth(compressed), decode_depth_image(plain))


def test_withheld_predictions_are_told_of_in_the_status_alone(robot, dial_model):
    start(robot, dial_model, output__in_prediction="withhold", lidar__memory_s=0.0)
    depths = robot.listen("/depth/image_rect", Image)
    robot.wait(lambda: robot.node.count_subscribers("/depth/image_rect") == 1, "the subscriber")
    assert robot.node.set_parameters([Parameter("mode", value="prediction")])[0].successful
    (predicted,) = play(robot, range(1), with_points=True)
    assert robot.node.set_parameters([Parameter("mode", value="auto")])[0].successful
    (completed,) = play(robot, range(1, 2), with_points=True)
    robot.wait_for("/depth/image_rect", 1)
    assert (predicted.mode, completed.mode) == (DepthStatus.MODE_PREDICTION, DepthStatus.MODE_COMPLETION)
    assert [depth.header.stamp for depth in depths] == [completed.header.stamp]


def test_clouds_and_previews_are_not_made_for_nobody(robot, dial_model, monkeypatch):
    from mono_depth_ros.ros import depth_outputs

    made = []
    for name in ("organized_cloud_fields", "compressed_depth_fields", "colour_depth"):
        original = getattr(depth_outputs, name)
        monkeypatch.setattr(
            depth_outputs, name, lambda *args, name=name, original=original: made.append(name) or original(*args)
        )
    start(robot, dial_model, points=False)
    play(robot, range(2), with_points=False)
    assert made == []
    robot.listen("/depth/preview", Image)
    robot.wait(lambda: robot.node.count_subscribers("/depth/preview") == 1, "the preview's subscriber")
    play(robot, range(2, 3), with_points=False)
    preview = robot.wait_for("/depth/preview", 1)
    assert made == ["colour_depth"]
    assert (preview.encoding, preview.height, preview.width) == ("rgb8", 48, 96)


def test_a_model_that_cannot_complete_predicts_although_points_come(robot, tmp_path):
    from dial_model import write_model

    start(robot, write_model(tmp_path / "predicts", completes=False))
    (status,) = play(robot, range(1), with_points=True)
    assert (status.mode, status.reason) == (DepthStatus.MODE_PREDICTION, "model_predicts_only")


def test_stage_times_and_latency_are_told(robot, dial_model):
    start(robot, dial_model, sync__max_wait_s=0.1)
    play(robot, range(1), with_points=True)
    (status,) = play(robot, range(1, 2), with_points=False)
    assert status.stage_names == ["hold", "decode", "resize", "project", "network", "scale", "points", "publish"]
    hold_s, *working_s = status.stage_times_s
    assert hold_s >= 0.1  # the points that do not come
    assert min(working_s) >= 0 and hold_s < sum(status.stage_times_s) <= status.latency_s * 1.01 + 1e-4
    assert (status.model_name, status.provider) == ("closed_form", "CPUExecutionProvider")


def test_time_that_begins_anew_is_followed(robot, dial_model):
    start(robot, dial_model, sync__max_wait_s=0.0)
    first = [completed(robot, frame) for frame in range(100, 103)]
    again = [completed(robot, frame) for frame in range(3)]
    assert [status.mode for status in first + again] == [DepthStatus.MODE_COMPLETION] * 6
    points = next(sensor for sensor in again[-1].sensors if sensor.name == "points")
    assert points.age_s == pytest.approx(0.0)


def test_a_simulated_clock_that_jumps_back_empties_the_history_and_the_node_goes_on(robot, dial_model):
    from builtin_interfaces.msg import Time
    from rosgraph_msgs.msg import Clock

    start(robot, dial_model, sync__max_wait_s=0.0, use_sim_time=True)
    robot.advertise("/clock", Clock)
    seconds = image_of(0).header.stamp.sec

    def set_clock(sec: int) -> None:
        robot.publish("/clock", Clock(clock=Time(sec=sec)))
        robot.wait(lambda: robot.node.get_clock().now().nanoseconds == sec * 10**9, f"the clock at {sec} s")

    set_clock(seconds + 5)
    assert completed(robot, 50).mode == DepthStatus.MODE_COMPLETION
    buffer = robot.node.work.camera.stream.buffer
    assert buffer.scan_count() == 1
    set_clock(seconds)
    robot.wait(lambda: buffer.scan_count() == 0, "an empty history")
    assert play(robot, range(1), with_points=False)[0].mode == DepthStatus.MODE_PREDICTION
    assert completed(robot, 1).mode == DepthStatus.MODE_COMPLETION
