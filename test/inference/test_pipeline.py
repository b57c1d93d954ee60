# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
from dial_model import HEIGHT_PX, WIDTH_PX, write_model

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.inference.completion import NETWORK_ALONE
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pipeline import DepthPipeline, at_image_size
from mono_depth_ros.perception.dial import DialPolicy, Mode, Reason
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.scale import ScaleSource
from mono_depth_ros.perception.snapshot import SensorReport, SensorSnapshot, SensorState

CAMERA = PinholeCamera(128, 64, 100.0, 100.0, 63.5, 31.5)


def plane(depth_m: float) -> np.ndarray:
    return CAMERA.unproject(np.full((64, 128), depth_m, np.float32))[::4, ::4].reshape(-1, 3)


def snapshot(points=None, age_s=None, red=255) -> SensorSnapshot:
    image = np.zeros((64, 128, 3), np.uint8)
    image[..., 0] = red
    return SensorSnapshot(5, "camera", image, CAMERA, points, age_s, None, None, ())


def test_without_points_the_network_predicts_at_its_own_resolution(tmp_path):
    result = DepthPipeline(OnnxEngine(write_model(tmp_path))).step(snapshot())
    assert (result.mode, result.reason, result.points_used) == (Mode.PREDICTION, Reason.NO_POINTS, 0)
    assert result.depth_m.shape == result.image_rgb.shape[:2] == (HEIGHT_PX, WIDTH_PX)
    assert result.camera == CAMERA.resized(WIDTH_PX, HEIGHT_PX)
    np.testing.assert_allclose(result.depth_m, 3.0)
    assert (result.stamp_ns, result.camera_frame) == (5, "camera")
    assert [name for name, _ in result.stage_s] == ["resize", "project", "network", "scale", "points"]


def test_with_points_the_network_completes(tmp_path):
    result = DepthPipeline(OnnxEngine(write_model(tmp_path)), completion=NETWORK_ALONE).step(
        snapshot(plane(10.0), 0.05)
    )
    assert (result.mode, result.reason) == (Mode.COMPLETION, Reason.POINTS_USED)
    np.testing.assert_allclose(result.depth_m, 13.0, rtol=1e-6)
    assert result.points_used == 512
    assert result.scale.source is ScaleSource.POINTS and result.scale.age_s == 0.05


def test_completed_depth_goes_through_its_points(tmp_path):
    # The network of this test adds 3 m to every point.
    result = DepthPipeline(OnnxEngine(write_model(tmp_path))).step(snapshot(plane(10.0), 0.05))
    np.testing.assert_allclose(result.depth_m, 10.0, rtol=0.02)


def test_a_result_keeps_the_points_on_its_own_grid_and_not_on_that_of_an_enlarged_depth(tmp_path):
    pipeline, seen = DepthPipeline(OnnxEngine(write_model(tmp_path))), snapshot(plane(10.0), 0.0)
    result = pipeline.step(seen)
    assert result.points is not None and len(result.points) == result.points_used
    assert (result.points.height_px, result.points.width_px) == result.depth_m.shape
    assert at_image_size(result, seen).points is None
    assert pipeline.step(snapshot()).points is None


def test_points_too_old_for_the_dial_do_not_reach_the_network(tmp_path):
    pipeline = DepthPipeline(OnnxEngine(write_model(tmp_path)), DialPolicy(max_points_age_s=0.2))
    pipeline.step(snapshot(plane(10.0), 0.0))
    result = pipeline.step(snapshot(plane(10.0), 0.3))
    assert (result.mode, result.reason) == (Mode.PREDICTION, Reason.POINTS_STALE)
    np.testing.assert_allclose(result.depth_m, 3.0)


@pytest.mark.parametrize("trained_fx_px", [25.0, 50.0, 200.0])
def test_focal_normalisation_scales_predictions_but_not_points(tmp_path, trained_fx_px):
    # The camera has fx = 50 px at network resolution.
    ratio = 50.0 / trained_fx_px
    pipeline = DepthPipeline(OnnxEngine(write_model(tmp_path, trained_fx_px=trained_fx_px)), completion=NETWORK_ALONE)
    np.testing.assert_allclose(pipeline.step(snapshot()).depth_m, 3.0 * ratio, rtol=1e-6)
    np.testing.assert_allclose(pipeline.step(snapshot(plane(10.0), 0.0)).depth_m, 10.0 + 3.0 * ratio, rtol=1e-5)


def test_depth_beyond_the_range_of_the_model_is_unknown(tmp_path):
    result = DepthPipeline(OnnxEngine(write_model(tmp_path, max_depth_m=2.5))).step(snapshot())
    assert np.isnan(result.depth_m).all()


def test_a_network_that_cannot_complete_says_so(tmp_path):
    pipeline = DepthPipeline(OnnxEngine(write_model(tmp_path, completes=False)))
    result = pipeline.step(snapshot(plane(10.0), 0.0))
    assert (result.mode, result.reason) == (Mode.PREDICTION, Reason.MODEL_PREDICTS_ONLY)


def test_a_model_that_is_not_metric_gets_metres_from_points_only(tmp_path):
    pipeline = DepthPipeline(OnnxEngine(write_model(tmp_path, metric=False)))
    assert pipeline.step(snapshot()).scale.source is ScaleSource.NONE
    assert pipeline.step(snapshot(plane(10.0), 0.0)).scale.metric


@pytest.mark.parametrize(
    ("completes", "metric", "age_s", "told"),
    [
        (True, True, 0.05, (True, "at_image_stamp")),
        (True, True, 0.5, (False, "points_stale")),
        (False, True, 0.05, (False, "model_predicts_only")),
        (False, False, 0.05, (True, "scale_only")),
        (False, False, 0.5, (False, "model_predicts_only")),
    ],
)
def test_points_are_said_to_be_used_where_they_are(tmp_path, completes, metric, age_s, told):
    report = SensorReport("points", SensorState.OK, age_s, 10.0, True, "at_image_stamp", 1, 0, "")
    pipeline = DepthPipeline(OnnxEngine(write_model(tmp_path, completes=completes, metric=metric)))
    result = pipeline.step(replace(snapshot(plane(10.0), age_s), sensors=(report,)))
    assert isinstance(result, DepthResult)
    assert (result.sensors[0].used, result.sensors[0].reason) == told
