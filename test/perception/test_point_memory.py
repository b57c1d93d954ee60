# SPDX-License-Identifier: Apache-2.0
"""Several sources of points: which scans an image gets, and what is said of each source."""

import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.perception.lidar_memory import MemoryPolicy
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorReport, SensorSnapshot, SensorState
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer

S = 1_000_000_000
CAMERA = PinholeCamera(64, 32, 40.0, 40.0, 31.5, 15.5)
IMAGE = np.zeros((32, 64, 3), np.uint8)


def wall(depth_m: float, left: bool) -> np.ndarray:
    """Points on one half of the view, float32 [N, 3] in camera axes."""
    cols = np.arange(2, 30) + (0 if left else 32)
    x = (cols - 31.5) / 40.0 * depth_m
    return np.stack([x, np.zeros(len(x)), np.full(len(x), depth_m)], axis=1).astype(np.float32)


def filled(memory: MemoryPolicy | None = None) -> SnapshotBuffer:
    buffer = SnapshotBuffer(BufferPolicy(memory=memory))
    buffer.add_camera(0, CAMERA)
    for frame in ("lidar", "scanner"):
        buffer.set_T_camera_lidar(frame, np.eye(4))
    return buffer


def asked(buffer: SnapshotBuffer, stamp_ns: int) -> tuple[SensorSnapshot, dict[str, SensorReport]]:
    snapshot = buffer.snapshot(stamp_ns, "camera", IMAGE)
    assert isinstance(snapshot, SensorSnapshot)
    return snapshot, {report.name: report for report in snapshot.sensors}


def test_two_sources_of_one_moment_are_merged():
    buffer = filled()
    buffer.add_points(10 * S, wall(5.0, left=True), "lidar")
    buffer.add_points(10 * S, wall(7.0, left=False), "scanner", source="scan")
    snapshot, reports = asked(buffer, 10 * S)
    assert snapshot.points_camera_m is not None
    assert set(snapshot.points_camera_m[:, 2].tolist()) == {5.0, 7.0}
    assert reports["points"].used and reports["scan"].used


