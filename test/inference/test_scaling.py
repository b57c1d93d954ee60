# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from analytic_street import CAMERA, T_BASE_LIDAR, Drive, depth_at
from dial_model import write_model
from image_model import write_image_model

from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.contract import ModelContract
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pipeline import DepthPipeline
from mono_depth_ros.inference.pose_engine import PoseContract
from mono_depth_ros.inference.scaling import MetricScaler
from mono_depth_ros.perception.calibration import CalibrationPolicy, CalibrationVerdict
from mono_depth_ros.perception.dial import Mode
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.scale import MEASURED, ScaleEstimate, ScalePolicy, ScaleSource
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorSnapshot

WRONG = 0.6
FACTOR = 1 / WRONG
POSE_CONTRACT = PoseContract("truth", 96, 320, "truth", "0" * 64, "Apache-2.0")


def index_of(image_rgb: np.ndarray) -> int:
    return int(image_rgb[0, 0, 0]) + 256 * int(image_rgb[0, 0, 1])


class TruePose:
    """A pose network that is right up to the factor of its depth network, with a little noise."""

    contract = POSE_CONTRACT

    def __init__(self, drive: Drive) -> None:
        self._drive = drive

    def infer(self, rgb_previous: np.ndarray, rgb_current: np.ndarray) -> RigidTransform:
        index = index_of(rgb_current)
        motion = self._drive.motion(index_of(rgb_previous), index)
        motion[:3, 3] *= WRONG * np.random.default_rng(index).normal(1.0, 0.05)
        return motion


def predicted(drive: Drive, index: int) -> np.ndarray:
    """True depth, wrong by the factor, with errors over regions as networks have them."""
    random = np.random.default_rng([7, index])
    regions = np.repeat(np.repeat(random.normal(1.0, 0.05, (6, 10)), 16, axis=0), 32, axis=1)
    return (WRONG * depth_at(drive.pose(index)) * regions).astype(np.float32)


def follow(
    drive: Drive, source: ScaleSource, images: int = 30, **policy: float
) -> tuple[list[ScaleEstimate], MetricScaler]:
    scale_policy = ScalePolicy(order=(source,), **policy) if source is not ScaleSource.FUSED else ScalePolicy(
        order=MEASURED, combine="fuse", **policy
    )  # fmt: skip
    scaler = MetricScaler(scale_policy, pose=TruePose(drive), model_is_metric=False)
    estimates = [update(scaler, drive.snapshot(index), drive, index) for index in range(images)]
    return estimates, scaler


def update(scaler: MetricScaler, snapshot: SensorSnapshot, drive: Drive, index: int) -> ScaleEstimate:
    points = None if snapshot.points_camera_m is None else project_points(snapshot.points_camera_m, CAMERA)
    return scaler.update(snapshot, CAMERA, predicted(drive, index), points)


@pytest.mark.parametrize("source", [*MEASURED, ScaleSource.FUSED])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_source_alone_and_all_together_recover_the_factor(source, seed):
    estimates, _ = follow(Drive(seed=seed), source)
    last = estimates[-1]
    assert last.source is source
    assert last.value == pytest.approx(FACTOR, rel=0.05)
    assert abs(last.value - FACTOR) < 3 * last.sigma and 0.01 * FACTOR < last.sigma < 0.12 * FACTOR


def test_slow_motion_tells_no_scale():
    estimates, _ = follow(Drive(speed_mps=0.5), ScaleSource.ODOMETRY)
    assert all(estimate.source is ScaleSource.NONE for estimate in estimates)


def test_without_a_source_nobody_vouches():
    estimates, _ = follow(Drive(lidar=False), ScaleSource.POINTS)
    assert {estimate.source for estimate in estimates} == {ScaleSource.NONE}


def bumped(pitch_deg: float = 0.0, roll_deg: float = 0.0) -> np.ndarray:
    pitch, roll = np.deg2rad(pitch_deg), np.deg2rad(roll_deg)
    about_y = np.array([[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(roll), -np.sin(roll)], [0, np.sin(roll), np.cos(roll)]])
    mount = T_BASE_LIDAR.copy()
    mount[:3, :3] = about_y @ about_x
    return mount


