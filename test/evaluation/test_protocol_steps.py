# SPDX-License-Identifier: Apache-2.0
"""Every step of a protocol: against hand-worked numbers and against those of the original implementation."""

import dataclasses
import warnings
from dataclasses import astuple

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.evaluation.metrics import mean_metrics
from mono_depth_ros.evaluation.protocol_steps import (
    crop_window,
    flip_averaged,
    median_factor,
    placed_bottom_centre,
    resampled,
    resized_to,
    scaled_and_clipped,
    score_depth,
    scored_pixels,
)
from mono_depth_ros.evaluation.protocols import (
    PLAIN,
    PROTOCOLS,
    Crop,
    Grid,
    Protocol,
    Resize,
    Scaling,
    changed,
    named_protocol,
)
from mono_depth_ros.geometry.camera import PinholeCamera

NONE, MEDIAN = PLAIN, dataclasses.replace(PLAIN, scaling=Scaling.MEDIAN)
CAMERA = PinholeCamera(64, 32, 40.0, 40.0, 31.5, 15.5)


@pytest.fixture(scope="module")
def numbers(shared_data):
    path = shared_data / "conformance" / "losses" / "metrics.npz"
    if not path.is_file():
        pytest.skip(f"numbers of the original implementation: no file {path}")
    return np.load(path)


def original_protocol(crop, scaled, low, high):
    """What a row of the original implementation's numbers was made with."""
    return Protocol(
        "original",
        "row",
        min_truth_m=float(low),
        max_truth_m=float(high),
        clip_min_m=float(low),
        clip_max_m=float(high),
        crop=Crop.GARG if crop else Crop.NONE,
        grid=Grid.CORNERS,
        scaling=Scaling.MEDIAN if scaled == "1" else Scaling.NONE,
    )


def original_score(numbers, case, order=lambda protocol: protocol):
    """Our seven numbers for a row, and the images that count for the original but have no truth."""
    pred, crop, scaled, low, high, output = case.split("|")
    predicted = numbers["pred_low" if pred == "low_with_empty" else f"pred_{pred}"][:, 0]
    truth = numbers["gt"][: 3 if pred == "low_with_empty" else 2, 0]
    protocol = order(original_protocol(crop, scaled, low, high))
    scores, empty = [], 0
    for predicted_m, truth_m in zip(predicted, truth, strict=False):
        if output == "top-center":
            predicted_m = placed_bottom_centre(predicted_m, *truth_m.shape)
        if scored_pixels(truth_m, protocol).any():
            scores.append(score_depth(predicted_m, truth_m, protocol))
        else:
            empty += 1
    return np.array(astuple(mean_metrics(scores))[:7]) * (len(scores) / (len(scores) + empty))


def test_all_96_rows_of_the_original_implementation_are_reproduced(numbers):
    """An image without truth adds 0 to its sums and 1 to its divisor; depth 0 has an infinite log, which we refuse."""
    compared = refused = 0
    for case, expected in zip(numbers["cases"].tolist(), numbers["values__f64"], strict=True):
        if np.isfinite(expected).all():
            np.testing.assert_allclose(original_score(numbers, case), expected, rtol=2e-6, err_msg=case)
            compared += 1
        else:
            with pytest.raises(DataError, match="positive, finite depths in predicted_m"):
                original_score(numbers, case)
            refused += 1
    assert (compared + refused, refused) == (96, int((~np.isfinite(numbers["values__f64"])).any(axis=1).sum()))
    assert refused < 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"crop": Crop.NONE},
        {"grid": Grid.CAMERA},
        {"resize": Resize.INVERSE_DEPTH},
        {"scaling": Scaling.NONE},
        {"clip_max_m": 40.0},
    ],
    ids=str,
)
def test_a_wrong_step_does_not_reproduce_the_original(numbers, wrong):
    case = "low|garg|1|0.001|80|resize"
    (row,) = np.flatnonzero(numbers["cases"] == case)
    ours = original_score(numbers, case, lambda protocol: dataclasses.replace(protocol, **wrong))
    assert np.abs(ours / numbers["values__f64"][row] - 1.0).max() > 1e-4


