# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack

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


@pytest.mark.parametrize("stamp_ms", [-1, 601])
def test_a_pose_too_far_from_the_samples_is_unknown(track, stamp_ms):
    assert track.pose_at(stamp_ms * MS) is None


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
