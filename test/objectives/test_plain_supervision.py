# SPDX-License-Identifier: Apache-2.0
"""Plain supervised errors: the original's numbers where its definition is sound, and where ours differs and why."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.errors import ConfigError  # noqa: E402
from mono_depth_ros.objectives.supervised import (  # noqa: E402
    PlainSupervision,
    berhu,
    log_error,
    plain_error,
    plain_supervision,
    silog,
)

pytestmark = pytest.mark.torch
NAN, INF = float("nan"), float("inf")


def _double(array) -> "torch.Tensor":
    return torch.from_numpy(np.asarray(array)).double()


def _image(*values: float) -> "torch.Tensor":
    return torch.tensor(values, dtype=torch.float64)[None, None, None]


def _pooled(tensor: "torch.Tensor") -> "torch.Tensor":
    """The batch as one tall image: the original takes its means over all pixels of the batch, we per image."""
    return tensor.transpose(0, 1).flatten(1, 2)[None]


def _truth_depth(numbers, name: str, scale: int) -> "torch.Tensor":
    """Truth of one scale as the original matches it, the first pixel of each cell; NaN unknown."""
    inverse = _double(numbers[name])[:, :, :: 2**scale, :: 2**scale]
    return torch.where(inverse > 0, 1 / inverse, torch.nan)


def _original_silog(inv_depth, truth):
    """The same without the guard of the root."""
    error, known = log_error(inv_depth, truth)
    return 10 * torch.sqrt(silog(error, known, 0.85) ** 2 - 1e-6)


def _over_scales(numbers, group: str, inv_depths, of_one) -> "torch.Tensor":
    name = "gt_inv_depth_dense" if group.startswith("dense") else "gt_inv_depth_sparse"
    scales = inv_depths[:1] if group.endswith("n1") else inv_depths
    losses = []
    for scale, inv_depth in enumerate(scales):
        if group.endswith("up"):
            inv_depth = inv_depth.repeat_interleave(2**scale, 2).repeat_interleave(2**scale, 3)
        truth = _truth_depth(numbers, name, 0 if group.endswith("up") else scale)
        losses.append(of_one(_pooled(inv_depth), _pooled(truth)))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("error", ["l1", "silog"])
@pytest.mark.parametrize("group", ["sparse_multires", "sparse_up", "dense_multires", "sparse_multires_n1"])
def test_l1_and_silog_are_the_original_ones(original, group, error) -> None:
    numbers = original("supervised")
    inv_depths = [_double(numbers[f"inv_depth_s{scale}"]).requires_grad_() for scale in range(4)]

    def of_one(inv_depth, truth):
        if error == "silog":
            return _original_silog(inv_depth, truth)
        return plain_error(inv_depth, truth, PlainSupervision(error="l1"))

    loss = _over_scales(numbers, group, inv_depths, of_one)
    assert loss.item() == pytest.approx(numbers[f"{group}/{error}/loss__f64"].item(), rel=1e-9)
    if group.endswith("n1"):
        return  # only the value is stored
    finest, coarsest = torch.autograd.grad(loss, (inv_depths[0], inv_depths[3]))
    for slope, name in ((finest, "grad_inv_depth_s0"), (coarsest, "grad_inv_depth_s3__f64")):
        wanted = _double(numbers[f"{group}/{error}/{name}"])
        limit = (1e-9 if name.endswith("f64") else 1e-6) * float(wanted.abs().max())
        torch.testing.assert_close(slope, wanted, rtol=0, atol=limit)


def test_the_guard_of_silog_changes_its_value_by_less_than_a_part_in_ten_thousand(original) -> None:
    numbers = original("supervised")
    inv_depths = [_double(numbers[f"inv_depth_s{scale}"]) for scale in range(4)]
    loss = _over_scales(numbers, "sparse_multires", inv_depths, lambda i, t: plain_error(i, t, PlainSupervision()))
    assert loss.item() == pytest.approx(numbers["sparse_multires/silog/loss__f64"].item(), rel=1e-4)


def test_a_perfect_prediction_has_a_gradient_where_the_original_has_none(original) -> None:
    """FACTS 27: the original's root has no guard, its gradient at zero is not a number."""
    numbers = original("supervised")
    truth = _truth_depth(numbers, "gt_inv_depth_sparse", 0)
    perfect = torch.where(torch.isnan(truth), 0.1, 1 / truth).requires_grad_()
    plain_error(perfect, truth, PlainSupervision()).sum().backward()
    assert torch.isfinite(perfect.grad).all()