def test_a_crop_after_the_scaling_does_not_reproduce_the_original(numbers, monkeypatch):
    """The factor comes from the pixels of the crop; taking it from all of them gives other numbers."""
    case = "low|garg|1|0.001|80|resize"
    (row,) = np.flatnonzero(numbers["cases"] == case)
    truth_m, predicted_m = numbers["gt"][0, 0], numbers["pred_low"][0, 0]
    whole = scored_pixels(truth_m, original_protocol("", "1", 0.001, 80))
    protocol = original_protocol("garg", "1", 0.001, 80)
    factor = median_factor(resized_to(predicted_m, *truth_m.shape, protocol)[whole], truth_m[whole], protocol)
    monkeypatch.setattr("mono_depth_ros.evaluation.protocol_steps.median_factor", lambda *_: factor)
    ours = original_score(numbers, case)
    assert np.abs(ours / numbers["values__f64"][row] - 1.0).max() > 1e-3


def test_small_cases_of_the_original_are_reproduced(numbers):
    wide = dataclasses.replace(original_protocol("", "0", 0, 80), name="tiny")
    for scaling, expected in zip((Scaling.NONE, Scaling.MEDIAN), numbers["tiny_values__f64"], strict=True):
        ours = score_depth(
            numbers["tiny_pred"][0, 0], numbers["tiny_gt"][0, 0], dataclasses.replace(wide, scaling=scaling)
        )
        np.testing.assert_allclose(astuple(ours)[:7], expected, rtol=1e-6)
    edge = score_depth(numbers["edge_pred"][0, 0], numbers["edge_gt"][0, 0], original_protocol("", "0", 1, 80))
    np.testing.assert_allclose(astuple(edge)[:7], numbers["edge_values__f64"], rtol=1e-6)


def test_grid_and_window_and_counts_are_those_of_the_original(numbers):
    protocol = original_protocol("", "0", 0, 80)
    ours = resized_to(numbers["pred_low"][0, 0], 94, 310, protocol)
    np.testing.assert_allclose(ours, numbers["resize_low_to_gt_b0"][0, 0], rtol=2e-5)
    placed = placed_bottom_centre(numbers["topcenter_in"][0, 0], 5, 13)
    np.testing.assert_array_equal(placed, numbers["topcenter_out"][0, 0])
    limits = ("0|80", "0.001|80", "1|50", "0.5|100", "0|200", "5|20")
    for image, counts in enumerate(numbers["valid_count"]):
        for crop, per_range in zip(("", "garg"), counts, strict=True):
            for limit, count in zip(limits, per_range, strict=True):
                row_protocol = original_protocol(crop, "0", *limit.split("|"))
                assert scored_pixels(numbers["gt"][image, 0], row_protocol).sum() == count


def test_the_flip_average_is_that_of_the_original(numbers):
    for plain, mirrored, expected in zip(
        numbers["pp_inv_depth"][:, 0],
        numbers["pp_inv_depth_flipped"][:, 0],
        numbers["pp_out_mean"][:, 0],
        strict=True,
    ):
        np.testing.assert_allclose(flip_averaged(plain, mirrored[:, ::-1]), expected, rtol=1e-6)


def test_scaling_comes_before_clipping():
    """Truth 10 and 60, prediction half of it: scaled 10 and 60; clipped first (at 20) it would be 10 and 40."""
    truth, predicted = np.array([[10.0, 10.0, 60.0]], np.float32), np.array([[5.0, 5.0, 30.0]], np.float32)
    protocol = dataclasses.replace(MEDIAN, clip_max_m=80.0)
    assert score_depth(predicted, truth, protocol).abs_rel == pytest.approx(0.0, abs=1e-6)
    narrow = dataclasses.replace(MEDIAN, clip_max_m=20.0)
    assert score_depth(predicted, truth, narrow).rmse == pytest.approx(40.0 / 3**0.5, rel=1e-5)


