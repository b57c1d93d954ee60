# SPDX-License-Identifier: Apache-2.0
"""Each kind of failure, and the YAML values that describe them."""

from itertools import pairwise

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.failure_file import failure_plan
from mono_depth_ros.synthetic.failures import (
    CalibrationBump,
    ClockJump,
    Delay,
    Duplicate,
    FailurePlan,
    Freeze,
    LowRate,
    NanPoints,
    Outage,
    Outliers,
    PacketLoss,
    SectorLoss,
)

RATE_HZ = 10.0


AZIMUTH = ((np.arange(3600) + 0.5) * 2 * np.pi / 3600 - np.pi).astype(np.float32)  # never on the border of a sector
RANGES = np.full(3600, 10.0, np.float32)


def sectors_left(lost: np.ndarray, sectors: int) -> list[int]:
    """Number of measurements left in each sector."""
    return np.histogram(AZIMUTH[~lost], sectors, (-np.pi, np.pi))[0].tolist()


def test_a_low_rate_keeps_every_nth_message_of_its_sensor():
    plan = FailurePlan(low_rates=(LowRate("lidar", 3),))
    assert [i for i in range(10) if plan.delivered("lidar", i / RATE_HZ, i)] == [0, 3, 6, 9]
    assert all(plan.delivered("camera", i / RATE_HZ, i) for i in range(10))


def test_delays_add_up_within_their_time_and_jitter_is_bounded():
    plan = FailurePlan(delays=(Delay("lidar", 0.2, jitter_s=0.3), Delay("lidar", 1.0, from_s=5.0)))
    early = np.array([plan.delay_s("lidar", i / RATE_HZ, i) for i in range(50)])
    assert early.min() >= 0.2 and early.max() < 0.5 and early.std() > 0.05
    assert 1.2 <= plan.delay_s("lidar", 5.0, 50) < 1.5
    assert plan.delay_s("camera", 5.0, 50) == 0.0


def test_a_frozen_sensor_repeats_the_last_message_before_it_froze():
    plan = FailurePlan(freezes=(Freeze("lidar", 0.5, 0.9), Freeze("lidar", 0.9, 1.2)))
    assert [plan.source("lidar", i, RATE_HZ) for i in range(14)] == [0, 1, 2, 3, 4, *[4] * 7, 12, 13]
    assert plan.source("camera", 7, RATE_HZ) == 7


def test_a_sensor_that_is_frozen_from_the_start_repeats_its_first_message():
    plan = FailurePlan(freezes=(Freeze("lidar", 0.0, 1.0),))
    assert [plan.source("lidar", i, RATE_HZ) for i in (0, 1, 9, 10)] == [0, 0, 0, 10]


def test_a_slow_sensor_repeats_a_message_that_it_sent():
    plan = FailurePlan(low_rates=(LowRate("lidar", 3),), freezes=(Freeze("lidar", 0.5, 1.0),))
    assert [plan.source("lidar", i, RATE_HZ) for i in (3, 6, 9, 12)] == [3, 3, 3, 12]


@pytest.mark.parametrize(
    "freezes",
    [((0.3, 0.7), (0.5, 1.1)), ((0.5, 1.1), (0.3, 0.7)), ((-1.0, 0.4), (0.41, 0.9)), ((0.25, 0.31), (0.6, 9.0))],
)
def test_the_source_of_a_message_never_goes_back(freezes):
    # The writer forgets frames that lie before the newest source.
    plan = FailurePlan(freezes=tuple(Freeze("lidar", *window) for window in freezes), low_rates=(LowRate("lidar", 2),))
    sources = [plan.source("lidar", i, RATE_HZ) for i in range(20)]
    assert sources == sorted(sources) and all(source <= i for i, source in enumerate(sources))
    assert all(now in (before, i + 1, i) for i, (before, now) in enumerate(pairwise(sources)))


def test_lost_sectors_are_lost_whole_and_in_the_share_asked_for():
    plan = FailurePlan(sector_losses=(SectorLoss(0.3, sectors=36),), seed=1)
    lost = []
    for packet in range(40):
        left = sectors_left(plan.lost_in_sectors("lidar", AZIMUTH, packet / RATE_HZ, packet), 36)
        assert set(left) <= {0, 100}
        lost.append(left.count(0) / 36)
    assert np.mean(lost) == pytest.approx(0.3, abs=0.04)
    assert len(set(lost)) > 1
    assert not plan.lost_in_sectors("scan", AZIMUTH, 0.0, 0).any()


