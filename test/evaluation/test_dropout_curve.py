# SPDX-License-Identifier: Apache-2.0
"""The curve of stand-in models before walls whose depth is known."""

import csv
import dataclasses
import json

import cv2
import numpy as np
import pytest

from mono_depth_ros.datasets.bags.scan_history import AgedScan, ImageWithScans
from mono_depth_ros.errors import ConfigError, DataError, ModelContractError
from mono_depth_ros.evaluation.dropout.curve import (
    CurvePoint,
    DropoutCurve,
    measure_dropout_curve,
    summaries,
    where_completion_stops_helping,
)
from mono_depth_ros.evaluation.dropout.curve_report import write_dropout_curve
from mono_depth_ros.evaluation.dropout.fading_sweeps import FadingImage, FadingPlan, Sweep
from mono_depth_ros.evaluation.dropout.sample_history import FadingInput
from mono_depth_ros.evaluation.method_depths import NETWORK_METHODS
from mono_depth_ros.evaluation.metrics import DepthMetrics
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.contract import ModelContract

CAMERA = PinholeCamera(128, 64, 80.0, 80.0, 63.5, 31.5)
PLAN = FadingPlan(max_age_s=0.2)
T_CAMERA_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, 0.1], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)
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
)


class Wall:
    """Predicts a wall at one depth; with points, a wall at a depth that depends on their number."""

    def __init__(self, predicted_m, completed_m, contract=CONTRACT):
        self.contract = contract
        self._predicted_m, self._completed_m = predicted_m, completed_m

    def infer(self, rgb, points_bvu, points_depth_m):
        count = len(points_depth_m)
        return np.full(rgb.shape[:3], self._completed_m(count) if count else self._predicted_m, np.float32)


def scan_of_wall(depth_m, age_s, moved_m):
    """One point per pixel of a wall across the view, in the LiDAR frame."""
    points_camera = CAMERA.unproject(np.full((64, 128), depth_m, np.float32)).reshape(-1, 3)
    points_lidar = (points_camera - T_CAMERA_LIDAR[:3, 3]) @ T_CAMERA_LIDAR[:3, :3]
    T_image_scan = np.eye(4)
    T_image_scan[2, 3] = -moved_m
    return AgedScan(int(-age_s * 1e9), points_lidar.astype(np.float32), T_CAMERA_LIDAR, T_image_scan)


def driving_image(speed_mps=5.0):
    """A wall at 10 m, towards which the camera has been driving."""
    scans = tuple(scan_of_wall(10.0 + speed_mps * age_s, age_s, speed_mps * age_s) for age_s in PLAN.ages_s())
    return FadingInput(ImageWithScans(0, np.zeros((64, 128, 3), np.uint8), CAMERA, scans))


def point(curve, name, value):
    points = next(points for sweep, points in curve.sweeps if sweep.name == name)
    return next(point for point in points if point.value == value)


@pytest.fixture(scope="module")
def curve():
    """Prediction 8 m, completion 12 m before it is anchored; the wall is at 10 m."""
    return measure_dropout_curve([driving_image()], Wall(8.0, lambda count: 12.0), PLAN)


def test_the_sweeps_have_the_values_that_are_asked_for():
    values = {sweep.name: sweep.values for sweep in FadingPlan().sweeps()}
    assert values["beams"] == (0, 1, 2, 4, 8, 16, 32, 64)
    assert values["points"] == (0, 1, 5, 50, 500, 5000)
    assert values["age_carried"] == values["age_as_is"] == tuple(round(0.1 * step, 3) for step in range(21))
    assert values["packet_loss"] == tuple(range(0, 100, 10))
    assert (values["rotation"][0], values["rotation"][-1]) == (0.0, 2.0)
    assert (values["translation"][0], values["translation"][-1]) == (0, 20)


def test_without_odometry_no_scan_is_carried():
    names = [sweep.name for sweep in FadingPlan(carries=False).sweeps()]
    assert "age_carried" not in names and "age_as_is" in names


def test_no_input_point_falls_into_a_scored_cell_at_any_value():
    fading = FadingImage(driving_image(), PLAN)
    assert fading.held_out.cells.sum() > 100
    for sweep in PLAN.sweeps():
        for value in sweep.values:
            sparse = project_points(fading.points(sweep.name, value), fading.truth_camera)
            assert not fading.held_out.cells[sparse.rows, sparse.cols].any(), (sweep.name, value)


def test_scored_pixels_do_not_depend_on_sweep_or_value(monkeypatch):
    seen = []
    scored = "mono_depth_ros.evaluation.dropout.curve.depth_metrics"
    monkeypatch.setattr(scored, lambda predicted, truth: seen.append(truth) or DepthMetrics(*[1.0] * 11))
    measured = measure_dropout_curve([driving_image()], Wall(8.0, lambda count: 12.0), PLAN)
    assert len(seen) > 100
    assert all(truth is seen[0] for truth in seen)
    assert measured.truth_pixels == len(seen[0])