def test_scaling_uses_the_pixels_inside_the_crop_only():
    """Below the crop's first row everything is twice too near, above it ten times."""
    truth = np.full((100, 100), 10.0, np.float32)
    predicted = np.full((100, 100), 5.0, np.float32)
    predicted[:40] = 1.0
    protocol = dataclasses.replace(MEDIAN, crop=Crop.GARG)
    assert score_depth(predicted, truth, protocol).abs_rel == pytest.approx(0.0, abs=1e-6)
    predicted[:60] = 1.0
    assert score_depth(predicted, truth, protocol).abs_rel > 0.1


def test_the_median_of_an_even_number_is_the_lower_one():
    values, truth = np.array([1.0, 2.0, 3.0, 100.0], np.float32), np.array([4.0, 6.0, 8.0, 9.0], np.float32)
    assert median_factor(values, truth, MEDIAN) == pytest.approx(6.0 / 2.0)
    assert median_factor(values, truth, NONE) == 1.0
    with pytest.raises(DataError, match="positive median"):
        median_factor(np.zeros(3, np.float32), truth[:3], MEDIAN)


def test_limits_of_truth_are_strict_but_for_the_largest_of_the_plain_protocol():
    truth = np.array([[np.nan, 0.0, 5.0, 79.9, 80.0, 80.1, np.inf]], np.float32)
    assert scored_pixels(truth, PLAIN).tolist() == [[False, False, True, True, True, False, False]]
    strict = named_protocol("kitti_eigen_benchmark")
    assert scored_pixels(truth, strict).tolist() == [[False, False, True, True, True, True, False]]
    ddad = dataclasses.replace(named_protocol("ddad"), max_truth_m=80.0)
    assert scored_pixels(truth, ddad).tolist() == [[False, False, True, True, False, False, False]]


def test_input_pixels_are_scored_only_where_the_protocol_says_so():
    truth, given = np.full((1, 3), 5.0, np.float32), np.array([[True, False, False]])
    assert scored_pixels(truth, PLAIN, given).tolist() == [[False, True, True]]
    assert scored_pixels(truth, named_protocol("kitti_dc"), given).all()
    with pytest.raises(DataError, match="input_cells: expected the shape"):
        scored_pixels(truth, PLAIN, np.zeros((2, 2), bool))
    with pytest.raises(DataError, match="at least one pixel of truth to score"):
        score_depth(truth, truth, PLAIN, np.ones((1, 3), bool))


def test_crops_are_the_pixels_of_their_papers():
    assert crop_window(Crop.GARG, 375, 1242) == (slice(153, 371), slice(44, 1197))
    assert crop_window(Crop.NYU_EIGEN, 480, 640) == (slice(45, 471), slice(41, 601))
    assert crop_window(Crop.NONE, 3, 4) == (slice(0, 3), slice(0, 4))
    with pytest.raises(DataError, match="crop nyu_eigen: expected truth of"):
        crop_window(Crop.NYU_EIGEN, 240, 320)


def test_inverse_depth_and_depth_differ_between_pixels():
    depth = np.array([[2.0, 4.0]], np.float32)
    inverse = dataclasses.replace(PLAIN, resize=Resize.INVERSE_DEPTH)
    # Four pixels: the second lies a quarter of the way.
    assert resized_to(depth, 1, 4, PLAIN)[0, 1] == pytest.approx(2.5)
    assert resized_to(depth, 1, 4, inverse)[0, 1] == pytest.approx(1 / (0.75 / 2 + 0.25 / 4))
    corners = dataclasses.replace(PLAIN, grid=Grid.CORNERS)
    np.testing.assert_allclose(resized_to(depth, 1, 3, corners), [[2.0, 3.0, 4.0]])


