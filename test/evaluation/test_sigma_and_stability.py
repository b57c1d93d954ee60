# SPDX-License-Identifier: Apache-2.0
"""What an evaluation tells of a sigma, and of depth from image to image."""

import dataclasses
import json

import numpy as np
import pytest

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.evaluation.evaluate import evaluate
from mono_depth_ros.evaluation.evaluation_report import report_html, sigma_rows, stability_rows
from mono_depth_ros.evaluation.evaluation_result import image_score_from_dict, step_score_from_dict
from mono_depth_ros.evaluation.protocols import PLAIN, Fit, Resize
from mono_depth_ros.evaluation.results_files import results_json
from mono_depth_ros.evaluation.sample_stream import by_time
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.inference.contract import ModelContract
from mono_depth_ros.inference.engine import Inferred
from mono_depth_ros.perception.dial import Mode, Reason
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.scale import ScaleEstimate, ScaleSource

CAMERA = PinholeCamera(64, 32, 40.0, 40.0, 31.5, 15.5)
CONTRACT = ModelContract(
    name="stand-in",
    network={},
    height_px=32,
    width_px=64,
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
    size_step_px=32,
    tells_sigma=True,
)
ORIGIN = {"model": "stand-in", "data": ["none"]}


class Doubtful:
    """A wall at 12 m, with a sigma of 10 % in the left half of the image and 30 % in the right; by points at 10.5 m."""

    contract = CONTRACT

    def infer(self, rgb, points_bvu, points_depth_m):
        return self.infer_all(rgb, points_bvu, points_depth_m).depth_m

    def infer_all(self, rgb, points_bvu, points_depth_m, ground=None):
        sigma = np.full(rgb.shape[:3], 0.1, np.float32)
        sigma[..., rgb.shape[2] // 2 :] = 0.3
        depth = np.full(rgb.shape[:3], 10.5 if len(points_depth_m) else 12.0, np.float32)
        return Inferred(depth, sigma, np.zeros_like(sigma))


class Sure(Doubtful):
    """The same, of a network that tells no sigma."""

    contract = dataclasses.replace(CONTRACT, size_step_px=0, tells_sigma=False)


def sample(number=0, published=None, points=False, moved_m=0.0):
    """A wall at 10 m, less what the camera has driven towards it; images 0.1 s apart."""
    depth = np.full((32, 64), 10.0 - moved_m, np.float32)
    T_world_camera = np.eye(4)
    T_world_camera[2, 3] = moved_m
    return DepthSample(
        name=f"wall {number}",
        stamp_ns=number * 100_000_000,
        camera_name="front",
        image_rgb=np.zeros((32, 64, 3), np.uint8),
        camera=CAMERA,
        points_camera_m=CAMERA.unproject(depth)[::8, ::8].reshape(-1, 3) if points else None,
        truth_depth_m=depth,
        truth_camera=CAMERA,
        T_world_camera=T_world_camera,
        published=published,
    )


def published(depth_m, mode=Mode.PREDICTION, sigma_m=None):
    image = np.full((32, 64), depth_m, np.float32)
    return DepthResult(
        stamp_ns=0,
        camera_frame="camera",
        camera=CAMERA,
        depth_m=image,
        image_rgb=np.zeros((32, 64, 3), np.uint8),
        mode=mode,
        reason=Reason.NO_POINTS,
        points_used=0,
        scale=ScaleEstimate(1.0, 0.0, ScaleSource.MODEL, 0.0),
        stage_s=(),
        sensors=(),
        sigma_m=None if sigma_m is None else np.full_like(image, sigma_m),
    )


def test_the_sigma_of_each_mode_is_held_against_its_own_errors():
    found = evaluate([sample(points=True)], Doubtful(), PLAIN).calibrations()
    # ln 1.2 = 0.18: within one sigma in the right half only; ln 1.05 = 0.05: within it everywhere
    assert found["prediction"].coverage_1_sigma == pytest.approx(0.5, abs=0.03)
    assert found["prediction"].coverage_2_sigma == 1.0
    assert found["completion_network"].coverage_1_sigma == 1.0
    assert found["prediction"].mean_sigma == pytest.approx(0.2, abs=0.01)
    assert set(found) == {"prediction", "prediction_median_scaled", "completion", "completion_network"}


def test_a_published_sigma_is_relative_to_its_depth():
    found = evaluate([sample(published=published(12.0, sigma_m=2.4))], None, PLAIN).calibrations()
    assert found["published"].mean_sigma == pytest.approx(0.2, rel=1e-4)
    assert found["published"].coverage_1_sigma == 1.0  # 0.18 of 0.2


def test_what_tells_no_sigma_has_no_section_and_nothing_else_changes():
    with_sigma = evaluate([sample(points=True)], Doubtful(), PLAIN)
    without = evaluate([sample(points=True)], Sure(), PLAIN)
    assert without.calibrations() == {} and sigma_rows(without) == []
    assert with_sigma.scores() == without.scores()
    assert b"<h2>Sigma</h2>" not in report_html(without, ORIGIN)
    assert "uncertainty" not in json.loads(results_json(without, ORIGIN))
    assert b"<h2>Sigma</h2>" in report_html(with_sigma, ORIGIN)
    assert json.loads(results_json(with_sigma, ORIGIN))["uncertainty"]["prediction"]["pixels"] > 0
    assert next(row["sigma of"] for row in sigma_rows(with_sigma)) == "prediction"


def test_averaging_two_answers_leaves_no_sigma():
    flipped = dataclasses.replace(PLAIN, flip_average=True)
    assert evaluate([sample()], Doubtful(), flipped).calibrations() == {}


def test_outside_the_window_of_a_cropped_image_sigma_is_unknown():
    class Small(Doubtful):
        contract = dataclasses.replace(CONTRACT, height_px=16, width_px=32, size_step_px=16)

    cropped = dataclasses.replace(PLAIN, fit=Fit.CROP_BOTTOM)
    found = evaluate([sample()], Small(), cropped).calibrations()["prediction"]
    # A column at the border of the window may have an unknown neighbour in its bilinear mean.
    assert found.coverage_2_sigma == 1.0
    assert 0 <= 16 * 32 - found.pixels <= 16 and found.unknown == 32 * 64 - found.pixels


def test_sigma_is_interpolated_as_it_is_also_where_the_protocol_interpolates_inverse_depth():
    # On a finer grid there are means of 10 % and 30 %; an inverse one would be less.
    finer = CAMERA.resized(256, 128)
    fine = dataclasses.replace(sample(), truth_depth_m=np.full((128, 256), 10.0, np.float32), truth_camera=finer)
    protocols = (dataclasses.replace(PLAIN, resize=resize) for resize in Resize)
    means = [evaluate([fine], Doubtful(), protocol).calibrations()["prediction"].mean_sigma for protocol in protocols]
    assert means == pytest.approx([0.2, 0.2], abs=1e-6)


def test_a_sigma_that_is_nowhere_known_is_none():
    evaluation = evaluate([sample(published=published(12.0, sigma_m=np.nan))], None, PLAIN)
    assert evaluation.images[0].uncertainty["published"].unknown == 32 * 64
    assert evaluation.calibrations() == {}


def test_published_depth_that_follows_the_motion_is_still_and_a_change_of_mode_is_told_apart():
    depths = [(10.0, 0.0, Mode.PREDICTION), (9.0, 1.0, Mode.PREDICTION), (8.0 * 1.1, 2.0, Mode.COMPLETION)]
    samples = [
        sample(number, published(depth, mode), moved_m=moved) for number, (depth, moved, mode) in enumerate(depths)
    ]
    evaluation = evaluate(by_time([samples]), None, PLAIN)
    found = evaluation.stability()
    assert found is not None and found.mode_changes is not None
    assert found.all_pairs.pairs == 2 and found.mode_changes.pairs == 1
    assert found.mode_changes.median == pytest.approx(np.log(1.1), abs=1e-4)
    assert found.all_pairs.median == pytest.approx(0.5 * np.log(1.1), abs=1e-4)
    assert [row["pairs of images"] for row in stability_rows(evaluation)] == ["all", "mode changed"]
    assert b"<h2>Stability</h2>" in report_html(evaluation, ORIGIN)
    assert json.loads(results_json(evaluation, ORIGIN))["temporal"]["all_pairs"]["pairs"] == 2


def test_images_that_cannot_be_compared_are_not():
    first, second = sample(0, published(10.0)), sample(1, published(10.0))
    later = dataclasses.replace(second, stamp_ns=600_000_000)
    lost = dataclasses.replace(second, T_world_camera=None)
    other = dataclasses.replace(
        second, published=dataclasses.replace(published(10.0), camera=dataclasses.replace(CAMERA, fx_px=41.0))
    )
    for follower in (later, lost, other, sample(1)):
        assert evaluate(by_time([[first, follower]]), Doubtful(), PLAIN).stability() is None
    assert evaluate(by_time([[first, second]]), None, PLAIN).stability() is not None


def test_an_image_without_depth_in_between_leaves_nothing_to_compare():
    first, last = sample(0, published(10.0)), sample(2, published(10.0))
    refused = dataclasses.replace(sample(1), truth_depth_m=None, truth_camera=None)
    assert evaluate(by_time([[first, refused, last]]), None, PLAIN).stability() is None
    withheld = sample(1, published(np.nan))
    evaluation = evaluate(by_time([[first, withheld, last]]), None, PLAIN)
    assert evaluation.stability() is None
    # Nothing of the last image is seen in the one before it, which JSON can hold and give back.
    content = json.loads(json.dumps(evaluation.images[-1].to_dict(), allow_nan=False))
    read = image_score_from_dict(content).stability
    assert content["stability"]["median"] is None and read is not None and np.isnan([read.median, read.p90]).all()


def test_images_of_two_cameras_or_of_two_drives_of_one_camera_are_not_compared():
    for other_name in ("rear", "front"):
        near = [sample(number, published(10.0)) for number in range(3)]
        far = [
            dataclasses.replace(one, camera_name=other_name, stamp_ns=one.stamp_ns + 1000, published=published(20.0))
            for one in near
        ]
        found = evaluate(by_time([near, far]), None, PLAIN).stability()
        assert found is not None and (found.all_pairs.pairs, found.all_pairs.p90) == (4, 0.0)


def test_an_evaluation_that_was_interrupted_has_the_stability_of_one_that_was_not():
    samples = [sample(number, published(10.0 + number)) for number in range(4)]
    whole = evaluate(by_time([iter(samples)]), None, PLAIN)
    resumed = evaluate(by_time([iter(samples)], 2), None, PLAIN, done=whole.steps[:2])
    found = resumed.stability()
    assert resumed == whole and found is not None and found.all_pairs.pairs == 3


def test_scores_are_read_back_and_those_of_earlier_versions_too():
    samples = [sample(0, published(12.0, sigma_m=1.0)), sample(1, published(12.0, sigma_m=1.0))]
    (first,), (second,) = (step.images for step in evaluate(by_time([samples]), None, PLAIN).steps)
    for score in (first, second):
        assert image_score_from_dict(json.loads(json.dumps(score.to_dict(), allow_nan=False))) == score
    assert first.stability is None and second.stability is not None
    old = {key: value for key, value in second.to_dict().items() if key not in ("uncertainty", "stability")}
    read = step_score_from_dict({"samples": 1, "images": [old]}).images[0]
    assert read.uncertainty == {} and read.stability is None
