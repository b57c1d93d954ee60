# SPDX-License-Identifier: Apache-2.0
"""TwoStreamPoseNet: motion between two images from their appearance and from their predicted depth.

Two encoders, one for the image pair and one for the pair of inverse depths, fused for the pose (the idea of Guizilini
et al., CoRL 2019, "Two stream networks for self-supervised ego-motion estimation"; layers are not public, these are
ours: those of PoseNet, half as wide per stream). Depth tells the length of a motion that images tell only up to scale.
"""

import torch
from torch import Tensor, nn

from mono_depth_ros.networks.pose_net import KERNELS, NORM_GROUPS, POSE_SCALE, WIDTHS

STREAM_STAGES = 5  # stages before the two streams are joined; the rest works on both
STREAM_WIDTHS = (16, 16, 32, 64, 128)


class Stage(nn.Module):
    """Convolution of stride 2, GroupNorm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride=2, padding=kernel_size // 2)
        self.norm = nn.GroupNorm(min(NORM_GROUPS, out_channels // 2), out_channels)
        nn.init.xavier_uniform_(self.conv.weight)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, H, W] -> [B, Cout, H/2, W/2]."""
        return torch.relu(self.norm(self.conv(x)))


def stream(in_channels: int) -> nn.Sequential:
    """One encoder."""
    inputs = (in_channels, *STREAM_WIDTHS[:-1])
    return nn.Sequential(*(Stage(inputs[i], STREAM_WIDTHS[i], KERNELS[i]) for i in range(STREAM_STAGES)))


class TwoStreamPoseNet(nn.Module):
    """Translation and Euler angles between a target and one other image; the same weights for every pair."""

    def __init__(self) -> None:
        super().__init__()
        self.appearance = stream(6)
        self.structure = stream(2)
        self.fused = nn.Sequential(
            Stage(2 * STREAM_WIDTHS[-1], WIDTHS[STREAM_STAGES], 3), Stage(WIDTHS[STREAM_STAGES], WIDTHS[-1], 3)
        )
        self.head = nn.Conv2d(WIDTHS[-1], 6, 1)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, target: Tensor, neighbours: Tensor, target_inv_depth: Tensor, neighbour_inv_depths: Tensor
    ) -> Tensor:
        """Motion from the target to each neighbour.

        Args:
            target: float [B, 3, H, W] in 0..1.
            neighbours: float [B, C, 3, H, W].
            target_inv_depth: float [B, 1, H, W], network units; what the depth network says of the target.
            neighbour_inv_depths: float [B, C, 1, H, W].

        Returns:
            float [B, C, 6]: translation x, y, z and Euler angles about x, y, z (radians) of `T_neighbour_target`,
            optical axes; metres where training made them so.
        """
        count = neighbours.shape[1]
        images = torch.cat([_repeated(target, count), neighbours.flatten(0, 1)], dim=1)
        depths = torch.cat([_repeated(target_inv_depth, count), neighbour_inv_depths.flatten(0, 1)], dim=1)
        x = torch.cat([self.appearance(images), self.structure(depths)], dim=1)
        return POSE_SCALE * self.head(self.fused(x)).mean(dim=(2, 3)).view(-1, count, 6)


def _repeated(x: Tensor, count: int) -> Tensor:
    """[B, ...] -> [B * count, ...], each `count` times in a row."""
    return x.repeat_interleave(count, dim=0)