def test_a_scale_without_truth_counts_nothing_where_the_original_loses_the_whole_loss(original) -> None:
    """FACTS 24: one empty scale makes the original's loss NaN."""
    numbers = original("supervised")
    assert np.isnan(numbers["very_sparse_multires/l1/loss__f64"]).all()
    truth = _truth_depth(numbers, "gt_inv_depth_very_sparse", 3)
    inv_depth = _double(numbers["inv_depth_s3"]).requires_grad_()
    for error in ("l1", "berhu", "silog"):
        loss = plain_error(inv_depth, truth, PlainSupervision(error=error))
        assert loss.tolist() == pytest.approx([0.01 if error == "silog" else 0.0] * 2)  # 10 * sqrt(1e-6), the guard
        (slope,) = torch.autograd.grad(loss.sum(), inv_depth)
        assert (slope == 0).all()


def test_pixels_without_truth_are_never_targets(original) -> None:
    """FACTS 25: without "sparse" in its name the original takes the zeros of a sparse map for measurements."""
    numbers = original("supervised")
    inv_depths = [_double(numbers[f"inv_depth_s{scale}"]) for scale in range(4)]
    loss = _over_scales(
        numbers, "sparse_multires", inv_depths, lambda i, t: plain_error(i, t, PlainSupervision(error="l1"))
    )
    assert loss.item() < 0.2 * numbers["nomask_sparse_gt/l1/loss__f64"].item()


def _original_berhu(inv_depth, truth):
    """FACTS 29, from its description: signed maximum, and a mean of n + m numbers."""
    known = torch.isfinite(truth)
    error = (inv_depth - 1 / truth)[known]
    large = error.abs() > 0.2 * error.max().detach()
    return torch.cat([error.abs(), error[large] ** 2]).mean()


@pytest.mark.parametrize("group", ["sparse_multires", "sparse_up", "sparse_pred_scaled_by_0.5"])
def test_berhu_is_the_published_one_and_not_the_original_one(original, group) -> None:
    numbers = original("supervised")
    factor = 0.5 if "scaled" in group else 1.0
    inv_depths = [factor * _double(numbers[f"inv_depth_s{scale}"]) for scale in range(4)]
    theirs = _over_scales(numbers, group, inv_depths, _original_berhu)
    assert theirs.item() == pytest.approx(numbers[f"{group}/berhu/loss__f64"].item(), rel=1e-9)
    ours = _over_scales(numbers, group, inv_depths, lambda i, t: plain_error(i, t, PlainSupervision(error="berhu")))
    l1 = _over_scales(numbers, group, inv_depths, lambda i, t: plain_error(i, t, PlainSupervision(error="l1")))
    assert ours > l1 > theirs  # berHu is L1 or more; the original falls below, since it adds squares of small numbers


def test_berhu_by_hand_for_either_sign_and_continuous() -> None:
    error = _image(0.1, -0.1, 1.0, -0.5, 99.0).requires_grad_()
    known = torch.tensor([True, True, True, True, False])[None, None, None]
    loss = berhu(error, known, 0.2)  # c = 0.2
    assert loss.item() == pytest.approx((0.1 + 0.1 + (1 + 0.04) / 0.4 + (0.25 + 0.04) / 0.4) / 4)
    loss.sum().backward()
    assert error.grad.flatten().tolist() == pytest.approx([0.25, -0.25, 0.25 * 5, -0.25 * 2.5, 0.0])
    at_c = berhu(_image(0.2, 1.0), torch.ones(1, 1, 1, 2, dtype=torch.bool), 0.2)
    assert at_c.item() == pytest.approx((0.2 + 2.6) / 2)


