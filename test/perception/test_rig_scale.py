# SPDX-License-Identifier: Apache-2.0
import math

import pytest

from mono_depth_ros.perception.rig_scale import SharedScale, share_scale
from mono_depth_ros.perception.scale import ScaleEstimate, ScalePolicy, ScaleSource

POINTS_FIRST = ScalePolicy(order=(ScaleSource.POINTS, ScaleSource.ODOMETRY, ScaleSource.MODEL))


def by(source: ScaleSource, value: float, sigma: float = 0.03) -> ScaleEstimate:
    return ScaleEstimate(value, sigma, source, 0.1)


def test_the_factor_is_the_median_over_cameras():
    cameras = [by(ScaleSource.POINTS, value) for value in (1.4, 1.5, 1.6, 40.0, 0.01)]
    _, shared = share_scale(SharedScale(), cameras, 0)
    assert shared.value == pytest.approx(1.5)
    assert shared.source is ScaleSource.POINTS


def test_cameras_without_points_take_the_factor_of_those_with_points():
    cameras = [by(ScaleSource.POINTS, 1.5), *[by(ScaleSource.MODEL, 1.0)] * 4, by(ScaleSource.NONE, 1.0)]
    _, shared = share_scale(SharedScale(), cameras, 0, POINTS_FIRST)
    assert shared.value == pytest.approx(1.5)
    _, model_first = share_scale(SharedScale(), cameras, 0)
    assert (model_first.value, model_first.source) == (1.0, ScaleSource.MODEL)


def test_cameras_that_disagree_make_the_factor_less_sure():
    _, agreed = share_scale(SharedScale(), [by(ScaleSource.POINTS, 1.5)] * 3, 0)
    _, spread = share_scale(SharedScale(), [by(ScaleSource.POINTS, value) for value in (1.2, 1.5, 1.8)], 0)
    assert agreed.sigma == pytest.approx(0.03)
    assert spread.sigma > 2 * agreed.sigma


def test_the_factor_moves_slowly_when_the_cameras_with_points_go():
    state, first = share_scale(SharedScale(), [by(ScaleSource.POINTS, 2.0)], 0, POINTS_FIRST)
    _, next_one = share_scale(state, [by(ScaleSource.MODEL, 1.0)], 1_000_000_000, POINTS_FIRST)
    assert first.value == pytest.approx(2.0)
    assert next_one.value == pytest.approx(2.0 * math.exp(-POINTS_FIRST.max_rate))


def test_without_any_source_the_depth_is_not_metric():
    state, shared = share_scale(SharedScale(1.0, 5), [by(ScaleSource.NONE, 1.0)], 10)
    assert not shared.metric
    assert state == SharedScale(1.0, 5)
