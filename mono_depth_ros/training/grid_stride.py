# SPDX-License-Identifier: Apache-2.0
"""Weights of a network as those of a network with a grid of stride 2, for images of twice the size."""

import torch
from torch import Tensor

STRIDE = 2


def on_packed_images(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a PackNetSan of `grid_stride` 1 for `grid_stride` 2.

    The new network gives for an image what the old one gives for the image of half the size, made by averages over
    2 x 2 pixels, every value repeated. From there it learns to make use of the finer pixels, and to give finer ones.
    Points are pooled once more than they were, which keeps the nearest where several share a cell.

    Args:
        weights: state of the old network; not changed.

    Returns:
        A state for the new one.
    """
    cells = STRIDE * STRIDE
    packed = dict(weights)
    # space to depth puts the pixels of a cell side by side among the channels, colour by colour
    packed["stem.conv.weight"] = weights["stem.conv.weight"].repeat_interleave(cells, dim=1) / cells
    for name, value in weights.items():
        if name.startswith("heads."):
            packed[name] = torch.cat([value] * cells)
    return packed
