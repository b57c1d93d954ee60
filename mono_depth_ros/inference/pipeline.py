# SPDX-License-Identifier: Apache-2.0
"""The product in one method: ``DepthPipeline.step`` turns what the robot knows into metric depth."""

import time
from dataclasses import dataclass, replace

import cv2
import numpy as np

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth, project_points
from mono_depth_ros.inference.alignment import OffsetMemory
from mono_depth_ros.inference.completion import DEFAULT_COMPLETION_POLICY, CompletionPolicy, through_points
from mono_depth_ros.inference.contract import RELATIVE_INVERSE_DEPTH, ModelContract
from mono_depth_ros.inference.ground_hint import DEFAULT_GROUND_POLICY, GroundHint, GroundMemory, GroundPolicy
from mono_depth_ros.inference.network_image import (
    Engine,
    FitToNetwork,
    NetworkDepth,
    fit_to_network,
    infer_batch,
    infer_depth,
)
from mono_depth_ros.inference.pose_engine import PoseEstimator
from mono_depth_ros.inference.scaling import MetricScaler
from mono_depth_ros.perception.dial import DialDecision, DialPolicy, DialState, Mode, Reason, decide
from mono_depth_ros.perception.point_memory import POINT_SOURCES
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.scale import DEFAULT_SCALE_POLICY, ScaleEstimate, ScalePolicy, ScaleSource
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorReport, SensorSnapshot, SensorState

DEFAULT_DIAL_POLICY = DialPolicy()
SKY_FROM = 0.5  # probability from which on a pixel has no depth
# Sources of scale that the points of this image take part in.
_OF_POINTS = (ScaleSource.POINTS, ScaleSource.FUSED)


class StageClock:
    """Durations of consecutive stages."""

    def __init__(self) -> None:
        self._last_s = time.perf_counter()
        self._laps: list[tuple[str, float]] = []

    def lap(self, stage: str) -> None:
        """Ends a stage."""
        now_s = time.perf_counter()
        self._laps.append((stage, now_s - self._last_s))
        self._last_s = now_s

    def laps(self) -> tuple[tuple[str, float], ...]:
        """(stage, seconds) in order."""
        return tuple(self._laps)


@dataclass(frozen=True, slots=True, eq=False)
class ImageInWork:
    """One image between the dial and its depth.

    Attributes:
        snapshot: what the robot knows.
        fit: the image at network resolution.
        decision: of the dial.
        used: points that go into the network; None for a prediction.
        points: that have a say in the scale of predictions; None without, or when they are too old.
        wants_prediction: whether a prediction is wanted beside the completion.
        clock: durations so far.
        ground: what the network is told of it; None where nothing is known, or it cannot be told.
    """

    snapshot: SensorSnapshot
    fit: FitToNetwork
    decision: DialDecision
    used: SparseDepth | None
    points: SparseDepth | None
    wants_prediction: bool
    clock: StageClock
    ground: GroundHint | None = None


