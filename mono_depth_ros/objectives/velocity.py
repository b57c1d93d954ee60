# SPDX-License-Identifier: Apache-2.0
"""Velocity objective: the length of the predicted motion is what the odometer says, and so depth gets its metres.

L_v = mean over contexts of | ||t_context_target|| - |v| dt | (PackNet, CVPR 2020, arXiv 1905.02693, eq. of L_v). Depth
is never touched directly: it follows because the photometric objective ties it to the motion.
"""

import torch
from torch import Tensor

from mono_depth_ros.errors import DataError
from mono_depth_ros.objectives.projection import at_least_float32


def travelled_distance_loss(T_context_target: tuple[Tensor, ...], distance_m: tuple[Tensor, ...]) -> Tensor:
    """Error of the length of the motion.

    Args:
        T_context_target: float [B, 4, 4] per context; only the translation's length is looked at.
        distance_m: float [B] per context, metres between the two camera positions, >= 0; NaN where unknown.

    Returns:
        float [B], metres, mean over the contexts whose distance is known; 0 for an image without any. At a
        translation of exactly 0 the gradient is 0.

    Raises:
        DataError: different numbers of motions and distances.
    """
    if len(T_context_target) != len(distance_m):
        raise DataError(f"distance_m: expected one per context ({len(T_context_target)}), got {len(distance_m)}")
    lengths = torch.stack([torch.linalg.vector_norm(at_least_float32(T)[:, :3, 3], dim=1) for T in T_context_target])
    wanted = torch.stack([distance.to(lengths) for distance in distance_m])
    known = torch.isfinite(wanted)
    errors = (lengths - torch.where(known, wanted, torch.zeros_like(wanted))).abs()
    return torch.where(known, errors, torch.zeros_like(errors)).sum(0) / known.sum(0).clamp_min(1)


def velocity_loss(T_context_target: tuple[Tensor, ...], speed_mps: Tensor, dt_s: tuple[Tensor, ...]) -> Tensor:
    """L_v.

    Args:
        T_context_target: float [B, 4, 4] per context.
        speed_mps: float [B], of the camera along its path at the target image; the sign does not matter; NaN unknown.
        dt_s: float [B] per context, seconds between the images; the sign does not matter; NaN unknown.

    Returns:
        float [B], metres; see `travelled_distance_loss`, to be preferred where the positions of both cameras are
        known: in a curve the chord is shorter than |v| dt, and a camera ahead of the axle moves faster than it.

    Raises:
        DataError: different numbers of motions and intervals.
    """
    return travelled_distance_loss(T_context_target, tuple((speed_mps * dt).abs() for dt in dt_s))
