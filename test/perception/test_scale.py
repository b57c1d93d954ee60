# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mono_depth_ros.perception.scale import (
    MEASURED,
    ScaleMeasurement,
    ScalePolicy,
    ScaleSource,
    ScaleState,
    update_scale,
)

SECOND = 1_000_000_000
POINTS, ODOMETRY, HEIGHT = MEASURED
FUSE = ScalePolicy(order=MEASURED, combine="fuse")


def said(source: ScaleSource, value: float, sigma: float = 0.05, second: float = 0.0) -> ScaleMeasurement:
    return ScaleMeasurement(source, value, sigma, round(second * SECOND))


def test_the_first_source_of_the_order_that_is_there_is_taken():
    measurements = [said(HEIGHT, 1.5), said(ODOMETRY, 1.6)]
    for order, expected in (((POINTS, ODOMETRY, HEIGHT), 1.6), ((HEIGHT, ODOMETRY), 1.5)):
        _, estimate = update_scale(ScaleState(), measurements, 0, False, ScalePolicy(order=order))
        assert estimate.value == pytest.approx(expected)


def test_sources_are_fused_by_their_inverse_variances():
    _, estimate = update_scale(ScaleState(), [said(POINTS, 2.0, 0.02), said(HEIGHT, 1.9, 0.19)], 0, False, FUSE)
    weights = 1 / (0.01**2 + 0.02**2), 1 / (0.1**2 + 0.04**2)
    expected = math.exp((weights[0] * math.log(2.0) + weights[1] * math.log(1.9)) / sum(weights))
    assert estimate.value == pytest.approx(expected) and estimate.source is ScaleSource.FUSED
    assert estimate.sigma == pytest.approx(expected / math.sqrt(sum(weights)))


def test_where_sources_disagree_sigma_grows():
    _, agreeing = update_scale(ScaleState(), [said(POINTS, 2.0), said(HEIGHT, 2.0)], 0, False, FUSE)
    _, apart = update_scale(ScaleState(), [said(POINTS, 2.0), said(HEIGHT, 3.0)], 0, False, FUSE)
    assert apart.sigma > 3 * agreeing.sigma


def test_the_factor_changes_slowly_and_sigma_tells_how_far_it_lags():
    policy = ScalePolicy(order=(HEIGHT,), max_rate=0.1)
    state, estimate = update_scale(ScaleState(), [said(HEIGHT, 1.0)], 0, False, policy)
    state = ScaleState((), state.applied, state.stamp_ns)  # a new track, so that only the rate limits
    values = []
    for second in range(1, 9):
        measured = [said(HEIGHT, 1.5, second=second)] if second == 1 else []
        state, estimate = update_scale(state, measured, second * SECOND, False, policy)
        values.append(estimate.value)
        if second == 1:
            assert estimate.sigma > 0.25
    steps = np.diff(np.log([1.0, *values]))
    assert steps.max() <= 0.1 + 1e-9 and values[-1] == pytest.approx(1.5)


def test_one_wild_measurement_hardly_moves_a_settled_source():
    policy = ScalePolicy(order=(POINTS,))
    state = ScaleState()
    for second in range(20):
        state, estimate = update_scale(state, [said(POINTS, 1.0, second=second)], second * SECOND, False, policy)
    _, estimate = update_scale(state, [said(POINTS, 50.0, 2.5, second=20)], 20 * SECOND, False, policy)
    assert estimate.value == pytest.approx(1.0, abs=0.06)


def test_sigma_does_not_shrink_below_what_averaging_cannot_take_away():
    policy = ScalePolicy(order=(POINTS,), points_floor=0.02)
    state = ScaleState()
    for step in range(500):
        state, estimate = update_scale(
            state, [said(POINTS, 1.0, second=0.1 * step)], round(0.1 * step * SECOND), False, policy
        )
    assert 0.02 < estimate.sigma < 0.03


def test_an_old_source_is_less_sure_and_then_not_asked_any_more():
    policy = ScalePolicy(order=(POINTS, HEIGHT), max_age_s=10.0)
    state, fresh = update_scale(ScaleState(), [said(POINTS, 1.2), said(HEIGHT, 1.25)], 0, False, policy)
    state, older = update_scale(state, [said(HEIGHT, 1.25, second=9)], 9 * SECOND, False, policy)
    assert older.source is POINTS and older.age_s == 9.0 and older.sigma > fresh.sigma
    state, oldest = update_scale(state, [], 11 * SECOND, False, policy)
    assert oldest.source is HEIGHT
    _, none = update_scale(state, [], 60 * SECOND, False, policy)
    assert none.source is ScaleSource.NONE and none.value == 1.0 and not none.metric


def test_a_metric_model_is_its_own_source():
    _, estimate = update_scale(ScaleState(), [said(POINTS, 1.5)], 0, True)
    assert (estimate.value, estimate.source) == (1.0, ScaleSource.MODEL) and math.isnan(estimate.sigma)
    _, unknown = update_scale(ScaleState(), [], 0, False)
    assert unknown.source is ScaleSource.NONE


@given(
    st.lists(st.tuples(st.sampled_from(MEASURED), st.floats(0.01, 100), st.floats(0.001, 1.0)), min_size=1, max_size=8)
)
def test_the_fused_factor_lies_among_the_sources_and_is_finite(measured):
    state = ScaleState()
    values = []
    for second, (source, value, relative) in enumerate(measured):
        values.append(value)
        state, estimate = update_scale(
            state, [said(source, value, relative * value, second)], second * SECOND, False, FUSE
        )
        assert min(values) * 0.999 <= estimate.value <= max(values) * 1.001
        assert math.isfinite(estimate.sigma) and estimate.sigma > 0


def test_what_lasts_from_image_to_image_is_not_averaged_away():
    state = ScaleState()
    for index in range(200):
        measurement = ScaleMeasurement(ScaleSource.POINTS, 1.5, 0.15, index * 10**8, lasting=0.1)
        state, estimate = update_scale(state, [measurement], index * 10**8, model_is_metric=False)
    assert estimate.sigma / estimate.value > 0.1
    free = ScaleState()
    for index in range(200):
        measurement = ScaleMeasurement(ScaleSource.POINTS, 1.5, 0.15, index * 10**8)
        free, estimate = update_scale(free, [measurement], index * 10**8, model_is_metric=False)
    assert estimate.sigma / estimate.value < 0.05
