# SPDX-License-Identifier: Apache-2.0
"""What is scored, where, and against what."""

import dataclasses
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.evaluate import evaluate
from mono_depth_ros.evaluation.evaluation_result import image_score_from_dict
from mono_depth_ros.evaluation.method_depths import prepared, run_network
from mono_depth_ros.evaluation.metrics import depth_metrics
from mono_depth_ros.evaluation.protocols import PLAIN, Fit, Resize, Scaling, named_protocol
from mono_depth_ros.evaluation.sample_stream import by_time, time_steps
from mono_depth_ros.geometry.camera import PinholeCamera
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
    """Predicts a wall at one depth, or as deep as the image is red; with points, a wall at their mean."""

    def __init__(self, depth_m=None, contract=CONTRACT):
        self.contract = contract
        self._depth_m = depth_m

    def infer(self, rgb, points_bvu, points_depth_m):
        assert points_bvu.shape == (len(points_depth_m), 3)
        if len(points_depth_m):
            return np.full(rgb.shape[:3], points_depth_m.mean(), np.float32)
        return (
            rgb[..., 0].astype(np.float32)
            if self._depth_m is None
            else np.full(rgb.shape[:3], self._depth_m, np.float32)
        )


class Slope:
    """Depth 10 m at the left border of the image it is given to 20 m at the right."""

    contract = CONTRACT

    def infer(self, rgb, points_bvu, points_depth_m):
        return np.tile(np.linspace(10, 20, rgb.shape[2], dtype=np.float32), (*rgb.shape[:2], 1))


def wall_sample(
    depth_m=10.0, points_every_px=4, truth_camera=CAMERA, name="wall", camera_name="front", stamp_ns=0, red=0
):
    points = CAMERA.unproject(np.full((32, 64), depth_m, np.float32))[::points_every_px, ::points_every_px]
    image_rgb = np.zeros((32, 64, 3), np.uint8)
    image_rgb[..., 0] = red
    return DepthSample(
        name=name,
        stamp_ns=stamp_ns,
        camera_name=camera_name,
        image_rgb=image_rgb,
        camera=CAMERA,
        points_camera_m=points.reshape(-1, 3),
        truth_depth_m=np.full((truth_camera.height_px, truth_camera.width_px), depth_m, np.float32),
        truth_camera=truth_camera,
    )


def without_points(sample):
    return dataclasses.replace(sample, points_camera_m=None)


def test_every_method_is_scored_on_the_same_pixels():
    scores = evaluate([wall_sample()], Wall(8.0)).scores()
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
    scores = evaluate([wall_sample(10.0)], Wall(8.0)).scores()
    assert scores["prediction"].metrics.abs_rel == pytest.approx(0.2, rel=1e-5)
    assert scores["completion"].metrics.abs_rel == pytest.approx(0.0, abs=1e-6)


def test_the_median_ratio_over_the_points_repairs_a_wrong_scale():
    scores = evaluate([wall_sample(10.0)], Wall(8.0)).scores()
    assert scores["prediction_median_scaled"].metrics.abs_rel < 1e-6


def test_predictions_are_clipped_to_the_limits():
    protocol = dataclasses.replace(PLAIN, max_truth_m=20.0, clip_min_m=5.0, clip_max_m=20.0)
    for predicted_m, error_m in ((1000.0, 10.0), (0.01, 5.0)):
        scores = evaluate([wall_sample(10.0)], Wall(predicted_m), protocol).scores()
        assert scores["prediction"].metrics.mae == pytest.approx(error_m)


def test_what_the_node_publishes_is_scored_where_it_is_known_and_the_rest_is_a_share():
    sample = wall_sample(10.0)
    depth_m = np.full((16, 32), 11.0, np.float32)
    depth_m[:, 16:] = np.nan
    published = SimpleNamespace(depth_m=depth_m, camera=CAMERA.resized(32, 16), sigma_m=None)
    evaluation = evaluate([dataclasses.replace(without_points(sample), published=published)], None)
    score = evaluation.scores()["published"]
    assert score.metrics.mae == pytest.approx(1.0, rel=1e-5)
    assert score.pixels == 32 * 64 - evaluation.images[0].withheld
    assert evaluation.withheld_share() == pytest.approx(0.5, abs=1 / 64)


