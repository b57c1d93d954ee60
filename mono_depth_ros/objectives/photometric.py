# SPDX-License-Identifier: Apache-2.0
"""Photometric objective: a right depth and a right motion make the neighbour's pixels look like the target's.

pe(a, b) = alpha mean_c clamp((1 - SSIM) / 2, 0, 1) + (1 - alpha) mean_c |a - b|, per pixel the minimum over the
neighbours and, as auto-mask, over their unwarped images (Godard et al., ICCV 2019, arXiv 1806.01260; PackNet, arXiv
1905.02693). Wang et al. 2004 for SSIM: 3x3 means, C1 = 0.01^2, C2 = 0.03^2.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.objectives.masked_mean import mean_where
from mono_depth_ros.objectives.projection import at_least_float32

C1 = 1e-4
C2 = 9e-4
_MIDDLE = 0.5  # of the range 0..1


@dataclass(frozen=True, slots=True)
class PhotometricOptions:
    """Choices.

    Attributes:
        ssim_weight: alpha, 0..1; the rest is L1.
        reduce: "minimum" over the neighbours per pixel, which passes over what one of them cannot see; or "mean".
        automask: whether the unwarped neighbours take part in the minimum: what moves with the camera, or everything
            while it stands, then gives no gradient. Needs "minimum".
        static_pixels: "count" leaves auto-masked pixels in the mean as constants (the original), "leave_out" divides
            by the number of the others.
        clip_deviations: k > 0 limits every neighbour's error map at mean + k standard deviations; 0 does not.
        mask_warps: whether warps that left the image are left out; without it they are compared with the padding.
    """

    ssim_weight: float = 0.85
    reduce: Literal["minimum", "mean"] = "minimum"
    automask: bool = True
    static_pixels: Literal["count", "leave_out"] = "count"
    clip_deviations: float = 0.0
    mask_warps: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.ssim_weight <= 1.0:
            raise ConfigError(f"ssim_weight: expected 0..1, got {self.ssim_weight}")
        if self.reduce not in ("minimum", "mean"):
            raise ConfigError(f"reduce: expected minimum or mean, got {self.reduce!r}")
        if self.static_pixels not in ("count", "leave_out"):
            raise ConfigError(f"static_pixels: expected count or leave_out, got {self.static_pixels!r}")
        if self.clip_deviations < 0:
            raise ConfigError(f"clip_deviations: expected 0 or more, got {self.clip_deviations}")
        if self.automask and self.reduce == "mean":
            raise ConfigError("automask: works by the minimum, got reduce = 'mean'; set automask to false")


@dataclass(frozen=True, slots=True, eq=False)
class MinimumError:
    """The smallest error of each pixel.

    Args:
        error: [B, 1, H, W]; 0 where nothing counts.
        counted: bool [B, 1, H, W], where at least one neighbour has a valid warp.
        warped: bool [B, 1, H, W], the counted pixels that a warped neighbour won: only they give a gradient.
    """

    error: Tensor
    counted: Tensor
    warped: Tensor


def window_mean(x: Tensor) -> Tensor:
    """Mean of every 3x3 window, [B, C, H, W] -> [B, C, H - 2, W - 2]; on CPUs several times faster than avg_pool2d."""
    rows = x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) * (1.0 / 9.0)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of 3x3 windows, edges reflected, biased variance.

    Args:
        a: float [B, C, H, W] in 0..1; H, W >= 2.
        b: the same.

    Returns:
        float32 (float64 of float64) [B, C, H, W], at most 1.
    """
    # Measured from the middle of the range: E[x^2] - E[x]^2 then loses fewer digits, and its value is the same.
    a, b = (functional.pad(at_least_float32(image) - _MIDDLE, (1, 1, 1, 1), mode="reflect") for image in (a, b))
    mean_a, mean_b = window_mean(a), window_mean(b)
    variance_a = window_mean(a * a) - mean_a * mean_a
    variance_b = window_mean(b * b) - mean_b * mean_b
    covariance = window_mean(a * b) - mean_a * mean_b
    mean_a, mean_b = mean_a + _MIDDLE, mean_b + _MIDDLE
    above = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    return above / ((mean_a * mean_a + mean_b * mean_b + C1) * (variance_a + variance_b + C2))


def photometric_error(a: Tensor, b: Tensor, ssim_weight: float = 0.85) -> Tensor:
    """pe(a, b) per pixel.

    Args:
        a: float [B, C, H, W] in 0..1.
        b: the same.
        ssim_weight: alpha.

    Returns:
        float32 (float64 of float64) [B, 1, H, W], 0 for equal images, at most 1.
    """
    a, b = at_least_float32(a), at_least_float32(b)
    difference = (a - b).abs().mean(1, keepdim=True)
    if ssim_weight == 0:
        return difference
    dissimilar = ((1.0 - ssim(a, b)) / 2.0).clamp(0.0, 1.0).mean(1, keepdim=True)
    return ssim_weight * dissimilar + (1.0 - ssim_weight) * difference


