# SPDX-License-Identifier: Apache-2.0
"""Rigid motions as tensors: from the six numbers of a pose network to a matrix, and back the other way round."""

import torch
from torch import Tensor

from mono_depth_ros.objectives.projection import at_least_float32


def rotation_from_euler(angles_rad: Tensor) -> Tensor:
    """R = Rx(a) Ry(b) Rz(c), the order of PackNet's pose network (arXiv 1905.02693, code).

    Args:
        angles_rad: float [..., 3], radians about x, y, z.

    Returns:
        float32 (float64 of float64) [..., 3, 3].
    """
    angles_rad = at_least_float32(angles_rad)
    (ca, cb, cc), (sa, sb, sc) = torch.cos(angles_rad).unbind(-1), torch.sin(angles_rad).unbind(-1)
    rows = (
        (cb * cc, -cb * sc, sb),
        (ca * sc + sa * sb * cc, ca * cc - sa * sb * sc, -sa * cb),
        (sa * sc - ca * sb * cc, sa * cc + ca * sb * sc, ca * cb),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def pose_matrix(vector: Tensor) -> Tensor:
    """The matrix of a pose vector.

    Args:
        vector: float [..., 6]: translation x, y, z (m) and Euler angles about x, y, z (rad) of `T_context_target`, as
            the pose networks give them.

    Returns:
        float32 (float64 of float64) [..., 4, 4].
    """
    vector = at_least_float32(vector)
    upper = torch.cat([rotation_from_euler(vector[..., 3:]), vector[..., :3, None]], dim=-1)
    last = vector.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*vector.shape[:-1], 1, 4)
    return torch.cat([upper, last], dim=-2)


def invert_pose(T_a_b: Tensor) -> Tensor:
    """T_b_a of rigid motions, float [..., 4, 4]: the transposed rotation and -R^T t."""
    T_a_b = at_least_float32(T_a_b)
    rotation = T_a_b[..., :3, :3].transpose(-1, -2)
    translation = -(rotation * T_a_b[..., None, :3, 3]).sum(-1, keepdim=True)
    return torch.cat([torch.cat([rotation, translation], dim=-1), T_a_b[..., 3:, :]], dim=-2)


def compose(T_a_b: Tensor, T_b_c: Tensor) -> Tensor:
    """T_a_c = T_a_b @ T_b_c, float [..., 4, 4], in float32 whatever autocast and TF32 do to matrix products."""
    T_a_b, T_b_c = at_least_float32(T_a_b), at_least_float32(T_b_c)
    return (T_a_b[..., :, :, None] * T_b_c[..., None, :, :]).sum(-2)
