# SPDX-License-Identifier: Apache-2.0
"""GroupNorm of one group in a form that ONNX Runtime computes exactly enough.

torch exports nn.GroupNorm as an InstanceNormalization over a whole group. With a single group that is one running sum
of half a million float32 values, and its rounding shows in the depth (up to 1e-4 relative). Means over rows and columns
first and over channels after cost the same and stay closer. Smaller groups do not need it.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class TwoStepNorm(nn.Module):
    """The same function as an `nn.GroupNorm` of one group, with its values.

    The parameters are kept in the shape in which they are used: torch's exporter folds a reshaped parameter into a
    constant, and loses it where two such constants are equal.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.eps = norm.eps
        self.weight = nn.Parameter(norm.weight.detach().view(1, -1, 1, 1).clone())
        self.bias = nn.Parameter(norm.bias.detach().view(1, -1, 1, 1).clone())

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        centred = x - _mean(x)
        # In this order: ONNX Runtime 1.32 loses the weight of `weight * rsqrt(...)` when all its values are one.
        return centred * torch.rsqrt(_mean(centred * centred) + self.eps) * self.weight + self.bias


def _mean(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, 1, 1, 1]: over the pixels of each channel first, over channels after."""
    return x.mean((2, 3), keepdim=True).mean(1, keepdim=True)


def with_two_step_norms(network: Network) -> Network:
    """A copy of a network in which every GroupNorm of one group is a TwoStepNorm."""
    copied = copy.deepcopy(network)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.GroupNorm) and child.num_groups == 1:
                setattr(parent, name, TwoStepNorm(child))
    return copied
