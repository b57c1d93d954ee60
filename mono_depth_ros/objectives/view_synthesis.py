# SPDX-License-Identifier: Apache-2.0
"""View synthesis: the target image made from a neighbour's pixels, the target's depth and the motion between them.

p_context = pi(K_context T_context_target (D(u) K_target^-1 [u, 1])), sampled bilinearly (Zhou et al., CVPR 2017,
arXiv 1704.07813; PackNet, arXiv 1905.02693).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from mono_depth_ros.objectives.projection import (
    at_least_float32,
    known_depth,
    move_and_project,
    ray_map,
)

Padding = Literal["border", "zeros"]


@dataclass(frozen=True, slots=True, eq=False)
class SynthesizedView:
    """The target image as the context saw it.

    Args:
        image: [B, 3, H, W], target image made of context pixels.
        valid: bool [B, 1, H, W]: depth known, point in front of the context camera and between its outermost pixel
            centres, so that all four pixels that were mixed exist.
        pixel_uv: [B, 2, H, W], where each target pixel lies in the context image.
        context_depth_m: [B, 1, H, W], Z of each target pixel's point in the context camera; negative behind it.
    """

    image: Tensor
    valid: Tensor
    pixel_uv: Tensor
    context_depth_m: Tensor


def sample_at(values: Tensor, pixel_uv: Tensor, padding: Padding = "border") -> Tensor:
    """Bilinear look-up.

    Args:
        values: [B, C, h, w].
        pixel_uv: [B, 2, H, W], pixels of `values`, centres at integers.
        padding: outside the outermost pixel centres: "border" repeats the edge and gives no gradient across it;
            "zeros" blends to 0 over one pixel.

    Returns:
        [B, C, H, W].
    """
    values = at_least_float32(values)
    height, width = values.shape[-2:]
    size = pixel_uv.new_tensor([width, height])[:, None, None]
    # Two image sizes outside is as far outside as any; an infinite coordinate would make the look-up undefined.
    limited = torch.minimum(torch.maximum(pixel_uv, -2 * size), 3 * size)
    grid = 2.0 * limited / (size - 1).clamp_min(1) - 1.0
    grid = grid.permute(0, 2, 3, 1).to(values.dtype)
    return functional.grid_sample(values, grid, mode="bilinear", padding_mode=padding, align_corners=True)


def synthesize(
    context_rgb: Tensor,
    target_depth_m: Tensor,
    K_target: Tensor,
    K_context: Tensor,
    T_context_target: Tensor,
    padding: Padding = "border",
) -> SynthesizedView:
    """Make the target image from the context image.

    Args:
        context_rgb: float [B, C, h, w].
        target_depth_m: float [B, 1, H, W]; NaN, inf and values <= 0 are unknown and not valid.
        K_target: float [B, 3, 3], pixels of the target image at the size of `target_depth_m`.
        K_context: float [B, 3, 3], pixels of the context image at its size.
        T_context_target: float [B, 4, 4], takes points of the target camera to the context camera.
        padding: see `sample_at`.

    Returns:
        SynthesizedView, float32 (float64 where the depth is). Gradients flow to depth, pose and context image; at
        pixels that are behind the context camera or unknown they are 0.
    """
    depth, known = known_depth(target_depth_m)
    projected = move_and_project(depth * ray_map(K_target, depth), T_context_target, K_context)
    # What has no place in the context looks outside of it, where there is no gradient.
    nowhere = torch.full_like(projected.pixel_uv, -1e4)
    pixel = torch.where(projected.in_front & known, projected.pixel_uv, nowhere)
    image = sample_at(context_rgb.to(depth), pixel, padding)
    height, width = context_rgb.shape[-2:]
    valid = projected.inside(height, width) & known
    return SynthesizedView(image, valid, pixel, projected.point_m[:, 2:])


def visible(view: SynthesizedView, context_depth_m: Tensor, tolerance: float = 0.1) -> Tensor:
    """Target pixels whose point is not hidden from the context camera by something nearer.

    Args:
        view: of `synthesize`.
        context_depth_m: [B, 1, h, w], depth of the context image itself; NaN or inf where unknown or sky.
        tolerance: share of its own depth by which a point may lie behind the context's surface.

    Returns:
        bool [B, 1, H, W]; valid pixels only; where the context's depth is unknown nothing hides a point.
    """
    depth, known = known_depth(context_depth_m)
    surface = torch.where(known, depth, torch.full_like(depth, torch.inf))
    height, width = surface.shape[-2:]
    # The nearest pixel, not a mixture: a mean across a border is the depth of nothing.
    u = view.pixel_uv[:, 0].detach().round().clamp(0, width - 1).long()
    v = view.pixel_uv[:, 1].detach().round().clamp(0, height - 1).long()
    seen = surface.flatten(1).gather(1, (v * width + u).flatten(1)).view_as(view.context_depth_m)
    return view.valid & (view.context_depth_m.detach() <= seen * (1.0 + tolerance))