def test_truth_may_be_coarser_than_the_image():
    score = evaluate([wall_sample(truth_camera=CAMERA.resized(32, 16))], Wall(10.0)).scores()["prediction"]
    assert score.pixels == 32 * 16 - 8 * 16


def test_a_model_that_only_predicts_has_no_completion():
    engine = Wall(8.0, dataclasses.replace(CONTRACT, completes=False))
    assert "completion" not in evaluate([wall_sample()], engine).scores()


def test_without_a_model_the_baselines_are_scored():
    assert list(evaluate([wall_sample()], None).scores()) == ["nearest", "classical"]


def test_without_points_there_is_the_prediction_on_all_of_the_truth():
    scores = evaluate([without_points(wall_sample())], Wall(8.0)).scores()
    assert list(scores) == ["prediction"]
    assert scores["prediction"].pixels == 32 * 64


def test_an_image_without_points_among_others_is_counted_and_in_no_mean():
    behind = dataclasses.replace(wall_sample(), points_camera_m=np.array([[0.0, 0.0, -5.0]], np.float32))
    evaluation = evaluate([behind, wall_sample()], Wall(8.0))
    assert (len(evaluation.every_image), evaluation.without_points, evaluation.skipped) == (2, 1, 0)
    assert {score.images for score in evaluation.scores().values()} == {1}


def test_images_without_truth_are_counted_and_nothing_else_is_an_error():
    blind = dataclasses.replace(wall_sample(), truth_depth_m=None, truth_camera=None)
    assert evaluate([blind, wall_sample()], Wall(8.0)).skipped == 1
    with pytest.raises(DataError, match=r"at least one image with truth in view.*got none"):
        evaluate([blind], Wall(8.0))
    with pytest.raises(DataError, match="is the whole truth an input"):
        evaluate([wall_sample(points_every_px=1)], Wall(8.0))


def test_input_pixels_count_where_the_protocol_says_so_and_are_always_told_apart():
    given = dataclasses.replace(PLAIN, score_inputs=True)
    for protocol, scored in ((PLAIN, 32 * 64 - 8 * 16), (given, 32 * 64)):
        (image,) = evaluate([wall_sample()], Wall(8.0), protocol).images
        assert (image.pixels["scored"], image.pixels["all truth"], image.pixels["off input"]) == (
            scored,
            32 * 64,
            32 * 64 - 8 * 16,
        )


def test_ranges_and_labels_and_cameras_have_numbers_of_their_own():
    truth_m = np.full((32, 64), 5.0, np.float32)
    truth_m[:, 32:] = 30.0
    labels = np.zeros((32, 64), np.uint8)
    labels[:, 48:] = 13
    labels[0] = 255
    sample = dataclasses.replace(without_points(wall_sample()), truth_depth_m=truth_m, labels=labels)
    other = without_points(wall_sample(20.0, name="other", camera_name="rear"))
    evaluation = evaluate([sample, other], Wall(10.0), label_names={0: "road", 13: "car"})
    assert evaluation.parts("range ") == ["range 0-10 m", "range 10-20 m", "range 20-40 m"]
    assert evaluation.scores("range 0-10 m")["prediction"].metrics.abs_rel == pytest.approx(1.0)
    assert evaluation.scores("range 20-40 m")["prediction"].metrics.abs_rel == pytest.approx(2 / 3)
    assert set(evaluation.parts("label ")) == {"label road", "label car"}
    assert evaluation.scores("label car")["prediction"].metrics.abs_rel == pytest.approx(2 / 3)
    assert evaluation.scores("label car")["prediction"].pixels == 31 * 16
    assert evaluation.cameras() == ["front", "rear"]
    rear = evaluation.scores(choose=lambda image: image.camera_name == "rear")
    assert rear["prediction"].metrics.abs_rel == pytest.approx(0.5)


def rig(truths_m=(10.0, 40.0), reds=(5, 10)):
    """Two cameras at one time: their own factors are 2 and 4."""
    names = ("left", "right")
    return [
        without_points(wall_sample(truth, name=name, camera_name=name, stamp_ns=at * 1000, red=red))
        for at, (name, truth, red) in enumerate(zip(names, truths_m, reds, strict=True))
    ]


