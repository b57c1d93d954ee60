# SPDX-License-Identifier: Apache-2.0
"""The dial: predict or complete, decided per image by a pure function with its hysteresis in an explicit state."""

from dataclasses import dataclass
from enum import Enum, IntEnum

from mono_depth_ros.errors import ConfigError


class Mode(IntEnum):
    """What made a depth image; the numbers are those of DepthStatus.msg."""

    NONE = 0
    PREDICTION = 1
    COMPLETION = 2


class Reason(str, Enum):
    """Why the dial stands where it stands."""

    POINTS_USED = "points_used"
    NO_POINTS = "no_points"
    POINTS_STALE = "points_stale"
    TOO_FEW_POINTS = "too_few_points_in_view"
    MODEL_PREDICTS_ONLY = "model_predicts_only"
    PREDICTION_FORCED = "prediction_forced"
    COMPLETION_FORCED = "completion_forced_without_points"


@dataclass(frozen=True, slots=True)
class DialPolicy:
    """When points are good enough. Each quantity has two limits, so that a value at the limit does not flicker.

    Attributes:
        max_points_age_s: COMPLETION ends when the newest usable scan is older than this at the image stamp.
        resume_points_age_s: COMPLETION begins again only at this age or below.
        max_remembered_age_s: in place of max_points_age_s while the lidar memory carries the points by odometry.
        resume_remembered_age_s: in place of resume_points_age_s likewise.
        min_points: COMPLETION ends below this number of image cells with a point.
        resume_points: COMPLETION begins again only from this number.
        forced: PREDICTION or COMPLETION whatever the points are; None lets the limits decide. A forced COMPLETION
            takes any point of any age that is there, and gives no depth (Mode.NONE) where there is none.

    Raises:
        ConfigError: if NONE is forced, or the two limits of a quantity are the wrong way round.
    """

    max_points_age_s: float = 0.25
    resume_points_age_s: float = 0.20
    min_points: int = 10
    resume_points: int = 15
    max_remembered_age_s: float = 1.0
    resume_remembered_age_s: float = 0.8
    forced: Mode | None = None

    def __post_init__(self) -> None:
        if self.forced is Mode.NONE:
            raise ConfigError("dial: expected forced to be PREDICTION, COMPLETION or None, got NONE")
        if not 0 < self.resume_points_age_s <= self.max_points_age_s:
            raise ConfigError(
                f"dial: expected 0 < resume_points_age_s <= max_points_age_s, got {self.resume_points_age_s} and "
                f"{self.max_points_age_s}"
            )
        if not 0 < self.resume_remembered_age_s <= self.max_remembered_age_s:
            raise ConfigError(
                f"dial: expected 0 < resume_remembered_age_s <= max_remembered_age_s, got "
                f"{self.resume_remembered_age_s} and {self.max_remembered_age_s}"
            )
        if not 1 <= self.min_points <= self.resume_points:
            raise ConfigError(
                f"dial: expected 1 <= min_points <= resume_points, got {self.min_points} and {self.resume_points}"
            )


@dataclass(frozen=True, slots=True)
class DialState:
    """What the dial remembers from the image before."""

    mode: Mode = Mode.NONE


@dataclass(frozen=True, slots=True)
class DialDecision:
    """The mode for one image, and why."""

    mode: Mode
    reason: Reason


def decide(
    points_in_view: int | None,
    points_age_s: float | None,
    policy: DialPolicy,
    state: DialState,
    remembered: bool = False,
) -> tuple[DialDecision, DialState]:
    """Sets the dial for one image.

    Args:
        points_in_view: image cells that hold a point; None when no scan can be used.
        points_age_s: image stamp minus scan stamp; the sign does not matter; None when there is no scan. An age without
            points is that of a scan too old to be shown.
        policy: the limits.
        state: what the previous call returned.
        remembered: whether the lidar memory carried the points by odometry (SensorSnapshot.points_remembered), so that
            the nearest scan may be as old as the memory reaches.

    Returns:
        The decision and the state for the next call.

    >>> decision, state = decide(500, 0.05, DialPolicy(), DialState())
    >>> decision.mode.name, decide(500, 0.4, DialPolicy(), state)[0].reason.value
    ('COMPLETION', 'points_stale')
    """
    completing = state.mode is Mode.COMPLETION
    age_limit_s = policy.max_points_age_s if completing else policy.resume_points_age_s
    if remembered:
        remembered_limit_s = policy.max_remembered_age_s if completing else policy.resume_remembered_age_s
        age_limit_s = max(age_limit_s, remembered_limit_s)
    points_limit = policy.min_points if completing else policy.resume_points
    if policy.forced is not None:
        decision = _forced(policy.forced, bool(points_in_view))
    elif points_age_s is None:
        decision = DialDecision(Mode.PREDICTION, Reason.NO_POINTS)
    elif points_in_view is None or abs(points_age_s) > age_limit_s:
        decision = DialDecision(Mode.PREDICTION, Reason.POINTS_STALE)
    elif points_in_view < points_limit:
        decision = DialDecision(Mode.PREDICTION, Reason.TOO_FEW_POINTS)
    else:
        decision = DialDecision(Mode.COMPLETION, Reason.POINTS_USED)
    return decision, DialState(decision.mode)


def _forced(mode: Mode, points: bool) -> DialDecision:
    if mode is Mode.PREDICTION:
        return DialDecision(mode, Reason.PREDICTION_FORCED)
    return DialDecision(mode, Reason.POINTS_USED) if points else DialDecision(Mode.NONE, Reason.COMPLETION_FORCED)
