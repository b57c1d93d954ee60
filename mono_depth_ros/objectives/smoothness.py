# SPDX-License-Identifier: Apache-2.0
"""Edge-aware smoothness: depth may jump where the image does, and is smooth elsewhere.

d* = d / mean(d), inverse depth d;  L_s = mean |d*_x| e^{-mean_c |I_x|} + mean |d*_y| e^{-mean_c |I_y|}  (Godard et al.,
CVPR 2017, arXiv 1609.03677; normalised as by Wang et al., CVPR 2018, arXiv 1712.00175; PackNet, arXiv 1905.02693).
"""

import torch
from torch import Tensor
from torch.nn import functional

from mono_depth_ros.objectives.projection import at_least_float32

SMALLEST_MEAN = 1e-6  # 1/m


def edge_aware_smoothness(inv_depth: Tensor, rgb: Tensor) -> Tensor:
    """L_s of one scale.

    Args:
        inv_depth: float [B, 1, h, w], 1/m, finite.
        rgb: float [B, 3, H, W] in 0..1; resized to [h, w] where it differs (bilinear, corners aligned).

    Returns:
        float [B]. The same for a depth that is everywhere twice as far.
    """
    inv_depth, rgb = at_least_float32(inv_depth), at_least_float32(rgb)
    if rgb.shape[-2:] != inv_depth.shape[-2:]:
        rgb = functional.interpolate(rgb, size=inv_depth.shape[-2:], mode="bilinear", align_corners=True)
    mean = inv_depth.mean(dim=(2, 3), keepdim=True).clamp_min(SMALLEST_MEAN)
    normalised = inv_depth / mean
    total = inv_depth.new_zeros(inv_depth.shape[0])
    for axis in (2, 3):
        if inv_depth.shape[axis] < 2:
            continue
        edge = torch.exp(-rgb.diff(dim=axis).abs().mean(1, keepdim=True))
        total = total + (normalised.diff(dim=axis).abs() * edge).flatten(1).mean(1)
    return total


def smoothness_over_scales(inv_depths: tuple[Tensor, ...], rgb: Tensor) -> Tensor:
    """Mean over the scales of L_s / 2^s.

    Args:
        inv_depths: float [B, 1, h, w] per scale, finest first, 1/m; each at its own size or all at full size.
        rgb: float [B, 3, H, W] in 0..1.

    Returns:
        float [B].
    """
    scales = [edge_aware_smoothness(inv_depth, rgb) / 2**scale for scale, inv_depth in enumerate(inv_depths)]
    return torch.stack(scales).mean(0)
