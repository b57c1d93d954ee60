# SPDX-License-Identifier: Apache-2.0
"""What is scored, where, and against what."""

import dataclasses

import numpy as np
import pytest

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.evaluation.evaluate import ScoringPolicy, evaluate, resample_depth, scored_pixels
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import dense_to_sparse
from mono_depth_ros.inference.contract import ModelContract

CAMERA = PinholeCamera(64, 32, 40.0, 40.0, 31.5, 15.5)
CONTRACT = ModelContract(
    name="stand-in",
    network={},
    height_px=16,
    width_px=32,
    min_depth_m=0.1,
    max_depth_m=100.0,
    metric=True,
    trained_fx_px=None,
    completes=True,
    training_data="none",
    recipe="none",
    git_commit="",
    onnx_sha256="0" * 64,
    licence="Apache-2.0",
    accuracy={},
)


class Wall:
    """Predicts a wall at one depth; with points, a wall at their mean."""

    def __init__(self, depth_m, contract=CONTRACT):
        self.contract = contract
        self._depth_m = depth_m

    def infer(self, rgb, points_bvu, points_depth_m):
        assert points_bvu.shape == (len(points_depth_m), 3)
        depth_m = points_depth_m.mean() if len(points_depth_m) else self._depth_m
        return np.full(rgb.shape[:3], depth_m, np.float32)


def wall_sample(depth_m=10.0, points_every_px=4, truth_camera=CAMERA):
    points = CAMERA.unproject(np.full((32, 64), depth_m, np.float32))[::points_every_px, ::points_every_px]
    return DepthSample(
        name="wall",
        stamp_ns=0,
        camera_name="front",
        image_rgb=np.zeros((32, 64, 3), np.uint8),
        camera=CAMERA,
        points_camera_m=points.reshape(-1, 3),
        truth_depth_m=np.full((truth_camera.height_px, truth_camera.width_px), depth_m, np.float32),
        truth_camera=truth_camera,
    )


def test_every_method_is_scored_on_the_same_pixels():
    scores = evaluate([wall_sample()], Wall(8.0)).scores
    assert list(scores) == [
        "prediction",
        "prediction_median_scaled",
        "completion",
        "completion_network",
        "nearest",
        "classical",
    ]
    assert {(score.images, score.pixels) for score in scores.values()} == {(1, 32 * 64 - 8 * 16)}


def test_prediction_is_without_points_and_completion_with_them():
    scores = evaluate([wall_sample(10.0)], Wall(8.0)).scores
    assert scores["prediction"].metrics.abs_rel == pytest.approx(0.2, rel=1e-5)
    assert scores["completion"].metrics.abs_rel == pytest.approx(0.0, abs=1e-6)


def test_the_median_ratio_over_the_points_repairs_a_wrong_scale():
    assert evaluate([wall_sample(10.0)], Wall(8.0)).scores["prediction_median_scaled"].metrics.abs_rel < 1e-6


def test_pixels_of_input_points_are_not_scored():
    truth_m = np.full((32, 64), 10.0, np.float32)
    sparse = dense_to_sparse(np.where(np.arange(64) == 5, truth_m, np.nan))
    scored = scored_pixels(truth_m, sparse, 80.0)
    assert not scored[:, 5].any() and scored[:, :5].all() and scored[:, 6:].all()


def test_unknown_and_too_far_truth_is_not_scored():
    truth_m = np.array([[np.nan, 79.9, 80.0, 80.1, np.inf, 0.0]], np.float32)
    none = dense_to_sparse(np.full((1, 6), np.nan, np.float32))
    assert scored_pixels(truth_m, none, 80.0).tolist() == [[False, True, True, False, False, False]]


def test_predictions_are_clipped_to_the_limits():
    policy = ScoringPolicy(max_depth_m=20.0, min_depth_m=5.0)
    assert evaluate([wall_sample(10.0)], Wall(1000.0), policy).scores["prediction"].metrics.mae == pytest.approx(10.0)
    assert evaluate([wall_sample(10.0)], Wall(0.01), policy).scores["prediction"].metrics.mae == pytest.approx(5.0)


def test_truth_may_be_coarser_than_the_image():
    score = evaluate([wall_sample(truth_camera=CAMERA.resized(32, 16))], Wall(10.0)).scores["prediction"]
    assert score.pixels == 32 * 16 - 8 * 16


def test_a_model_that_only_predicts_has_no_completion():
    engine = Wall(8.0, dataclasses.replace(CONTRACT, completes=False))
    assert "completion" not in evaluate([wall_sample()], engine).scores


def test_without_a_model_the_baselines_are_scored():
    assert list(evaluate([wall_sample()], None).scores) == ["nearest", "classical"]


def test_an_image_without_a_point_in_view_is_skipped_and_counted():
    behind = dataclasses.replace(wall_sample(), points_camera_m=np.array([[0.0, 0.0, -5.0]], np.float32))
    evaluation = evaluate([behind, wall_sample()], Wall(8.0))
    assert evaluation.skipped == 1
    assert evaluation.scores["nearest"].images == 1
    with pytest.raises(DataError, match="at least one image with points and truth in view, got none"):
        evaluate([behind], Wall(8.0))


def test_a_sample_without_truth_is_refused():
    with pytest.raises(DataError, match="expected truth and sparse points"):
        evaluate([dataclasses.replace(wall_sample(), truth_depth_m=None, truth_camera=None)], None)


@pytest.mark.parametrize(("low", "high"), [(0.0, 80.0), (5.0, 5.0), (0.5, float("inf"))])
def test_impossible_limits_are_refused(low, high):
    with pytest.raises(ConfigError, match="min_depth_m < max_depth_m"):
        ScoringPolicy(max_depth_m=high, min_depth_m=low)


def test_resampling_of_a_slanted_plane_is_exact_between_its_pixels():
    small = CAMERA.resized(32, 16)
    cols = np.tile(np.arange(32, dtype=np.float32), (16, 1))
    resampled = resample_depth(10.0 + cols, small, CAMERA)
    # Pixel u of the large image lies at (u + 0.5) / 2 - 0.5 of the small one; beyond its border the border repeats.
    expected = 10.0 + np.clip((np.arange(64) + 0.5) / 2 - 0.5, 0, 31)
    np.testing.assert_allclose(resampled, np.tile(expected, (32, 1)), atol=0.04)