def test_sectors_are_lost_only_in_their_time():
    plan = FailurePlan(sector_losses=(SectorLoss(1.0, from_s=1.0, to_s=2.0),))
    lost = [int(plan.lost_in_sectors("lidar", AZIMUTH, time_s, 0).sum()) for time_s in (0.9, 1.0, 1.9, 2.0)]
    assert lost == [0, 3600, 3600, 0]


def test_outliers_lie_between_the_limits_and_only_where_something_was_measured():
    plan = FailurePlan(outliers=(Outliers(0.2, min_range_m=20.0, max_range_m=30.0),))
    range_m = plan.wrong_ranges("lidar", RANGES, 0.0, 0)
    wrong = range_m != 10.0
    assert wrong.mean() == pytest.approx(0.2, abs=0.03)
    assert range_m[wrong].min() >= 20.0 and range_m[wrong].max() <= 30.0
    nothing = np.full(3600, np.inf, np.float32)
    np.testing.assert_array_equal(plan.wrong_ranges("lidar", nothing, 0.0, 0), nothing)
    np.testing.assert_array_equal(plan.wrong_ranges("scan", RANGES, 0.0, 0), RANGES)


def test_nan_points_have_their_share_in_their_time():
    plan = FailurePlan(nan_points=(NanPoints(0.1, from_s=1.0, to_s=2.0, sensor="scan"),))
    missing = [np.isnan(plan.wrong_ranges("scan", RANGES, t, 0)).mean() for t in (0.5, 1.5, 2.0)]
    assert missing == [0.0, pytest.approx(0.1, abs=0.02), 0.0]


def test_a_bump_turns_and_moves_the_sensor_in_its_calibrated_frame():
    turned_left = CalibrationBump(1.0, rotation_deg=(0.0, 0.0, 90.0))
    np.testing.assert_allclose(turned_left.T_calibrated_bumped() @ [1.0, 0.0, 0.0, 1.0], [0, 1, 0, 1], atol=1e-12)
    lifted = CalibrationBump(0.0, rotation_deg=(10.0, 0.0, 0.0), translation_m=(0.0, 0.0, 0.25))
    np.testing.assert_allclose(lifted.T_calibrated_bumped()[:3, 3], [0.0, 0.0, 0.25])
    assert lifted.T_calibrated_bumped()[2, 1] == pytest.approx(np.sin(np.deg2rad(10.0)))


def test_duplicates_come_as_often_and_as_late_as_asked_for():
    plan = FailurePlan(duplicates=(Duplicate("odom", 0.3, later_s=0.02), Duplicate("camera", 1.0)))
    copies = [plan.copies_later_s("odom", packet) for packet in range(500)]
    assert set(copies) == {(), (0.02,)}
    assert copies.count((0.02,)) / 500 == pytest.approx(0.3, abs=0.06)
    assert plan.copies_later_s("camera", 3) == (0.0,) and plan.copies_later_s("lidar", 3) == ()


def test_clock_jumps_add_up_in_their_time():
    plan = FailurePlan(clock_jumps=(ClockJump("camera", 1.0, 2.0, 4.0), ClockJump("camera", -0.25, 3.0)))
    assert [plan.stamp_error_s("camera", t) for t in (1.0, 2.0, 3.0, 4.0)] == [0.0, 1.0, 0.75, -0.25]
    assert plan.stamp_error_s("lidar", 3.0) == 0.0


