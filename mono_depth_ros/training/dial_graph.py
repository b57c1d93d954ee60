# SPDX-License-Identifier: Apache-2.0
"""Networks as the robot calls them: bytes and what is known of the images in, metres out, all arithmetic inside."""

import math
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from mono_depth_ros.networks.depth_network import DepthNetwork
from mono_depth_ros.networks.lite_san import LiteSan
from mono_depth_ros.networks.packnet_san import PackNetSan
from mono_depth_ros.networks.sparse_convolution import SparsePoints
from mono_depth_ros.training.joined_packing import with_joined_packings
from mono_depth_ros.training.two_step_norm import with_two_step_norms

MIN_INV_DEPTH = 1e-6  # 1/m; beyond it a pixel is infinitely far for every purpose
_PIXELS = {0: "B", 1: "H", 2: "W"}


class ExportGraph(nn.Module):
    """A PackNetSan as the robot calls it: bytes in, metres out, all arithmetic inside."""

    input_names = ("rgb", "points_bvu", "points_depth_m")
    output_names = ("depth_m",)
    dynamic_axes: ClassVar = {"rgb": {0: "B"}, "points_bvu": {0: "N"}, "points_depth_m": {0: "N"}, "depth_m": {0: "B"}}

    def __init__(self, network: PackNetSan) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor, points_bvu: Tensor, points_depth_m: Tensor) -> Tensor:
        """One graph for prediction and completion.

        Args:
            rgb: uint8 [B, H, W, 3].
            points_bvu: int64 [N, 3], image in the batch, row, column; N may be 0.
            points_depth_m: float32 [N] metres; entries that are not > 0 are padding.

        Returns:
            [B, H, W], metres, float32 as the weights. A network without sparse branch takes the points and makes no use
            of them.
        """
        dtype = next(self.network.parameters()).dtype  # float64 to compare with
        image = rgb.permute(0, 3, 1, 2).to(dtype) / 255.0
        points = SparsePoints(points_bvu, points_depth_m.to(dtype)) if self.network.config.sparse else None
        inv_depth = self.network(image, points).inv_depths[0]
        return 1.0 / inv_depth[:, 0].clamp(min=MIN_INV_DEPTH)


class LiteGraph(nn.Module):
    """The dial graph of docs/data_flow.md for images of any size, with one more input and two more outputs."""

    input_names = ("rgb", "points_bvu", "points_depth_m", "ground")
    output_names = ("depth_m", "sigma_log", "sky")
    dynamic_axes: ClassVar = {
        "rgb": _PIXELS,
        "points_bvu": {0: "N"},
        "points_depth_m": {0: "N"},
        "ground": {0: "B"},
        **dict.fromkeys(output_names, _PIXELS),
    }

    def __init__(self, network: LiteSan) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, rgb: Tensor, points_bvu: Tensor, points_depth_m: Tensor, ground: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One graph for everything.

        Args:
            rgb: uint8 [B, H, W, 3], H and W multiples of 32.
            points_bvu: int64 [N, 3], image in the batch, row, column; N may be 0.
            points_depth_m: float32 [N] metres; entries that are not > 0 are padding.
            ground: float32 [B, 4], see `lite_san.ground_inv_depth`; zeros where it is unknown.

        Returns:
            [B, H, W] each: depth in metres, the standard deviation of its natural log, the probability of sky.
        """
        dtype = next(self.network.parameters()).dtype  # float64 to compare with
        image = rgb.permute(0, 3, 1, 2).to(dtype) / 255.0
        if self.network.config.sparse:
            said = self.network(image, SparsePoints(points_bvu, points_depth_m.to(dtype)), ground.to(dtype))
        else:
            said = self.network(image)
        depth_m = 1.0 / said.inv_depths[0][:, 0].clamp(min=MIN_INV_DEPTH)
        sigma_log = math.sqrt(2.0) * torch.exp(said.log_spread[:, 0])  # of a Laplace distribution
        return depth_m, sigma_log, torch.sigmoid(said.sky_logit[:, 0])


Graph: TypeAlias = ExportGraph | LiteGraph


def graph_of(network: DepthNetwork) -> Graph:
    """The graph of a network, made of a copy of it where something is put in another form."""
    if isinstance(network, LiteSan):
        return LiteGraph(network)
    return ExportGraph(with_two_step_norms(with_joined_packings(network)))
