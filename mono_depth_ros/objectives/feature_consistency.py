# SPDX-License-Identifier: Apache-2.0
"""Feature consistency of PackNet-SAN (Guizilini et al., CVPR 2021, arXiv 2103.16690).

The image features are pulled towards what they become when points are added, so that prediction learns from completion:
mean over levels of || stop_gradient(F_rgbd) - F_rgb ||^2.
"""

import torch
from torch import Tensor


def feature_consistency(image_features: tuple[Tensor, ...], fused_features: tuple[Tensor, ...]) -> Tensor:
    """The term per image.

    Args:
        image_features: float [B, C, h, w] per level, from the image alone.
        fused_features: the same after the sparse branch; no gradient flows into them.

    Returns:
        float [B].
    """
    levels = [
        (fused.detach().float() - image.float()).square().flatten(1).mean(1)
        for image, fused in zip(image_features, fused_features, strict=True)
    ]
    return torch.stack(levels).mean(0)