@pytest.mark.parametrize(
    "mount", [bumped(pitch_deg=3.0), bumped(pitch_deg=-3.0), bumped(roll_deg=3.0)], ids=["down", "up", "roll"]
)
def test_a_lidar_that_was_bumped_by_three_degrees_is_shown_after_a_while(mount):
    # One look per second; the bump comes at 10 s.
    clean, after = Drive(), Drive(T_base_lidar=mount)
    verdicts = drive_on(lambda second: clean if second < 10 else after, seconds=32)
    assert not any(verdict.suspect for verdict in verdicts[:13]), "a pothole is no bump"
    assert verdicts[-1].suspect and verdicts[-1].reason.startswith("lidar_tilted")


def drive_on(drive_at: Callable[[int], Drive], seconds: int, odometry_factor: float = 1.0) -> list[CalibrationVerdict]:
    """One image per second, all sources fused."""
    scaler = MetricScaler(
        ScalePolicy(order=MEASURED, combine="fuse"), pose=TruePose(drive_at(0)), model_is_metric=False
    )
    verdicts = []
    for second in range(seconds):
        drive, index = drive_at(second), 10 * second
        snapshot = drive.snapshot(index, previous=index - 10)
        if snapshot.T_previous_current is not None:
            snapshot.T_previous_current[:3, 3] *= odometry_factor
        update(scaler, snapshot, drive, index)
        verdicts.append(scaler.verdict)
    return verdicts


def test_a_wrong_wheel_radius_is_named_as_the_odd_one_out():
    verdicts = drive_on(lambda second: Drive(), seconds=25, odometry_factor=1.5)
    assert verdicts[-1].reason.startswith("scale_sources_disagree: odometry against the others")


def test_long_clean_driving_raises_no_alarm():
    verdicts = drive_on(lambda second: Drive(), seconds=150)
    assert not any(verdict.suspect for verdict in verdicts)


def test_the_suspicion_goes_when_its_cause_goes():
    bad = Drive(T_base_lidar=bumped(pitch_deg=3.0))
    verdicts = drive_on(lambda second: bad if second < 20 else Drive(), seconds=45)
    assert verdicts[19].suspect and not verdicts[-1].suspect


class Stand:
    """An engine that predicts the true depth, wrong by a factor, and completes with the truth."""

    def __init__(self, drive: Drive, contract: ModelContract) -> None:
        self.contract = contract
        self._drive = drive

    def infer(self, rgb: np.ndarray, points_bvu: np.ndarray, points_depth_m: np.ndarray) -> np.ndarray:
        index = index_of(rgb[0])
        depth_m = depth_at(self._drive.pose(index)) if len(points_bvu) else predicted(self._drive, index)
        return depth_m[None].astype(np.float32)


def stand_in(tmp_path, drive: Drive, metric: bool = False) -> Stand:
    contract = OnnxEngine(write_model(tmp_path, metric=metric)).contract
    return Stand(drive, replace(contract, height_px=96, width_px=320, max_depth_m=60.0))


def test_when_the_lidar_fails_the_prediction_keeps_the_scale_that_it_taught(tmp_path):
    drive = Drive()
    pipeline = DepthPipeline(stand_in(tmp_path, drive))
    for index in range(31):
        result = pipeline.step(drive.snapshot(index))
        assert isinstance(result, DepthResult) and result.mode is Mode.COMPLETION
    blind = Drive(lidar=False, odometry=False)
    result = pipeline.step(blind.snapshot(31))
    assert isinstance(result, DepthResult)
    assert result.mode is Mode.PREDICTION and result.scale.source is ScaleSource.POINTS
    assert result.scale.value == pytest.approx(FACTOR, rel=0.05)
    truth_m = depth_at(drive.pose(31))
    assert np.nanmedian(result.depth_m[truth_m < 50] / truth_m[truth_m < 50]) == pytest.approx(1.0, abs=0.05)


def test_a_metric_model_keeps_its_own_metres_unless_told_to_fuse(tmp_path):
    drive = Drive(lidar=False)
    own = DepthPipeline(stand_in(tmp_path, drive, metric=True)).step(drive.snapshot(0))
    assert isinstance(own, DepthResult) and (own.scale.source, own.scale.value) == (ScaleSource.MODEL, 1.0)
    fusing = DepthPipeline(stand_in(tmp_path, drive, metric=True), scale_policy=ScalePolicy(combine="fuse"))
    fused = fusing.step(drive.snapshot(0))
    assert isinstance(fused, DepthResult) and fused.scale.source is ScaleSource.FUSED
    # The ground is surer than the assumed 10 % of the model.
    assert 1.3 < fused.scale.value < FACTOR


