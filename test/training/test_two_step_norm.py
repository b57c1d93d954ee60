# SPDX-License-Identifier: Apache-2.0
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from mono_depth_ros.training.two_step_norm import TwoStepNorm, with_two_step_norms


def test_it_is_the_group_norm_it_was_made_from():
    torch.manual_seed(0)
    norm = nn.GroupNorm(1, 16).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = 3.0 + 2.0 * torch.randn(2, 16, 5, 7, dtype=torch.float64)
    torch.testing.assert_close(TwoStepNorm(norm)(x), norm(x), rtol=1e-10, atol=1e-10)


def test_norms_of_one_group_are_replaced_in_a_copy_and_the_original_is_left_alone():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.GroupNorm(1, 4), nn.GroupNorm(2, 4)))
    copied = with_two_step_norms(network)
    assert sum(isinstance(module, TwoStepNorm) for module in copied.modules()) == 1
    assert not any(isinstance(module, TwoStepNorm) for module in network.modules())
    x = torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(copied(x), network(x))