def test_metres_and_inverse_metres_by_hand() -> None:
    inv_depth, truth = 1 / _image(2.0, 10.0, 3.0, 4.0), _image(4.0, 8.0, NAN, INF)
    depth = plain_error(inv_depth, truth, PlainSupervision(error="l1", of="depth"))
    inverse = plain_error(inv_depth, truth, PlainSupervision(error="l1", of="inv_depth"))
    assert depth.item() == pytest.approx((2 + 2) / 2)
    assert inverse.item() == pytest.approx((0.25 + 0.025) / 2)
    far = PlainSupervision(error="berhu", of="depth", berhu_share=1.0)
    assert plain_error(inv_depth, truth, far).item() == pytest.approx(2.0)


def test_a_prediction_at_infinity_still_comes_back() -> None:
    inv_depth = _image(0.0, 1e-9, 0.01).requires_grad_()
    loss = plain_error(inv_depth, _image(10.0, 10.0, 10.0), PlainSupervision(error="l1", of="depth", farthest_m=100.0))
    assert loss.item() == pytest.approx(90.0)
    loss.backward()
    assert inv_depth.grad.flatten().tolist() == pytest.approx([-1e4 / 3] * 3)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    inv_depth = (torch.rand(2, 1, 4, 4, dtype=torch.float64) + 0.02).requires_grad_()
    truth = torch.rand(2, 1, 4, 4, dtype=torch.float64) * 20 + 1
    truth[0, 0, 0] = NAN
    for error, of in (("l1", "depth"), ("l1", "inv_depth"), ("silog", "depth")):
        options = PlainSupervision(error=error, of=of)
        assert torch.autograd.gradcheck(lambda x, o=options: plain_error(x, truth, o), (inv_depth,))


def test_silog_of_depth_is_that_of_inverse_depth() -> None:
    torch.manual_seed(0)
    inv_depth, truth = torch.rand(1, 1, 4, 4) + 0.1, torch.rand(1, 1, 4, 4) + 1
    depth, inverse = (plain_error(inv_depth, truth, PlainSupervision(of=of)) for of in ("depth", "inv_depth"))
    assert depth.item() == inverse.item()
    guess = plain_error(
        torch.full((1, 1, 1, 2), 0.5), torch.full((1, 1, 1, 2), 1.0), PlainSupervision(silog_lambda=0.0)
    )
    assert guess.item() == pytest.approx(10 * math.log(2), rel=1e-4)


def test_scales_are_weighted_and_compared_with_the_middle_of_a_cell() -> None:
    truth = torch.full((1, 1, 4, 4), 10.0)
    truth[0, 0, 1::2, 1::2] = 5.0  # the middle pixel of each 2 x 2 cell
    outputs = (torch.where(truth == 5.0, 0.2, 0.1), torch.full((1, 1, 2, 2), 0.4))
    options = PlainSupervision(error="l1", scales=(1.0, 0.5, 0.25))
    assert plain_supervision(outputs, truth, options).item() == pytest.approx(0.5 * 0.2 / 1.5)
    full = (outputs[0], torch.full((1, 1, 4, 4), 0.4))  # both at full size
    assert plain_supervision(full, truth, options).item() == pytest.approx(0.5 * (0.25 * 0.2 + 0.75 * 0.3) / 1.5)


@pytest.mark.parametrize("wrong", [{"error": "l2"}, {"of": "metres"}, {"berhu_share": 0.0}, {"scales": ()}], ids=str)
def test_wrong_options_are_refused(wrong) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        PlainSupervision(**wrong)
