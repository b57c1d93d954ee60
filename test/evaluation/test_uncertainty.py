# SPDX-License-Identifier: Apache-2.0
"""Coverage, calibration and sparsification against numbers worked out by hand, and of samples of known spread."""

import dataclasses
import json
import math

import cv2
import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.uncertainty import (
    EXPECTED,
    REMOVED,
    calibration,
    draw_calibration,
    image_uncertainty,
    image_uncertainty_from_dict,
)


def row(*values):
    return np.array([values], np.float32)


def of_ratios(ratios, sigma=0.1):
    """One image whose errors are these many sigma; every second one too near."""
    ratios = np.array(ratios, np.float64)
    signs = np.where(np.arange(len(ratios)) % 2, -1.0, 1.0)
    truth_m = np.full((1, len(ratios)), 8.0)
    predicted_m = truth_m * np.exp(signs * ratios * sigma)
    return image_uncertainty(predicted_m, truth_m, np.full(truth_m.shape, sigma), np.ones(truth_m.shape, bool))


def of_sample(errors, sigma):
    """One image with these errors of log depth."""
    truth_m = np.full((1, len(errors)), 8.0)
    sigmas = np.broadcast_to(np.float64(sigma), truth_m.shape)
    return image_uncertainty(truth_m * np.exp(errors), truth_m, sigmas, np.ones(truth_m.shape, bool))


def of_errors(abs_rel, sigma):
    """One image with these AbsRel, all too far."""
    truth_m = np.full((1, len(abs_rel)), 4.0)
    predicted_m = truth_m * (1.0 + np.array([abs_rel]))
    return image_uncertainty(predicted_m, truth_m, np.array([sigma]), np.ones(truth_m.shape, bool))


def test_coverage_is_the_share_of_pixels_within_k_sigma():
    found = calibration([of_ratios([0.0, 0.5, 0.99, 1.01, 1.5, 1.99, 2.01, 9.0])])
    assert (found.coverage_1_sigma, found.coverage_2_sigma) == (3 / 8, 6 / 8)


@pytest.mark.parametrize(("sigmas", "covered"), [(1.0, (1.0, 1.0)), (2.0, (0.0, 1.0))])
def test_an_error_of_exactly_k_sigma_is_covered(sigmas, covered):
    error = np.abs(np.log(4.0) - np.log(2.0))
    found = calibration([image_uncertainty(row(4.0), row(2.0), np.array([[error / sigmas]]), row(1) > 0)])
    assert (found.coverage_1_sigma, found.coverage_2_sigma) == covered


def test_sigma_zero_covers_only_what_has_no_error():
    found = calibration([image_uncertainty(row(2.0, 2.1), row(2.0, 2.0), row(0.0, 0.0), row(1, 1) > 0)])
    assert (found.coverage_1_sigma, found.coverage_2_sigma) == (0.5, 0.5)


def test_the_calibration_curve_counts_at_the_quantiles_of_a_laplace_distribution():
    # Half of a Laplace distribution lies within ln 2 / sqrt 2 = 0.490 of its standard deviations.
    found = calibration([of_ratios([0.489, 0.491, 0.489, 5.0])])
    assert found.expected == tuple(EXPECTED) and found.expected[9] == 0.5
    assert found.observed[9] == 0.5
    assert found.observed[10] == 0.75 and found.observed[8] == 0.0 and found.observed[18] == 0.75


def test_a_laplace_sample_is_covered_as_expected():
    sigma = 0.07
    errors = np.random.default_rng(3).laplace(0.0, sigma / math.sqrt(2.0), 200_000)
    found = calibration([of_sample(errors, sigma)])
    assert found.coverage_1_sigma == pytest.approx(1.0 - math.exp(-math.sqrt(2.0)), abs=0.003)
    assert found.coverage_2_sigma == pytest.approx(1.0 - math.exp(-2.0 * math.sqrt(2.0)), abs=0.003)
    np.testing.assert_allclose(found.observed, found.expected, atol=0.004)
    assert found.mean_sigma == pytest.approx(sigma)


@pytest.mark.parametrize("told", [1.0, 0.25, 3.0])
def test_the_factor_brings_the_coverage_at_one_sigma_to_68_percent(told):
    """Also of errors whose true spread differs from pixel to pixel."""
    rng = np.random.default_rng(4)
    sigma = rng.uniform(0.02, 0.2, 200_000)
    errors = rng.laplace(0.0, sigma / math.sqrt(2.0))
    factor = calibration([of_sample(errors, told * sigma)]).sigma_factor
    assert factor * told == pytest.approx(-math.log1p(-0.683) / math.sqrt(2.0), rel=0.01)
    assert calibration([of_sample(errors, factor * told * sigma)]).coverage_1_sigma == pytest.approx(0.683, abs=0.002)