def test_a_relative_network_without_any_source_is_refused_with_a_reason(tmp_path):
    pipeline = DepthPipeline(OnnxEngine(write_image_model(tmp_path)))
    blind = SensorSnapshot(5, "camera", np.full((96, 320, 3), 99, np.uint8), CAMERA, None, None, None, None, ())
    result = pipeline.step(blind)
    assert isinstance(result, NoSnapshot) and result.reason == "not_metric"
    assert "stand_in" in result.message and "points" in result.message


def test_a_relative_network_is_made_metric_by_the_height_of_the_camera(tmp_path):
    drive = Drive(lidar=False, odometry=False)
    contract = OnnxEngine(write_image_model(tmp_path)).contract

    class Relative(Stand):
        def infer(self, rgb: np.ndarray, points_bvu: np.ndarray, points_depth_m: np.ndarray) -> np.ndarray:
            return predicted(self._drive, index_of(rgb[0]))[None]

    result = DepthPipeline(Relative(drive, replace(contract, height_px=96, width_px=320))).step(drive.snapshot(3))
    assert isinstance(result, DepthResult) and result.scale.source is ScaleSource.HEIGHT
    assert result.scale.value == pytest.approx(FACTOR, rel=0.1)


def test_when_the_lidar_fails_a_relative_network_keeps_its_factor_and_its_offset(tmp_path):
    drive = Drive()
    contract = OnnxEngine(write_image_model(tmp_path)).contract

    class Relative(Stand):
        def infer(self, rgb: np.ndarray, points_bvu: np.ndarray, points_depth_m: np.ndarray) -> np.ndarray:
            truth_m = depth_at(self._drive.pose(index_of(rgb[0])))
            return (truth_m if len(points_bvu) else 1 / (0.4 / truth_m + 0.03)).astype(np.float32)[None]

    pipeline = DepthPipeline(Relative(drive, replace(contract, height_px=96, width_px=320)))
    for index in range(25):
        assert isinstance(pipeline.step(drive.snapshot(index)), DepthResult)
    result = pipeline.step(Drive(lidar=False, odometry=False).snapshot(25))
    assert isinstance(result, DepthResult) and result.scale.source is ScaleSource.POINTS
    truth_m = depth_at(drive.pose(25))
    ratio = result.depth_m[truth_m < 50] / truth_m[truth_m < 50]
    # Without the offset, what is at 50 m would come out at less than 20.
    assert np.nanpercentile(np.abs(ratio - 1), 95) < 0.05


def test_a_clock_that_jumped_starts_anew(tmp_path):
    drive = Drive()
    pipeline = DepthPipeline(stand_in(tmp_path, drive))
    pipeline.step(drive.snapshot(0))
    pipeline.reset()
    result = pipeline.step(Drive(lidar=False, odometry=False).snapshot(1))
    assert isinstance(result, DepthResult) and result.scale.source is ScaleSource.HEIGHT


def test_a_prediction_beside_a_completion_is_asked_for_once_per_second_and_only_where_it_counts():
    drive = Drive()
    own = MetricScaler(ScalePolicy(), model_is_metric=True)
    assert not own.needs_prediction(drive.snapshot(0)), "the model's own metres win anyway"
    scaler = MetricScaler(ScalePolicy(refresh_s=1.0), model_is_metric=False)
    asked = []
    for index in range(25):
        snapshot = drive.snapshot(index)
        asked.append(scaler.needs_prediction(snapshot))
        update(scaler, snapshot, drive, index)
    assert [index for index, due in enumerate(asked) if due] == [0, 10, 20]


def test_policies_that_cannot_be_are_refused():
    from mono_depth_ros.errors import ConfigError

    for wrong in ({"order": ()}, {"order": (ScaleSource.NONE,)}, {"combine": "best"}, {"max_rate": 0.0}):
        with pytest.raises(ConfigError, match="scale: expected"):
            ScalePolicy(**wrong)
    with pytest.raises(ConfigError, match="calibration: expected"):
        CalibrationPolicy(persist_s=0.0)
