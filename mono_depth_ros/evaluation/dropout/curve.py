# SPDX-License-Identifier: Apache-2.0
"""How the error of one model grows as its LiDAR fades, beside what needs no learning."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

import numpy as np

from mono_depth_ros.datasets.bags.scan_history import ImageWithScans
from mono_depth_ros.errors import DataError, ModelContractError
from mono_depth_ros.evaluation.baselines import classical_depth, nearest_point_depth
from mono_depth_ros.evaluation.dropout.fading_sweeps import AGE_AS_IS, AGE_CARRIED, FadingImage, FadingPlan, Sweep
from mono_depth_ros.evaluation.dropout.sample_history import FadingInput
from mono_depth_ros.evaluation.method_depths import (
    CLASSICAL,
    COMPLETION,
    COMPLETION_NETWORK,
    NEAREST,
    NETWORK_METHODS,
    PREDICTION,
    PREDICTION_MEDIAN_SCALED,
    median_scale,
)
from mono_depth_ros.evaluation.metrics import DepthMetrics, depth_metrics, mean_metrics
from mono_depth_ros.evaluation.protocol_steps import resampled, scaled_and_clipped
from mono_depth_ros.evaluation.protocols import PLAIN, Protocol, changed
from mono_depth_ros.geometry.camera import DepthMap, Points
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.completion import through_points
from mono_depth_ros.inference.network_image import Engine, FitToNetwork, fit_to_network, infer_depth
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
class ScoredValue:
    """One image at one value; attributes as in CurvePoint."""

    metrics: dict[str, DepthMetrics]
    points_in_view: int
    completes: bool


@dataclass(frozen=True, slots=True)
class ImageCurve:
    """One image at all values of all sweeps; without truth in view it has none."""

    truth_pixels: int
    values: tuple[ScoredValue, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        values = [
            [
                value.points_in_view,
                value.completes,
                {name: list(astuple(found)) for name, found in value.metrics.items()},
            ]
            for value in self.values
        ]
        return {"truth_pixels": self.truth_pixels, "values": values}


def image_curve_from_dict(content: Mapping[str, Any]) -> ImageCurve:
    """The opposite of `to_dict`.

    Raises:
        DataError: it is not what `to_dict` gives.
    """
    try:
        values = [
            ScoredValue(
                {name: DepthMetrics(*map(float, found)) for name, found in metrics.items()}, int(points), bool(on)
            )
            for points, on, metrics in content["values"]
        ]
        return ImageCurve(int(content["truth_pixels"]), tuple(values))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"image of a drop-out curve: expected what a measurement writes, got {error!r}") from error


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
class CurveFinding:
    """A value at which completion does not help.

    Attributes:
        sweep, value, method, metric: where; the method is completion, or what the network alone gives.
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
    *,
    done: Sequence[ImageCurve] = (),
    on_image: Callable[[ImageCurve], None] | None = None,
) -> DropoutCurve:
    """Runs the model and the baselines at every value of every sweep, image by image.

    The scored pixels of an image are the same for all of them. Only metrics are kept between images.

    Args:
        images: with a scan for each of `plan.ages_s()`, from the first one that is not in `done`.
        engine: of a model that completes.
        plan: what fades.
        on_value: called after each value of each image, for progress.
        done: images that an earlier run has scored.
        on_image: called after each image.

    Raises:
        ModelContractError: the model only predicts.
        DataError: no image could be scored.
    """
    if not engine.contract.completes:
        raise ModelContractError(
            f"model {engine.contract.name}: expected one that completes, got one that predicts only"
        )
    curves = list(done)
    with ThreadPoolExecutor(_WORKERS) as pool:
        for given in images:
            curves.append(_image_curve(given, engine, plan, pool, on_value))
            if on_image is not None:
                on_image(curves[-1])
    scored = [curve for curve in curves if curve.truth_pixels]
    if not scored:
        raise DataError(
            f"drop-out curve: expected at least one image with truth in view and a scan {plan.max_age_s:g} s before "
            "it, got none; is the drive long enough (--max-age-s), and are extrinsics and stamps right?"
        )
    at = {where: index for index, where in enumerate(_values(plan))}
    sweeps = tuple(
        (sweep, tuple(_mean([c.values[at[sweep.name, value]] for c in scored], value) for value in sweep.values))
        for sweep in plan.sweeps()
    )
    return DropoutCurve(sweeps, len(scored), sum(c.truth_pixels for c in scored), len(curves) - len(scored))


def _values(plan: FadingPlan) -> list[tuple[str, float]]:
    """Name of the sweep and value, in the order in which an image is scored."""
    return [(sweep.name, value) for sweep in plan.sweeps() for value in sweep.values]


