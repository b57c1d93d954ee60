# SPDX-License-Identifier: Apache-2.0
"""The product in one method: ``DepthPipeline.step`` turns what the robot knows into metric depth."""

import time
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth, project_points
from mono_depth_ros.inference.alignment import OffsetMemory
from mono_depth_ros.inference.anchoring import DEFAULT_ANCHOR_POLICY, AnchorPolicy, anchor_to_points
from mono_depth_ros.inference.contract import RELATIVE_INVERSE_DEPTH, ModelContract
from mono_depth_ros.inference.pose_engine import PoseEstimator
from mono_depth_ros.inference.scaling import MetricScaler
from mono_depth_ros.perception.dial import DialDecision, DialPolicy, DialState, Mode, Reason, decide
from mono_depth_ros.perception.point_memory import POINT_SOURCES
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.scale import DEFAULT_SCALE_POLICY, ScaleEstimate, ScalePolicy, ScaleSource
from mono_depth_ros.perception.snapshot import NoSnapshot, RgbImage, SensorReport, SensorSnapshot, SensorState

DEFAULT_DIAL_POLICY = DialPolicy()


class Engine(Protocol):
    """What the pipeline needs of an engine; OnnxEngine is one, a test's stand-in another."""

    contract: ModelContract

    def infer(
        self,
        rgb: npt.NDArray[np.uint8],
        points_bvu: npt.NDArray[np.int64],
        points_depth_m: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]: ...


@dataclass(frozen=True, slots=True)
class FitToNetwork:
    """How one image was brought to network resolution.

    Attributes:
        image_rgb: uint8 [H, W, 3] at network resolution.
        camera: intrinsics of that image.
        focal_ratio: metres of the world per metre of the network (focal normalisation); 1 without it.
    """

    image_rgb: RgbImage
    camera: PinholeCamera
    focal_ratio: float


class DepthPipeline:
    """Depth for one camera, image after image.

    Args:
        engine: runs the network.
        policy: when points are good enough to complete with.
        anchor: how completed depth is made to go through its points; None takes the network's depth as it is.
        scale_policy: what makes predictions metric.
        pose: network that was trained together with the depth network, for the scale by odometry; None without.
    """

    def __init__(
        self,
        engine: Engine,
        policy: DialPolicy = DEFAULT_DIAL_POLICY,
        anchor: AnchorPolicy | None = DEFAULT_ANCHOR_POLICY,
        scale_policy: ScalePolicy = DEFAULT_SCALE_POLICY,
        pose: PoseEstimator | None = None,
    ) -> None:
        self._engine = engine
        self._anchor = anchor
        self._policy = policy
        self._dial = DialState()
        self._offset = OffsetMemory()
        self._scaler = MetricScaler(scale_policy, pose=pose, model_is_metric=engine.contract.metric)

    def adjust(self, policy: DialPolicy, anchor: AnchorPolicy | None, scale_policy: ScalePolicy) -> None:
        """Other policies from the next image on; what is remembered stays."""
        self._policy, self._anchor = policy, anchor
        self._scaler.policy = scale_policy

    def reset(self) -> None:
        """Forgets the past; for a clock that jumped."""
        self._dial = DialState()
        self._scaler.reset()
        self._offset = OffsetMemory()

    def step(self, snapshot: SensorSnapshot) -> DepthResult | NoSnapshot:
        """One image in, one depth image out.

        Or why not: a relative network without any source of metres, or a forced completion without points.
        """
        contract = self._engine.contract
        clock = _StageClock()
        fit = fit_to_network(snapshot.image_rgb, snapshot.camera, contract)
        clock.lap("resize")
        sparse = _points_in_view(snapshot, fit.camera)
        decision = self._decide(sparse, snapshot)
        clock.lap("project")
        if decision.mode is Mode.NONE:
            return _nothing_to_complete(snapshot, decision)
        used = sparse if decision.mode is Mode.COMPLETION else None
        depth_m = infer_depth(self._engine, fit, used)
        clock.lap("network")
        depth_m, scale = self._metric(snapshot, fit, depth_m, sparse, decision.mode)
        clock.lap("scale")
        if used is not None and self._anchor is not None:
            depth_m = anchor_to_points(depth_m, used, self._anchor)
        clock.lap("anchor")
        if contract.kind == RELATIVE_INVERSE_DEPTH and not scale.metric:
            return _not_metric(snapshot, contract, decision)
        return DepthResult(
            stamp_ns=snapshot.stamp_ns,
            camera_frame=snapshot.camera_frame,
            camera=fit.camera,
            depth_m=keep_trusted(depth_m, contract),
            image_rgb=fit.image_rgb,
            mode=decision.mode,
            reason=decision.reason,
            points_used=0 if used is None else len(used),
            scale=scale,
            stage_s=clock.laps(),
            sensors=_as_used(snapshot.sensors, decision, scale),
            calibration=self._scaler.verdict,
        )

    def _metric(
        self, snapshot: SensorSnapshot, fit: FitToNetwork, depth_m: DepthMap, sparse: SparseDepth | None, mode: Mode
    ) -> tuple[DepthMap, ScaleEstimate]:
        """Depth in metres as far as anything vouches for them, and what does."""
        age_s = snapshot.points_age_s
        # A network that only predicts has its scale from points too; points that are too old have no say in either.
        points = sparse if age_s is not None and abs(age_s) <= self._policy.max_points_age_s else None
        if mode is Mode.COMPLETION and age_s is not None:
            due = self._scaler.needs_prediction(snapshot)
            predicted_m = self._without_offset(infer_depth(self._engine, fit, None), points) if due else None
            self._scaler.update(snapshot, fit.camera, predicted_m, points)
            return depth_m, ScaleEstimate(1.0, float("nan"), ScaleSource.POINTS, age_s)
        depth_m = self._without_offset(depth_m, points)
        scale = self._scaler.update(snapshot, fit.camera, depth_m, points)
        return depth_m * np.float32(scale.value), scale

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


