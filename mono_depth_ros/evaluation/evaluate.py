# SPDX-License-Identifier: Apache-2.0
"""Scores a model and two baselines against dense truth, every method on the same pixels of the same images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.evaluation.baselines import classical_depth, nearest_point_depth
from mono_depth_ros.evaluation.metrics import DepthMetrics, depth_metrics, mean_metrics
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth, project_points
from mono_depth_ros.inference.anchoring import anchor_to_points
from mono_depth_ros.inference.pipeline import Engine, fit_to_network, infer_depth

PREDICTION = "prediction"
PREDICTION_MEDIAN_SCALED = "prediction_median_scaled"
COMPLETION = "completion"
COMPLETION_NETWORK = "completion_network"
NEAREST = "nearest"
CLASSICAL = "classical"


@dataclass(frozen=True, slots=True)
class ScoringPolicy:
    """Which pixels count, and how predictions are limited before they are compared.

    Attributes:
        max_depth_m: truth beyond this is left out, and predictions are clipped to it.
        min_depth_m: predictions are clipped to at least this.

    Raises:
        ConfigError: the limits are not 0 < min < max.
    """

    max_depth_m: float = 80.0
    min_depth_m: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.min_depth_m < self.max_depth_m < float("inf"):
            raise ConfigError(
                f"scoring: expected 0 < min_depth_m < max_depth_m, got {self.min_depth_m} and {self.max_depth_m}"
            )


@dataclass(frozen=True, slots=True)
class MethodScore:
    """Mean metrics of one method, and how many images and pixels they rest on."""

    metrics: DepthMetrics
    images: int
    pixels: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out.

    Attributes:
        scores: method -> score, in the order of the methods; all rest on the same pixels.
        skipped: images left out because no input point or no truth pixel was in view.
    """

    scores: dict[str, MethodScore]
    skipped: int


def evaluate(
    samples: Iterable[DepthSample],
    engine: Engine | None,
    policy: ScoringPolicy = ScoringPolicy(),
    on_image: Callable[[DepthSample], None] | None = None,
) -> Evaluation:
    """Scores prediction, completion and the baselines.

    The truth's grid is where everything is compared. Pixels where an input point falls are not scored, for any method.

    Args:
        samples: with truth and with sparse points.
        engine: runs the model; None scores the baselines only.
        policy: limits of depth.
        on_image: called after each sample, for progress.

    Raises:
        DataError: a sample has no truth or points, or no image could be scored at all.
    """
    per_method: dict[str, list[DepthMetrics]] = {}
    pixels = skipped = 0
    for sample in samples:
        if sample.truth_camera is None or sample.truth_depth_m is None or sample.points_camera_m is None:
            raise DataError(f"sample {sample.name}: expected truth and sparse points, got one without")
        sparse = project_points(sample.points_camera_m, sample.truth_camera)
        scored = scored_pixels(sample.truth_depth_m, sparse, policy.max_depth_m)
        if len(sparse) and scored.any():
            for method, depth_m in _method_depths(sample, sample.truth_camera, sparse, engine).items():
                predicted_m = np.clip(depth_m[scored], policy.min_depth_m, policy.max_depth_m)
                per_method.setdefault(method, []).append(depth_metrics(predicted_m, sample.truth_depth_m[scored]))
            pixels += int(scored.sum())
        else:
            skipped += 1
        if on_image is not None:
            on_image(sample)
    if not per_method:
        raise DataError(
            f"evaluation: expected at least one image with points and truth in view, got none ({skipped} without); "
            "are the extrinsics and the stamps of camera and LiDAR right?"
        )
    scores = {name: MethodScore(mean_metrics(found), len(found), pixels) for name, found in per_method.items()}
    return Evaluation(scores, skipped)


def scored_pixels(truth_depth_m: NDArray[np.float32], sparse: SparseDepth, max_depth_m: float) -> NDArray[np.bool_]:
    """bool [H,W]: known truth of at most `max_depth_m`, where no input point falls."""
    with np.errstate(invalid="ignore"):
        scored = (truth_depth_m > 0) & (truth_depth_m <= max_depth_m)  # False for NaN
    scored[sparse.rows, sparse.cols] = False
    return scored


def resample_depth(depth_m: NDArray[np.float32], camera: PinholeCamera, target: PinholeCamera) -> NDArray[np.float32]:
    """Depth seen by `camera`, on the grid of another camera in the same place; bilinear in depth.

    Beyond the border of `camera` the border value is repeated.

    Returns:
        float32 [target.height_px, target.width_px].
    """
    cols = (np.arange(target.width_px) - target.cx_px) / target.fx_px * camera.fx_px + camera.cx_px
    rows = (np.arange(target.height_px) - target.cy_px) / target.fy_px * camera.fy_px + camera.cy_px
    map_cols, map_rows = np.meshgrid(cols.astype(np.float32), rows.astype(np.float32))
    resampled = cv2.remap(depth_m, map_cols, map_rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(resampled, np.float32)


def median_scale(depth_m: NDArray[np.float32], sparse: SparseDepth) -> float:
    """The factor that makes a prediction agree with the points: median of point depth over predicted depth."""
    return float(np.median(sparse.depth_m / depth_m[sparse.rows, sparse.cols]))


def _method_depths(
    sample: DepthSample, truth_camera: PinholeCamera, sparse: SparseDepth, engine: Engine | None
) -> dict[str, NDArray[np.float32]]:
    """method -> depth on the truth's grid, every pixel filled."""
    depths: dict[str, NDArray[np.float32]] = {}
    if engine is not None and sample.points_camera_m is not None:
        fit = fit_to_network(sample.image_rgb, sample.camera, engine.contract)
        predicted_m = resample_depth(infer_depth(engine, fit, None), fit.camera, truth_camera)
        depths[PREDICTION] = predicted_m
        depths[PREDICTION_MEDIAN_SCALED] = predicted_m * np.float32(median_scale(predicted_m, sparse))
        if engine.contract.completes:
            given = project_points(sample.points_camera_m, fit.camera)
            completed_m = infer_depth(engine, fit, given)
            depths[COMPLETION] = resample_depth(anchor_to_points(completed_m, given), fit.camera, truth_camera)
            depths[COMPLETION_NETWORK] = resample_depth(completed_m, fit.camera, truth_camera)
    depths[NEAREST] = nearest_point_depth(sparse)
    depths[CLASSICAL] = classical_depth(sparse)
    return depths