def test_the_same_seed_gives_the_same_points_and_another_seed_others():
    first, again, other = (FadingImage(driving_image(), dataclasses.replace(PLAN, seed=seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.held_out.cells, again.held_out.cells)
    np.testing.assert_array_equal(first.points("points", 50), again.points("points", 50))
    assert (first.held_out.cells != other.held_out.cells).any()


@pytest.mark.parametrize(("sweep", "grows"), [("beams", 1), ("points", 1), ("packet_loss", -1)])
def test_fewer_points_are_a_part_of_more(sweep, grows):
    fading = FadingImage(driving_image(), PLAN)
    values = next(found.values for found in PLAN.sweeps() if found.name == sweep)
    sets = [{tuple(row) for row in fading.points(sweep, value).tolist()} for value in values][::grows]
    assert all(sets[at] <= sets[at + 1] for at in range(len(sets) - 1))
    assert len(sets[0]) < len(sets[-1])


def test_prediction_completion_and_baselines_have_the_errors_of_the_walls(curve):
    whole = point(curve, "beams", 16).metrics
    assert whole["prediction"].abs_rel == pytest.approx(0.2, rel=1e-5)
    assert whole["prediction"].rmse == pytest.approx(2.0, rel=1e-5)
    assert whole["completion_network"].abs_rel == pytest.approx(0.2, rel=1e-5)
    assert whole["completion"].abs_rel < 0.01
    for method in ("prediction_median_scaled", "nearest", "classical"):
        assert whole[method].abs_rel == pytest.approx(0.0, abs=1e-5)


def test_without_points_completion_is_prediction_and_the_baselines_have_no_number(curve):
    none = point(curve, "points", 0)
    assert none.points_in_view == 0 and none.dial_completes == 0
    assert none.metrics["completion"] == none.metrics["completion_network"] == none.metrics["prediction"]
    assert none.metrics["nearest"] is none.metrics["classical"] is none.metrics["prediction_median_scaled"] is None


def test_the_number_of_points_is_that_of_the_sweep(curve):
    assert point(curve, "points", 5).points_in_view == 5
    assert point(curve, "points", 50).points_in_view == pytest.approx(50, abs=3)  # two may share a network pixel


def test_an_old_scan_is_right_when_carried_and_wrong_as_it_is(curve):
    assert point(curve, "age_carried", 0.2).metrics["nearest"].abs_rel == pytest.approx(0.0, abs=1e-5)
    assert point(curve, "age_as_is", 0.2).metrics["nearest"].abs_rel == pytest.approx(0.1, rel=1e-4)
    assert point(curve, "age_as_is", 0.0).metrics["nearest"].abs_rel == pytest.approx(0.0, abs=1e-5)


def test_a_wrong_calibration_grows_the_error(curve):
    for sweep, largest in (("rotation", 2.0), ("translation", 20)):
        assert point(curve, sweep, 0).metrics["nearest"].abs_rel == pytest.approx(0.0, abs=1e-5)
        assert point(curve, sweep, largest).metrics["nearest"].abs_rel > 1e-4


def test_the_dial_completes_with_fresh_and_many_points(curve):
    assert point(curve, "points", 5).dial_completes == 0
    assert point(curve, "beams", 64).dial_completes == 1
    old = dataclasses.replace(PLAN, max_age_s=0.4)
    image = driving_image().image
    image = dataclasses.replace(image, scans=(*image.scans, image.scans[-1], image.scans[-1]))
    aged = measure_dropout_curve([FadingInput(image)], Wall(8.0, lambda count: 12.0), old)
    assert [point(aged, "age_as_is", age).dial_completes for age in (0.1, 0.2, 0.3)] == [1, 1, 0]


def test_a_model_that_helps_gives_no_finding(curve):
    # Prediction is 8 m and the network's own completion 12 m, so both are wrong by as much.
    assert where_completion_stops_helping(curve) == []


def test_a_model_that_more_points_make_worse_is_found_out():
    """Up to 700 points 10 m, which is right; with more, so far that no anchoring repairs it."""
    broken = Wall(8.0, lambda count: 10.0 if count <= 700 else 1e5)
    findings = where_completion_stops_helping(measure_dropout_curve([driving_image()], broken, PLAN))
    at = {(found.sweep, found.value, found.metric, found.reason) for found in findings}
    assert ("beams", 64, "abs_rel", "worse_than_prediction") in at
    grown = {found.value for found in findings if found.reason == "worse_with_more_points" and found.sweep == "points"}
    assert grown == {5000}
    assert not any(found.sweep == "points" and found.value <= 500 for found in findings)
    text = next(found.text() for found in findings if found.sweep == "points" and found.metric == "abs_rel")
    assert text.startswith("points 5000: abs_rel of completion is 7.000") and "(the dial completes 100%" in text


def test_findings_of_one_kind_are_told_in_one_sentence():
    findings = where_completion_stops_helping(hand_curve(0, [0.5, 1.2, 1.5, 0.9, 1.1]))
    sentences = [sentence for sentence in summaries(findings) if "abs_rel" in sentence]
    assert sentences == [
        "hand at 1, 2, 4; the worst: hand 2: abs_rel of completion is 1.500, prediction alone 1.000 "
        "(the dial completes 100% of these images)"
    ]
    single = where_completion_stops_helping(hand_curve(0, [0.5, 1.2]))
    assert summaries(single)[0].startswith("hand 1: abs_rel")


def hand_curve(points_grow, completion, method="completion", prediction=1.0):
    def metrics(error):
        return DepthMetrics(*[float(error)] * 11)

    sweep = Sweep("hand", "hand", "x", tuple(range(len(completion))), points_grow)
    points = []
    for value, error in enumerate(completion):
        known = {name: metrics(prediction) for name in NETWORK_METHODS}
        points.append(CurvePoint(value, 1.0, 1.0, {**known, method: metrics(error)}))
    return DropoutCurve(((sweep, tuple(points)),), 1, 1, 0)


@pytest.mark.parametrize("method", ["completion", "completion_network"])
@pytest.mark.parametrize(
    ("points_grow", "completion", "found"),
    [
        (1, [1.0, 0.5, 0.509], []),  # 1.8 % is within the margin
        (1, [1.0, 0.5, 0.511], [(2, "worse_with_more_points")]),
        (-1, [0.511, 0.5, 0.9], [(0, "worse_with_more_points")]),
        (-1, [0.5, 0.7, 1.0], []),
        (0, [0.5, 0.9, 0.6], []),
        (0, [0.5, 1.01], [(1, "worse_than_prediction")]),
    ],
)
def test_findings_by_hand(points_grow, completion, found, method):
    findings = where_completion_stops_helping(hand_curve(points_grow, completion, method))
    assert [(f.value, f.reason) for f in findings if f.metric == "abs_rel"] == found
    assert [(f.value, f.reason) for f in findings if f.metric == "rmse"] == found
    assert {f.method for f in findings} <= {method}


def test_the_files_hold_every_number(curve, tmp_path):
    findings = where_completion_stops_helping(hand_curve(0, [0.5, 1.01]))
    paths = write_dropout_curve(tmp_path / "new" / "out", curve, findings, {"title": "walls", "seed": 0})
    assert sorted(path.name for path in paths) == ["dropout_curve.csv", "dropout_curve.json", "dropout_curve.png"]
    assert sorted(paths) == sorted((tmp_path / "new" / "out").iterdir())
    content = json.loads(paths[0].read_text())
    assert content["protocol"]["seed"] == 0 and content["images"] == 1
    assert content["where_completion_stops_helping"][0]["reason"] == "worse_than_prediction"
    beams = content["sweeps"]["beams"]["points"]
    assert [found["value"] for found in beams] == [0, 1, 2, 4, 8, 16, 32, 64]
    assert beams[0]["metrics"]["nearest"] is None
    assert beams[5]["metrics"]["prediction"]["abs_rel"] == pytest.approx(0.2, rel=1e-5)
    with paths[1].open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(NETWORK_METHODS) * sum(len(points) for _, points in curve.sweeps)
    assert rows[0]["sweep"] == "beams" and float(rows[0]["abs_rel"]) == pytest.approx(0.2, rel=1e-4)
    picture = cv2.imread(str(paths[2]))
    assert picture.shape[1] > 1500 and picture.std() > 10


def test_a_folder_that_cannot_be_written_is_an_error(curve, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"--out .*: expected a folder to write to"):
        write_dropout_curve(tmp_path / "file" / "out", curve, [], {})


def test_images_without_truth_are_counted_and_nothing_else_is_an_error():
    far = FadingInput(dataclasses.replace(driving_image().image, scans=(scan_of_wall(90.0, 0.0, 0.0),) * 3))
    engine = Wall(8.0, lambda count: 12.0)
    measured = measure_dropout_curve([far, driving_image()], engine, PLAN)
    assert (measured.images, measured.images_without_truth) == (1, 1)
    with pytest.raises(DataError, match=r"at least one image with truth in view and a scan 0.2 s before it, got none"):
        measure_dropout_curve([far], engine, PLAN)


def test_a_model_that_only_predicts_has_no_curve():
    engine = Wall(8.0, lambda count: 12.0, dataclasses.replace(CONTRACT, completes=False))
    with pytest.raises(ModelContractError, match="expected one that completes"):
        measure_dropout_curve([driving_image()], engine, PLAN)


@pytest.mark.parametrize("wrong", [{"truth_scale": 0.0}, {"max_age_s": -1.0}, {"seed": -1}, {"reference_beams": 3}])
def test_an_impossible_plan_is_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        FadingPlan(**wrong)
