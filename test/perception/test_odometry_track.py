# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mono_depth_ros.geometry.rigid import rigid_from_quaternion
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack, PoseGap

MS = 1_000_000


def sample(stamp_ns: int, x_m: float) -> OdometrySample:
    T_odom_base = np.eye(4)
    T_odom_base[0, 3] = x_m
    return OdometrySample(stamp_ns, T_odom_base, 10.0)


@pytest.fixture
def track() -> OdometryTrack:
    track = OdometryTrack(history_s=2.0, max_gap_s=0.3)
    for step in (0, 2, 1, 3):  # out of order on purpose
        track.add(sample(step * 100 * MS, float(step)))
    return track


@pytest.mark.parametrize(("stamp_ms", "x_m"), [(0, 0.0), (100, 1.0), (150, 1.5), (275, 2.75), (300, 3.0), (450, 4.5)])
def test_poses_between_and_shortly_after_the_samples_lie_on_the_line(track, stamp_ms, x_m):
    assert track.pose_at(stamp_ms * MS)[0, 3] == pytest.approx(x_m)


@pytest.mark.parametrize(("stamp_ms", "gap"), [(-1, PoseGap.BEFORE_ODOMETRY), (451, PoseGap.ODOMETRY_ENDED)])
def test_a_pose_too_far_from_the_samples_is_unknown_and_the_reason_named(track, stamp_ms, gap):
    assert track.pose_at(stamp_ms * MS) is None
    assert track.gap_at(stamp_ms * MS) is gap


def test_an_empty_track_says_so():
    assert OdometryTrack(2.0, 0.3).gap_at(0) is PoseGap.NO_ODOMETRY


@pytest.mark.parametrize(("limit_s", "known"), [(0.0, False), (0.05, True), (0.04, False)])
def test_the_time_of_extrapolation_is_bounded_as_configured(limit_s, known):
    track = OdometryTrack(2.0, 0.3, max_extrapolation_s=limit_s)
    track.add(sample(0, 0.0))
    track.add(sample(100 * MS, 1.0))
    assert (track.pose_at(150 * MS) is not None) is known


def test_a_turning_robot_is_extrapolated_along_its_circle():
    # Radius 5 m, 1 rad/s: at the angle a the robot is at (5 sin a, 5 (1 - cos a)) and looks along a.
    def pose(angle: float) -> np.ndarray:
        place = [5 * np.sin(angle), 5 * (1 - np.cos(angle)), 0.0]
        return rigid_from_quaternion(place, [0.0, 0.0, np.sin(angle / 2), np.cos(angle / 2)])

    track = OdometryTrack(2.0, 0.3)
    for step in range(4):
        track.add(OdometrySample(step * 100 * MS, pose(0.1 * step), 5.0))
    np.testing.assert_allclose(track.pose_at(450 * MS), pose(0.45), atol=1e-9)


def test_jitter_between_two_samples_of_a_fast_odometry_is_not_taken_for_speed():
    track = OdometryTrack(2.0, 0.3)
    for step in range(50):
        track.add(sample(step * 10 * MS, 0.1 * step + (0.01 if step == 49 else 0.0)))
    # A centimetre within one sample would be 1 m/s, 15 cm after 150 ms.
    assert track.pose_at(640 * MS)[0, 3] == pytest.approx(6.4, abs=0.04)


def test_a_localisation_that_was_set_anew_is_not_interpolated_across(track):
    track.add(sample(400 * MS, 1000.0))
    assert track.gap_at(350 * MS) is PoseGap.BEFORE_ODOMETRY
    assert len(track) == 1


def test_a_gap_in_the_odometry_is_not_bridged(track):
    track.add(sample(900 * MS, 9.0))
    assert track.pose_at(600 * MS) is None
    assert track.pose_at(1000 * MS) is None, "the last two samples are too far apart to give a speed"


def test_old_samples_are_dropped(track):
    track.add(sample(2_250 * MS, 22.5))
    assert track.pose_at(200 * MS) is None and track.pose_at(300 * MS) is not None


def test_memory_is_bounded_even_if_stamps_stand_still():
    track = OdometryTrack(history_s=2.0, max_gap_s=0.3, max_samples=50)
    for step in range(500):
        track.add(sample(step, 0.0))
    assert len(track) == 50


def test_speed_is_that_of_the_nearest_sample_or_unknown(track):
    assert track.speed_at(320 * MS) == 10.0
    assert track.speed_at(700 * MS) is None