def test_the_factor_of_errors_that_are_normal_is_one():
    errors = np.random.default_rng(5).normal(0.0, 0.1, 200_000)
    assert calibration([of_sample(errors, 0.1)]).sigma_factor == pytest.approx(1.0, abs=0.01)


def test_the_factor_stays_finite_without_any_error_and_with_errors_beyond_every_bin():
    assert calibration([of_ratios([0.0, 0.0])]).sigma_factor == pytest.approx(0.001)
    assert calibration([of_ratios([1e6, 1e6], sigma=1e-6)]).sigma_factor == pytest.approx(100.0)


def test_sparsification_removes_the_most_uncertain_first():
    # Twenty pixels, so that every step removes one; the oracle removes 0.4, 0.2, 0.2 and then nothing is wrong.
    errors = [0.2, 0.0, 0.4, 0.2] + [0.0] * 16
    sigma = [0.9, 0.1, 0.8, 0.7, *np.linspace(0.2, 0.6, 16)]
    found = of_errors(errors, sigma)
    total = 0.8 / 20
    by_sigma = [0.8 / 20, 0.6 / 19, 0.2 / 18, 0.0]
    by_error = [0.8 / 20, 0.4 / 19, 0.2 / 18, 0.0]
    assert found.sparsification[:4] == pytest.approx([left / total for left in by_sigma])
    assert found.oracle[:4] == pytest.approx([left / total for left in by_error])
    assert len(found.sparsification) == len(REMOVED) and not any(found.sparsification[4:])
    # The two curves differ at one of the steps.
    assert calibration([found]).ause == pytest.approx((0.6 - 0.4) / 19 / total * 0.05)


def test_the_oracle_removes_by_abs_rel_and_not_by_the_log():
    # Half the truth is the larger error of the log, 1.6 times the truth the larger AbsRel.
    found = image_uncertainty(row(1.0, 3.2), row(2.0, 2.0), row(0.1, 0.1), row(1, 1) > 0)
    assert found.oracle[10] == pytest.approx(0.5 / 0.55)


def test_a_sigma_in_the_order_of_the_errors_has_no_sparsification_error():
    errors = np.random.default_rng(6).uniform(0.0, 1.0, 1000)
    assert calibration([of_errors(errors, 0.3 * errors)]).ause == pytest.approx(0.0, abs=1e-9)
    assert calibration([of_errors(errors, 0.3 * errors)]).sparsification[10] == pytest.approx(0.5, abs=0.02)


def test_the_reverse_order_has_more_sparsification_error_than_a_sigma_that_is_the_same_everywhere():
    errors = np.linspace(0.0, 1.0, 1001)
    flat, reverse = (calibration([of_errors(errors, sigma)]) for sigma in (np.full(1001, 0.1), 1.1 - errors))
    # For errors uniform in 0..1 the oracle's curve is 1 - x; that of the reverse order, 1 + x up to its last step.
    steps = np.arange(20) / 20.0
    assert flat.sparsification == pytest.approx([1.0] * 20)
    assert flat.ause == pytest.approx(steps.sum() / 20, abs=1e-3)
    assert reverse.ause == pytest.approx(2.0 * steps.sum() / 20, abs=1e-3)


def test_the_order_of_equally_uncertain_pixels_does_not_matter():
    errors, sigma = [0.4, 0.0, 0.1, 0.1, 0.3, 0.2], [0.5, 0.5, 0.5, 0.2, 0.2, 0.1]
    backwards = of_errors(errors[::-1], sigma[::-1])
    assert of_errors(errors, sigma).sparsification == pytest.approx(backwards.sparsification)


def test_ause_does_not_see_a_common_factor_of_the_errors_and_is_a_mean_over_images():
    errors, sigma = np.array([0.5, 0.1, 0.2, 0.4]), [0.1, 0.2, 0.3, 0.4]
    small, large = of_errors(0.01 * errors, sigma), of_errors(errors, sigma)
    assert calibration([small]).ause == pytest.approx(calibration([large]).ause)
    sorted_image = of_errors(np.tile(np.sort(errors), 100), np.tile(sigma, 100))
    assert calibration([large, sorted_image]).ause == pytest.approx(0.5 * calibration([large]).ause)


def test_an_image_without_any_error_has_no_sparsification_error():
    found = calibration([of_errors([0.0, 0.0], [0.1, 0.2])])
    assert found.ause == 0.0 and found.sparsification == found.oracle == (1.0,) * 20


def test_shares_are_of_the_pixels_of_all_images():
    found = calibration(iter([of_ratios([0.5] * 3, sigma=0.1), of_ratios([1.5], sigma=0.3)]))
    assert (found.images, found.pixels, found.coverage_1_sigma) == (2, 4, 0.75)
    assert found.mean_sigma == pytest.approx((3 * 0.1 + 0.3) / 4)


