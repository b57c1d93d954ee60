# SPDX-License-Identifier: Apache-2.0
"""Depth from Python: the node's pipeline, and errors that say what was expected."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from dial_model import write_model

from mono_depth_ros import (
    DepthEstimator,
    DialPolicy,
    Mode,
    MonoDepthError,
    PinholeCamera,
    ScalePolicy,
    ScaleSource,
    open_dataset,
)
from mono_depth_ros.errors import ConfigError, DataError, FrameError
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pipeline import DepthPipeline
from mono_depth_ros.perception.snapshot import SensorSnapshot
from mono_depth_ros.share import model_path
from mono_depth_ros.stream.config import DepthNodeConfig

CAMERA = PinholeCamera(128, 64, 100.0, 100.0, 63.5, 31.5)
IMAGE = np.zeros((64, 128, 3), np.uint8)
WALL = CAMERA.unproject(np.full((64, 128), 10.0, np.float32))[::4, ::4].reshape(-1, 3)
SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def street():
    return DepthEstimator("street")


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Four images of a rendered street, 0.1 s apart."""
    drive = open_dataset(f"synthetic:street?seed=7&seconds=0.4&cache={tmp_path_factory.mktemp('cache')}")
    return [drive[index] for index in range(4)]


def abs_rel(depth_m, truth_m) -> float:
    """Mean relative error where depth and a truth of up to 80 m are known."""
    known = np.isfinite(depth_m) & (truth_m < 80.0)
    return float(np.mean(np.abs(depth_m - truth_m)[known] / truth_m[known]))


def test_completion_of_a_rendered_street_is_far_nearer_the_truth_than_prediction(street, samples):
    sample = samples[0]
    completed = street(sample.image_rgb, sample.camera, points_camera_m=sample.points_camera_m)
    predicted = street(sample.image_rgb, sample.camera)
    assert (completed.mode, completed.scale.source) == (Mode.COMPLETION, ScaleSource.POINTS)
    assert (predicted.mode, predicted.points_used) == (Mode.PREDICTION, 0)
    errors = [abs_rel(result.depth_m, sample.truth_depth_m) for result in (completed, predicted)]
    assert errors[0] < 0.15 and errors[0] < 0.6 * errors[1], errors


@pytest.mark.parametrize("vouches", [ScaleSource.MODEL, ScaleSource.ODOMETRY, ScaleSource.HEIGHT])
def test_a_drive_gives_what_the_pipeline_of_the_node_gives(samples, vouches):
    config = DepthNodeConfig()
    if vouches is not ScaleSource.MODEL:
        config = replace(config, scale_order=(vouches.value,))
    pipeline = DepthPipeline(
        OnnxEngine(model_path(config.model), config.providers),
        config.dial_policy(),
        config.completion_policy(),
        config.scale_policy(),
    )
    # The node's defaults are the estimator's.
    others = {} if vouches is ScaleSource.MODEL else {"scale": config.scale_policy()}
    estimator = DepthEstimator(config.model, size="network", **others)
    T_base_camera = np.array([[0.0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.6], [0, 0, 0, 1]])
    previous = None
    for number, sample in enumerate(samples):
        points = None if number == 2 else sample.points_camera_m
        motion = None if previous is None else previous.T_self_other(sample)
        speed_mps = None if motion is None else np.linalg.norm(motion[:3, 3]) / 0.1
        image, camera, age_s = sample.image_rgb, sample.camera, None if points is None else 0.02
        expected = pipeline.step(
            SensorSnapshot(
                sample.stamp_ns, "c", image, camera, points, age_s, motion, speed_mps, (), T_base_camera=T_base_camera
            )
        )
        result = estimator(
            image, camera, points_camera_m=points, points_age_s=0.02, stamp_ns=sample.stamp_ns,
            T_previous_current=motion, T_base_camera=T_base_camera,
        )  # fmt: skip
        np.testing.assert_array_equal(result.depth_m, expected.depth_m)
        facts = ("stamp_ns", "camera", "mode", "reason", "points_used", "calibration", "scale")
        assert [str(getattr(result, name)) for name in facts] == [str(getattr(expected, name)) for name in facts]
        assert result.scale.source is (vouches if points is None else ScaleSource.POINTS)
        previous = sample


def test_the_result_has_the_size_of_the_image_unless_that_of_the_network_is_asked_for(tmp_path):
    write_model(tmp_path)
    whole, coarse = (DepthEstimator(tmp_path, size=size)(IMAGE, CAMERA) for size in ("image", "network"))
    assert whole.depth_m.shape == whole.image_rgb.shape[:2] == (64, 128) and whole.camera == CAMERA
    assert coarse.depth_m.shape == coarse.image_rgb.shape[:2] == (32, 64) and coarse.camera == CAMERA.resized(64, 32)
    assert whole.depth_m.dtype == np.float32


def test_depth_is_enlarged_without_interpolation(street, samples):
    sample = samples[0]
    coarse = DepthEstimator("street", size="network")(sample.image_rgb, sample.camera)
    whole = street(sample.image_rgb, sample.camera)
    assert coarse.depth_m.shape == (96, 320)
    np.testing.assert_array_equal(whole.depth_m, coarse.depth_m.repeat(2, axis=0).repeat(2, axis=1))


