# SPDX-License-Identifier: Apache-2.0
"""Sparse depth spread over an image, not across its edges, in plain tensor operations.

Push-pull interpolation (Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4) whose pull looks at the image, as
joint bilateral upsampling does (Kopf et al., SIGGRAPH 2007): averages of the points go up a pyramid of image halves; on
the way down a cell without points of its own takes the mean of the four coarser cells around it, each by its nearness,
by how far its points were, and by how much its colour is like the cell's. Inverse depth is averaged, which is linear
over a plane. Exports to ONNX with any number of points and any size of the image.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from mono_depth_ros.networks.sparse_convolution import SparsePoints

LEVELS = 6  # cells of 1 to 32 pixels; what those do not reach takes the mean of all points
FAR_INV_DEPTH = 1.0 / 20.0  # 1/m; of images without any point
OWN_WEIGHT = 0.05  # of the coarser level, in points: little where a cell has a point of its own, all elsewhere
FADING = 0.5  # how much less each level is trusted than the finer one
COLOUR_SIGMA = 0.1  # difference of colour, of 0..1, at which a coarser cell counts less by exp(-1/2)
LEAST_LIKENESS = 0.02  # so that something arrives everywhere


class Fill(NamedTuple):
    """Points spread over their images.

    Attributes:
        inv_depth: float32 [B, 1, H, W], 1/m.
        trust: float32 [B, 1, H, W]: 1 at pixels with a point, about halved with every level climbed to find one.
        own_inv_depth: float32 [B, 1, H, W]: of the points themselves; 0 where there is none.
    """

    inv_depth: Tensor
    trust: Tensor
    own_inv_depth: Tensor


@torch.no_grad()
def edge_aware_fill(points: SparsePoints, rgb: Tensor) -> Fill:
    """Dense inverse depth from sparse points.

    Args:
        points: valid points only, every pixel at most once; see `sparse_convolution.valid_points`.
        rgb: float [B, 3, H, W] in 0..1; H and W multiples of 32.
    """
    batch, _, height, width = rgb.shape
    b, v, u = points.bvu.unbind(1)
    known = torch.stack([1.0 / points.depth_m, torch.ones_like(points.depth_m)], dim=1)
    flat = known.new_zeros((batch * height * width, 2)).index_put(((b * height + v) * width + u,), known)
    sums = [flat.view(batch, height, width, 2).permute(0, 3, 1, 2)]  # of inverse depth, and number of points
    colours = [rgb.to(known)]
    for _ in range(LEVELS - 1):
        sums.append(4.0 * functional.avg_pool2d(sums[-1], 2))
        colours.append(functional.avg_pool2d(colours[-1], 2))
    everything = sums[-1].sum((2, 3), keepdim=True)
    mean = (everything[:, :1] + 1e-3 * FAR_INV_DEPTH) / (everything[:, 1:] + 1e-3)
    filled = mean + torch.zeros_like(sums[-1][:, :1])
    trust = torch.zeros_like(filled)
    for level in range(LEVELS - 1, -1, -1):
        if level < LEVELS - 1:
            filled, trust = _pulled(filled, trust, colours[level + 1], colours[level])
        total, count = sums[level][:, :1], sums[level][:, 1:]
        filled = (total + OWN_WEIGHT * filled) / (count + OWN_WEIGHT)
        trust = torch.maximum(FADING * trust, count.clamp(max=1.0))
    return Fill(filled, trust, sums[0][:, :1])


def _pulled(inv_depth: Tensor, trust: Tensor, coarse_rgb: Tensor, fine_rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse depth and trust of cells of half the size, from the four coarser cells around each."""
    coarse = functional.pad(torch.cat([inv_depth, trust, coarse_rgb], dim=1), (1, 1, 1, 1), mode="replicate")
    total = weights = sure = torch.zeros_like(fine_rgb[:, :1])
    for rows, row_share in _near_and_far(coarse, 2):
        for cells, column_share in _near_and_far(rows, 3):
            nearness = row_share * column_share
            difference = (cells[:, 2:] - fine_rgb).square().sum(1, keepdim=True)
            likeness = torch.exp(-difference / (2.0 * COLOUR_SIGMA**2)) + LEAST_LIKENESS
            weight = nearness * likeness * (cells[:, 1:2] + 1e-3)
            total, weights = total + weight * cells[:, :1], weights + weight
            sure = sure + nearness * cells[:, 1:2]
    return total / weights, sure


def _near_and_far(padded: Tensor, axis: int) -> tuple[tuple[Tensor, float], tuple[Tensor, float]]:
    """A map padded by one, enlarged twice along an axis: the cell that holds each finer one, and the next beside it."""
    length = padded.shape[axis] - 2
    before, own, after = (padded.narrow(axis, start, length) for start in (0, 1, 2))
    near = torch.stack([own, own], dim=axis + 1).flatten(axis, axis + 1)
    far = torch.stack([before, after], dim=axis + 1).flatten(axis, axis + 1)
    return (near, 0.75), (far, 0.25)
