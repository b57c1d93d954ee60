# SPDX-License-Identifier: Apache-2.0
"""What a network says beside depth: how wrong its depth may be, and where the sky is. One value per image."""

import torch
from torch import Tensor
from torch.nn import functional

from mono_depth_ros.objectives.masked_mean import mean_where
from mono_depth_ros.objectives.supervised import log_error

LEAST_LOG_SPREAD = -6.0  # a quarter of a percent: no sensor is better


def spread_likelihood(log_spread: Tensor, inv_depth: Tensor, truth_depth_m: Tensor) -> Tensor:
    """Negative log likelihood of the log depth under a Laplace distribution, without its constant, [B].

    |e| / b + log b for the log error e and the scale b (Kendall and Gal, NeurIPS 2017, eq. 8 and its Laplace form). The
    error gets no gradient: depth is learned by its own terms, the spread learns from what they leave.

    Args:
        log_spread: float [B, 1, H, W], log b.
        inv_depth: float [B, 1, H, W], 1/m.
        truth_depth_m: float [B, 1, H, W], m; NaN unknown, inf sky: both do not count.
    """
    error, known = log_error(inv_depth.detach(), truth_depth_m)
    limited = log_spread.clamp_min(LEAST_LOG_SPREAD)
    return mean_where(error.abs() * torch.exp(-limited) + limited, known)


def sky_entropy(sky_logit: Tensor, truth_depth_m: Tensor) -> Tensor:
    """Binary cross entropy of the sky, mean over the pixels that are known to be sky or not, [B].

    Args:
        sky_logit: float [B, 1, H, W].
        truth_depth_m: float [B, 1, H, W]; NaN unknown, inf sky.
    """
    sky = torch.isposinf(truth_depth_m)
    entropy = functional.binary_cross_entropy_with_logits(sky_logit, sky.to(sky_logit), reduction="none")
    return mean_where(entropy, ~torch.isnan(truth_depth_m))
