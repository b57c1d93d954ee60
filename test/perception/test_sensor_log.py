# SPDX-License-Identifier: Apache-2.0
"""Rate, jitter and share of use of an input."""

import pytest

from mono_depth_ros.perception.sensor_log import SensorLog, UsedShares
from mono_depth_ros.perception.snapshot import SensorState

MS = 1_000_000


def logged(*stamps_ms: int) -> SensorLog:
    log = SensorLog("points")
    for stamp_ms in stamps_ms:
        log.receive(stamp_ms * MS)
    return log


def test_jitter_is_the_spread_of_the_times_between_messages():
    assert logged(0, 100, 200, 300).jitter_s() == pytest.approx(0.0, abs=1e-12)
    # Intervals of 80, 120, 80, 120 ms.
    assert logged(0, 80, 200, 280, 400).jitter_s() == pytest.approx(0.02)
    assert logged(0, 100).jitter_s() == 0.0
    assert logged(0, 80, 200).report(SensorState.OK, 0.0, True, "").jitter_s == pytest.approx(0.02)


def test_a_looped_bag_has_the_rate_of_its_second_pass():
    log = SensorLog("points")
    for stamp_ns in (5_000_000_000, 5_100_000_000, 0, 200_000_000, 400_000_000):
        log.receive(stamp_ns)
    assert (log.rate_hz(), log.jitter_s(), log.received) == (5.0, 0.0, 5)


def test_a_clock_that_jumped_begins_jitter_and_rate_anew():
    log = logged(0, 80, 200)
    log.forget_stamps()
    assert (log.jitter_s(), log.rate_hz(), log.received) == (0.0, 0.0, 3)


def test_the_share_counts_the_latest_fifty_images():
    log, shares = logged(0), UsedShares()
    used = log.report(SensorState.OK, 0.0, True, "")
    unused = log.report(SensorState.OK, 0.0, False, "")
    for report, share in ((used, 1.0), (unused, 0.5), (used, 2 / 3)):
        assert shares.counted([report])[0].used_share == pytest.approx(share)
    for _ in range(50):
        (last,) = shares.counted([unused])
    assert last.used_share == 0.0
