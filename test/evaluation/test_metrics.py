# SPDX-License-Identifier: Apache-2.0
"""Metrics against numbers worked out by hand, and against those of the original implementation."""

import math
from dataclasses import astuple

import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.metrics import depth_metrics, mean_metrics

# Two pixels: 2 m seen as 1 m, and 4 m seen as 5 m.
PREDICTED, TRUTH = np.array([1.0, 5.0], np.float32), np.array([2.0, 4.0], np.float32)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("abs_rel", (1 / 2 + 1 / 4) / 2),
        ("sq_rel", (1 / 2 + 1 / 4) / 2),
        ("rmse", 1.0),
        ("rmse_log", math.sqrt((math.log(2) ** 2 + math.log(1.25) ** 2) / 2)),
        ("delta1", 0.0),  # a ratio of exactly 1.25 is not below 1.25
        ("delta2", 0.5),
        ("delta3", 0.5),
        ("mae", 1.0),
        ("irmse", math.sqrt((500.0**2 + 50.0**2) / 2)),
        ("imae", (500.0 + 50.0) / 2),
        ("silog", 100 * (math.log(1.25) + math.log(2)) / 2),
    ],
)
def test_each_metric_equals_its_definition(name, value):
    assert getattr(depth_metrics(PREDICTED, TRUTH), name) == pytest.approx(value, rel=1e-6)


def test_a_perfect_prediction_has_no_error():
    assert astuple(depth_metrics(TRUTH, TRUTH)) == (0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0)


def test_silog_does_not_see_a_common_factor():
    assert depth_metrics(3.7 * TRUTH, TRUTH).silog == pytest.approx(0.0, abs=1e-4)
    assert depth_metrics(3.7 * PREDICTED, TRUTH).silog == pytest.approx(depth_metrics(PREDICTED, TRUTH).silog, rel=1e-6)


def test_images_have_the_same_weight_whatever_their_number_of_pixels():
    good = depth_metrics(np.full(1000, 2.0), np.full(1000, 2.0))
    bad = depth_metrics(np.array([4.0]), np.array([2.0]))
    assert mean_metrics([good, bad]).abs_rel == pytest.approx(0.5)


def test_the_mean_of_no_image_is_refused():
    with pytest.raises(DataError, match="at least one image"):
        mean_metrics([])


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_depths_that_no_metric_takes_are_refused_by_name(bad):
    with pytest.raises(DataError, match="predicted_m"):
        depth_metrics(np.array([bad, 1.0]), np.array([1.0, 1.0]))
    with pytest.raises(DataError, match="truth_m"):
        depth_metrics(np.array([1.0, 1.0]), np.array([bad, 1.0]))


@pytest.mark.parametrize(("predicted", "truth"), [((2,), (3,)), ((0,), (0,)), ((2, 2), (2, 2))])
def test_arrays_of_other_shapes_are_refused(predicted, truth):
    with pytest.raises(DataError, match=r"two arrays \[N\]"):
        depth_metrics(np.ones(predicted), np.ones(truth))


@pytest.mark.parametrize("limits", ["0|80", "0.001|80", "1|50", "0.5|100", "0|200", "5|20"])
def test_metrics_equal_those_of_the_original_implementation(shared_data, limits):
    """Its limits of truth are strict, the prediction is clamped to them, and the images are averaged at the end."""
    path = shared_data / "conformance" / "losses" / "metrics.npz"
    if not path.is_file():
        pytest.skip(f"numbers of the original implementation: no file {path}")
    numbers = np.load(path)
    (row,) = np.flatnonzero(numbers["cases"] == f"full||0|{limits}|resize")  # full size, no crop, no scaling
    low, high = (float(limit) for limit in limits.split("|"))
    images = []
    for predicted, truth in zip(numbers["pred_full"][:, 0], numbers["gt"][:2, 0], strict=True):
        valid = (truth > low) & (truth < high)
        images.append(depth_metrics(np.clip(predicted[valid], low, high), truth[valid]))
    np.testing.assert_allclose(astuple(mean_metrics(images))[:7], numbers["values__f64"][row], rtol=1e-6)
