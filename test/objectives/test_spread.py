# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from mono_depth_ros.objectives.spread import sky_entropy, spread_likelihood

TRUTH = torch.tensor([[[[4.0, 4.0, 8.0, float("nan"), float("inf")]]]])


def test_the_likelihood_is_best_where_the_spread_is_the_mean_absolute_error():
    inv_depth = 1.0 / (
        torch.where(torch.isfinite(TRUTH), TRUTH, torch.ones(())) * torch.tensor([1.1, 0.8, 1.3, 9.0, 9.0])
    )
    error = torch.log(torch.tensor([1.1, 0.8, 1.3])).abs().mean()
    losses = {
        factor: float(spread_likelihood(torch.log(factor * error).expand_as(TRUTH), inv_depth, TRUTH))
        for factor in (0.8, 1.0, 1.25)
    }
    assert losses[1.0] < losses[0.8] and losses[1.0] < losses[1.25]
    assert losses[1.0] == pytest.approx(1.0 + float(torch.log(error)), abs=1e-5)


def test_depth_gets_no_gradient_and_unknown_and_sky_do_not_count():
    inv_depth = torch.full_like(TRUTH, 0.2).requires_grad_()
    log_spread = torch.full_like(TRUTH, -1.0).requires_grad_()
    spread_likelihood(log_spread, inv_depth, TRUTH).sum().backward()
    assert inv_depth.grad is None
    assert log_spread.grad is not None
    assert (log_spread.grad[..., 3:] == 0).all() and (log_spread.grad[..., :3] != 0).all()


def test_a_spread_smaller_than_any_sensors_brings_no_more():
    exact = 1.0 / torch.where(torch.isfinite(TRUTH), TRUTH, torch.ones(()))
    least, less = (spread_likelihood(torch.full_like(TRUTH, value), exact, TRUTH) for value in (-6.0, -20.0))
    torch.testing.assert_close(least, less)


def test_sky_is_told_from_what_is_known_not_to_be():
    right = torch.tensor([[[[-5.0, -5.0, -5.0, 0.0, 5.0]]]])
    wrong = -right
    assert float(sky_entropy(right, TRUTH)) == pytest.approx(0.0067, abs=1e-3)
    assert float(sky_entropy(wrong, TRUTH)) == pytest.approx(5.0067, abs=1e-3)
    logits = right.clone().requires_grad_()
    sky_entropy(logits, TRUTH).sum().backward()
    assert logits.grad is not None and float(logits.grad[0, 0, 0, 3]) == 0.0
