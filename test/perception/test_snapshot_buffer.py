# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorSnapshot, SensorState
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
CAMERA = PinholeCamera(8, 6, 5.0, 5.0, 3.5, 2.5)
IMAGE = np.zeros((6, 8, 3), np.uint8)
# Body axes (x forward, y left, z up) seen from the optical frame of a camera that looks forward.
T_CAMERA_BODY = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)
SCAN = np.array([[10.0, 0.0, 0.0], [20.0, 1.0, 0.5]], np.float32)


def buffer_with_calibration(**policy: float) -> SnapshotBuffer:
    buffer = SnapshotBuffer(BufferPolicy(**policy))
    buffer.add_camera(START_NS, CAMERA)
    buffer.set_T_camera_lidar("lidar", T_CAMERA_BODY)
    buffer.set_T_base_camera(np.linalg.inv(T_CAMERA_BODY))
    return buffer


def drive(buffer: SnapshotBuffer, speed_mps: float) -> None:
    for step in range(21):
        T_odom_base = np.eye(4)
        T_odom_base[0, 3] = speed_mps * step * 0.1
        buffer.add_odometry(START_NS + step * 100 * MS, T_odom_base, speed_mps)


def snapshot_at(buffer: SnapshotBuffer, milliseconds: int) -> SensorSnapshot:
    snapshot = buffer.snapshot(START_NS + milliseconds * MS, "camera", IMAGE)
    assert isinstance(snapshot, SensorSnapshot)
    return snapshot


def report(snapshot: SensorSnapshot | NoSnapshot, name: str):
    return next(report for report in snapshot.sensors if report.name == name)


def test_points_are_carried_to_the_stamp_of_the_image():
    buffer = buffer_with_calibration()
    drive(buffer, speed_mps=12.0)
    buffer.add_points(START_NS + 1000 * MS, SCAN, "lidar")
    snapshot = snapshot_at(buffer, 1050)
    np.testing.assert_allclose(snapshot.points_camera_m, [[0, 0, 9.4], [-1, -0.5, 19.4]], atol=1e-5)
    assert snapshot.points_age_s == pytest.approx(0.05)
    assert report(snapshot, "points").reason == "motion_compensated"
    assert report(snapshot, "odometry").used


def test_without_odometry_points_are_used_as_they_are_and_the_report_says_so():
    buffer = buffer_with_calibration()
    buffer.add_points(START_NS, SCAN, "lidar")
    snapshot = snapshot_at(buffer, 50)
    np.testing.assert_allclose(snapshot.points_camera_m, [[0, 0, 10], [-1, -0.5, 20]], atol=1e-6)
    assert report(snapshot, "points").reason == "not_motion_compensated: no_odometry"
    assert report(snapshot, "odometry").state is SensorState.ABSENT


def test_the_scan_nearest_in_time_is_taken_even_if_it_is_newer():
    buffer = buffer_with_calibration()
    buffer.add_points(START_NS, SCAN, "lidar")
    buffer.add_points(START_NS + 100 * MS, SCAN + 1, "lidar")
    assert snapshot_at(buffer, 40).points_age_s == pytest.approx(0.04)
    assert snapshot_at(buffer, 60).points_age_s == pytest.approx(-0.04)


def test_a_late_scan_is_found_by_its_stamp():
    buffer = buffer_with_calibration()
    buffer.add_points(START_NS + 200 * MS, SCAN, "lidar")
    buffer.add_points(START_NS + 100 * MS, SCAN + 1, "lidar")
    assert snapshot_at(buffer, 110).points_age_s == pytest.approx(0.01)


def test_scans_too_old_are_not_used_and_named_stale():
    buffer = buffer_with_calibration(max_points_age_s=0.5)
    buffer.add_points(START_NS, SCAN, "lidar")
    snapshot = snapshot_at(buffer, 600)
    assert snapshot.points_camera_m is None
    assert report(snapshot, "points").state is SensorState.STALE


def test_points_without_extrinsics_are_not_used_and_the_frame_is_named():
    buffer = buffer_with_calibration()
    buffer.add_points(START_NS, SCAN, "other_lidar")
    snapshot = snapshot_at(buffer, 0)
    assert snapshot.points_camera_m is None
    assert "no_extrinsics" in report(snapshot, "points").reason and "other_lidar" in report(snapshot, "points").reason


def test_a_second_lidar_that_cannot_be_placed_does_not_hide_the_first():
    buffer = buffer_with_calibration()
    buffer.add_points(START_NS, SCAN, "lidar")
    buffer.add_points(START_NS + 50 * MS, SCAN, "other_lidar")
    assert snapshot_at(buffer, 50).points_age_s == pytest.approx(0.05)


def test_motion_since_the_last_image_comes_from_odometry():
    buffer = buffer_with_calibration()
    drive(buffer, speed_mps=5.0)
    assert snapshot_at(buffer, 1000).T_previous_current is None
    snapshot = snapshot_at(buffer, 1100)
    np.testing.assert_allclose(snapshot.T_previous_current[:3, 3], [0, 0, 0.5], atol=1e-9)
    assert snapshot.speed_mps == 5.0