def test_a_factor_per_image_repairs_each_camera_and_a_shared_one_their_middle():
    errors = {}
    for scaling in Scaling:
        found = evaluate(rig(), Wall(), dataclasses.replace(PLAIN, scaling=scaling))
        errors[scaling] = [image.metrics["scored"]["prediction"].abs_rel for image in found.images]
    assert errors[Scaling.NONE] == pytest.approx([0.5, 0.75])
    assert errors[Scaling.MEDIAN] == pytest.approx([0.0, 0.0], abs=1e-6)
    # Lower medians of both cameras' pixels together: 10 over 5.
    assert errors[Scaling.SHARED_MEDIAN] == pytest.approx([0.0, 0.5], abs=1e-6)


def test_time_steps_hold_each_camera_once_and_end_with_the_time():
    shared = dataclasses.replace(PLAIN, scaling=Scaling.SHARED_MEDIAN)

    def at(camera, time_s):
        return wall_sample(name=f"{camera}{time_s}", camera_name=camera, stamp_ns=round(time_s * 1e9))

    left, right = [at("l", 0.0), at("l", 0.1)], [at("r", 0.01), at("r", 0.11), at("r", 0.13)]
    steps = [[sample.name for sample in step] for step in time_steps(by_time([left, right]), shared)]
    assert steps == [["l0.0", "r0.01"], ["l0.1", "r0.11"], ["r0.13"]]
    assert [len(step) for step in time_steps(by_time([left, right]), PLAIN)] == [1] * 5
    assert [sample.name for sample in by_time([left, right], 3)] == ["r0.11", "r0.13"]


def test_a_data_set_that_can_be_indexed_is_not_read_before_the_place_to_begin():
    class Counted:
        def __init__(self):
            self.read = []

        def __len__(self):
            return 4

        def __getitem__(self, index):
            self.read.append(index)
            return wall_sample(name=str(index))

        def __iter__(self):
            return (self[index] for index in range(4))

    samples = Counted()
    assert [sample.name for sample in by_time([samples], 2)] == ["2", "3"]
    assert samples.read == [2, 3]


def test_what_is_known_is_not_scored_again_and_the_numbers_are_the_same():
    samples = [wall_sample(10.0 + at, name=str(at)) for at in range(4)]
    whole = evaluate(samples, Wall(8.0))
    seen = []
    resumed = evaluate(by_time([samples], 3), Wall(8.0), done=whole.steps[:3], on_step=seen.append)
    assert len(seen) == 1 and seen[0].images[0].name == "3"
    assert resumed == whole


def test_scores_survive_json():
    (image,) = evaluate([wall_sample()], Wall(8.0)).images
    assert image_score_from_dict(image.to_dict()) == image
    with pytest.raises(DataError, match="score of an image: expected what an evaluation writes"):
        image_score_from_dict({**image.to_dict(), "metrics": {"scored": {"prediction": [1.0]}}})


def test_pictures_get_what_was_scored():
    seen = []
    protocol = dataclasses.replace(PLAIN, scaling=Scaling.MEDIAN)
    evaluate([wall_sample()], Wall(8.0), protocol, on_image=seen.append)
    (depths,) = seen
    np.testing.assert_allclose(depths.depths_m["prediction"], 10.0)
    errors = depth_metrics(depths.depths_m["nearest"][depths.scored], depths.truth_m[depths.scored])
    assert errors == depths.score.metrics["scored"]["nearest"]


def test_an_error_of_a_picture_is_not_lost():
    def fail(depths):
        raise DataError("no space")

    with pytest.raises(DataError, match="no space"):
        evaluate([wall_sample()] * 9, Wall(8.0), on_image=fail)


def test_samples_are_read_in_another_thread_which_ends_with_the_evaluation():
    threads = []

    def source():
        try:
            for number in range(5):
                threads.append(threading.get_ident())
                yield wall_sample(name=str(number))
        finally:
            threads.append("closed")

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(source(), Wall(8.0), on_step=stop)
    assert threads[-1] == "closed"
    assert len(set(threads[:-1])) == 1 and threads[0] != threading.get_ident()


def test_the_ratio_of_prediction_to_truth_is_counted():
    (image,) = evaluate([without_points(wall_sample(10.0))], Wall(20.0)).images
    counts = image.ratios["prediction"]
    assert sum(counts) == 32 * 64 and counts[48] == 32 * 64  # a factor of 2 is three quarters of -2 to 2 in log2


