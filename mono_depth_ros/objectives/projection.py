# SPDX-License-Identifier: Apache-2.0
"""Pinhole geometry as tensors: pixels to points, points of one camera to pixels of another.

Pixel centres lie at integers: u = fx x / z + cx, v = fy y / z + cy, no skew, no distortion. Whatever arrives, also
under autocast, geometry is computed in float32, or in float64 when the input is float64: bfloat16 counts pixels in
steps of four at the right edge of a 640 pixel image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_INV_DEPTH = 1e-5  # 1/m; a sigmoid can underflow to 0, which has no depth and no logarithm
FARTHEST_M = 1e6
NEAREST_Z_M = 1e-2  # nearer than this to a camera's plane counts as behind it


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32, or as it is when it is float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def depth_from_inverse(inv_depth: Tensor, smallest: float = SMALLEST_INV_DEPTH) -> Tensor:
    """Depth in m from inverse depth in 1/m, any shape; below `smallest` it is 1 / smallest with no gradient."""
    return 1.0 / at_least_float32(inv_depth).clamp_min(smallest)


def pixel_grid(like: Tensor) -> Tensor:
    """Pixel coordinates [2, H, W] (u, v) of an image [..., H, W], in the tensor's type and on its device."""
    height, width = like.shape[-2:]
    v, u = torch.meshgrid(
        torch.arange(height, dtype=like.dtype, device=like.device),
        torch.arange(width, dtype=like.dtype, device=like.device),
        indexing="ij",
    )
    return torch.stack([u, v])


def ray_map(K: Tensor, like: Tensor) -> Tensor:
    """Rays with z = 1 through the pixel centres.

    Args:
        K: float [B, 3, 3], pixels, zero skew.
        like: float [B, C, H, W], float32 or float64: gives size, type and device.

    Returns:
        [B, 3, H, W].
    """
    K = K.to(like)
    u, v = pixel_grid(like)
    x = (u - K[:, 0, 2, None, None]) / K[:, 0, 0, None, None]
    y = (v - K[:, 1, 2, None, None]) / K[:, 1, 1, None, None]
    return torch.stack([x, y, torch.ones_like(x)], dim=1)


def known_depth(depth_m: Tensor) -> tuple[Tensor, Tensor]:
    """Depth that can be computed with, and where it was known.

    Args:
        depth_m: [B, 1, H, W]; NaN, inf and values <= 0 are unknown.

    Returns:
        The depth with 1 m where it is unknown, at most FARTHEST_M; and the mask, bool. Both [B, 1, H, W].
    """
    depth_m = at_least_float32(depth_m)
    known = torch.isfinite(depth_m) & (depth_m > 0)
    return torch.where(known, depth_m, torch.ones_like(depth_m)).clamp_max(FARTHEST_M), known


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """Where a camera's points lie in another camera.

    Args:
        pixel_uv: [B, 2, H, W], pixels of the other camera; 0 where the point is behind it.
        point_m: [B, 3, H, W], in the other camera's frame.
        in_front: bool [B, 1, H, W], Z > NEAREST_Z_M.
    """

    pixel_uv: Tensor
    point_m: Tensor
    in_front: Tensor

    def inside(self, height_px: int, width_px: int) -> Tensor:
        """Points in front and between the outermost pixel centres of an image of this size, bool [B, 1, H, W]."""
        u, v = self.pixel_uv[:, :1], self.pixel_uv[:, 1:]
        return self.in_front & (u >= 0) & (u <= width_px - 1) & (v >= 0) & (v <= height_px - 1)


def move_and_project(points_m: Tensor, T_context_target: Tensor, K_context: Tensor) -> Projected:
    """Points of the target camera in the context camera.

    Args:
        points_m: [B, 3, H, W], target camera frame.
        T_context_target: [B, 4, 4], target camera to context camera.
        K_context: [B, 3, 3], pixels, zero skew.

    Returns:
        Projected. A point behind the camera has pixel (0, 0) and gives no gradient: dividing by a clamped Z, as is
        often done, can put it into the image and pull it the wrong way.
    """
    T, K = T_context_target.to(points_m), K_context.to(points_m)
    columns = T[:, :3, :, None, None].unbind(2)
    # Written out: a matrix product would obey autocast and TF32, which is a pixel off at 1000 pixels.
    moved = columns[0] * points_m[:, :1] + columns[1] * points_m[:, 1:2] + columns[2] * points_m[:, 2:] + columns[3]
    z = moved[:, 2:]
    in_front = z > NEAREST_Z_M
    safe = torch.where(in_front, z, torch.ones_like(z))
    focal = torch.stack([K[:, 0, 0], K[:, 1, 1]], dim=1)[..., None, None]
    centre = K[:, :2, 2, None, None]
    pixel = focal * moved[:, :2] / safe + centre
    return Projected(torch.where(in_front, pixel, torch.zeros_like(pixel)), moved, in_front)