def test_what_is_unknown_or_not_scored_is_in_no_number():
    nan = float("nan")
    image = image_uncertainty(
        row(2.0, nan, 2.0, 2.0, 9.0, -1.0),
        row(2.0, 2.0, nan, 2.0, 2.0, np.inf),
        row(0.1, 0.1, 0.1, nan, 0.1, -3.0),
        row(1, 1, 1, 1, 0, 0) > 0,
    )
    assert (image.pixels, image.unknown) == (1, 3)
    assert image.sum_sigma == pytest.approx(0.1)
    assert calibration([image]).coverage_1_sigma == 1.0


def test_an_image_without_any_sigma_counts_as_unknown_only():
    nowhere = image_uncertainty(row(2.0, 2.0), row(2.0, 2.0), row(np.nan, np.nan), row(1, 1) > 0)
    known = of_errors([0.1, 0.2], [0.1, 0.2])
    with_it, without = calibration([nowhere, known]), calibration([known])
    assert with_it == dataclasses.replace(without, unknown=2)
    with pytest.raises(DataError, match=r"uncertainty: expected at least one .*, got none \(2 without\)"):
        calibration([nowhere])


def test_what_is_kept_of_an_image_does_not_grow_with_its_pixels():
    few, many = of_ratios([0.5, 1.5]), of_ratios(np.linspace(0.0, 3.0, 5000))
    assert len(few.ratio_counts) == len(many.ratio_counts) < 300
    assert len(few.sparsification) == len(many.sparsification) == 20


@pytest.mark.parametrize("name", ["predicted_m", "sigma_log", "scored"])
def test_an_array_of_another_shape_is_refused_by_name(name):
    given = dict.fromkeys(("predicted_m", "truth_m", "sigma_log"), np.ones((2, 3), np.float32))
    given["scored"] = np.ones((2, 3), bool)
    given[name] = given[name][:, :2]
    with pytest.raises(DataError, match=rf"{name}: expected the shape \(2, 3\) of truth_m, got \(2, 2\)"):
        image_uncertainty(**given)


def test_a_truth_that_is_no_image_and_a_mask_that_is_none_are_refused():
    flat = np.ones(3, np.float32)
    with pytest.raises(DataError, match=r"truth_m: expected shape \[H, W\], got \(3,\)"):
        image_uncertainty(flat, flat, flat, flat > 0)
    with pytest.raises(DataError, match="scored: expected bool, got int64"):
        image_uncertainty(row(1.0), row(1.0), row(0.1), np.ones((1, 1), np.int64))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf])
def test_values_that_no_depth_and_no_sigma_have_are_refused_by_name(bad):
    good, scored = row(1.0, 1.0), row(1, 1) > 0
    with pytest.raises(DataError, match="predicted_m: expected positive"):
        image_uncertainty(row(bad, 1.0), good, good, scored)
    with pytest.raises(DataError, match="truth_m: expected positive"):
        image_uncertainty(good, row(bad, 1.0), good, scored)
    if bad != 0.0:
        with pytest.raises(DataError, match="sigma_log: expected finite values >= 0"):
            image_uncertainty(good, good, row(bad, 1.0), scored)


def test_json_can_hold_the_result():
    found = calibration([of_ratios([0.5, 1.5])])
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["pixels"] == 2 and content["coverage_1_sigma"] == 0.5
    assert content["expected"] == list(found.expected) and content["oracle"] == list(found.oracle)
    assert content.keys() == {field.name for field in dataclasses.fields(found)}


def test_the_plot_has_both_panels_and_its_curve_falls_below_the_diagonal_if_sigma_is_too_small():
    errors = np.random.default_rng(7).laplace(0.0, 0.1, 500)
    pictures = []
    for sigma in (0.1 * math.sqrt(2.0), 0.01):
        png = draw_calibration(calibration([of_sample(errors, sigma)]))
        picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).astype(int)
        assert picture.shape == (378, 1260, 3)
        pictures.append(picture)
    # A sigma that is 14 times too small holds 7 % of the pixels where 75 % are expected.
    near_the_floor = [np.abs(picture[250:330, 250:600] - (0x37, 0x78, 0x1B)).max(axis=2) < 40 for picture in pictures]
    assert not near_the_floor[0].any() and near_the_floor[1].sum() > 500
    assert all((picture[:, 630:] < 200).mean() > 0.01 for picture in pictures)


def test_curves_of_another_length_are_refused():
    content = dataclasses.asdict(image_uncertainty(row(4.0), row(2.0), np.array([[0.5]]), row(1) > 0))
    assert image_uncertainty_from_dict(content).pixels == 1
    with pytest.raises(DataError, match="oracle: expected 20 numbers, got 19"):
        image_uncertainty_from_dict({**content, "oracle": content["oracle"][:-1]})