class DepthPipeline:
    """Depth for one camera, image after image.

    Args:
        engine: runs the network.
        policy: when points are good enough to complete with.
        completion: what is done to completed depth after the network.
        scale_policy: what makes predictions metric.
        pose: network that was trained together with the depth network, for the scale by odometry; None takes
            the motion from the images.
        ground: which sources of the ground a network is told, if it takes one.
    """

    def __init__(
        self,
        engine: Engine,
        policy: DialPolicy = DEFAULT_DIAL_POLICY,
        completion: CompletionPolicy = DEFAULT_COMPLETION_POLICY,
        scale_policy: ScalePolicy = DEFAULT_SCALE_POLICY,
        pose: PoseEstimator | None = None,
        ground: GroundPolicy = DEFAULT_GROUND_POLICY,
    ) -> None:
        self._engine = engine
        self._ground_policy = ground
        self._ground = GroundMemory()
        self._completion = completion
        self._policy = policy
        self._dial = DialState()
        self._offset = OffsetMemory()
        self._scaler = MetricScaler(scale_policy, pose=pose, model_is_metric=engine.contract.metric)

    def adjust(
        self, policy: DialPolicy, completion: CompletionPolicy, scale_policy: ScalePolicy, ground: GroundPolicy
    ) -> None:
        """Other policies from the next image on; what is remembered stays."""
        self._policy, self._completion, self._ground_policy = policy, completion, ground
        self._scaler.policy = scale_policy

    def reset(self) -> None:
        """Forgets the past; for a clock that jumped."""
        self._dial = DialState()
        self._scaler.reset()
        self._offset = OffsetMemory()
        self._ground = GroundMemory()

    def step(self, snapshot: SensorSnapshot) -> DepthResult | NoSnapshot:
        """One image in, one depth image out.

        Or why not: a relative network without any source of metres, or a forced completion without points.
        """
        work = self.begin(snapshot)
        if isinstance(work, NoSnapshot):
            return work
        said = infer_batch(self._engine, [(work.fit, work.used)])[0]
        predicted_m = infer_depth(self._engine, work.fit, None) if work.wants_prediction else None
        work.clock.lap("network")
        depth_m, scale = self.measure(work, said.depth_m, predicted_m)
        work.clock.lap("scale")
        return self.end(work, said._replace(depth_m=depth_m), scale)

    def begin(self, snapshot: SensorSnapshot) -> ImageInWork | NoSnapshot:
        """All that comes before the network: what it is to be asked."""
        clock = StageClock()
        fit = fit_to_network(snapshot.image_rgb, snapshot.camera, self._engine.contract)
        clock.lap("resize")
        sparse = _points_in_view(snapshot, fit.camera)
        decision = self._decide(sparse, snapshot)
        clock.lap("project")
        if decision.mode is Mode.NONE:
            return _nothing_to_complete(snapshot, decision)
        completes = decision.mode is Mode.COMPLETION
        ground = None
        if self._engine.contract.takes_ground:
            ground = self._ground.hint(snapshot, fit.camera, self._scaler.policy.base_height_m, self._ground_policy)
            clock.lap("ground")
        if ground is not None:
            fit = replace(fit, ground=ground.plane)
        age_s = snapshot.points_age_s
        return ImageInWork(
            snapshot,
            fit,
            decision,
            sparse if completes else None,
            # A network that only predicts has its scale from points too; too old ones have no say in either.
            sparse if age_s is not None and abs(age_s) <= self._policy.max_points_age_s else None,
            completes and self._scaler.needs_prediction(snapshot),
            clock,
            ground,
        )

    def measure(
        self, work: ImageInWork, depth_m: DepthMap, predicted_m: DepthMap | None
    ) -> tuple[DepthMap, ScaleEstimate]:
        """Which factor takes this network's predictions to metres.

        Args:
            work: the image.
            depth_m: what the network gave for it.
            predicted_m: what it gave without points, if that was wanted too.

        Returns:
            The depth, where it is a prediction as right as up to a factor, and the factor.
        """
        snapshot, fit = work.snapshot, work.fit
        if work.decision.mode is Mode.COMPLETION:
            if predicted_m is not None:
                predicted_m = self._without_offset(predicted_m, work.points)
            return depth_m, self._scaler.update(snapshot, fit.camera, predicted_m, work.points)
        depth_m = self._without_offset(depth_m, work.points)
        return depth_m, self._scaler.update(snapshot, fit.camera, depth_m, work.points)

    def end(self, work: ImageInWork, said: NetworkDepth, scale: ScaleEstimate) -> DepthResult | NoSnapshot:
        """All that comes after the network.

        Args:
            work: the image.
            said: what the network gave for it, with the depth as ``measure`` returned it.
            scale: of predictions; completed depth has that of its points.
        """
        contract, snapshot, decision = self._engine.contract, work.snapshot, work.decision
        depth_m = said.depth_m
        if decision.mode is Mode.COMPLETION and snapshot.points_age_s is not None:
            scale = ScaleEstimate(1.0, float("nan"), ScaleSource.POINTS, snapshot.points_age_s)
        else:
            depth_m = depth_m * np.float32(scale.value)
        if work.used is not None:
            depth_m = through_points(depth_m, work.fit.image_rgb, work.used, self._completion)
        work.clock.lap("points")
        if contract.kind == RELATIVE_INVERSE_DEPTH and not scale.metric:
            return _not_metric(snapshot, contract, decision)
        depth_m = keep_trusted(depth_m, contract)
        if said.sky is not None:
            depth_m[said.sky > SKY_FROM] = np.nan
        return DepthResult(
            stamp_ns=snapshot.stamp_ns,
            camera_frame=snapshot.camera_frame,
            camera=work.fit.camera,
            depth_m=depth_m,
            image_rgb=work.fit.image_rgb,
            mode=decision.mode,
            reason=decision.reason,
            points_used=0 if work.used is None else len(work.used),
            scale=scale,
            stage_s=work.clock.laps(),
            sensors=(
                *_as_used(snapshot.sensors, decision, work.points is not None and scale.source in _OF_POINTS),
                *((_ground_report(work.ground),) if contract.takes_ground else ()),
            ),
            calibration=self._scaler.verdict,
            sigma_m=None if said.sigma_log is None else depth_m * said.sigma_log,
            points=work.used,
        )

    def _without_offset(self, predicted_m: DepthMap, points: SparseDepth | None) -> DepthMap:
        """A relative network's prediction as right as up to a factor; others' as it is."""
        if self._engine.contract.kind != RELATIVE_INVERSE_DEPTH:
            return predicted_m
        if points is not None:
            self._offset.learn(predicted_m, points)
        return self._offset.apply(predicted_m)

    def _decide(self, sparse: SparseDepth | None, snapshot: SensorSnapshot) -> DialDecision:
        if not self._engine.contract.completes:
            none = self._policy.forced is Mode.COMPLETION
            return DialDecision(Mode.NONE if none else Mode.PREDICTION, Reason.MODEL_PREDICTS_ONLY)
        points = None if sparse is None else len(sparse)
        age_s, remembered = snapshot.points_age_s, snapshot.points_remembered
        decision, self._dial = decide(points, age_s, self._policy, self._dial, remembered)
        return decision


