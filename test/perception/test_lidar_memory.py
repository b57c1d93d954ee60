# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.perception.dial import DialPolicy, DialState, Mode, decide
from mono_depth_ros.perception.lidar_memory import CarriedScan, MemoryPolicy, merge_scans
from mono_depth_ros.perception.snapshot import SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
CAMERA = PinholeCamera(320, 96, 200.0, 200.0, 159.5, 47.5)
IMAGE = np.zeros((96, 320, 3), np.uint8)
T_CAMERA_BODY = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)
POLICY = MemoryPolicy()


def row_of_points(row_px: float, depth_m: float, cols=range(0, 320, 4)) -> np.ndarray:
    """One beam on a fronto-parallel wall, as the camera sees it."""
    cols = np.asarray(cols, np.float64)
    x = (cols - CAMERA.cx_px) / CAMERA.fx_px * depth_m
    y = np.full_like(x, (row_px - CAMERA.cy_px) / CAMERA.fy_px * depth_m)
    return np.stack([x, y, np.full_like(x, depth_m)], axis=1).astype(np.float32)


def merge(*scans: tuple[float, np.ndarray], policy: MemoryPolicy = POLICY):
    return merge_scans([CarriedScan(age_s, points, np.eye(4)) for age_s, points in scans], CAMERA, policy)


def test_older_points_stay_where_newer_data_say_nothing_else():
    merged = merge((0.0, row_of_points(40, 20.0)), (0.1, row_of_points(60, 20.0)))
    assert (merged.from_memory, merged.contradicted, merged.scans, merged.oldest_age_s) == (80, 0, 2, 0.1)
    assert len(merged.points_camera_m) == 160


@pytest.mark.parametrize(("old_m", "kept"), [(20.0, 80), (20.9, 80), (19.1, 80), (12.0, 0), (35.0, 0)])
def test_an_old_point_in_front_of_newer_ones_has_moved_away_and_one_behind_is_hidden(old_m, kept):
    merged = merge((0.0, row_of_points(40, 20.0)), (0.1, row_of_points(41, old_m)))
    assert merged.from_memory == kept
    assert merged.contradicted == 80 - kept


def test_at_a_border_of_depth_points_between_the_two_newer_depths_stay():
    newer = np.concatenate([row_of_points(40, 10.0), row_of_points(42, 30.0)])
    assert merge((0.0, newer), (0.1, row_of_points(41, 15.0))).from_memory == 80
    assert merge((0.0, newer), (0.1, row_of_points(41, 5.0))).from_memory == 0


def test_the_second_newest_scan_also_rules_over_the_third():
    merged = merge((0.0, row_of_points(20, 20.0)), (0.1, row_of_points(60, 20.0)), (0.2, row_of_points(60, 10.0)))
    assert merged.from_memory == 80 and merged.oldest_age_s == 0.1


def test_a_passing_car_does_not_smear_along_its_way():
    # A car, 40 columns wide at 10 m before a wall at 30 m, went to the right by 20 columns per scan.
    def scan(left: int) -> np.ndarray:
        hit = [col for col in range(0, 320, 2) if left <= col < left + 40]
        free = [col for col in range(0, 320, 2) if not left <= col < left + 40]
        return np.concatenate([row_of_points(40, 10.0, hit), row_of_points(40, 30.0, free)])

    merged = merge(*((0.1 * age, scan(200 - 20 * age)) for age in range(6)))
    car = merged.points_camera_m[merged.points_camera_m[:, 2] < 20]
    cols = car[:, 0] / car[:, 2] * CAMERA.fx_px + CAMERA.cx_px
    # Without the rule, it would reach from column 100 to 240. Two cells of 1.6 px is what the rule leaves.
    assert cols.min() > 196 and cols.max() < 244


def test_points_in_view_are_bounded_and_spread_evenly():
    merged = merge((0.0, row_of_points(20, 20.0)), (0.1, row_of_points(60, 20.0)), policy=MemoryPolicy(max_points=100))
    assert merged.from_memory == 20
    remembered = merged.points_camera_m[80:, 0]
    assert remembered.min() < -10 and remembered.max() > 10


