# SPDX-License-Identifier: Apache-2.0
"""How the error of one model grows as its LiDAR fades, beside what needs no learning."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from mono_depth_ros.datasets.scan_history import ImageWithScans
from mono_depth_ros.errors import DataError, ModelContractError
from mono_depth_ros.evaluation.baselines import classical_depth, nearest_point_depth
from mono_depth_ros.evaluation.fading_sweeps import AGE_AS_IS, AGE_CARRIED, FadingImage, FadingPlan, Sweep
from mono_depth_ros.evaluation.method_depths import (
    CLASSICAL,
    COMPLETION,
    COMPLETION_NETWORK,
    METHODS,
    NEAREST,
    PREDICTION,
    PREDICTION_MEDIAN_SCALED,
    median_scale,
)
from mono_depth_ros.evaluation.metrics import DepthMetrics, depth_metrics, mean_metrics
from mono_depth_ros.evaluation.protocols import PLAIN, Protocol, changed
from mono_depth_ros.evaluation.sample_history import FadingInput
from mono_depth_ros.evaluation.scoring import resampled, scaled_and_clipped
from mono_depth_ros.geometry.camera import DepthMap, Points
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.anchoring import anchor_to_points
from mono_depth_ros.inference.pipeline import Engine, FitToNetwork, fit_to_network, infer_depth
from mono_depth_ros.perception.dial import DialPolicy, DialState, Mode, decide

WATCHED_METHODS = {COMPLETION: "completion", COMPLETION_NETWORK: "completion by the network alone"}
WATCHED_METRICS = ("abs_rel", "rmse")
# The baselines keep one core busy while the network runs on the other.
_WORKERS = 2
# Added points may make an error this much worse before it is called a fault.
TOLERATED_GROWTH = 0.02
# Below this (a ten-thousandth, or a tenth of a millimetre) a difference of errors is rounding.
_NEGLIGIBLE = 1e-4


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """All methods at one value of a sweep.

    Attributes:
        value: of the sweep.
        points_in_view: mean number of the network's pixels that hold an input point.
        dial_completes: share of the images for which the default dial, coming from prediction, would complete.
        metrics: method -> mean over all images; None for a method that cannot work since some image has no point.
    """

    value: float
    points_in_view: float
    dial_completes: float
    metrics: dict[str, DepthMetrics | None]


@dataclass(frozen=True, slots=True)
class DropoutCurve:
    """What came out.

    Attributes:
        sweeps: with their points, in the order of the values.
        images, truth_pixels: that every number rests on.
        images_without_truth: left out since no point of the scan could be scored.
    """

    sweeps: tuple[tuple[Sweep, tuple[CurvePoint, ...]], ...]
    images: int
    truth_pixels: int
    images_without_truth: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A value at which completion does not help.

    Attributes:
        sweep, value, method, metric: where; the method is completion, or what the network gives before anchoring.
        error: of the method there.
        limit: what it should not exceed.
        reason: "worse_than_prediction" or "worse_with_more_points".
        dial_completes: share of the images for which the dial lets this happen.
    """

    sweep: str
    value: float
    method: str
    metric: str
    error: float
    limit: float
    reason: str
    dial_completes: float

    def text(self) -> str:
        """One sentence."""
        against = "prediction alone" if self.reason == "worse_than_prediction" else "with fewer points"
        return (
            f"{self.sweep} {self.value:g}: {self.metric} of {WATCHED_METHODS[self.method]} is {self.error:.3f}, "
            f"{against} {self.limit:.3f} (the dial completes {self.dial_completes:.0%} of these images)"
        )


def measure_dropout_curve(
    images: Iterable[FadingInput],
    engine: Engine,
    plan: FadingPlan,
    on_value: Callable[[], None] | None = None,
) -> DropoutCurve:
    """Runs the model and the baselines at every value of every sweep, image by image.

    The scored pixels of an image are the same for all of them. Only metrics are kept between images.

    Args:
        images: with a scan for each of `plan.ages_s()`.
        engine: of a model that completes.
        plan: what fades.
        on_value: called after each value of each image, for progress.

    Raises:
        ModelContractError: the model only predicts.
        DataError: no image could be scored.
    """
    if not engine.contract.completes:
        raise ModelContractError(
            f"model {engine.contract.name}: expected one that completes, got one that predicts only"
        )
    protocol = scoring_protocol(plan)
    gathered = {(sweep.name, value): _Gathered() for sweep in plan.sweeps() for value in sweep.values}
    count = truth_pixels = without_truth = 0
    with ThreadPoolExecutor(_WORKERS) as pool:
        for given in images:
            image, fading = given.image, FadingImage(given, plan)
            if not fading.held_out.cells.any():
                without_truth += 1
                continue
            scorer = _ImageScorer(image, fading, engine, protocol)
            for found, scored in zip(
                gathered.values(), pool.map(partial(_score_value, scorer, fading), gathered), strict=True
            ):
                found.add(scored)
                if on_value is not None:
                    on_value()
            count += 1
            truth_pixels += int(fading.held_out.cells.sum())
    if not count:
        raise DataError(
            f"drop-out curve: expected at least one image with truth in view and a scan {plan.max_age_s:g} s before "
            "it, got none; is the drive long enough (--max-age-s), and are extrinsics and stamps right?"
        )
    curves = tuple(
        (sweep, tuple(gathered[sweep.name, value].mean(value, count) for value in sweep.values))
        for sweep in plan.sweeps()
    )
    return DropoutCurve(curves, count, truth_pixels, without_truth)