def test_the_same_seed_gives_the_same_failures_and_another_one_others():
    def damaged(seed: int) -> list[float]:
        plan = FailurePlan(seed=seed, sector_losses=(SectorLoss(0.5),), outliers=(Outliers(0.1),))
        kept = ~plan.lost_in_sectors("lidar", AZIMUTH, 0.0, 3)
        return plan.wrong_ranges("lidar", RANGES, 0.0, 3)[kept].tolist()

    assert damaged(1) == damaged(1)
    assert damaged(1) != damaged(2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LowRate("lidar", 0), "keep_every of at least 1, got 0"),
        (lambda: Delay("lidar", -0.1), "delay_s and jitter_s in 0..3600, got -0.1 and 0.0"),
        (lambda: Delay("lidar", 0.0, jitter_s=1e300), "delay_s and jitter_s in 0..3600"),
        (lambda: Freeze("camera", float("-inf"), 2.0), "expected from_s < to_s"),
        (lambda: Outliers(0.1, max_range_m=1e300), "max_range_m <= 10000"),
        (lambda: CalibrationBump(0.0, translation_m=(0.0, 1e300, 0.0)), "translation_m within 10000 m"),
        (lambda: SectorLoss(0.1, sectors=10**12), "expected 1..3600 sectors"),
        (lambda: Freeze("camera", 2.0, 2.0), "freeze of camera: expected from_s < to_s"),
        (lambda: SectorLoss(1.5, sectors=0), "probability in 0..1, got 1.5, expected 1..3600 sectors, got 0"),
        (lambda: Outliers(0.1, min_range_m=3.0, max_range_m=2.0), "min_range_m < max_range_m"),
        (lambda: CalibrationBump(0.0, rotation_deg=(0.0, float("nan"), 0.0)), "expected finite numbers"),
        (lambda: NanPoints(-0.1), "probability in 0..1, got -0.1"),
        (lambda: Duplicate("odom", 0.5, later_s=-1.0), "later_s in 0..3600"),
        (lambda: ClockJump("odom", 1e9), "jump_s within 3600"),
        (lambda: FailurePlan(seed=-1), "seed of at least 0"),
    ],
)
def test_failures_that_cannot_be_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_plain_values_become_a_plan():
    plan = failure_plan(
        {
            "seed": 4,
            "outages": [{"sensor": "lidar", "from_s": 1, "to_s": 2}],
            "losses": [{"sensor": "odom", "probability": "1e-1"}],
            "low_rates": [{"sensor": "camera", "keep_every": 2}],
            "delays": [{"sensor": "lidar", "delay_s": 0.1}],
            "freezes": [{"sensor": "camera", "from_s": 3, "to_s": 4}],
            "sector_losses": [{"probability": 0.3}],
            "outliers": [{"probability": 0.01, "to_s": 5}],
            "bumps": [{"from_s": 8, "rotation_deg": [0, 1.5, 0]}, {"from_s": 9, "sensor": "camera_rear"}],
            "nan_points": [{"probability": 0.5, "sensor": "scan"}],
            "duplicates": [{"sensor": "twist", "probability": 0.5}],
            "clock_jumps": [{"sensor": "lidar", "jump_s": -1}],
        },
        ("camera", "camera_rear", "lidar", "scan", "odom", "twist"),
    )
    assert plan == FailurePlan(
        outages=(Outage("lidar", 1.0, 2.0),),
        losses=(PacketLoss("odom", 0.1),),
        seed=4,
        low_rates=(LowRate("camera", 2),),
        delays=(Delay("lidar", 0.1),),
        freezes=(Freeze("camera", 3.0, 4.0),),
        sector_losses=(SectorLoss(0.3),),
        outliers=(Outliers(0.01, to_s=5.0),),
        bumps=(CalibrationBump(8.0, (0.0, 1.5, 0.0)), CalibrationBump(9.0, sensor="camera_rear")),
        nan_points=(NanPoints(0.5, sensor="scan"),),
        duplicates=(Duplicate("twist", 0.5),),
        clock_jumps=(ClockJump("lidar", -1.0),),
    )
    assert failure_plan({}) == FailurePlan()


def test_every_problem_is_told_in_one_error():
    with pytest.raises(ConfigError) as refused:
        failure_plan(
            {
                "outage": [],
                "seed": -1,
                "losses": {"sensor": "lidar"},
                "outages": [{"sensor": "lidr", "from_s": 1, "to_s": 2}, {"sensor": "lidar", "form_s": 1, "to_s": 2}, 7],
                "bumps": [{"from_s": "soon", "rotation_deg": [1, 2]}],
                "freezes": [{"sensor": "camera", "from_s": 4, "to_s": 3}],
                "outliers": [{"probability": 0.1, "sensor": "camera"}],
                "nan_points": [{"probability": 0.1, "sensor": "scan"}],
            }
        )
    text = str(refused.value)
    for part in (
        "outage: unknown; did you mean outages?",
        "seed: expected a whole number of at least 0, got -1",
        "losses: expected a list of failures",
        "outages[0].sensor: expected one of camera, lidar, odom, got 'lidr'; did you mean lidar?",
        "outages[1].form_s: unknown; did you mean from_s?",
        "outages[1]: from_s is missing",
        "outages[2]: expected a mapping",
        "bumps[0].from_s: expected a number, got 'soon'",
        "bumps[0].rotation_deg: expected a list of 3 numbers, got [1, 2]",
        "freezes[0]: freeze of camera: expected from_s < to_s, got 4.0 and 3.0",
        "outliers[0].sensor: expected one of lidar, got 'camera'",
        "nan_points[0].sensor: expected one of lidar, got 'scan'",
    ):
        assert part in text
    assert "\n" not in text