def test_a_dense_scan_needs_no_memory():
    merged = merge((0.0, row_of_points(20, 20.0)), (0.1, row_of_points(60, 20.0)), policy=MemoryPolicy(max_points=80))
    assert merged.from_memory == 0 and merged.scans == 1


@pytest.mark.parametrize("wrong", [{"memory_s": -1}, {"memory_s": 60.0}, {"max_points": 0}, {"cell_rad": 0.0}])
def test_a_policy_that_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError, match="lidar: expected"):
        MemoryPolicy(**wrong)


# From here on through the snapshot buffer: a wall at x = 40 m in odometry, seen by scans in the body frame.


def robot(speed_mps: float = 5.0, odometry: bool = True, seconds: float = 3.0, **policy: float) -> SnapshotBuffer:
    buffer = SnapshotBuffer(BufferPolicy(memory=MemoryPolicy(**policy)))
    buffer.add_camera(START_NS, CAMERA)
    buffer.set_T_camera_lidar("lidar", T_CAMERA_BODY)
    buffer.set_T_base_camera(np.linalg.inv(T_CAMERA_BODY))
    if odometry:
        for step in range(int(seconds * 20) + 1):
            T_odom_base = np.eye(4)
            T_odom_base[0, 3] = speed_mps * step * 0.05
            buffer.add_odometry(START_NS + step * 50 * MS, T_odom_base, speed_mps)
    return buffer


def add_scan(buffer: SnapshotBuffer, milliseconds: int, height_m: float, speed_mps: float = 5.0) -> None:
    wall = np.zeros((41, 3), np.float32)
    wall[:, 0] = 40.0 - speed_mps * milliseconds * 1e-3
    wall[:, 1] = np.linspace(-20, 20, 41)
    wall[:, 2] = height_m
    buffer.add_points(START_NS + milliseconds * MS, wall, "lidar")


def at(buffer: SnapshotBuffer, milliseconds: int) -> SensorSnapshot:
    found = buffer.snapshot(START_NS + milliseconds * MS, "camera", IMAGE)
    assert isinstance(found, SensorSnapshot)
    return found


def points_reason(snapshot: SensorSnapshot) -> str:
    return next(report.reason for report in snapshot.sensors if report.name == "points")


@pytest.mark.parametrize("speed_mps", [5.0, 0.0])
def test_remembered_scans_lie_on_the_wall_seen_from_the_image(speed_mps):
    buffer = robot(speed_mps)
    for step, height_m in enumerate((-3.0, 0.0, 3.0)):
        add_scan(buffer, 100 * step, height_m, speed_mps)
    snapshot = at(buffer, 250)
    assert len(snapshot.points_camera_m) == 123 and snapshot.points_from_memory == 82
    np.testing.assert_allclose(snapshot.points_camera_m[:, 2], 40.0 - 0.25 * speed_mps, atol=1e-4)
    assert snapshot.points_remembered and points_reason(snapshot) == "motion_compensated, lidar_memory of 3 scans"


def test_scans_in_the_wrong_order_give_the_same_points():
    forward, backward = robot(), robot()
    scans = [(0, -3.0), (100, 0.0), (200, 3.0)]
    for milliseconds, height_m in scans:
        add_scan(forward, milliseconds, height_m)
    for milliseconds, height_m in reversed(scans):
        add_scan(backward, milliseconds, height_m)
    np.testing.assert_array_equal(at(forward, 250).points_camera_m, at(backward, 250).points_camera_m)


def test_without_odometry_there_is_no_memory_and_the_reason_says_why():
    buffer = robot(odometry=False)
    add_scan(buffer, 0, -3.0)
    add_scan(buffer, 100, 3.0)
    snapshot = at(buffer, 150)
    assert len(snapshot.points_camera_m) == 41 and not snapshot.points_remembered
    assert points_reason(snapshot) == "not_motion_compensated: no_odometry"


