# SPDX-License-Identifier: Apache-2.0
"""Mean over the pixels that count: what every objective ends with."""

import torch
from torch import Tensor


def mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Mean per image over a mask; 0, with a gradient of 0, for an image where the mask is empty.

    Args:
        values: float [B, C, H, W]; what lies outside the mask is never looked at, also where it is not a number.
        mask: bool, same shape or broadcast to it.

    Returns:
        float [B].
    """
    mask = mask.expand_as(values)
    kept = torch.where(mask, values, torch.zeros_like(values))
    return kept.flatten(1).sum(1) / mask.to(values.dtype).flatten(1).sum(1).clamp_min(1.0)
