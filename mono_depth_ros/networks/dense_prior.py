# SPDX-License-Identifier: Apache-2.0
"""Sparse depth filled to a dense prior at every resolution, and what a network makes of it.

Push-pull interpolation (Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4): averages of the points go up a
pyramid of image halves, and come down again to where no point is. Inverse depth is averaged, which is linear over a
plane.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mono_depth_ros.networks.sparse_convolution import SparsePoints

FAR_INV_DEPTH = 1.0 / 20.0  # 1/m; of images without any point, whose prior is not used
ABOVE_WEIGHT = 0.05  # of the coarser level, in points: little where a cell has a point of its own, all elsewhere
FADING = 0.5  # how much less each level is trusted than the finer one
HIDDEN = 16


class FilledLevel(NamedTuple):
    """One resolution of the filled depth.

    Attributes:
        inv_depth: float [B, 1, H / 2^l, W / 2^l], 1/m.
        trust: the same shape; 1 in cells with a point, halved with every level that had to be climbed to find one.
    """

    inv_depth: Tensor
    trust: Tensor


def filled_pyramid(points: SparsePoints, batch: int, height: int, width: int, levels: int) -> list[FilledLevel]:
    """Dense inverse depth from sparse points, finest resolution first.

    Args:
        points: valid points only, every pixel at most once; see `sparse_convolution.valid_points`.
        batch, height, width: number and size of the images; the size a multiple of 2^(levels - 1).
        levels: how many resolutions, the first that of the image.
    """
    b, v, u = points.bvu.unbind(1)
    row = (b * height + v) * width + u
    known = torch.stack([1.0 / points.depth_m, torch.ones_like(points.depth_m)], dim=1)
    sums = known.new_zeros((batch * height * width, 2)).index_put((row,), known)
    pushed = [sums.view(-1, height, width, 2).permute(0, 3, 1, 2)]  # sum of inverse depths, number of points
    for _ in range(levels - 1):
        pushed.append(4.0 * functional.avg_pool2d(pushed[-1], 2))
    all_of_it = pushed[-1].sum((2, 3), keepdim=True)
    above = (all_of_it[:, :1] + 1e-3 * FAR_INV_DEPTH) / (all_of_it[:, 1:] + 1e-3)
    trust = torch.zeros_like(above)
    filled: list[FilledLevel] = []
    for sums in reversed(pushed):
        size = sums.shape[-2:]
        if filled:
            above = functional.interpolate(above, scale_factor=2.0, mode="bilinear", align_corners=False)
            trust = functional.interpolate(trust, scale_factor=2.0, mode="bilinear", align_corners=False)
        else:
            above, trust = above.expand(-1, 1, *size), trust.expand(-1, 1, *size)
        total, count = sums[:, :1], sums[:, 1:]
        above = (total + ABOVE_WEIGHT * above) / (count + ABOVE_WEIGHT)
        trust = torch.maximum(FADING * trust, count.clamp(max=1.0))
        filled.insert(0, FilledLevel(above, trust))
    return filled


class DensePrior(nn.Module):
    """Filled depth -> features to add to those of the image, one map per resolution.

    The last convolutions start at zero: a network that gets a prior computes at first what it did without.
    """

    def __init__(self, widths: tuple[int, ...], grid_stride: int = 1) -> None:
        """`widths` are the channels at full resolution, at half, ...; from half resolution on with `grid_stride` 2."""
        super().__init__()
        self.finest = grid_stride // 2
        self.inner = nn.ModuleList(nn.Conv2d(3, HIDDEN, 3, padding=1) for _ in widths)
        self.outer = nn.ModuleList(nn.Conv2d(HIDDEN, width, 3, padding=1) for width in widths)
        for convolution in self.outer:
            nn.init.zeros_(convolution.weight)
            nn.init.zeros_(convolution.bias)

    def forward(self, points: SparsePoints, batch: int, height: int, width: int) -> list[Tensor]:
        """Features of a batch; see `filled_pyramid`.

        Returns:
            float32 [B, C_l, H / 2^l, W / 2^l] per level, l = 0... (or 1..., see `grid_stride`).
        """
        with torch.autocast(device_type=points.depth_m.device.type, enabled=False):
            pyramid = filled_pyramid(points, batch, height, width, self.finest + len(self.inner))[self.finest :]
            maps = []
            for level, inner, outer in zip(pyramid, self.inner, self.outer, strict=True):
                inv_depth = level.inv_depth
                seen = torch.cat([10.0 * inv_depth, torch.log(20.0 * inv_depth), level.trust], dim=1)
                maps.append(outer(functional.elu(inner(seen))))
            return maps