def test_resampling_of_a_slanted_plane_is_exact_between_its_pixels():
    small = CAMERA.resized(32, 16)
    cols = np.tile(np.arange(32, dtype=np.float32), (16, 1))
    # Pixel u of the large image lies at (u + 0.5) / 2 - 0.5 of the small one; beyond its border the border repeats.
    expected = np.tile(10.0 + np.clip((np.arange(64) + 0.5) / 2 - 0.5, 0, 31), (32, 1))
    np.testing.assert_allclose(resampled(10.0 + cols, small, CAMERA), expected, rtol=1e-6)
    np.testing.assert_allclose(resized_to(10.0 + cols, 32, 64, PLAIN), expected, rtol=1e-6)


def test_a_window_larger_than_its_image_is_refused():
    with pytest.raises(DataError, match="fit crop_bottom: expected an image of at least 3x3"):
        placed_bottom_centre(np.ones((3, 3), np.float32), 2, 9)


def test_clipping_keeps_what_is_inside():
    values = np.array([0.1, 10.0, 100.0], np.float32)
    assert scaled_and_clipped(values, 1.0, PLAIN).tolist() == [0.5, 10.0, 80.0]
    open_end = named_protocol("kitti_dc")
    assert scaled_and_clipped(values, 2.0, open_end).tolist() == pytest.approx([0.2, 20.0, 200.0])


def test_every_protocol_tells_all_its_values():
    for protocol in PROTOCOLS.values():
        told = protocol.to_dict()
        assert set(told) == {field.name for field in dataclasses.fields(Protocol)}
        assert "inf" not in str(told) and "Enum" not in str(told) and "Crop." not in str(told)
        assert protocol.facts()["protocol"] == protocol.name
    assert {"plain", "kitti_eigen", "ddad", "nyu", "nyu_completion", "kitti_dc", "void", "synthetic"} <= set(PROTOCOLS)


def test_the_documentation_has_a_row_per_protocol_with_its_limits(repository):
    lines = (repository / "docs" / "evaluation.md").read_text().splitlines()
    rows = {line.split("`")[1]: line.split("|") for line in lines if line.startswith("| `") and line.count("|") == 8}
    assert set(rows) == set(PROTOCOLS)
    for name, protocol in PROTOCOLS.items():
        _, _, truth, crop, grid, inputs, clip, unit, _ = rows[name]
        assert ("any" in truth) == (protocol.max_truth_m == np.inf)
        assert protocol.max_truth_m == np.inf or f" {protocol.max_truth_m:g} " in truth
        assert ("with" in truth) == protocol.includes_max_truth
        assert grid.strip() == f"{protocol.grid.value}, {protocol.resize.value.replace('_', ' ')}"
        assert inputs.startswith(" scored") == protocol.score_inputs
        assert f" {protocol.clip_min_m:g} " in clip and (unit.strip() == "mm") == protocol.millimetres
        assert ("Garg" in crop, "Eigen" in crop) == (protocol.crop is Crop.GARG, protocol.crop is Crop.NYU_EIGEN)
        assert protocol.scaling is Scaling.NONE and not protocol.flip_average


def test_a_change_is_told_by_the_name():
    other = changed(named_protocol("ddad"), {"scaling": Scaling.SHARED_MEDIAN, "clip_max_m": 200.0})
    assert (other.name, other.scaling) == ("ddad, scaling=shared_median", Scaling.SHARED_MEDIAN)
    with pytest.raises(ConfigError, match=r"protocol: expected fields of .*, got cropping"):
        changed(PLAIN, {"cropping": Crop.GARG})


def test_an_unknown_protocol_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"got 'kitti_eigne' \(did you mean 'kitti_eigen'\?\)"):
        named_protocol("kitti_eigne")


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_truth_m": 90.0},
        {"min_truth_m": -1.0},
        {"clip_min_m": 80.0},
        {"range_edges_m": (5.0, 1.0)},
        {"random_points": -1},
    ],
    ids=str,
)
def test_impossible_values_are_refused(wrong):
    with pytest.raises(ConfigError, match="protocol plain: expected"):
        dataclasses.replace(PLAIN, **wrong)


def test_no_warning_comes_from_unknown_truth():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scored_pixels(np.array([[np.nan, np.inf, 1.0]], np.float32), PLAIN)
