# SPDX-License-Identifier: Apache-2.0
"""PoseNet: motion of the camera between a target image and its neighbours in time.

The pose network of PackNet (arXiv 1905.02693): seven convolutions of stride 2 with GroupNorm and ReLU, a 1x1
convolution to six numbers per neighbour, mean over the image.
"""

import torch
from torch import Tensor, nn

from mono_depth_ros.errors import ConfigError

WIDTHS = (16, 32, 64, 128, 256, 256, 256)
KERNELS = (7, 5, 3, 3, 3, 3, 3)
NORM_GROUPS = 16
POSE_SCALE = 0.01  # an untrained network then starts near "no motion"


class PoseNet(nn.Module):
    """Translation and Euler angles of the camera from `neighbours + 1` images.

    Args:
        neighbours: number of images beside the target.
    """

    def __init__(self, neighbours: int = 2) -> None:
        super().__init__()
        self.neighbours = neighbours
        inputs = (3 * (neighbours + 1), *WIDTHS[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs[i], WIDTHS[i], KERNELS[i], stride=2, padding=KERNELS[i] // 2),
                nn.GroupNorm(NORM_GROUPS, WIDTHS[i]),
                nn.ReLU(inplace=True),
            )
            for i in range(len(WIDTHS))
        )
        self.head = nn.Conv2d(WIDTHS[-1], 6 * neighbours, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, target: Tensor, neighbours: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
        """Motion from the target to each neighbour.

        Args:
            target: float [B, 3, H, W] in 0..1.
            neighbours: as many images of the same shape as the network was built for.

        Returns:
            float [B, neighbours, 6]: translation x, y, z and Euler angles about x, y, z (radians) of
            `T_neighbour_target`, optical axes; metres where training made them so.

        Raises:
            ConfigError: the number of neighbours does not fit.
        """
        if len(neighbours) != self.neighbours:
            raise ConfigError(f"neighbours: this PoseNet takes {self.neighbours} images, got {len(neighbours)}")
        x = torch.cat([target, *neighbours], dim=1)
        for stage in self.stages:
            x = stage(x)
        return POSE_SCALE * self.head(x).mean(dim=(2, 3)).view(-1, self.neighbours, 6)
