# SPDX-License-Identifier: Apache-2.0
"""Twists add up to poses."""

import numpy as np

from mono_depth_ros.perception.twist_track import TwistTrack

S = 1_000_000_000


def driven(twists: list[tuple[float, float, float]]) -> TwistTrack:
    """Of (time s, forward m/s, yaw rate rad/s)."""
    track = TwistTrack(history_s=5.0, max_gap_s=0.3, max_extrapolation_s=0.15)
    for at_s, forward_mps, yaw_radps in twists:
        track.add(round(at_s * S), np.array([forward_mps, 0.0, 0.0]), np.array([0.0, 0.0, yaw_radps]))
    return track


def test_a_quarter_of_a_circle_ends_beside_its_start():
    # Radius 2 m, a quarter turn in a second.
    track = driven([(0.1 * step, np.pi, np.pi / 2) for step in range(11)]).track
    motion = np.linalg.inv(track.pose_at(0)) @ track.pose_at(S)
    np.testing.assert_allclose(motion[:3, 3], [2.0, 2.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(motion[:2, :2], [[0.0, -1.0], [1.0, 0.0]], atol=1e-9)


def test_between_two_twists_their_mean_holds():
    track = driven([(0.0, 0.0, 0.0), (0.2, 2.0, 0.0)]).track
    assert track.pose_at(S // 5)[0, 3] - track.pose_at(0)[0, 3] == np.float64(0.2)


def test_after_a_gap_the_track_begins_again_and_late_messages_are_skipped():
    track = driven([(0.0, 1.0, 0.0), (0.1, 1.0, 0.0), (1.0, 1.0, 0.0), (0.9, 50.0, 0.0), (1.1, 1.0, 0.0)]).track
    assert track.pose_at(S // 10) is None
    assert abs(track.pose_at(round(1.1 * S))[0, 3] - 0.1) < 1e-12
