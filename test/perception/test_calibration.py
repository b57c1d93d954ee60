# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np

from mono_depth_ros.perception.calibration import CalibrationState, CalibrationVerdict, watch_calibration
from mono_depth_ros.perception.scale import MEASURED, ScalePolicy, ScaleSource, SourceTrack


def looks(offsets_deg: list[tuple[float, float, float] | None]) -> list[CalibrationVerdict]:
    """One look per second at the direction of motion, and at nothing else."""
    state, verdicts = CalibrationState(), []
    for second, offset in enumerate(offsets_deg):
        turned = None if offset is None else tuple(math.radians(part) for part in offset)
        stamp_ns = second * 10**9
        state, verdict = watch_calibration(state, (), None, None, stamp_ns, ScalePolicy(), offset_rad=turned)
        verdicts.append(verdict)
    return verdicts


def noisy(right_deg: float, count: int, seed: int, sigma_deg: float = 1.5) -> list[tuple[float, float, float] | None]:
    random = np.random.default_rng(seed)
    return [(float(random.normal(0, 0.5)), float(random.normal(right_deg, sigma_deg)), 0.0) for _ in range(count)]


def test_a_camera_turned_by_three_degrees_is_told_whichever_way():
    for seed, right_deg in enumerate((3.0, -3.0, 3.0, -3.0)):
        verdicts = looks(noisy(0.0, 40, seed) + noisy(right_deg, 80, seed + 10))
        assert not any(verdict.suspect for verdict in verdicts[:40])
        assert verdicts[-1].suspect and verdicts[-1].reason.startswith("camera_turned: ")
    assert "-2." in verdicts[-1].reason or "-3." in verdicts[-1].reason


def test_an_hour_of_unsure_directions_is_no_turned_camera():
    assert not any(verdict.suspect for verdict in looks(noisy(0.5, 3600, seed=4)))


def test_one_look_far_off_now_and_then_is_no_turned_camera():
    offsets = noisy(0.0, 300, seed=5)
    offsets[20::10] = [(0.0, 15.0, 0.0)] * len(offsets[20::10])
    assert not any(verdict.suspect for verdict in looks(offsets))


def test_the_suspicion_needs_looks_and_goes_without_them():
    assert not any(verdict.suspect for verdict in looks(noisy(4.0, 10, seed=6)))
    verdicts = looks(noisy(4.0, 40, seed=7) + [None] * 50)
    assert verdicts[39].suspect and not verdicts[-1].suspect


def factors(**values: float) -> str:
    """The reason after 20 s in which the sources say this."""
    state = CalibrationState()
    for second in range(20):
        stamp_ns = second * 10**9
        tracks = [SourceTrack(ScaleSource(name), math.log(value), 0.0, stamp_ns, 9) for name, value in values.items()]
        state, verdict = watch_calibration(state, tracks, None, None, stamp_ns, ScalePolicy(order=MEASURED))
    return verdict.reason


def test_the_third_source_has_to_take_sides():
    assert factors(points=1.0, odometry=1.4, camera_height=1.0).startswith(
        "scale_sources_disagree: odometry against the others"
    )
    # A network that is wrong by a third between the ground and the rest: the points lie between.
    assert factors(points=1.2, odometry=1.4, camera_height=1.02) == ""
    assert factors(points=1.0, odometry=1.5, camera_height=2.2).startswith("scale_sources_disagree")


def test_two_sources_alone_have_to_differ_by_more():
    assert factors(odometry=1.4, camera_height=1.0) == ""
    assert factors(odometry=1.6, camera_height=1.0).startswith("scale_sources_disagree: odometry says 1.600")
