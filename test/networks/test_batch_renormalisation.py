# SPDX-License-Identifier: Apache-2.0
"""The sparse branch's normalisation gives in training what it gives in use."""

import pytest

torch = pytest.importorskip("torch")

from mono_depth_ros.networks.sparse_convolution import ValidCellBatchNorm  # noqa: E402


def _settled() -> ValidCellBatchNorm:
    torch.manual_seed(0)
    norm = ValidCellBatchNorm(4).train()
    torch.nn.init.normal_(norm.norm.weight, 1.0, 0.2)
    for _ in range(300):
        norm(torch.randn(64, 4) * 3.0 + 5.0)
    return norm


def test_a_batch_with_another_mean_keeps_it_in_training_as_in_use() -> None:
    norm = _settled()
    far = torch.randn(40, 4) * 3.0 + 8.0  # one deviation beyond the usual: farther than other batches
    trained = norm(far)
    used = norm.eval()(far)
    torch.testing.assert_close(trained, used, atol=1e-4, rtol=1e-4)
    assert (trained.mean(0) / norm.norm.weight).mean() > 0.7  # plain batch normalisation would give 0


def test_running_statistics_follow_the_features() -> None:
    norm = _settled()
    torch.testing.assert_close(norm.norm.running_mean, torch.full((4,), 5.0), atol=0.5, rtol=0.0)
    torch.testing.assert_close(norm.norm.running_var, torch.full((4,), 9.0), atol=1.5, rtol=0.0)


def test_the_gradient_knows_that_a_common_shift_or_scale_is_divided_out() -> None:
    norm = _settled()
    features = (torch.randn(40, 4) * 3.0 + 5.0).requires_grad_()
    (norm(features) * torch.randn(40, 4)).sum().backward()
    gradient = features.grad
    centred = features.detach() - features.detach().mean(0)
    torch.testing.assert_close(gradient.sum(0), torch.zeros(4), atol=1e-4, rtol=0.0)
    torch.testing.assert_close((gradient * centred).sum(0), torch.zeros(4), atol=1e-3, rtol=0.0)


def test_young_statistics_cannot_blow_up_the_output() -> None:
    norm = ValidCellBatchNorm(4).train()
    norm(torch.randn(64, 4) * 1e-3)
    assert norm(torch.randn(64, 4) * 1e3).abs().max() < 50.0