def _image_curve(
    given: FadingInput,
    engine: Engine,
    plan: FadingPlan,
    pool: ThreadPoolExecutor,
    on_value: Callable[[], None] | None,
) -> ImageCurve:
    fading = FadingImage(given, plan)
    if not fading.held_out.cells.any():
        return ImageCurve(0, ())
    scorer = _ImageScorer(given.image, fading, engine, scoring_protocol(plan))
    values = []
    for value in pool.map(partial(_score_value, scorer, fading), _values(plan)):
        values.append(value)
        if on_value is not None:
            on_value()
    return ImageCurve(int(fading.held_out.cells.sum()), tuple(values))


def _score_value(scorer: "_ImageScorer", fading: FadingImage, at: tuple[str, float]) -> ScoredValue:
    sweep, value = at
    return scorer.score(fading.points(sweep, value), value if sweep in (AGE_CARRIED, AGE_AS_IS) else 0.0)


def _mean(images: Sequence[ScoredValue], value: float) -> CurvePoint:
    metrics: dict[str, DepthMetrics | None] = {}
    for method in NETWORK_METHODS:
        found = [image.metrics[method] for image in images if method in image.metrics]
        # A mean over fewer images than the others' would compare what is not comparable.
        metrics[method] = mean_metrics(found) if len(found) == len(images) else None
    return CurvePoint(
        value=value,
        points_in_view=float(np.mean([image.points_in_view for image in images])),
        dial_completes=float(np.mean([image.completes for image in images])),
        metrics=metrics,
    )


def scoring_protocol(plan: FadingPlan) -> Protocol:
    """How the held-out cells are scored."""
    return changed(PLAIN, {"max_truth_m": plan.max_depth_m, "clip_max_m": plan.max_depth_m})


def where_completion_stops_helping(curve: DropoutCurve) -> list[CurveFinding]:
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


def summaries(findings: Sequence[CurveFinding]) -> list[str]:
    """A sentence for the findings of one sweep, method, metric and reason, in their order."""
    together: dict[tuple[str, str, str, str], list[CurveFinding]] = {}
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


def _findings_at(
    sweep: Sweep, point: CurvePoint, fewer: CurvePoint | None, method: str, metric: str
) -> list[CurveFinding]:
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
        CurveFinding(sweep.name, point.value, method, metric, error, limit, reason, point.dial_completes)
        for limit, reason in limits
    ]


def _error(point: CurvePoint, method: str, metric: str) -> float:
    metrics = point.metrics[method]
    if metrics is None:
        raise DataError(f"drop-out curve: expected {method} at every value, got none at {point.value}")
    return float(getattr(metrics, metric))


class _ImageScorer:
    """Scores any set of points of one image; the prediction is made once."""

    def __init__(self, image: ImageWithScans, fading: FadingImage, engine: Engine, protocol: Protocol) -> None:
        self._engine, self._protocol = engine, protocol
        self._camera, self._held_out = fading.truth_camera, fading.held_out
        self._fit: FitToNetwork = fit_to_network(image.image_rgb, image.camera, engine.contract)
        self._network_prediction_m: DepthMap = infer_depth(engine, self._fit, None)
        self._predicted_m = resampled(self._network_prediction_m, self._fit.camera, self._camera)
        self._prediction = self._score(self._predicted_m)

    def score(self, points_camera_m: Points, age_s: float) -> ScoredValue:
        metrics = {PREDICTION: self._prediction}
        given = project_points(points_camera_m, self._fit.camera)
        completed_m = infer_depth(self._engine, self._fit, given) if len(given) else self._network_prediction_m
        metrics[COMPLETION_NETWORK] = self._score(resampled(completed_m, self._fit.camera, self._camera))
        completed_m = through_points(completed_m, self._fit.image_rgb, given)
        metrics[COMPLETION] = self._score(resampled(completed_m, self._fit.camera, self._camera))
        sparse = project_points(points_camera_m, self._camera)
        if len(sparse):
            ratio = np.float32(median_scale(self._predicted_m, sparse))
            metrics[PREDICTION_MEDIAN_SCALED] = self._score(self._predicted_m * ratio)
            metrics[NEAREST] = self._score(nearest_point_depth(sparse))
            metrics[CLASSICAL] = self._score(classical_depth(sparse))
        decision, _ = decide(len(given), age_s, DialPolicy(), DialState())
        return ScoredValue(metrics, len(given), decision.mode is Mode.COMPLETION)

    def _score(self, depth_m: DepthMap) -> DepthMetrics:
        scored_m = scaled_and_clipped(depth_m[self._held_out.cells], 1.0, self._protocol)
        return depth_metrics(scored_m, self._held_out.truth_m)
