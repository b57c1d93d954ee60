# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mono_depth_ros.inference.alignment import fit_inverse_depth


def network_and_truth(count: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """What a network says of depths between 2 and 50 m: inverse depth, times 3 and shifted by -0.1."""
    depth_m = np.exp(np.random.default_rng(0).uniform(np.log(2), np.log(50), count)).astype(np.float32)
    return (3.0 / depth_m - 0.1).astype(np.float32), depth_m


def test_factor_and_offset_are_found():
    fit = fit_inverse_depth(*network_and_truth())
    assert (fit.scale, fit.offset) == (pytest.approx(1 / 3, rel=1e-4), pytest.approx(0.1 / 3, rel=1e-3))
    assert fit.points == 80 and fit.spread < 1e-5


def test_a_fifth_of_wrong_points_does_not_pull_the_fit():
    inverse, depth_m = network_and_truth()
    depth_m[:16] = 2.0
    fit = fit_inverse_depth(inverse, depth_m)
    assert fit.scale == pytest.approx(1 / 3, rel=0.02)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_points_give_a_factor_only(count):
    fit = fit_inverse_depth(np.float32([0.5, 0.3])[:count], np.float32([4.0, 8.0])[:count])
    assert fit.offset == 0.0 and fit.scale == pytest.approx(0.5 if count == 1 else (0.5 + 1 / 2.4) / 2)


def test_points_at_one_depth_give_a_factor_only():
    fit = fit_inverse_depth(np.float32([0.5, 0.5, 0.501, 0.499]), np.float32([4.0, 4.1, 3.9, 4.0]))
    assert fit.offset == 0.0 and fit.scale == pytest.approx(0.5, rel=0.02)


def test_points_that_would_turn_near_into_far_give_a_factor_only():
    inverse, depth_m = network_and_truth()
    fit = fit_inverse_depth(np.float32(1.0) - inverse / 3, depth_m)
    assert fit.offset == 0.0 and fit.scale > 0


@given(st.lists(st.tuples(st.floats(-5, 100, width=32), st.floats(0.125, 250, width=32)), min_size=1, max_size=30))
def test_any_points_give_a_finite_fit_with_a_positive_factor(pairs):
    inverse, depth_m = (np.array(column, np.float32) for column in zip(*pairs, strict=True))
    fit = fit_inverse_depth(inverse, depth_m)
    assert np.isfinite([fit.scale, fit.offset, fit.spread]).all() and fit.scale > 0
