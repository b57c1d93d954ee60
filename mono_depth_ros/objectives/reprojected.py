# SPDX-License-Identifier: Apache-2.0
"""Reprojected distance: a wrong depth costs what it moves in the neighbour's image.

L_rep = (1 / |V|) sum_{i in V} || pi(K T D^(u_i) K^-1 u_i) - pi(K T D(u_i) K^-1 u_i) ||   (Guizilini et al., CoRL 2019,
arXiv 1910.01765), V the pixels with a measured depth D, T = T_context_target. It has the unit of the photometric
objective's displacement, pixels: a near point weighs more than a far one, and one at the epipole, or any point while
the camera only turns, weighs nothing. The scale enters because D is metric and T is shared with the photometric term.

The norm, the gradient through T and the pixels that count are not stated in the public description; here they are
choices of ours, named in the arguments.
"""

from typing import Literal

import torch
from torch import Tensor

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.objectives.masked_mean import mean_where
from mono_depth_ros.objectives.projection import FARTHEST_M, at_least_float32, known_depth, move_and_project, ray_map

Norm = Literal["l1", "l2"]

# A predicted point nearer to the context camera's plane than this share of the measured one, or behind it, has no
# useful pixel: just in front of the plane the pixel runs away, behind it is mirrored and pulls the wrong way.
NEAREST_SHARE = 0.1


def reprojected_distance_loss(
    predicted_depth_m: Tensor,
    sparse_depth_m: Tensor,
    K_target: Tensor,
    K_context: Tensor,
    T_context_target: Tensor,
    norm: Norm = "l2",
    detach_pose: bool = False,
    context_size_px: tuple[int, int] | None = None,
) -> Tensor:
    """L_rep of one context.

    Args:
        predicted_depth_m: float [B, 1, H, W], finite, > 0; limited to FARTHEST_M.
        sparse_depth_m: float [B, 1, H, W], measured; NaN, inf and values <= 0 are pixels without a measurement.
        K_target: float [B, 3, 3], pixels, at the size of the depth.
        K_context: float [B, 3, 3], pixels, at the size of the context image.
        T_context_target: float [B, 4, 4], target camera to context camera.
        norm: "l2", the length of the displacement; "l1", the sum of its two parts.
        detach_pose: whether no gradient reaches T; without it the motion learns from the points too, and could make
            the term small by moving less.
        context_size_px: height and width of the context image, the size of the depth where None. A measured point
            that falls outside it does not count: the photometric term says nothing about it either.

    Returns:
        float [B], pixels of the context image; 0 for an image without a counted point. Where the predicted point is
        too near the context camera's plane or behind it, the distance is continued by its first order around the
        measured point, || d pi / d log D || |log(D^ / D)|, whose gradient always leads back.

    Raises:
        ConfigError: unknown norm.
    """
    if norm not in ("l1", "l2"):
        raise ConfigError(f"norm: expected l1 or l2, got {norm!r}")
    T = T_context_target.detach() if detach_pose else T_context_target
    measured, known = known_depth(sparse_depth_m)
    predicted = at_least_float32(predicted_depth_m).to(measured).clamp_max(FARTHEST_M)
    rays = ray_map(K_target, measured)
    there = move_and_project(measured * rays, T, K_context)
    counted = known & there.inside(*(context_size_px or sparse_depth_m.shape[-2:]))
    predicted = torch.where(counted, predicted, torch.ones_like(predicted))
    here = move_and_project(predicted * rays, T, K_context)
    usable = here.in_front & (here.point_m[:, 2:] > NEAREST_SHARE * there.point_m[:, 2:])
    exact = _length(
        torch.where(usable & counted, here.pixel_uv - there.pixel_uv, torch.zeros_like(here.pixel_uv)), norm
    )
    step = _pixels_per_log_depth(there.point_m, T, K_context, counted)
    ratio = torch.log(torch.where(counted, predicted.clamp_min(1e-6) / measured, torch.ones_like(measured)))
    first_order = _length(step, norm) * ratio.abs()
    return mean_where(torch.where(usable, exact, first_order), counted)


def _length(displacement: Tensor, norm: Norm) -> Tensor:
    """Length over the second axis, kept, [B, 1, H, W]; its gradient at 0 is 0."""
    return torch.linalg.vector_norm(displacement, ord=2 if norm == "l2" else 1, dim=1, keepdim=True)


def _pixels_per_log_depth(point_m: Tensor, T: Tensor, K: Tensor, counted: Tensor) -> Tensor:
    """d pi / d log D at points P of the context camera: f (P_xy t_z - t_xy P_z) / P_z^2, as dP / d log D = P - t.

    [B, 2, H, W], 0 where not counted.
    """
    t = T[:, :3, 3].to(point_m)[..., None, None]
    focal = torch.stack([K[:, 0, 0], K[:, 1, 1]], dim=1).to(point_m)[..., None, None]
    z = torch.where(counted, point_m[:, 2:], torch.ones_like(point_m[:, 2:]))
    step = focal * (point_m[:, :2] * t[:, 2:] - t[:, :2] * z) / (z * z)
    return torch.where(counted, step, torch.zeros_like(step))