def whole_windows(valid: Tensor) -> Tensor:
    """Pixels whose whole 3x3 window is valid, bool [B, 1, H, W]: SSIM looks that far."""
    return functional.max_pool2d((~valid).float(), 3, 1, 1) == 0


def clipped(error: Tensor, valid: Tensor, deviations: float) -> Tensor:
    """The error limited at mean + k standard deviations (unbiased) of the batch's valid pixels, which are constants."""
    values = torch.where(valid, error.detach(), torch.zeros_like(error))
    count = valid.sum()
    mean = values.sum() / count.clamp_min(1)
    spread = torch.where(valid, (values - mean).square(), torch.zeros_like(values)).sum() / (count - 1).clamp_min(1)
    return torch.minimum(error, mean + deviations * spread.sqrt())


def minimum_reprojection(
    errors: tuple[Tensor, ...],
    unwarped_errors: tuple[Tensor, ...] = (),
    valid: tuple[Tensor, ...] | None = None,
) -> MinimumError:
    """Smallest error per pixel over the neighbours.

    Args:
        errors: [B, 1, H, W] per neighbour, warped against target.
        unwarped_errors: the same of the unwarped neighbours, for the auto-mask; empty without it.
        valid: bool [B, 1, H, W] per neighbour, where its warp counts; None: everywhere.

    Returns:
        MinimumError. Where warped and unwarped are equally good the unwarped one wins, so that nothing is learned
        from it. The unwarped errors count as constants.
    """
    stacked = torch.cat(errors, dim=1)
    usable = torch.ones_like(stacked, dtype=torch.bool) if valid is None else torch.cat(valid, dim=1)
    stacked = torch.where(usable, stacked, torch.full_like(stacked, torch.inf))
    best, _ = stacked.min(dim=1, keepdim=True)
    counted = usable.any(dim=1, keepdim=True)
    best = torch.where(counted, best, torch.zeros_like(best))
    if not unwarped_errors:
        return MinimumError(best, counted, counted)
    still, _ = torch.cat(unwarped_errors, dim=1).detach().min(dim=1, keepdim=True)
    warped = counted & (best < still)
    rest = torch.where(counted, still, torch.zeros_like(still))
    return MinimumError(torch.where(warped, best, rest), counted, warped)


def mean_reprojection(errors: tuple[Tensor, ...], valid: tuple[Tensor, ...] | None = None) -> MinimumError:
    """Mean error per pixel over the neighbours whose warp counts there; arguments as in `minimum_reprojection`."""
    stacked = torch.cat(errors, dim=1)
    usable = torch.ones_like(stacked, dtype=torch.bool) if valid is None else torch.cat(valid, dim=1)
    total = torch.where(usable, stacked, torch.zeros_like(stacked)).sum(1, keepdim=True)
    counted = usable.any(dim=1, keepdim=True)
    return MinimumError(total / usable.sum(1, keepdim=True).clamp_min(1), counted, counted)


def photometric_loss(
    target_rgb: Tensor,
    warped_rgb: tuple[Tensor, ...],
    context_rgb: tuple[Tensor, ...],
    valid: tuple[Tensor, ...],
    options: PhotometricOptions,
    unwarped_errors: tuple[Tensor, ...] | None = None,
) -> tuple[Tensor, MinimumError]:
    """The objective of one output scale, at the size of the target image.

    Args:
        target_rgb: float [B, 3, H, W] in 0..1.
        warped_rgb: the same per neighbour, `SynthesizedView.image`.
        context_rgb: the same per neighbour, as it is; looked at for the auto-mask only.
        valid: bool [B, 1, H, W] per neighbour, `SynthesizedView.valid`.
        options: choices.
        unwarped_errors: `photometric_error` of target and contexts, where it was computed before, for another scale.

    Returns:
        float [B], mean over the counted pixels, 0 where there are none; and the map behind it, with mean over
        `warped` telling how much of an image teaches.
    """
    usable = tuple(whole_windows(mask) if options.mask_warps else torch.ones_like(mask) for mask in valid)
    errors = tuple(photometric_error(target_rgb, image, options.ssim_weight) for image in warped_rgb)
    unwarped: tuple[Tensor, ...] = ()
    if options.automask:
        unwarped = unwarped_errors or tuple(
            photometric_error(target_rgb, image, options.ssim_weight) for image in context_rgb
        )
    if options.clip_deviations > 0:
        errors = tuple(clipped(e, m, options.clip_deviations) for e, m in zip(errors, usable, strict=True))
        unwarped = tuple(clipped(e, torch.ones_like(e).bool(), options.clip_deviations) for e in unwarped)
    best = mean_reprojection(errors, usable)
    if options.reduce == "minimum":
        best = minimum_reprojection(errors, unwarped, usable)
    return mean_where(best.error, best.counted if options.static_pixels == "count" else best.warped), best