def _score_value(scorer: "_ImageScorer", fading: FadingImage, at: tuple[str, float]) -> "_Scored":
    sweep, value = at
    return scorer.score(fading.points(sweep, value), value if sweep in (AGE_CARRIED, AGE_AS_IS) else 0.0)


def scoring_protocol(plan: FadingPlan) -> Protocol:
    """How the held-out cells are scored."""
    return changed(PLAIN, {"max_truth_m": plan.max_depth_m, "clip_max_m": plan.max_depth_m})


def where_completion_stops_helping(curve: DropoutCurve) -> list[Finding]:
    """Values at which completion is worse than prediction, or worse than with fewer points by more than 2 %.

    Returns:
        Those of completion first, then those of the network alone.
    """
    findings = []
    for method in WATCHED_METHODS:
        for sweep, points in curve.sweeps:
            for at, point in enumerate(points):
                # The value with the next fewer points.
                before = at - sweep.points_grow
                fewer = points[before] if sweep.points_grow and 0 <= before < len(points) else None
                for metric in WATCHED_METRICS:
                    findings += _findings_at(sweep, point, fewer, method, metric)
    return findings


def summaries(findings: Sequence[Finding]) -> list[str]:
    """A sentence for the findings of one sweep, method, metric and reason, in their order."""
    together: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        key = (finding.sweep, finding.method, finding.metric, finding.reason)
        together.setdefault(key, []).append(finding)
    sentences = []
    for found in together.values():
        if len(found) == 1:
            sentences.append(found[0].text())
            continue
        worst = max(found, key=lambda finding: finding.error - finding.limit)
        values = ", ".join(f"{finding.value:g}" for finding in found)
        sentences.append(f"{found[0].sweep} at {values}; the worst: {worst.text()}")
    return sentences


def _findings_at(sweep: Sweep, point: CurvePoint, fewer: CurvePoint | None, method: str, metric: str) -> list[Finding]:
    error = _error(point, method, metric)
    limits = []
    prediction = _error(point, PREDICTION, metric)
    if error > prediction + _NEGLIGIBLE:
        limits.append((prediction, "worse_than_prediction"))
    if fewer is not None:
        limit = _error(fewer, method, metric)
        if error > limit * (1.0 + TOLERATED_GROWTH) + _NEGLIGIBLE:
            limits.append((limit, "worse_with_more_points"))
    return [
        Finding(sweep.name, point.value, method, metric, error, limit, reason, point.dial_completes)
        for limit, reason in limits
    ]


def _error(point: CurvePoint, method: str, metric: str) -> float:
    metrics = point.metrics[method]
    if metrics is None:
        raise DataError(f"drop-out curve: expected {method} at every value, got none at {point.value}")
    return float(getattr(metrics, metric))


@dataclass(frozen=True, slots=True)
class _Scored:
    """One image at one value."""

    metrics: dict[str, DepthMetrics]
    points_in_view: int
    completes: bool


class _Gathered:
    """The images at one value."""

    def __init__(self) -> None:
        self._scored: list[_Scored] = []

    def add(self, scored: _Scored) -> None:
        self._scored.append(scored)

    def mean(self, value: float, images: int) -> CurvePoint:
        metrics: dict[str, DepthMetrics | None] = {}
        for method in METHODS:
            found = [scored.metrics[method] for scored in self._scored if method in scored.metrics]
            # A mean over fewer images than the others' would compare what is not comparable.
            metrics[method] = mean_metrics(found) if len(found) == images else None
        return CurvePoint(
            value=value,
            points_in_view=float(np.mean([scored.points_in_view for scored in self._scored])),
            dial_completes=float(np.mean([scored.completes for scored in self._scored])),
            metrics=metrics,
        )


class _ImageScorer:
    """Scores any set of points of one image; the prediction is made once."""

    def __init__(self, image: ImageWithScans, fading: FadingImage, engine: Engine, protocol: Protocol) -> None:
        self._engine, self._protocol = engine, protocol
        self._camera, self._held_out = fading.truth_camera, fading.held_out
        self._fit: FitToNetwork = fit_to_network(image.image_rgb, image.camera, engine.contract)
        self._network_prediction_m: DepthMap = infer_depth(engine, self._fit, None)
        self._predicted_m = resampled(self._network_prediction_m, self._fit.camera, self._camera)
        self._prediction = self._score(self._predicted_m)

    def score(self, points_camera_m: Points, age_s: float) -> _Scored:
        metrics = {PREDICTION: self._prediction}
        given = project_points(points_camera_m, self._fit.camera)
        completed_m = infer_depth(self._engine, self._fit, given) if len(given) else self._network_prediction_m
        metrics[COMPLETION_NETWORK] = self._score(resampled(completed_m, self._fit.camera, self._camera))
        anchored_m = anchor_to_points(completed_m, given)
        metrics[COMPLETION] = self._score(resampled(anchored_m, self._fit.camera, self._camera))
        sparse = project_points(points_camera_m, self._camera)
        if len(sparse):
            ratio = np.float32(median_scale(self._predicted_m, sparse))
            metrics[PREDICTION_MEDIAN_SCALED] = self._score(self._predicted_m * ratio)
            metrics[NEAREST] = self._score(nearest_point_depth(sparse))
            metrics[CLASSICAL] = self._score(classical_depth(sparse))
        decision, _ = decide(len(given), age_s, DialPolicy(), DialState())
        return _Scored(metrics, len(given), decision.mode is Mode.COMPLETION)

    def _score(self, depth_m: DepthMap) -> DepthMetrics:
        scored_m = scaled_and_clipped(depth_m[self._held_out.cells], 1.0, self._protocol)
        return depth_metrics(scored_m, self._held_out.truth_m)