def test_images_without_stamps_stand_alone_and_those_with_stamps_are_a_drive(tmp_path):
    estimator = DepthEstimator(write_model(tmp_path), dial=DialPolicy(min_points=4, resume_points=100))
    few = WALL[:8]

    def mode(points, stamp_ns):
        return estimator(IMAGE, CAMERA, points_camera_m=points, stamp_ns=stamp_ns).mode

    assert (mode(WALL, None), mode(few, None)) == (Mode.COMPLETION, Mode.PREDICTION)
    # The dial has its hysteresis, whatever was asked without a stamp in between.
    assert mode(few, 10 * SECOND_NS) is Mode.PREDICTION
    assert mode(WALL, 11 * SECOND_NS) is Mode.COMPLETION
    assert mode(few, None) is Mode.PREDICTION
    assert mode(few, 12 * SECOND_NS) is Mode.COMPLETION
    # A drive begins anew where time does, or where it is said to.
    assert mode(few, 5 * SECOND_NS) is Mode.PREDICTION
    assert mode(WALL, 6 * SECOND_NS) is Mode.COMPLETION
    estimator.reset()
    assert mode(few, 7 * SECOND_NS) is Mode.PREDICTION


def test_views_and_other_floats_do(tmp_path):
    estimator = DepthEstimator(write_model(tmp_path))
    bgr = np.zeros((64, 128, 3), np.uint8)
    bgr[..., 2] = 255
    np.testing.assert_allclose(estimator(bgr[..., ::-1], CAMERA).depth_m, 3.0)
    ahead = np.concatenate([WALL, [[np.nan] * 3]]).astype(np.float64)
    assert estimator(IMAGE, CAMERA, points_camera_m=ahead).points_used == 512


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (IMAGE[..., 0], "grey"),
        (IMAGE[..., :1], "grey"),
        (np.zeros((64, 128, 4), np.uint8), "alpha"),
        (np.zeros((3, 64, 128), np.uint8), "colours last"),
        (np.zeros((32, 64, 3), np.uint8), "resized"),
        (np.zeros((64, 128, 3), np.float32), "255"),
        ("image.png", "got str"),
    ],
)
def test_an_image_that_does_not_fit_is_told_with_what_to_do(tmp_path, image, message):
    with pytest.raises(DataError, match=rf"image_rgb: expected .*\(64, 128, 3\).*{message}"):
        DepthEstimator(write_model(tmp_path))(image, CAMERA)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"points_camera_m": WALL.T}, DataError, r"points_camera_m: expected float \[N, 3\].*got float32 \[3, 512\]"),
        ({"points_camera_m": np.zeros((5, 4))}, DataError, r"points\[:, :3\]"),
        ({"points_camera_m": np.zeros((5, 3), np.int32)}, DataError, "got int32"),
        ({"T_base_camera": np.zeros((4, 4))}, FrameError, "T_base_camera: expected a rigid motion"),
        ({"T_base_camera": np.eye(3)}, FrameError, "T_base_camera: expected a rigid motion"),
        ({"T_base_camera": np.diag([1.0, 1, -1, 1])}, FrameError, "T_base_camera: expected a rigid motion"),
        ({"T_previous_current": np.eye(4)}, ConfigError, "T_previous_current: expected stamp_ns"),
        ({"stamp_ns": 1.5}, DataError, "stamp_ns: expected whole nanoseconds, got 1.5"),
    ],
)
def test_what_goes_with_the_image_is_checked(tmp_path, given, error, message):
    with pytest.raises(error, match=message):
        DepthEstimator(write_model(tmp_path))(IMAGE, CAMERA, **given)


def test_a_camera_matrix_in_place_of_a_camera_is_told(tmp_path):
    with pytest.raises(DataError, match=r"camera: expected PinholeCamera.*, got ndarray"):
        DepthEstimator(write_model(tmp_path))(IMAGE, np.eye(3))


def test_what_gives_no_metric_depth_says_why(tmp_path):
    forced = DepthEstimator(write_model(tmp_path), dial=DialPolicy(forced=Mode.COMPLETION))
    with pytest.raises(MonoDepthError, match="completion_forced_without_points"):
        forced(IMAGE, CAMERA)


def test_sources_of_scale_are_followed_over_a_drive(tmp_path):
    write_model(tmp_path, completes=False, metric=False)
    estimator = DepthEstimator(tmp_path, scale=ScalePolicy(order=(ScaleSource.POINTS,)))
    assert estimator(IMAGE, CAMERA, points_camera_m=WALL, stamp_ns=SECOND_NS).scale.source is ScaleSource.POINTS
    assert estimator(IMAGE, CAMERA, stamp_ns=2 * SECOND_NS).scale.value == pytest.approx(5.0, rel=0.01)
    assert not estimator(IMAGE, CAMERA).scale.metric


def test_a_size_or_model_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="size: expected one of image, network, got 'full'"):
        DepthEstimator("street", size="full")
    with pytest.raises(ConfigError, match="no_such_model"):
        DepthEstimator("no_such_model")


def test_a_missing_onnx_runtime_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match="pip install onnxruntime"):
        DepthEstimator("street")
