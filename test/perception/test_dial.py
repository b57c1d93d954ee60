# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.perception.dial import DialPolicy, DialState, Mode, Reason, decide

POLICY = DialPolicy(max_points_age_s=0.3, resume_points_age_s=0.2, min_points=10, resume_points=20)
PREDICTING, COMPLETING = DialState(Mode.PREDICTION), DialState(Mode.COMPLETION)


@pytest.mark.parametrize(
    ("points", "age_s", "state", "mode", "reason"),
    [
        (None, None, COMPLETING, Mode.PREDICTION, Reason.NO_POINTS),
        (500, 0.0, PREDICTING, Mode.COMPLETION, Reason.POINTS_USED),
        (500, -0.1, PREDICTING, Mode.COMPLETION, Reason.POINTS_USED),
        (500, 0.25, COMPLETING, Mode.COMPLETION, Reason.POINTS_USED),
        (500, 0.25, PREDICTING, Mode.PREDICTION, Reason.POINTS_STALE),
        (500, 0.31, COMPLETING, Mode.PREDICTION, Reason.POINTS_STALE),
        (500, -0.31, COMPLETING, Mode.PREDICTION, Reason.POINTS_STALE),
        (15, 0.0, COMPLETING, Mode.COMPLETION, Reason.POINTS_USED),
        (15, 0.0, PREDICTING, Mode.PREDICTION, Reason.TOO_FEW_POINTS),
        (9, 0.0, COMPLETING, Mode.PREDICTION, Reason.TOO_FEW_POINTS),
        (0, 0.0, COMPLETING, Mode.PREDICTION, Reason.TOO_FEW_POINTS),
    ],
)
def test_the_dial_stands_where_the_table_says(points, age_s, state, mode, reason):
    decision, _ = decide(points, age_s, POLICY, state)
    assert (decision.mode, decision.reason) == (mode, reason)


def test_the_first_scan_after_a_gap_turns_the_dial_back():
    state = COMPLETING
    modes = []
    for age_s in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.0):
        decision, state = decide(300, age_s, POLICY, state)
        modes.append(decision.mode.name[0])
    assert "".join(modes) == "CCCCPPC"


@given(st.floats(0.2, 0.3), st.integers(10, 20))
def test_between_the_limits_the_dial_stays_where_it_is(age_s, points):
    completing, _ = decide(points, age_s, POLICY, COMPLETING)
    assert completing.mode is Mode.COMPLETION
    predicting, _ = decide(points - 1, age_s, POLICY, PREDICTING)
    assert predicting.mode is Mode.PREDICTION


@pytest.mark.parametrize("limits", [{"resume_points_age_s": 0.5}, {"resume_points": 1}, {"min_points": 0}])
def test_limits_the_wrong_way_round_are_refused(limits):
    with pytest.raises(ConfigError, match="dial: expected"):
        DialPolicy(**limits)


def test_remembered_points_may_be_older_with_a_hysteresis_of_their_own():
    policy = DialPolicy(max_remembered_age_s=1.0, resume_remembered_age_s=0.8)
    for age_s, state, remembered, mode in (
        (0.9, COMPLETING, True, Mode.COMPLETION),
        (0.9, COMPLETING, False, Mode.PREDICTION),
        (0.9, PREDICTING, True, Mode.PREDICTION),
        (0.7, PREDICTING, True, Mode.COMPLETION),
        (1.1, COMPLETING, True, Mode.PREDICTION),
    ):
        decision, _ = decide(500, age_s, policy, state, remembered)
        assert decision.mode is mode, (age_s, state, remembered)
    with pytest.raises(ConfigError, match="resume_remembered_age_s"):
        DialPolicy(max_remembered_age_s=0.5)


@pytest.mark.parametrize(
    ("forced", "points", "age_s", "mode", "reason"),
    [
        (Mode.PREDICTION, 500, 0.0, Mode.PREDICTION, Reason.PREDICTION_FORCED),
        (Mode.PREDICTION, None, None, Mode.PREDICTION, Reason.PREDICTION_FORCED),
        (Mode.COMPLETION, 500, 0.0, Mode.COMPLETION, Reason.POINTS_USED),
        (Mode.COMPLETION, 1, 1.9, Mode.COMPLETION, Reason.POINTS_USED),
        (Mode.COMPLETION, 0, 0.0, Mode.NONE, Reason.COMPLETION_FORCED),
        (Mode.COMPLETION, None, None, Mode.NONE, Reason.COMPLETION_FORCED),
    ],
)
def test_a_forced_mode_stands_whatever_the_limits_say(forced, points, age_s, mode, reason):
    decision, _ = decide(points, age_s, DialPolicy(forced=forced), DialState())
    assert (decision.mode, decision.reason) == (mode, reason)


def test_a_scan_too_old_to_be_shown_is_stale_and_none_at_all_is_none():
    assert decide(None, 3.0, DialPolicy(), DialState())[0].reason is Reason.POINTS_STALE
    assert decide(None, None, DialPolicy(), DialState())[0].reason is Reason.NO_POINTS


def test_none_cannot_be_forced():
    with pytest.raises(ConfigError, match="expected forced to be PREDICTION"):
        DialPolicy(forced=Mode.NONE)
