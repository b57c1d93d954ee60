# SPDX-License-Identifier: Apache-2.0
"""Times of points: what a driver's numbers mean, and what of them cannot be believed."""

import numpy as np
import pytest

from mono_depth_ros.messages.point_times import time_offsets

STAMP_NS = 1_700_000_000_123_456_789
# A revolution of 0.1 s.
TURN_S = np.linspace(0.0, 0.1, 2001)
TURN_NS = np.rint(TURN_S * 1e9).astype(np.int64)


@pytest.mark.parametrize("element", ["i8", "u8"])
def test_a_clock_of_integers_is_exact_to_the_nanosecond(element):
    times = (STAMP_NS + np.arange(4)).astype(element)
    assert np.unique(times.astype(np.float64)).size == 1  # in floats, they are all the same
    offsets_s, warning = time_offsets(times, STAMP_NS, "t")
    np.testing.assert_allclose(offsets_s, np.arange(4) * 1e-9, rtol=1e-12)
    assert warning == ""


def test_times_before_the_stamp_are_negative():
    for times in (TURN_S - 0.1, (TURN_NS - 100_000_000).astype(np.int32), STAMP_NS + TURN_NS - 100_000_000):
        offsets_s, warning = time_offsets(times, STAMP_NS, "time")
        np.testing.assert_allclose(offsets_s, TURN_S - 0.1, atol=1e-9)
        assert warning == ""


@pytest.mark.parametrize(
    ("times", "got"),
    [
        (STAMP_NS * 1e-9 + TURN_S + 37.0, "got 37 to 37.1 s"),  # TAI
        (STAMP_NS + TURN_NS - 7_200_000_000_000, "got -7.2e+03 to -7.2e+03 s"),  # two hours
        (1234.5 + TURN_S, "got 1.23e+03 to 1.23e+03 s"),  # since the LiDAR was switched on
        ((STAMP_NS + TURN_NS).astype(np.float32), "got "),  # 32 bits are too few for a clock
        (np.full(2001, np.nan), "got no numbers"),
        (np.full(2001, np.iinfo(np.uint64).max), "got "),
    ],
)
def test_another_clock_costs_the_times(times, got):
    offsets_s, warning = time_offsets(times, STAMP_NS, "timestamp")
    assert offsets_s is None
    assert got in warning
    assert "field timestamp" in warning and "Synchronise it, or set lidar.time_field to none" in warning


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        ((TURN_S * 1e3).astype(np.float32), "ms"),
        ((TURN_S * 1e6).astype(np.float32), "us"),
        (((TURN_S - 0.1) * 1e9).astype(np.float32), "ns"),
        ((STAMP_NS + TURN_NS) // 1000, "us"),
    ],
)
def test_another_unit_costs_the_times_until_it_is_told(times, unit):
    offsets_s, warning = time_offsets(times, STAMP_NS, "time")
    assert offsets_s is None and f"in {unit} they would fit: set lidar.time_field to time:{unit}" in warning
    offsets_s, warning = time_offsets(times, STAMP_NS, "time", unit)
    assert warning == ""
    np.testing.assert_allclose(np.ptp(offsets_s), 0.1, atol=1e-6)


def test_a_scan_of_less_than_a_millisecond_is_said():
    times = (TURN_S * 1e6).astype(np.uint32)
    offsets_s, warning = time_offsets(times, STAMP_NS, "t")
    assert np.ptp(offsets_s) < 1e-3 and "in us they would fit: set lidar.time_field to t:us" in warning
    assert time_offsets(times, STAMP_NS, "t", "ns")[1] == ""
    assert time_offsets(times[:500], STAMP_NS, "t")[1] == ""  # a piece of a scan
    assert time_offsets(np.zeros(2001, np.uint32), STAMP_NS, "t")[1] == ""  # a flash


def test_shares_of_a_turn_are_no_seconds_unless_told():
    offsets_s, warning = time_offsets(TURN_S * 10, STAMP_NS, "timestamp")
    assert offsets_s is None and "set lidar.time_field to timestamp:s if they are seconds" in warning
    offsets_s, warning = time_offsets(TURN_S * 10, STAMP_NS, "timestamp", "s")
    assert warning == "" and offsets_s[-1] == 1.0


def test_integer_times_may_span_a_whole_second():
    offsets_s, warning = time_offsets((TURN_NS * 10).astype(np.uint32), STAMP_NS, "offset_time")
    assert warning == "" and offsets_s[-1] == 1.0


@pytest.mark.parametrize("stray", [3_600_000_000, 0])
def test_a_stray_time_becomes_the_middle_of_the_scan_and_is_said(stray):
    times = TURN_NS.astype(np.uint64) + np.uint64(0 if stray else STAMP_NS)
    times[7] = stray
    offsets_s, warning = time_offsets(times, STAMP_NS, "t")
    np.testing.assert_allclose(np.delete(offsets_s, 7), np.delete(TURN_S, 7), atol=1e-9)
    np.testing.assert_allclose(offsets_s[7], 0.05, atol=1e-4)
    assert "a few times are farther than 1 s" in warning and "set lidar.time_field to none" in warning


def test_times_that_are_not_finite_are_strays():
    times = TURN_S.copy()
    times[[3, 4]] = np.nan, np.inf
    offsets_s, warning = time_offsets(times, STAMP_NS, "time")
    assert np.isfinite(offsets_s).all() and "a few times" in warning


def test_too_many_strays_cost_all_times():
    times = TURN_NS.copy()
    times[::5] = 3_600_000_000
    offsets_s, warning = time_offsets(times, STAMP_NS, "t")
    assert offsets_s is None and "taken as simultaneous" in warning


def test_a_cloud_of_no_point_has_no_times_and_no_warning():
    for element in ("u4", "u8", "f4", "f8"):
        offsets_s, warning = time_offsets(np.empty(0, element), STAMP_NS, "t")
        assert offsets_s.shape == (0,) and warning == ""