def _nothing_to_complete(snapshot: SensorSnapshot, decision: DialDecision) -> NoSnapshot:
    """Why a forced completion gives nothing: a prediction in its place would not be what was asked for."""
    what = "the model predicts only" if decision.reason is Reason.MODEL_PREDICTS_ONLY else "no point is in view"
    return NoSnapshot(
        snapshot.stamp_ns,
        decision.reason.value,
        f"completion is forced and {what}; set mode to auto to predict meanwhile",
        snapshot.sensors,
    )


def _as_used(sensors: tuple[SensorReport, ...], decision: DialDecision, for_scale: bool) -> tuple[SensorReport, ...]:
    """The reports of the sensors, with those right whose points the dial did without, or took for the scale alone."""
    if decision.mode is Mode.COMPLETION:
        return sensors
    reason = "scale_only" if for_scale else decision.reason.value
    state = SensorState.STALE if decision.reason is Reason.POINTS_STALE else None
    return tuple(
        replace(report, used=for_scale, reason=reason, state=state or report.state)
        if report.used and report.name in POINT_SOURCES
        else report
        for report in sensors
    )


def _ground_report(ground: GroundHint | None) -> SensorReport:
    """The ground as one more input of the network."""
    state = SensorState.ABSENT if ground is None else SensorState.OK
    age_s = None if ground is None else ground.age_s
    reason = "unknown" if ground is None else ground.source
    return SensorReport("ground", state, age_s, 0.0, ground is not None, reason, 0, 0, "")


def _not_metric(snapshot: SensorSnapshot, contract: ModelContract, decision: DialDecision) -> NoSnapshot:
    """Why an image gives no depth although everything works."""
    return NoSnapshot(
        snapshot.stamp_ns,
        "not_metric",
        f"model {contract.name} gives depth up to an unknown factor, there are no points ({decision.reason.value}), "
        "and no other source of scale is known; give it LiDAR points, or where the camera sits above the ground (TF "
        "from the odometry's base), or odometry while it moves",
        snapshot.sensors,
    )


def at_image_size(result: DepthResult, snapshot: SensorSnapshot) -> DepthResult:
    """The result at the size of its image, with the image's camera; ``snapshot`` is what the result was made of.

    Depth is enlarged without interpolation: a mean of two surfaces is a surface that is not there.
    """
    camera = snapshot.camera
    sigma_m = None if result.sigma_m is None else enlarged(result.sigma_m, camera)
    return replace(
        result,
        camera=camera,
        depth_m=enlarged(result.depth_m, camera),
        image_rgb=snapshot.image_rgb,
        sigma_m=sigma_m,
        points=None,
    )


def enlarged(values: DepthMap, camera: PinholeCamera) -> DepthMap:
    """Values per pixel, float32 [h, w], at the size of a camera's image, each repeated."""
    size = camera.width_px, camera.height_px
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_NEAREST_EXACT), np.float32)


def keep_trusted(depth_m: DepthMap, contract: ModelContract) -> DepthMap:
    """NaN where the depth lies outside the contract's range: the sky is unknown, not at 80 m."""
    trusted = (depth_m >= contract.min_depth_m) & (depth_m <= contract.max_depth_m)
    return np.where(trusted, depth_m, np.float32(np.nan))


def _points_in_view(snapshot: SensorSnapshot, camera: PinholeCamera) -> SparseDepth | None:
    if snapshot.points_camera_m is None:
        return None
    return project_points(snapshot.points_camera_m, camera)