def test_an_image_without_camera_info_says_so():
    result = SnapshotBuffer().snapshot(START_NS, "camera", IMAGE)
    assert isinstance(result, NoSnapshot) and result.reason == "no_camera_info"


def test_an_image_of_another_size_than_camera_info_says_so():
    result = buffer_with_calibration().snapshot(START_NS, "camera", np.zeros((3, 4, 3), np.uint8))
    assert isinstance(result, NoSnapshot) and result.reason == "image_size_differs"
    assert "8x6" in result.message and "4x3" in result.message


def test_a_looped_bag_starts_anew():
    buffer = buffer_with_calibration()
    drive(buffer, speed_mps=5.0)
    buffer.add_points(START_NS + 2000 * MS, SCAN, "lidar")
    snapshot_at(buffer, 2000)
    buffer.add_points(START_NS, SCAN, "lidar")
    buffer.add_odometry(START_NS, np.eye(4), 0.0)
    snapshot = snapshot_at(buffer, 0)
    assert snapshot.points_age_s == 0.0
    assert snapshot.T_previous_current is None


def test_reset_forgets_scans_but_not_calibration_or_counts():
    buffer = buffer_with_calibration()
    buffer.add_points(START_NS, SCAN, "lidar")
    buffer.reject("points", "no field x")
    buffer.reset()
    snapshot = snapshot_at(buffer, 0)
    points = report(snapshot, "points")
    assert snapshot.points_camera_m is None
    assert (points.received, points.rejected, points.last_error) == (2, 1, "no field x")


def test_a_clock_that_is_late_forgets_only_what_is_to_come():
    buffer = buffer_with_calibration()
    drive(buffer, speed_mps=5.0)
    buffer.add_points(START_NS + 3000 * MS, SCAN, "lidar")
    snapshot_at(buffer, 3000)
    buffer.add_points(START_NS, SCAN, "lidar")
    buffer.restart_at(START_NS + 10 * MS)
    assert buffer.scan_count() == 1
    snapshot = snapshot_at(buffer, 0)
    assert snapshot.points_age_s == 0.0
    assert snapshot.T_previous_current is None


def test_a_clock_that_jumped_back_leaves_nothing_of_the_old_time():
    buffer = buffer_with_calibration()
    buffer.add_points(START_NS + 3000 * MS, SCAN, "lidar")
    buffer.restart_at(START_NS)
    assert buffer.scan_count() == 0


def test_memory_is_bounded():
    buffer = buffer_with_calibration(max_scans=3)
    for step in range(10):
        buffer.add_points(START_NS + step * 100 * MS, SCAN, "lidar")
    assert snapshot_at(buffer, 0).points_age_s == pytest.approx(-0.7)


def test_a_scan_beyond_the_limit_is_refused():
    with pytest.raises(DataError, match="N <= 10"):
        buffer_with_calibration(max_points=10).add_points(START_NS, np.zeros((11, 3), np.float32), "lidar")


def test_rates_come_from_stamps():
    buffer = buffer_with_calibration()
    for step in range(5):
        buffer.add_points(START_NS + step * 100 * MS, SCAN, "lidar")
    assert report(snapshot_at(buffer, 400), "points").rate_hz == pytest.approx(10.0)


def test_points_carried_from_their_own_times_lie_on_one_wall():
    # A robot drives at 12 m/s towards a wall; the scan takes 0.1 s and its points shrink with the way.
    buffer = buffer_with_calibration()
    drive(buffer, speed_mps=12.0)
    offset_s = np.linspace(-0.05, 0.05, 11)
    scan = np.zeros((11, 3), np.float32)
    scan[:, 0] = 20.0 - 12.0 * offset_s
    scan[:, 1] = np.linspace(-2, 2, 11)
    buffer.add_points(START_NS + 1000 * MS, scan, "lidar", offset_s)
    snapshot = snapshot_at(buffer, 1050)
    np.testing.assert_allclose(snapshot.points_camera_m[:, 2], 19.4, atol=1e-3)
    assert report(snapshot, "points").reason == "motion_compensated_per_point"


@pytest.mark.parametrize("offset_s", [np.zeros(3), np.array([0.0, np.nan]), np.array([0.0, 5e7])])
def test_point_times_that_cannot_be_are_refused(offset_s):
    with pytest.raises(DataError, match="time_offset_s"):
        buffer_with_calibration().add_points(START_NS, SCAN, "lidar", offset_s)


def test_odometry_that_ended_is_named_and_points_are_used_as_they_are():
    buffer = buffer_with_calibration()
    drive(buffer, speed_mps=12.0)
    buffer.add_points(START_NS + 2100 * MS, SCAN, "lidar")
    near, far = snapshot_at(buffer, 2140), snapshot_at(buffer, 2200)
    assert report(near, "points").reason == "motion_compensated"
    assert report(far, "points").reason == "not_motion_compensated: odometry_ended"
    assert report(far, "odometry").reason == "no_odometry_at_image: odometry_ended"
