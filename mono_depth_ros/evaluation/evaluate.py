# SPDX-License-Identifier: Apache-2.0
"""Scores a model and two baselines against truth by a protocol, every method on the same pixels of the same images."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.prefetch import prefetched
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.cloud_quality import image_cloud
from mono_depth_ros.evaluation.evaluation_result import Evaluation, ImageScore, StepScore
from mono_depth_ros.evaluation.method_depths import (
    PUBLISHED,
    NetworkDepths,
    method_depths,
    method_sigmas,
    prepared,
    run_network,
)
from mono_depth_ros.evaluation.metrics import depth_metrics
from mono_depth_ros.evaluation.protocol_steps import Mask, median_factor, scaled_and_clipped, scored_pixels
from mono_depth_ros.evaluation.protocols import PLAIN, Protocol
from mono_depth_ros.evaluation.sample_stream import FollowingSample, time_steps
from mono_depth_ros.evaluation.score_slices import SCORED, ratio_counts, slices_of
from mono_depth_ros.evaluation.temporal import published_stability
from mono_depth_ros.evaluation.uncertainty import image_uncertainty
from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import SparseDepth, project_points
from mono_depth_ros.inference.network_image import Engine

# Time steps that are read before they are needed, and that wait for their scores: a bound on memory.
_READ_AHEAD = 3


@dataclass(frozen=True, slots=True, eq=False)
class ImageDepths:
    """What one image was scored with, for pictures.

    Attributes:
        sample: prepared.
        truth_m: float32 [H, W], NaN where unknown.
        scored: bool [H, W].
        sparse: input points on the truth's grid.
        depths_m: method -> float32 [H, W], scaled and clipped.
        score: its numbers.
    """

    sample: DepthSample
    truth_m: DepthMap
    scored: Mask
    sparse: SparseDepth
    depths_m: dict[str, DepthMap]
    score: ImageScore


@dataclass(frozen=True, slots=True, eq=False)
class _Unscored:
    """One image before its factors are known."""

    sample: DepthSample
    truth_m: DepthMap
    sparse: SparseDepth
    scored: Mask
    scored_with_inputs: Mask
    depths_m: dict[str, DepthMap]
    sigmas_log: dict[str, DepthMap]
    withheld: int


def evaluate(
    samples: Iterable[DepthSample],
    engine: Engine | None,
    protocol: Protocol = PLAIN,
    *,
    label_names: Mapping[int, str] | None = None,
    done: Sequence[StepScore] = (),
    on_step: Callable[[StepScore], None] | None = None,
    on_image: Callable[[ImageDepths], None] | None = None,
) -> Evaluation:
    """Scores prediction, completion and the baselines; while the engine runs, other threads read and score.

    Args:
        samples: with truth, with or without sparse points, from the first one that is not in `done`; one camera, or a
            rig's cameras by time (`sample_stream.by_time`, which also tells each one that before it, for stability).
        engine: runs the model; None scores the baselines only.
        protocol: what is compared with what.
        label_names: of the samples' semantic labels.
        done: steps that are known from an earlier run.
        on_step: called with each new step, in order, in the thread of the caller.
        on_image: called with each scored image in another thread, one at a time.

    Raises:
        DataError: no image could be scored, or a sample does not fit the protocol.
    """
    steps = list(done)
    for step in _scored_steps(samples, engine, protocol, label_names or {}, on_image):
        steps.append(step)
        if on_step is not None:
            on_step(step)
    evaluation = Evaluation(protocol, tuple(steps))
    if not evaluation.images:
        raise DataError(
            f"evaluation: expected at least one image with truth in view, and for the baselines with points, got none "
            f"({evaluation.skipped} without); are the extrinsics and stamps right? Pixels of input points are "
            f"{'scored' if protocol.score_inputs else 'not scored: is the whole truth an input?'}"
        )
    return evaluation


def _scored_steps(
    samples: Iterable[DepthSample],
    engine: Engine | None,
    protocol: Protocol,
    label_names: Mapping[int, str],
    on_image: Callable[[ImageDepths], None] | None,
) -> Iterator[StepScore]:
    with ThreadPoolExecutor(1, "score") as scorer:
        waiting: deque[Future[StepScore]] = deque()
        try:
            for step in prefetched(time_steps(samples, protocol), _READ_AHEAD):
                ready = [prepared(sample, protocol) for sample in step]
                networks = [None if engine is None else run_network(sample, engine, protocol) for sample in ready]
                waiting.append(scorer.submit(_score_step, ready, networks, protocol, label_names, on_image))
                while len(waiting) > _READ_AHEAD or (waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _score_step(
    samples: Sequence[DepthSample],
    networks: Sequence[NetworkDepths | None],
    protocol: Protocol,
    label_names: Mapping[int, str],
    on_image: Callable[[ImageDepths], None] | None,
) -> StepScore:
    """All images of a time step, by factors that they share."""
    unscored = [
        image
        for sample, network in zip(samples, networks, strict=True)
        if (image := _unscored(sample, network, protocol)) is not None
    ]
    factors = _factors(unscored, protocol)
    images = []
    for image in unscored:
        depths_m = {
            method: scaled_and_clipped(depth_m, factors[method], protocol) for method, depth_m in image.depths_m.items()
        }
        score = _score_image(image, depths_m, factors, protocol, label_names)
        images.append(score)
        if on_image is not None:
            on_image(ImageDepths(image.sample, image.truth_m, image.scored, image.sparse, depths_m, score))
    return StepScore(len(samples), tuple(images))


def _unscored(sample: DepthSample, network: NetworkDepths | None, protocol: Protocol) -> _Unscored | None:
    """None where nothing can be scored."""
    if sample.truth_camera is None or sample.truth_depth_m is None:
        return None
    points_m = np.zeros((0, 3), np.float32) if sample.points_camera_m is None else sample.points_camera_m
    sparse = project_points(points_m, sample.truth_camera)
    inputs = np.zeros(sample.truth_depth_m.shape, bool)
    inputs[sparse.rows, sparse.cols] = True
    scored = scored_pixels(sample.truth_depth_m, protocol, inputs)
    with_inputs = scored_pixels(sample.truth_depth_m, protocol)
    if not scored.any():
        return None
    depths_m = method_depths(sample, sample.truth_camera, sparse, network, protocol)
    withheld = 0
    if PUBLISHED in depths_m:
        # Every method on the same pixels, those that the node publishes; how many it does not is told.
        known = np.isfinite(depths_m[PUBLISHED])
        withheld = int((scored & ~known).sum())
        scored, with_inputs = scored & known, with_inputs & known
        if not scored.any():
            return None
    if not depths_m:
        return None
    sigmas_log = method_sigmas(sample, sample.truth_camera, network, protocol)
    return _Unscored(sample, sample.truth_depth_m, sparse, scored, with_inputs, depths_m, sigmas_log, withheld)


def _factors(images: Sequence[_Unscored], protocol: Protocol) -> dict[str, float]:
    """Method -> factor, from the scored pixels of all these images together."""
    factors: dict[str, float] = {}
    for method in {name for image in images for name in image.depths_m}:
        having = [image for image in images if method in image.depths_m]
        predicted_m = np.concatenate([image.depths_m[method][image.scored] for image in having])
        truth_m = np.concatenate([image.truth_m[image.scored] for image in having])
        factors[method] = median_factor(predicted_m, truth_m, protocol)
    return factors


def _score_image(
    image: _Unscored,
    depths_m: Mapping[str, DepthMap],
    factors: Mapping[str, float],
    protocol: Protocol,
    label_names: Mapping[int, str],
) -> ImageScore:
    sample, truth_m = image.sample, image.truth_m
    masks = slices_of(
        truth_m,
        image.scored,
        image.scored_with_inputs,
        image.sparse,
        protocol,
        _labels_on_truth(sample),
        label_names,
    )
    return ImageScore(
        name=sample.name,
        camera_name=sample.camera_name,
        stamp_ns=sample.stamp_ns,
        points=len(image.sparse),
        pixels={name: int(mask.sum()) for name, mask in masks.items()},
        metrics={
            name: {method: depth_metrics(depth_m[mask], truth_m[mask]) for method, depth_m in depths_m.items()}
            for name, mask in masks.items()
        },
        factors={method: factors[method] for method in depths_m},
        ratios={
            method: tuple(ratio_counts(depth_m[masks[SCORED]], truth_m[masks[SCORED]]))
            for method, depth_m in depths_m.items()
        },
        withheld=image.withheld,
        uncertainty={
            method: image_uncertainty(depth_m, truth_m, image.sigmas_log[method], masks[SCORED])
            for method, depth_m in depths_m.items()
            if method in image.sigmas_log
        },
        stability=published_stability(sample.previous, sample) if isinstance(sample, FollowingSample) else None,
        cloud=image_cloud(sample),
    )


def _labels_on_truth(sample: DepthSample) -> npt.NDArray[np.uint8] | None:
    """Labels at the pixels of the image nearest to those of the truth; never a mean of two."""
    camera, target = sample.camera, sample.truth_camera
    if sample.labels is None or target is None:
        return None
    cols = (np.arange(target.width_px) - target.cx_px) / target.fx_px * camera.fx_px + camera.cx_px
    rows = (np.arange(target.height_px) - target.cy_px) / target.fy_px * camera.fy_px + camera.cy_px
    nearest_rows = np.clip(np.floor(rows + 0.5).astype(np.int64), 0, camera.height_px - 1)
    nearest_cols = np.clip(np.floor(cols + 0.5).astype(np.int64), 0, camera.width_px - 1)
    return sample.labels[np.ix_(nearest_rows, nearest_cols)]
