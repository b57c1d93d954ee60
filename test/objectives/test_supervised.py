# SPDX-License-Identifier: Apache-2.0
"""Objectives against numbers worked out by hand, and their gradients."""

import math

import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.objectives.feature_consistency import feature_consistency  # noqa: E402
from mono_depth_ros.objectives.masked_mean import mean_where  # noqa: E402
from mono_depth_ros.objectives.supervised import (  # noqa: E402
    SupervisedWeights,
    depth_at_points,
    log_error,
    log_gradient,
    relative_error,
    silog,
    sky_hinge,
    supervised_depth,
)

NAN, INF = float("nan"), float("inf")


def _image(*rows: list[float]) -> "torch.Tensor":
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def test_log_error_by_hand() -> None:
    error, known = log_error(1.0 / _image([2.0, 8.0, 5.0, 5.0]), _image([4.0, 4.0, NAN, INF]))
    assert error[0, 0, 0].tolist() == pytest.approx([-math.log(2), math.log(2), 0.0, 0.0])
    assert known[0, 0, 0].tolist() == [True, True, False, False]


def test_silog_forgives_a_common_scale_only_as_far_as_lambda_says() -> None:
    error, known = log_error(1.0 / _image([2.0, 4.0, 8.0]), _image([1.0, 2.0, 4.0]))  # everywhere twice too far
    assert float(silog(error, known, 0.0)) == pytest.approx(math.log(2), rel=1e-4)
    assert float(silog(error, known, 0.7)) == pytest.approx(math.log(2) * math.sqrt(0.3), rel=1e-4)
    assert float(silog(error, known, 1.0)) == pytest.approx(1e-3, rel=1e-3)  # the root's guard


def test_log_gradient_sees_shape_not_scale() -> None:
    truth = _image([1.0, 2.0, 4.0, 8.0, 16.0])
    error, known = log_error(1.0 / (3.0 * truth), truth)
    assert float(log_gradient(error, known)) == pytest.approx(0.0, abs=1e-12)
    flat, known = log_error(1.0 / torch.full_like(truth, 4.0), truth)
    # along columns every step of 1 misses log 2, the step of 4 misses log 16; along rows there is nothing
    assert float(log_gradient(flat, known)) == pytest.approx((math.log(2) + math.log(16)) / 4)


def test_relative_error_by_hand_and_linear_in_log_depth_beyond_a_factor_of_e() -> None:
    error, known = log_error(1.0 / _image([2.0, 15.0, 5.0]), _image([4.0, 10.0, NAN]))
    assert float(relative_error(error, known)) == pytest.approx((0.5 + 0.5) / 2)
    far, known = log_error(1.0 / _image([math.exp(3.0)]), _image([1.0]))
    assert float(relative_error(far, known)) == pytest.approx(math.e - 1.0 + 2.0 * math.e)


def test_relative_error_is_least_nearer_than_the_log_error() -> None:
    truth = _image([4.0, 8.0, 16.0])
    guesses = torch.linspace(3.0, 17.0, 141, dtype=torch.float64)
    best = []
    for of in (lambda e, k: mean_where(e.abs(), k), relative_error):
        losses = [float(of(*log_error(torch.full_like(truth, 1.0 / float(guess)), truth))) for guess in guesses]
        best.append(float(guesses[losses.index(min(losses))]))
    assert best == pytest.approx([8.0, 4.0], abs=0.1)  # of 1/4 + 1/8 + 1/16, 1/4 alone is more than half


def test_sky_hinge_punishes_near_sky_only() -> None:
    truth = _image([INF, INF, 5.0])
    hinge = sky_hinge(1.0 / _image([40.0, 160.0, 5.0]), truth, 80.0)
    assert float(hinge) == pytest.approx(math.log(2) / 2, rel=1e-5)


def test_points_by_hand_per_image() -> None:
    inv_depth = 1.0 / torch.tensor([[[[2.0, 4.0]]], [[[8.0, 1.0]]], [[[1.0, 1.0]]]])
    bvu = torch.tensor([[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]])
    depth = torch.tensor([4.0, 4.0, 4.0, 0.0])  # the last one is padding
    losses = depth_at_points(inv_depth, bvu, depth, 3)
    assert losses.tolist() == pytest.approx([math.log(2) / 2, math.log(2), 0.0])


def test_the_whole_by_hand_and_zero_for_the_truth() -> None:
    truth = torch.full((2, 1, 8, 8), 10.0)
    weights = SupervisedWeights(log_l1=1.0, silog=0.0, log_gradient=0.0, sky=0.0, scales=(1.0, 0.5))
    outputs = (torch.full((2, 1, 8, 8), 0.1), torch.full((2, 1, 4, 4), 0.05))
    # scale 0 is right, scale 1 is twice too far: 0.5 * log 2 over a sum of weights of 1.5
    assert supervised_depth(outputs, truth, weights).tolist() == pytest.approx([math.log(2) / 3] * 2, rel=1e-5)


def test_an_image_without_truth_costs_nothing_and_breaks_nothing() -> None:
    inv_depth = torch.full((1, 1, 8, 8), 0.2, requires_grad=True)
    loss = supervised_depth((inv_depth,), torch.full((1, 1, 8, 8), NAN), SupervisedWeights())
    loss.sum().backward()
    assert float(loss.detach()) < 1e-2
    assert torch.isfinite(inv_depth.grad).all()


@pytest.mark.parametrize("forgiven", [0.0, 0.7])
def test_gradients_are_those_of_finite_differences(forgiven: float) -> None:
    torch.manual_seed(0)
    truth = torch.rand(2, 1, 8, 8, dtype=torch.float64) * 20 + 1
    truth[0, 0, 0, :3] = NAN
    truth[1, 0, :2] = INF
    inv_depths = tuple(
        (torch.rand(2, 1, 8 // 2**s, 8 // 2**s, dtype=torch.float64) + 0.02).requires_grad_() for s in (0, 1)
    )
    weights = SupervisedWeights(silog_lambda=forgiven)
    assert torch.autograd.gradcheck(lambda *x: supervised_depth(x, truth, weights), inv_depths)


def test_mean_where_of_an_empty_mask_is_zero() -> None:
    assert mean_where(torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3, dtype=torch.bool)).tolist() == [0.0, 0.0]


def test_mean_where_never_looks_outside_the_mask() -> None:
    values = torch.tensor([[[[1.0, 3.0, NAN, INF]]]], requires_grad=True)
    mean = mean_where(values, torch.tensor([True, True, False, False])[None, None, None])
    mean.sum().backward()
    assert mean.tolist() == [2.0]
    assert values.grad.flatten().tolist() == [0.5, 0.5, 0.0, 0.0]


def test_consistency_pulls_the_image_features_and_leaves_the_fused_alone() -> None:
    image = [torch.zeros(2, 3, 4, 4, requires_grad=True), torch.zeros(2, 5, 2, 2, requires_grad=True)]
    fused = [torch.full((2, 3, 4, 4), 2.0, requires_grad=True), torch.full((2, 5, 2, 2), 1.0, requires_grad=True)]
    loss = feature_consistency(tuple(image), tuple(fused))
    assert loss.tolist() == pytest.approx([(4.0 + 1.0) / 2] * 2)
    loss.sum().backward()
    assert fused[0].grad is None
    assert (image[0].grad < 0).all()  # descending raises them towards 2
