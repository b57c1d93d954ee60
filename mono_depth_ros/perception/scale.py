# SPDX-License-Identifier: Apache-2.0
"""Where the metres of a depth image come from: several sources, each with its own track, and one slow factor.

Everything is kept as logarithms of factors: 0.5 and 2 are equally far from 1, and relative errors add up. Each source
is followed by a Kalman filter of one number that may drift; what a source gets wrong for long (a street that is not
level, a tyre's radius) is not averaged away: its own floor is added to the filter's sigma.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from mono_depth_ros.errors import ConfigError


class ScaleSource(str, Enum):
    """Who vouches for the scale."""

    NONE = "none"
    MODEL = "model"
    POINTS = "points"
    ODOMETRY = "odometry"
    HEIGHT = "camera_height"
    FUSED = "fused"


@dataclass(frozen=True, slots=True)
class ScaleEstimate:
    """Factor that was applied to the network's depth, and its source.

    Attributes:
        value: factor, 1 when the network's own metres are taken as they are.
        sigma: standard deviation of ``value``; NaN where nobody knows it.
        source: who vouches for it; NONE means the depth is right up to an unknown factor.
        age_s: age of the data that the estimate rests on.
    """

    value: float
    sigma: float
    source: ScaleSource
    age_s: float

    @property
    def metric(self) -> bool:
        """Whether the depth is in metres."""
        return self.source is not ScaleSource.NONE


@dataclass(frozen=True, slots=True)
class ScaleMeasurement:
    """What one source says at one image.

    Attributes:
        source: POINTS, ODOMETRY or HEIGHT.
        value: factor from the network's depth to metres, > 0.
        sigma: its standard deviation, > 0.
        stamp_ns: of the image.
        lasting: relative standard deviation of what the next images have in common with this one, and what is
            therefore not averaged away: a network's wrong shape of the scene.
    """

    source: ScaleSource
    value: float
    sigma: float
    stamp_ns: int
    lasting: float = 0.0


_LASTING_LOOKS = 20  # over so many measurements the variance that lasts is averaged

MEASURED = (ScaleSource.POINTS, ScaleSource.ODOMETRY, ScaleSource.HEIGHT)


@dataclass(frozen=True, slots=True)
class ScalePolicy:
    """Which sources are asked, and how fast the factor may follow them.

    Attributes:
        order: the sources, the best first; a source that is not named is not used.
        combine: ``first`` takes the first source of the order that is there; ``fuse`` takes all, weighted by their
            inverse variances.
        max_age_s: a source that said nothing for so long is not asked any more.
        drift: standard deviation by which a log factor may wander in a second.
        max_rate: largest change of the log factor in a second; 0.1 is about 10 % per second.
        model_sigma: relative standard deviation of a metric model's own metres, for ``fuse``.
        points_floor, odometry_floor, height_floor: relative error of a source that no averaging takes away.
        base_height_m: height of the odometry's base frame above the ground; the camera's height follows from it.
        refresh_s: time between two looks at what costs extra (ground planes; a prediction while completing).
        min_speed_mps: slower motion tells no scale.

    Raises:
        ConfigError: if a value is out of range, or the order names a source twice or none.
    """

    order: tuple[ScaleSource, ...] = (ScaleSource.MODEL, *MEASURED)
    combine: str = "first"
    max_age_s: float = 60.0
    drift: float = 0.005
    max_rate: float = 0.1
    model_sigma: float = 0.1
    points_floor: float = 0.02
    odometry_floor: float = 0.03
    height_floor: float = 0.04
    base_height_m: float = 0.0
    refresh_s: float = 1.0
    min_speed_mps: float = 1.0

    def __post_init__(self) -> None:
        allowed = (ScaleSource.MODEL, *MEASURED)
        if not self.order or len(set(self.order)) < len(self.order) or set(self.order) - set(allowed):
            raise ConfigError(
                f"scale: expected an order of {', '.join(s.value for s in allowed)}, each at most once, got "
                f"{', '.join(str(getattr(s, 'value', s)) for s in self.order) or 'nothing'}"
            )
        if self.combine not in ("first", "fuse"):
            raise ConfigError(f"scale: expected combine first or fuse, got {self.combine!r}")
        positive = (self.max_age_s, self.drift, self.max_rate, self.model_sigma, self.refresh_s)
        floors = (self.points_floor, self.odometry_floor, self.height_floor, self.min_speed_mps)
        if not min(positive) > 0 or min(floors) < 0 or not all(map(math.isfinite, (*positive, *floors))):
            raise ConfigError(f"scale: expected finite positive values, got {self}")

    def floor(self, source: ScaleSource) -> float:
        """Relative error of a source that no averaging takes away."""
        floors = {
            ScaleSource.POINTS: self.points_floor,
            ScaleSource.ODOMETRY: self.odometry_floor,
            ScaleSource.HEIGHT: self.height_floor,
        }
        return floors.get(source, self.model_sigma)


DEFAULT_SCALE_POLICY = ScalePolicy()


@dataclass(frozen=True, slots=True)
class SourceTrack:
    """What a source said so far.

    Attributes:
        source: whose.
        log_value: filtered log factor.
        variance: of the filter, at ``stamp_ns``.
        stamp_ns: of its last measurement.
        count: measurements so far.
        lasting: mean variance of what does not average out.
    """

    source: ScaleSource
    log_value: float
    variance: float
    stamp_ns: int
    count: int
    lasting: float = 0.0

    def sigma_at(self, stamp_ns: int, policy: ScalePolicy) -> float:
        """Standard deviation of the log factor at a stamp: of the filter, drift since, what lasts, and floor."""
        age_s = abs(stamp_ns - self.stamp_ns) * 1e-9
        return math.sqrt(self.variance + policy.drift**2 * age_s + self.lasting + policy.floor(self.source) ** 2)


@dataclass(frozen=True, slots=True)
class ScaleState:
    """What is remembered from image to image.

    Attributes:
        tracks: one per source that ever measured.
        applied: log factor that was applied last; None before the first.
        stamp_ns: of that.
    """

    tracks: tuple[SourceTrack, ...] = ()
    applied: float | None = None
    stamp_ns: int = 0


def update_scale(
    state: ScaleState,
    measurements: Sequence[ScaleMeasurement],
    stamp_ns: int,
    model_is_metric: bool,
    policy: ScalePolicy = DEFAULT_SCALE_POLICY,
) -> tuple[ScaleState, ScaleEstimate]:
    """One image.

    Args:
        state: what the previous call returned.
        measurements: of this image, any number.
        stamp_ns: of the image.
        model_is_metric: whether the network's own metres count as a source, with the factor 1.
        policy: which sources, and how fast.

    Returns:
        The state for the next call, and the factor to apply to a prediction. Without any source it is 1 by NONE.

    >>> first = [ScaleMeasurement(ScaleSource.POINTS, 1.5, 0.03, 0)]
    >>> state, estimate = update_scale(ScaleState(), first, 0, model_is_metric=False)
    >>> round(estimate.value, 3), estimate.source.value
    (1.5, 'points')
    """
    tracks = {track.source: track for track in state.tracks}
    for measurement in measurements:
        tracks[measurement.source] = _follow(tracks.get(measurement.source), measurement, policy)
    state = replace(state, tracks=tuple(tracks.values()))
    candidates = _candidates(tracks, stamp_ns, model_is_metric, policy)
    if not candidates:
        return state, ScaleEstimate(1.0, float("nan"), ScaleSource.NONE, 0.0)
    wanted, sigma, source, age_s = candidates[0] if policy.combine == "first" else _fused(candidates)
    applied = wanted
    if state.applied is not None:
        step = policy.max_rate * abs(stamp_ns - state.stamp_ns) * 1e-9
        applied = min(max(wanted, state.applied - step), state.applied + step)
    value = math.exp(applied)
    # A factor that still lags behind its source is as wrong as it lags.
    estimate = ScaleEstimate(value, value * math.hypot(sigma, applied - wanted), source, age_s)
    return ScaleState(state.tracks, applied, stamp_ns), estimate


_Candidate = tuple[float, float, ScaleSource, float]  # log factor, its sigma, source, age in seconds


def _candidates(
    tracks: dict[ScaleSource, SourceTrack], stamp_ns: int, model_is_metric: bool, policy: ScalePolicy
) -> list[_Candidate]:
    """The sources that have something to say, in the order of the policy."""
    found: list[_Candidate] = []
    for source in policy.order:
        track = tracks.get(source)
        if source is ScaleSource.MODEL and model_is_metric:
            # Nobody measured the sigma of a model's metres on this drive; fusing has to assume one.
            found.append((0.0, float("nan") if policy.combine == "first" else policy.model_sigma, source, 0.0))
        elif track is not None and abs(stamp_ns - track.stamp_ns) * 1e-9 <= policy.max_age_s:
            age_s = (stamp_ns - track.stamp_ns) * 1e-9
            found.append((track.log_value, track.sigma_at(stamp_ns, policy), source, age_s))
    return found


def _fused(candidates: list[_Candidate]) -> _Candidate:
    """Mean weighted by inverse variances; its sigma grows where the sources disagree (Birge 1932)."""
    weights = [1.0 / sigma**2 for _, sigma, _, _ in candidates]
    total = sum(weights)
    mean = sum(weight * candidate[0] for weight, candidate in zip(weights, candidates, strict=True)) / total
    sigma = math.sqrt(1.0 / total)
    if len(candidates) > 1:
        chi_squared = sum(
            weight * (candidate[0] - mean) ** 2 for weight, candidate in zip(weights, candidates, strict=True)
        )
        sigma *= max(1.0, math.sqrt(chi_squared / (len(candidates) - 1)))
    age_s = min(age for _, _, _, age in candidates)
    source = candidates[0][2] if len(candidates) == 1 else ScaleSource.FUSED
    return mean, sigma, source, age_s


def _follow(track: SourceTrack | None, measurement: ScaleMeasurement, policy: ScalePolicy) -> SourceTrack:
    """One step of a source's filter; a measurement far off pulls no more than one at three sigma."""
    log_value, relative = math.log(measurement.value), measurement.sigma / measurement.value
    noise = relative**2
    if track is None:
        return SourceTrack(measurement.source, log_value, noise, measurement.stamp_ns, 1, measurement.lasting**2)
    elapsed_s = abs(measurement.stamp_ns - track.stamp_ns) * 1e-9
    variance = track.variance + policy.drift**2 * elapsed_s
    spread = math.sqrt(variance + noise)
    innovation = min(max(log_value - track.log_value, -3.0 * spread), 3.0 * spread)
    gain = variance / (variance + noise)
    return SourceTrack(
        measurement.source,
        track.log_value + gain * innovation,
        (1.0 - gain) * variance,
        max(measurement.stamp_ns, track.stamp_ns),
        track.count + 1,
        track.lasting + (measurement.lasting**2 - track.lasting) / min(track.count + 1, _LASTING_LOOKS),
    )