def test_where_two_sources_disagree_the_one_nearer_in_time_is_right():
    buffer = filled()
    buffer.add_points(10 * S, wall(5.0, left=True), "lidar")
    buffer.add_points(10 * S + S // 20, wall(3.0, left=True), "scanner", source="scan")
    snapshot, _ = asked(buffer, 10 * S + S // 20)
    assert snapshot.points_camera_m is not None
    # The wall at 5 m is hidden by the one at 3 m, but for its outermost columns.
    assert np.count_nonzero(snapshot.points_camera_m[:, 2] == 3.0) == 28
    assert np.count_nonzero(snapshot.points_camera_m[:, 2] == 5.0) == 0


def test_an_old_scan_that_nothing_carries_does_not_join_a_fresh_one():
    buffer = filled(MemoryPolicy())
    buffer.add_points(10 * S, wall(5.0, left=True), "lidar")
    buffer.add_points(10 * S + S // 2, wall(7.0, left=False), "scanner", source="scan")
    snapshot, reports = asked(buffer, 10 * S + S // 2)
    assert snapshot.points_camera_m is not None and set(snapshot.points_camera_m[:, 2].tolist()) == {7.0}
    assert (reports["points"].used, reports["points"].reason) == (False, "older_than_other_points")
    assert snapshot.points_age_s == 0.0


def test_an_old_scan_that_odometry_carries_joins_within_the_memory():
    buffer = filled(MemoryPolicy(memory_s=1.0))
    buffer.set_T_base_camera(np.eye(4))
    for step in range(11):
        buffer.add_odometry(10 * S + step * S // 10, np.eye(4), 0.0)
    buffer.add_points(10 * S, wall(5.0, left=True), "lidar")
    buffer.add_points(10 * S + S // 2, wall(7.0, left=False), "scanner", source="scan")
    snapshot, reports = asked(buffer, 10 * S + S // 2)
    assert snapshot.points_camera_m is not None and set(snapshot.points_camera_m[:, 2].tolist()) == {5.0, 7.0}
    assert reports["points"].used and snapshot.points_remembered


def test_a_source_that_sent_nothing_is_not_reported_but_for_the_cloud():
    _, reports = asked(filled(), S)
    assert list(reports) == ["camera_info", "points", "odometry"]
    buffer = filled()
    buffer.reject("range", "range: broken")
    _, reports = asked(buffer, S)
    assert (reports["range"].state, reports["range"].rejected) == (SensorState.ABSENT, 1)


def test_a_fast_source_does_not_push_out_the_scans_of_a_slow_one():
    buffer = filled()
    buffer.add_points(10 * S, wall(5.0, left=True), "lidar")
    for step in range(200):
        buffer.add_points(10 * S + step * S // 1000, wall(7.0, left=False)[:1], "scanner", source="scan")
    snapshot, _ = asked(buffer, 10 * S + S // 5)
    assert snapshot.points_camera_m is not None and 5.0 in snapshot.points_camera_m[:, 2]


def test_an_image_waits_for_each_source_that_is_due_and_for_no_other():
    buffer = filled()
    for number in range(5):
        buffer.add_points(number * S, wall(5.0, left=True), "lidar")
        buffer.add_points(number * S, wall(7.0, left=False), "scanner", source="scan")
    # The next scans are due at 5 s.
    assert buffer.has_points_near(4 * S + S // 2, 0.02, ("points", "scan"))
    assert not buffer.has_points_near(5 * S, 0.02, ("points", "scan"))
    buffer.add_points(5 * S, wall(5.0, left=True), "lidar")
    assert buffer.has_points_near(5 * S, 0.02, ("points",))
    assert not buffer.has_points_near(5 * S, 0.02, ("points", "scan"))
    assert not buffer.has_points_near(5 * S, 0.02, ("range",))


def test_an_image_of_a_new_time_forgets_the_points_of_the_old_one_and_keeps_those_of_the_new():
    buffer = filled()
    buffer.add_points(100 * S, wall(5.0, left=True), "lidar")
    asked(buffer, 100 * S)
    buffer.add_points(10 * S, wall(7.0, left=True), "scanner", source="scan")
    snapshot, reports = asked(buffer, 10 * S)
    assert snapshot.points_camera_m is not None and set(snapshot.points_camera_m[:, 2].tolist()) == {7.0}
    assert reports["points"].state is SensorState.ABSENT and buffer.scan_count() == 1


def test_scans_of_the_time_before_a_jump_back_are_nothing_to_go_without_waiting_for():
    buffer = filled()
    buffer.add_points(10 * S, wall(5.0, left=True), "lidar")
    assert buffer.has_points_near(10 * S - S // 10, 0.02)
    assert not buffer.has_points_near(2 * S, 0.02)


def test_an_unknown_source_is_refused():
    with pytest.raises(DataError, match="one of points, scan, sparse_depth, range, got 'sonar'"):
        filled().add_points(S, wall(5.0, left=True), "lidar", source="sonar")


def test_an_image_gets_the_intrinsics_of_its_stamp_and_of_its_size():
    buffer = filled()
    zoomed = PinholeCamera(64, 32, 80.0, 80.0, 31.5, 15.5)
    small = PinholeCamera(32, 16, 20.0, 20.0, 15.5, 7.5)
    buffer.add_camera(10 * S, zoomed)
    buffer.add_camera(20 * S, small)

    def camera_at(stamp_ns: int, image: np.ndarray = IMAGE) -> PinholeCamera | None:
        snapshot = buffer.snapshot(stamp_ns, "camera", image)
        return None if isinstance(snapshot, NoSnapshot) else snapshot.camera

    assert camera_at(9 * S) == CAMERA and camera_at(11 * S) == zoomed and camera_at(21 * S) == zoomed
    assert camera_at(21 * S, IMAGE[:16, :32]) == small
    assert camera_at(21 * S, IMAGE[:8]) is None


def test_twists_carry_points_where_there_is_no_odometry():
    buffer = filled(MemoryPolicy())
    # The base's axes are the camera's here, and it drives along z.
    buffer.set_T_base_camera(np.eye(4))
    for step in range(11):
        buffer.add_twist(10 * S + step * S // 20, np.array([0.0, 0.0, 4.0]), np.zeros(3))
    buffer.add_points(10 * S, wall(5.0, left=True), "lidar")
    snapshot, reports = asked(buffer, 10 * S + S // 2)
    assert snapshot.points_camera_m is not None
    np.testing.assert_allclose(snapshot.points_camera_m[:, 2], 3.0, atol=1e-5)
    assert (reports["twist"].used, reports["odometry"].used) == (True, False)
    assert snapshot.speed_mps == pytest.approx(4.0)
    for step in range(11):
        buffer.add_odometry(10 * S + step * S // 20, np.eye(4), 0.0)
    snapshot, reports = asked(buffer, 10 * S + S // 2)
    assert snapshot.points_camera_m is not None and set(snapshot.points_camera_m[:, 2].tolist()) == {5.0}
    assert (reports["twist"].used, reports["twist"].reason) == (False, "odometry_is_better")