def test_a_flip_average_is_symmetric_in_the_middle():
    plain = run_network(wall_sample(), Slope(), PLAIN)
    flipped = run_network(wall_sample(), Slope(), dataclasses.replace(PLAIN, flip_average=True))
    columns = np.linspace(10, 20, 32)
    np.testing.assert_allclose(plain.predicted_m[0], columns, rtol=1e-6)
    # Away from the borders: the mean of inverse depths. At them: what the mirrored, or the plain, image gave.
    np.testing.assert_allclose(flipped.predicted_m[0, 16], 2 / (1 / columns[16] + 1 / columns[15]), rtol=1e-5)
    assert flipped.predicted_m[0, [0, -1]].tolist() == pytest.approx([20.0, 20.0])


def test_points_are_mirrored_with_the_image():
    class Recorder(Wall):
        def infer(self, rgb, points_bvu, points_depth_m):
            cells.append({(int(row), int(col)) for _, row, col in points_bvu})
            return np.full(rgb.shape[:3], 10.0, np.float32)

    cells = []
    run_network(wall_sample(), Recorder(), dataclasses.replace(PLAIN, flip_average=True))
    *_, given, mirrored = cells
    assert mirrored == {(row, 31 - col) for row, col in given} != given


def test_a_cropped_image_keeps_its_pixels_and_has_no_depth_outside_the_window():
    sample = wall_sample(red=np.arange(64, dtype=np.uint8))
    protocol = dataclasses.replace(PLAIN, fit=Fit.CROP_BOTTOM, clip_min_m=0.5)
    network = run_network(sample, Wall(10.0), protocol)
    assert network.fit.camera == PinholeCamera(32, 16, 40.0, 40.0, 31.5 - 16, 15.5 - 16)
    assert network.fit.image_rgb[0, :, 0].tolist() == list(range(16, 48))
    (image,) = evaluate([without_points(sample)], Wall(10.0), protocol).images
    # Outside the window 0 m, clipped to 0.5 m.
    outside = 1 - 16 * 32 / (32 * 64)
    assert image.metrics["scored"]["prediction"].mae == pytest.approx(9.5 * outside, rel=1e-5)


def nyu_sample(rows=480, cols=640):
    camera = PinholeCamera(cols, rows, 518.86, 519.47, 325.58, 253.74)
    depth_m = np.tile(np.linspace(1, 9, cols, dtype=np.float32), (rows, 1))
    return DepthSample("a", 0, "kinect", np.zeros((rows, cols, 3), np.uint8), camera, None, depth_m, camera)


def test_the_nyu_completion_protocol_halves_and_crops_and_draws_500_points():
    sample = prepared(nyu_sample(), named_protocol("nyu_completion"))
    assert sample.image_rgb.shape == (228, 304, 3) and sample.truth_depth_m.shape == (228, 304)
    camera = sample.camera
    assert (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px) == pytest.approx(
        (518.86 / 2, 519.47 / 2, 325.58 / 2 - 8, 253.74 / 2 - 6)
    )
    assert sample.truth_depth_m[0, 0] == nyu_sample().truth_depth_m[12, 16]
    assert len(sample.points_camera_m) == 500
    np.testing.assert_array_equal(
        prepared(nyu_sample(), named_protocol("nyu_completion")).points_camera_m, sample.points_camera_m
    )
    with pytest.raises(DataError, match="nyu_half, got"):
        prepared(nyu_sample(240, 320), named_protocol("nyu_completion"))


def test_the_nyu_protocols_score_their_pixels():
    (image,) = evaluate([nyu_sample()], Wall(3.0), named_protocol("nyu")).images
    assert image.pixels["scored"] == (471 - 45) * (601 - 41) and list(image.factors) == ["prediction"]
    (image,) = evaluate([nyu_sample()], Wall(3.0), named_protocol("nyu_completion")).images
    assert image.pixels["scored"] == 228 * 304 and image.pixels["off input"] == 228 * 304 - 500
    assert "completion" in image.factors


def test_the_way_to_the_truth_is_that_of_the_protocol():
    depth, inverse = (
        evaluate([without_points(wall_sample(15.0))], Slope(), dataclasses.replace(PLAIN, resize=resize)).scores()
        for resize in (Resize.DEPTH, Resize.INVERSE_DEPTH)
    )
    assert depth["prediction"].metrics.mae != inverse["prediction"].metrics.mae