def test_what_is_older_than_the_memory_is_forgotten():
    buffer = robot(memory_s=0.25)
    for step in range(6):
        add_scan(buffer, 100 * step, -3.0 + step)
    assert at(buffer, 500).points_from_memory == 82
    assert at(buffer, 640).points_from_memory == 41
    assert robot_after_gap(buffer) == (True, 0)


def robot_after_gap(buffer: SnapshotBuffer) -> tuple[bool, int]:
    snapshot = at(buffer, 730)
    return snapshot.points_remembered, snapshot.points_from_memory


def test_while_scans_come_only_the_nearest_of_them_are_used():
    buffer = robot(span_s=0.15)
    for step in range(10):
        add_scan(buffer, 100 * step, -4.0 + step)
    assert at(buffer, 900).points_from_memory == 41


def test_after_the_last_scan_the_points_fade_one_scan_after_the_other():
    buffer = robot()
    for step in range(10):
        add_scan(buffer, 100 * step, -4.0 + step)
    counts = [len(at(buffer, milliseconds).points_camera_m) for milliseconds in range(1500, 2000, 100)]
    assert counts == [123, 123, 123, 82, 41]


def test_a_looped_bag_forgets_the_scans_of_the_pass_before():
    buffer = robot()
    for step in range(20):
        add_scan(buffer, 100 * step, -3.0)
    add_scan(buffer, 0, 3.0)
    assert at(buffer, 0).points_from_memory == 0


def test_odometry_that_was_set_anew_carries_no_scan_across():
    buffer = robot(seconds=1.0)
    add_scan(buffer, 900, -3.0)
    far = np.eye(4)
    far[0, 3] = 1e4
    for step in (21, 22):
        buffer.add_odometry(START_NS + step * 50 * MS, far, 5.0)
    add_scan(buffer, 1100, 3.0)
    snapshot = at(buffer, 1100)
    assert len(snapshot.points_camera_m) == 41 and snapshot.points_from_memory == 0


def test_two_lidars_are_put_together():
    buffer = robot()
    buffer.set_T_camera_lidar("rear", T_CAMERA_BODY)
    add_scan(buffer, 100, -3.0)
    wall = np.stack([np.full(41, 39.5), np.linspace(-20, 20, 41), np.full(41, 3.0)], axis=1).astype(np.float32)
    buffer.add_points(START_NS + 100 * MS, wall, "rear")
    assert len(at(buffer, 100).points_camera_m) == 82


def modes_with_a_slow_lidar(buffer: SnapshotBuffer, last_scan_ms: int, end_ms: int) -> list[Mode]:
    """One image every 100 ms, one scan every 500 ms up to the last."""
    modes, state = [], DialState()
    for milliseconds in range(0, end_ms, 100):
        if milliseconds % 500 == 0 and milliseconds <= last_scan_ms:
            add_scan(buffer, milliseconds, 0.0)
        snapshot = at(buffer, milliseconds)
        decision, state = decide(41, snapshot.points_age_s, DialPolicy(), state, snapshot.points_remembered)
        modes.append(decision.mode)
    return modes


def test_a_lidar_of_two_hertz_completes_without_a_gap_and_then_the_dial_turns_once():
    modes = modes_with_a_slow_lidar(robot(seconds=4.6), last_scan_ms=2500, end_ms=4500)
    # The last scan is remembered for a second.
    assert modes == [Mode.COMPLETION] * 36 + [Mode.PREDICTION] * 9


def test_without_memory_a_lidar_of_two_hertz_flickers():
    buffer = SnapshotBuffer(BufferPolicy())
    buffer.add_camera(START_NS, CAMERA)
    buffer.set_T_camera_lidar("lidar", T_CAMERA_BODY)
    modes = modes_with_a_slow_lidar(buffer, last_scan_ms=2500, end_ms=2500)
    assert sum(before != after for before, after in itertools.pairwise(modes)) > 6