def _as_used(
    sensors: tuple[SensorReport, ...], decision: DialDecision, scale: ScaleEstimate
) -> tuple[SensorReport, ...]:
    """The reports of the sensors, with those right that the dial did without: what is used for the scale is used."""
    if decision.mode is Mode.COMPLETION or scale.source in (ScaleSource.POINTS, ScaleSource.FUSED):
        return sensors
    state = {Reason.POINTS_STALE: SensorState.STALE}.get(decision.reason)
    return tuple(
        replace(report, used=False, reason=decision.reason.value, state=state or report.state)
        if report.used and report.name in POINT_SOURCES
        else report
        for report in sensors
    )


def _no_depth(snapshot: SensorSnapshot, decision: DialDecision) -> NoSnapshot:
    """The dial was told to complete, and there is nothing to complete."""
    message = f"{decision.reason.value}: the mode is forced and there is no point in view; is the LiDAR there?"
    return NoSnapshot(snapshot.stamp_ns, decision.reason.value, message, snapshot.sensors)


def _not_metric(snapshot: SensorSnapshot, contract: ModelContract, decision: DialDecision) -> NoSnapshot:
    """Why an image gives no depth although everything works."""
    return NoSnapshot(
        snapshot.stamp_ns,
        "not_metric",
        f"model {contract.name} gives depth up to an unknown factor, there are no points ({decision.reason.value}), "
        "and no other source of scale is known; give it LiDAR points, or where the camera sits above the ground (TF "
        "from the odometry's base), or a pose network with odometry",
        snapshot.sensors,
    )


def fit_to_network(image_rgb: RgbImage, camera: PinholeCamera, contract: ModelContract) -> FitToNetwork:
    """Stretches an image to network resolution, and the camera with it.

    The whole image stays in view; the pixel aspect changes where the ratio of sides does, which the intrinsics tell.
    """
    width, height = network_size(camera, contract)
    resized_camera = camera.resized(width, height)
    shrinks = width * height < camera.width_px * camera.height_px
    resized = image_rgb
    if image_rgb.shape[:2] != (height, width):
        resized = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    ratio = 1.0 if contract.trained_fx_px is None else resized_camera.fx_px / contract.trained_fx_px
    return FitToNetwork(np.ascontiguousarray(resized), resized_camera, ratio)


def network_size(camera: PinholeCamera, contract: ModelContract) -> tuple[int, int]:
    """Width and height of the image that the network is given.

    A network of one size gets that; one of any size keeps the ratio of sides, with about as many pixels as the
    contract says.
    """
    image = contract.image
    if image is None or not image.dynamic_size:
        return contract.width_px, contract.height_px
    step, aspect = image.size_multiple, camera.width_px / camera.height_px
    height = (contract.width_px * contract.height_px / aspect) ** 0.5
    return max(step, round(height * aspect / step) * step), max(step, round(height / step) * step)


def infer_depth(engine: Engine, fit: FitToNetwork, sparse: SparseDepth | None) -> DepthMap:
    """Runs the network on one image.

    Focal normalisation: the network sees every camera as one of ``trained_fx_px``. An image with twice the focal
    length shows things twice as near, so the network's metres are multiplied by the ratio of focal lengths, and the
    points are divided by it before.

    Returns:
        float32 [H, W], metres along z, every pixel filled.
    """
    if sparse is None:
        points_bvu: npt.NDArray[np.int64] = np.zeros((0, 3), np.int64)
        points_depth_m: npt.NDArray[np.float32] = np.zeros(0, np.float32)
    else:
        points_bvu = np.stack([np.zeros_like(sparse.rows), sparse.rows, sparse.cols], axis=1)
        points_depth_m = sparse.depth_m / np.float32(fit.focal_ratio)
    depth_m = engine.infer(fit.image_rgb[None], points_bvu, points_depth_m)[0]
    metric: DepthMap = depth_m * np.float32(fit.focal_ratio)
    return metric


def keep_trusted(depth_m: DepthMap, contract: ModelContract) -> DepthMap:
    """NaN where the depth lies outside the contract's range: the sky is unknown, not at 80 m."""
    trusted = (depth_m >= contract.min_depth_m) & (depth_m <= contract.max_depth_m)
    return np.where(trusted, depth_m, np.float32(np.nan))


def _points_in_view(snapshot: SensorSnapshot, camera: PinholeCamera) -> SparseDepth | None:
    if snapshot.points_camera_m is None:
        return None
    return project_points(snapshot.points_camera_m, camera)


class _StageClock:
    """Durations of consecutive stages."""

    def __init__(self) -> None:
        self._last_s = time.perf_counter()
        self._laps: list[tuple[str, float]] = []

    def lap(self, stage: str) -> None:
        now_s = time.perf_counter()
        self._laps.append((stage, now_s - self._last_s))
        self._last_s = now_s

    def laps(self) -> tuple[tuple[str, float], ...]:
        return tuple(self._laps)
