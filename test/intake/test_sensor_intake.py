# SPDX-License-Identifier: Apache-2.0
"""Every kind of message arrives in the memory as what it means, or is refused with the reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import plain_messages as make
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid, rigid_from_quaternion
from mono_depth_ros.intake.extrinsics import CameraExtrinsics, FixedTransform
from mono_depth_ros.intake.sensor_intake import ALIGNED_FRAME, MAX_FRAMES, IntakePolicy, SensorIntake
from mono_depth_ros.intake.transform_tree import TransformTree
from mono_depth_ros.perception.snapshot import SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer

S = 1_000_000_000
CAMERA = PinholeCamera(64, 32, 40.0, 40.0, 31.5, 15.5)
IMAGE = np.zeros((32, 64, 3), np.uint8)
_RECTIFIED = IntakePolicy()
BARREL = (-0.2, 0.0, 0.0, 0.0, 0.0)


def intake_of(buffer: SnapshotBuffer, policy: IntakePolicy = _RECTIFIED, **others: object) -> SensorIntake:
    tree = TransformTree()
    return SensorIntake(buffer, CameraExtrinsics({"points": tree}, tree), policy, **others)


def took(intake: SensorIntake, sensor: str, message: object) -> None:
    """Puts a message; a refusal is raised."""
    problem = intake.put(sensor, message)
    if problem:
        raise DataError(problem)


@pytest.fixture
def buffer() -> SnapshotBuffer:
    return SnapshotBuffer()


@pytest.fixture
def intake(buffer: SnapshotBuffer) -> SensorIntake:
    made = intake_of(buffer)
    took(made, "camera_info", make.camera_info(S, CAMERA))
    return made


def points_of(buffer: SnapshotBuffer) -> np.ndarray:
    snapshot = buffer.snapshot(S, "camera", IMAGE)
    assert isinstance(snapshot, SensorSnapshot) and snapshot.points_camera_m is not None
    return snapshot.points_camera_m


@pytest.mark.parametrize("encoding", ["32FC1", "16UC1", "compressedDepth"])
@pytest.mark.parametrize("size", [(32, 64), (16, 32)])
def test_sparse_depth_lies_on_the_rays_of_the_camera(buffer, intake, encoding, size):
    depth_m = np.full(size, np.nan, np.float32)
    depth_m[4, 10] = 2.5
    if encoding == "compressedDepth":
        took(intake, "sparse_depth", make.compressed_depth(S, depth_m))
    else:
        took(intake, "sparse_depth", make.depth_image(S, depth_m, encoding))
    camera = CAMERA.resized(size[1], size[0])
    expected = 2.5 * np.array([(10 - camera.cx_px) / camera.fx_px, (4 - camera.cy_px) / camera.fy_px, 1.0])
    np.testing.assert_allclose(points_of(buffer), [expected], atol=1e-5)
    assert buffer.has_T_camera_lidar(ALIGNED_FRAME) and not intake._frames


def test_sparse_depth_of_a_raw_image_is_rectified_like_the_image(buffer):
    intake = intake_of(buffer, IntakePolicy(rectified=False))
    took(intake, "camera_info", make.camera_info(S, CAMERA, BARREL))
    assert intake.lens.rectifier is not None
    depth_m = np.full((32, 64), 4.0, np.float32)
    depth_m[:, :20] = 2.0
    took(intake, "sparse_depth", make.depth_image(S, depth_m, "32FC1"))
    rectified = intake.lens.rectifier.depth(depth_m)
    assert np.count_nonzero(rectified == 2.0) == np.count_nonzero(points_of(buffer)[:, 2] == 2.0)
    assert np.count_nonzero(rectified == 2.0) != np.count_nonzero(depth_m == 2.0)


def test_a_time_per_point_arrives_with_the_points(buffer, intake):
    points = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)
    fields = (("x", "f4"), ("y", "f4"), ("z", "f4"), ("time", "f4"))
    took(intake, "points", make.cloud(S, points, fields, columns={"time": np.array([0.0, 0.05])}))
    (kept,) = buffer._points._scans["points"]
    assert kept.scan.time_offset_s is not None
    np.testing.assert_allclose(kept.scan.time_offset_s, [0.0, 0.05], atol=1e-8)
    assert intake._frames == {("points", "lidar")}


def test_the_map_of_a_lens_is_kept_until_the_camera_info_says_something_new(intake):
    raw = intake_of(SnapshotBuffer(), IntakePolicy(rectified=False))
    took(raw, "camera_info", make.camera_info(S, CAMERA, BARREL))
    first = raw.lens.rectifier
    took(raw, "camera_info", make.camera_info(2 * S, CAMERA, BARREL))
    assert raw.lens.rectifier is first
    took(raw, "camera_info", make.camera_info(3 * S, replace(CAMERA, fx_px=50.0), BARREL))
    assert raw.lens.rectifier is not first
    took(raw, "camera_info", make.camera_info(4 * S, CAMERA))
    assert raw.lens.rectifier is None
    took(intake, "camera_info", make.camera_info(S, CAMERA, BARREL))
    assert intake.lens.rectifier is None, "P describes rectified images, D does not count"


def test_raw_images_lose_their_distortion(buffer):
    raw = intake_of(buffer, IntakePolicy(rectified=False))
    took(raw, "camera_info", make.camera_info(S, CAMERA, BARREL))
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, :12] = 255
    assert (raw.lens.image(picture) == 255).sum() != (picture == 255).sum()
    half = picture[::2, ::2]
    assert raw.lens.image(half) is half, "another size is left to the check of sizes"


def test_twists_name_the_base_until_odometry_does(intake):
    took(intake, "twist", make.twist(S, 3.0))
    assert intake._base_frame == "base_link"
    other = make.odometry(S, np.eye(4), 3.0)
    other.child_frame_id = "chassis"
    took(intake, "odometry", other)
    assert intake._base_frame == "chassis"
    with pytest.raises(DataError, match="base frame 'chassis' or none, got 'base_link'"):
        took(intake, "twist", make.twist(S, 3.0))


def test_a_base_without_a_name_is_base_link(intake):
    twist = make.twist(S, 3.0)
    twist.header.frame_id = ""
    took(intake, "twist", twist)
    assert intake._base_frame == "base_link"
    odometry = make.odometry(S, np.eye(4), 3.0)
    odometry.child_frame_id = ""
    took(intake, "odometry", odometry)
    assert intake._base_frame == "base_link"


@pytest.mark.parametrize(
    ("put", "message", "words"),
    [
        ("points", make.cloud(0, np.ones((3, 3), np.float32)), "points: expected a stamp"),
        ("odometry", make.odometry(0, np.eye(4), 1.0), "odometry: expected a stamp"),
        ("sparse_depth", make.depth_image(S, np.ones((9, 9), np.float32), "32FC1"), "that ratio of sides, got 9x9"),
        ("sparse_depth", make.compressed_image(S, IMAGE), "compressedDepth transport, got format 'rgb8; png"),
        ("twist", make.twist(S, float("nan")), "finite velocities"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(intake, put, message, words):
    with pytest.raises(DataError, match=words):
        took(intake, put, message)


def test_sparse_depth_needs_a_camera(buffer):
    with pytest.raises(DataError, match="expected a camera_info before it"):
        took(intake_of(buffer), "sparse_depth", make.depth_image(S, np.ones((32, 64), np.float32), "32FC1"))


def test_a_driver_that_invents_frames_does_not_fill_the_memory(intake):
    for number in range(3 * MAX_FRAMES):
        took(intake, "points", make.cloud(S, np.ones((1, 3), np.float32), frame=f"lidar_{number}"))
    assert len(intake._frames) == MAX_FRAMES


def test_a_refused_message_is_counted_and_what_was_known_stays(buffer, intake):
    took(intake, "points", make.cloud(S, np.ones((3, 3), np.float32)))
    assert "expected a stamp" in intake.put("points", make.cloud(0, np.ones((3, 3), np.float32)))
    assert buffer.scan_count() == 1
    (report,) = [each for each in buffer.snapshot(S, "camera", IMAGE).sensors if each.name == "points"]
    assert (report.received, report.rejected) == (2, 1) and "expected a stamp" in report.last_error


def test_a_mistake_of_ours_is_told_and_does_not_end_whoever_brings_the_message(intake):
    assert intake.put("points", object()).startswith("internal_error: AttributeError")


def test_names_of_frames_lose_their_leading_slash(buffer):
    tree = TransformTree()
    tree.add("/base_link", "/camera", np.eye(4))
    tree.add("base_link", "lidar", np.eye(4))
    intake = SensorIntake(buffer, CameraExtrinsics({"points": tree}, tree))
    took(intake, "camera_info", make.camera_info(S, CAMERA))
    took(intake, "points", make.cloud(S, np.array([[0.0, 0.0, 3.0]], np.float32), frame="/lidar"))
    message = make.image(S, IMAGE)
    message.header.frame_id = "/camera"
    snapshot = intake.snapshot_of(message)
    assert isinstance(snapshot, SensorSnapshot) and snapshot.camera_frame == "camera"
    np.testing.assert_allclose(snapshot.points_camera_m, [[0.0, 0.0, 3.0]])


def test_points_of_the_first_camera_reach_its_followers_decoded_once_and_aligned_depth_does_not():
    own, other = SnapshotBuffer(), SnapshotBuffer()
    follower = intake_of(other)
    first = intake_of(own, followers=(follower,))
    took(first, "camera_info", make.camera_info(S, CAMERA))
    took(first, "points", make.cloud(S, np.ones((3, 3), np.float32)))
    assert (own.scan_count(), other.scan_count()) == (1, 1) and follower._frames == {("points", "lidar")}
    took(first, "sparse_depth", make.depth_image(S, np.ones((32, 64), np.float32), "32FC1"))
    assert (own.scan_count(), other.scan_count()) == (2, 1)


NEAR_AND_FAR = {
    "points": make.cloud(S, np.array([[1.0, 0.0, 0.0], [4.0, 0.0, 0.0]], np.float32)),
    "scan": make.laser_scan(S, np.array([1.0, 4.0]), 0.0, 0.01),
}


@pytest.mark.parametrize("source", NEAR_AND_FAR)
@pytest.mark.parametrize(("min_range_m", "kept"), [(0.5, 2), (2.0, 1)])
def test_points_nearer_than_the_parameter_says_are_no_measurements(buffer, source, min_range_m, kept):
    ahead = FixedTransform(invert_rigid(rigid_from_quaternion([0.0, 0.0, 0.0], [-0.5, 0.5, -0.5, 0.5])))
    intake = SensorIntake(
        buffer, CameraExtrinsics({"points": ahead, "scan": ahead}, ahead), IntakePolicy(min_range_m=min_range_m)
    )
    took(intake, "camera_info", make.camera_info(S, CAMERA))
    took(intake, source, NEAR_AND_FAR[source])
    snapshot = intake.snapshot_of(make.image(S, IMAGE))
    assert isinstance(snapshot, SensorSnapshot) and len(snapshot.points_camera_m) == kept


@pytest.mark.parametrize(("bits", "red"), [(0, 255), (12, 255), (16, 16)])
def test_the_bits_of_an_image_are_those_of_the_parameter(buffer, bits, red):
    message = make.image(S, IMAGE)
    message.encoding, message.step = "mono16", 128
    message.data = np.full((32, 64), 4095, "<u2").tobytes()
    assert np.all(intake_of(buffer, IntakePolicy(image_bits=bits)).image(message).image_rgb == red)


@pytest.mark.parametrize(("topic", "told"), [("/camera/image_raw", True), ("/camera/image_rect", False)])
def test_raw_images_that_are_taken_for_rectified_are_said_to_be(buffer, topic, told):
    intake = intake_of(buffer, IntakePolicy(image_topic=topic))
    took(intake, "camera_info", make.camera_info(S, CAMERA, BARREL))
    assert [sensor for sensor, _ in intake.warnings()] == (["camera_info"] if told else [])


def test_aligned_depth_comes_by_the_clock_that_the_parameter_mends(buffer):
    intake = intake_of(buffer, IntakePolicy(lidar_offset_s=-37.0))
    took(intake, "camera_info", make.camera_info(S, CAMERA))
    took(intake, "sparse_depth", make.depth_image(38 * S, np.ones((32, 64), np.float32), "32FC1"))
    assert len(points_of(buffer)) == 32 * 64


@pytest.mark.parametrize("ahead_s", [37.0, -7200.0])
def test_a_lidar_with_another_clock_is_named_with_the_parameter_that_mends_it(ahead_s):
    intake = intake_of(SnapshotBuffer())
    mended = intake_of(SnapshotBuffer(), IntakePolicy(lidar_offset_s=-ahead_s))
    for number in range(6):
        now_ns = 10_000 * S + number * S // 10
        for each in (intake, mended):
            each.image_arrived(now_ns)
            took(each, "points", make.cloud(now_ns + int(ahead_s * S), np.ones((3, 3), np.float32)))
    ((sensor, warning),) = intake.warnings()
    assert sensor == "points" and f"set lidar.time_offset_s to {-ahead_s:.3f}" in warning
    assert mended.warnings() == ()


def test_a_silent_camera_or_a_slow_sensor_is_no_other_clock():
    intake = intake_of(SnapshotBuffer())
    for number in range(100):
        now_ns = 10_000 * S + number * S // 10
        if number < 20:
            intake.image_arrived(now_ns)
        took(intake, "points", make.cloud(now_ns, np.ones((3, 3), np.float32)))
    assert intake.warnings() == ()


def test_images_without_stamps_are_said_to_have_none():
    intake = intake_of(SnapshotBuffer())
    intake.image_arrived(0)
    assert intake.warnings()[0][1].startswith("no_stamp")


def test_the_motion_of_transforms_counts_where_nothing_else_tells_it():
    tree, buffer = TransformTree(), SnapshotBuffer()
    intake = SensorIntake(buffer, CameraExtrinsics({"points": tree}, tree))
    for step in range(20):
        pose = rigid_from_quaternion([0.1 * step, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
        tree.add("odom", "base_link", pose, 10**9 + step * 10**8)
        intake.hear_motion(tree)
    track = buffer._odometry
    assert len(track) == 20 and track.speed_at(2 * 10**9) == pytest.approx(1.0)
    assert track.pose_at(2 * 10**9 + 5 * 10**7)[0, 3] == pytest.approx(1.05)
    intake.hear_motion(tree)
    assert len(track) == 20  # each but once
