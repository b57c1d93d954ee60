# SPDX-License-Identifier: Apache-2.0
"""GroupNorm in a form that ONNX Runtime computes exactly enough.

torch exports nn.GroupNorm as an InstanceNormalization over a whole group. With few groups that is one running sum of
half a million float32 values, and its rounding shows in the depth (up to 1e-4 relative). Means over rows and columns
first and over channels after cost the same and stay closer.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class TwoStepGroupNorm(nn.Module):
    """The same function as an `nn.GroupNorm`, sharing its parameters."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        centred = x - self._group_mean(x)
        variance = self._group_mean(centred * centred)
        scale = self.norm.weight.view(1, -1, 1, 1) * torch.rsqrt(variance + self.norm.eps)
        return centred * scale + self.norm.bias.view(1, -1, 1, 1)

    def _group_mean(self, x: Tensor) -> Tensor:
        """Mean over a channel's group and all pixels, [B, C, 1, 1] or [B, 1, 1, 1]."""
        per_channel = x.mean((2, 3), keepdim=True)
        groups, channels = self.norm.num_groups, self.norm.num_channels
        if groups == 1:
            return per_channel.mean(1, keepdim=True)
        per_group = per_channel.view(-1, groups, channels // groups).mean(2, keepdim=True)
        return per_group.expand(-1, groups, channels // groups).reshape(-1, channels, 1, 1)


def with_two_step_norms(network: Network) -> Network:
    """A copy of a network in which every GroupNorm is a TwoStepGroupNorm."""
    copied = copy.deepcopy(network)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(parent, name, TwoStepGroupNorm(child))
    return copied
