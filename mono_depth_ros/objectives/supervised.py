# SPDX-License-Identifier: Apache-2.0
"""Supervised depth objectives. Most live in log space: an error of 10 % costs the same at 2 m and at 60 m.

The network's output is inverse depth at several scales; the truth is depth at full size, NaN where unknown and +inf
where the sky is. Every function returns one value per image, so that an image can be weighted or left out.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.objectives.masked_mean import mean_where
from mono_depth_ros.objectives.projection import SMALLEST_INV_DEPTH, at_least_float32, known_depth


@dataclass(frozen=True, slots=True)
class SupervisedWeights:
    """Weights of the terms.

    Attributes:
        log_l1: of the mean absolute log error.
        silog: of the scale-invariant log error (Eigen et al. 2014).
        silog_lambda: how much of a common scale error the latter forgives: 0 nothing, 1 all.
        log_gradient: of the error of log-depth differences between near pixels, which keeps borders sharp.
        relative: of the mean of |depth / truth - 1|, which is what AbsRel counts: see `relative_error`.
        sky: of the hinge that keeps the sky beyond `sky_floor_m`.
        sky_floor_m: metres.
        scales: weight of each output scale, finest first; 0 leaves one out.
    """

    log_l1: float = 1.0
    silog: float = 0.5
    silog_lambda: float = 0.0
    log_gradient: float = 0.5
    relative: float = 0.0
    sky: float = 0.1
    sky_floor_m: float = 80.0
    scales: tuple[float, ...] = (1.0, 0.5, 0.25, 0.125)


def log_depth(inv_depth: Tensor) -> Tensor:
    """Natural log of depth in metres, from inverse depth in 1/m, any shape."""
    return -torch.log(at_least_float32(inv_depth).clamp_min(SMALLEST_INV_DEPTH))


def log_error(inv_depth: Tensor, truth_depth_m: Tensor) -> tuple[Tensor, Tensor]:
    """Log error, and where it counts.

    Args:
        inv_depth: float [B, 1, H, W], 1/m.
        truth_depth_m: float [B, 1, H, W], m; NaN unknown, inf sky.

    Returns:
        log(depth / truth), 0 where the truth is unknown; and the mask of the known, bool. Both [B, 1, H, W].
    """
    known = torch.isfinite(truth_depth_m) & (truth_depth_m > 0)
    truth = torch.where(known, truth_depth_m, torch.ones_like(truth_depth_m))
    error = log_depth(inv_depth) - torch.log(truth)
    return torch.where(known, error, torch.zeros_like(error)), known


def silog(error: Tensor, known: Tensor, forgiven: float) -> Tensor:
    """Scale-invariant log error per image: sqrt(mean(g^2) - lambda * mean(g)^2), [B]."""
    spread = mean_where(error * error, known) - forgiven * mean_where(error, known) ** 2
    return torch.sqrt(spread.clamp_min(0.0) + 1e-6)


def log_gradient(error: Tensor, known: Tensor, steps: tuple[int, ...] = (1, 4)) -> Tensor:
    """Mean absolute difference of the log error between pixels `step` apart, along rows and columns, [B].

    As the error is log(depth) - log(truth), this is the error of log-depth differences.
    """
    total = error.new_zeros(error.shape[0])
    for step in steps:
        for axis in (2, 3):
            length = error.shape[axis] - step
            if length <= 0:
                continue
            change = error.narrow(axis, step, length) - error.narrow(axis, 0, length)
            both = known.narrow(axis, step, length) & known.narrow(axis, 0, length)
            total = total + mean_where(change.abs(), both)
    return total / (2 * len(steps))


def relative_error(error: Tensor, known: Tensor) -> Tensor:
    """Mean of |depth / truth - 1| per image, [B], from the log error.

    A log error is least at the median of what the depth may be; the relative error at the median weighted by
    1 / depth, which is nearer, as too far costs more than too near. Beyond a factor of e it goes on linearly in log
    depth, so that one wild pixel does not rule the gradient.
    """
    near = error.clamp_max(1.0)
    relative = torch.expm1(near).abs() + math.e * (error - near)
    return mean_where(torch.where(known, relative, torch.zeros_like(relative)), known)


def sky_hinge(inv_depth: Tensor, truth_depth_m: Tensor, floor_m: float) -> Tensor:
    """How far the sky comes closer than `floor_m`, in log depth, mean over the sky's pixels, [B]."""
    sky = torch.isposinf(truth_depth_m)
    short = functional.relu(float(torch.log(torch.tensor(floor_m))) - log_depth(inv_depth))
    return mean_where(torch.where(sky, short, torch.zeros_like(short)), sky)


def supervised_depth(inv_depths: tuple[Tensor, ...], truth_depth_m: Tensor, weights: SupervisedWeights) -> Tensor:
    """All supervised terms over all scales.

    Args:
        inv_depths: float [B, 1, H / 2^s, W / 2^s], finest first, 1/m.
        truth_depth_m: float [B, 1, H, W]; a coarse cell is compared with the truth at its middle pixel, never with
            a mean across a border.
        weights: of terms and scales.

    Returns:
        float [B].
    """
    total = truth_depth_m.new_zeros(truth_depth_m.shape[0])
    for scale, (inv_depth, share) in enumerate(zip(inv_depths, weights.scales, strict=False)):
        if share == 0.0:
            continue
        step = 2**scale
        truth = truth_depth_m[:, :, step // 2 :: step, step // 2 :: step]
        error, known = log_error(inv_depth, truth)
        loss = weights.log_l1 * mean_where(error.abs(), known)
        loss = loss + weights.silog * silog(error, known, weights.silog_lambda)
        if weights.relative:
            loss = loss + weights.relative * relative_error(error, known)
        loss = loss + weights.sky * sky_hinge(inv_depth, truth, weights.sky_floor_m)
        if scale == 0 and weights.log_gradient:
            loss = loss + weights.log_gradient * log_gradient(error, known)
        total = total + share * loss
    return total / sum(weights.scales[: len(inv_depths)])


@dataclass(frozen=True, slots=True)
class PlainSupervision:
    """One plain error instead of the terms above.

    Attributes:
        error: "l1", mean |e|; "berhu", L1 for small errors and quadratic above c = berhu_share * max |e| of the image:
            (e^2 + c^2) / (2 c) (Laina et al., 3DV 2016, arXiv 1606.00373); "silog", sqrt(mean(g^2) - lambda mean(g)^2)
            of the log error g (Eigen et al. 2014), where depth and inverse depth are the same.
        of: what the error is measured in: "inv_depth" (1/m), which is PackNet's choice and listens to what is near, or
            "depth" (m), which listens to what is far.
        berhu_share: see above.
        silog_lambda: see above; 0.85 is PackNet-SAN's.
        silog_factor: the whole SILog is multiplied by it; 10 is PackNet-SAN's.
        farthest_m: predictions beyond count as this far, but still get the gradient they would have there. Only for
            errors in metres, whose gradient by inverse depth grows with the square of the depth.
        scales: weight of each output scale, finest first.
    """

    error: Literal["l1", "berhu", "silog"] = "silog"
    of: Literal["inv_depth", "depth"] = "inv_depth"
    berhu_share: float = 0.2
    silog_lambda: float = 0.85
    silog_factor: float = 10.0
    farthest_m: float = 1000.0
    scales: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.error not in ("l1", "berhu", "silog"):
            raise ConfigError(f"error: expected l1, berhu or silog, got {self.error!r}")
        if self.of not in ("inv_depth", "depth"):
            raise ConfigError(f"of: expected inv_depth or depth, got {self.of!r}")
        if not 0.0 < self.berhu_share <= 1.0 or self.farthest_m <= 0 or not sum(self.scales) > 0:
            raise ConfigError(
                f"berhu_share, farthest_m, scales: expected 0..1, > 0 and a sum > 0, got {self.berhu_share}, "
                f"{self.farthest_m}, {self.scales}"
            )


def berhu(error: Tensor, known: Tensor, share: float) -> Tensor:
    """Reverse Huber error per image, [B]; the threshold c is a constant."""
    size = torch.where(known, error, torch.zeros_like(error)).abs()
    c = share * size.detach().flatten(1).amax(1)[:, None, None, None].clamp_min(1e-12)
    return mean_where(torch.where(size <= c, size, (size * size + c * c) / (2 * c)), known)


def plain_error(inv_depth: Tensor, truth_depth_m: Tensor, options: PlainSupervision) -> Tensor:
    """One error at one scale.

    Args:
        inv_depth: float [B, 1, H, W], 1/m.
        truth_depth_m: float [B, 1, H, W], m; NaN, inf and values <= 0 are left out.
        options: which.

    Returns:
        float [B], mean over the known pixels; of an image without any it is 0 with a gradient of 0 (SILog: 1e-3 times
        its factor, the guard of its root).
    """
    if options.error == "silog":
        error, known = log_error(inv_depth, truth_depth_m)
        return options.silog_factor * silog(error, known, options.silog_lambda)
    truth, known = known_depth(truth_depth_m)
    predicted = at_least_float32(inv_depth).to(truth)
    if options.of == "depth":
        limited = predicted.clamp_min(1.0 / options.farthest_m)
        error = 1.0 / (predicted + (limited - predicted).detach()) - truth
    else:
        error = predicted - 1.0 / truth
    error = torch.where(known, error, torch.zeros_like(error))
    return mean_where(error.abs(), known) if options.error == "l1" else berhu(error, known, options.berhu_share)


def plain_supervision(inv_depths: tuple[Tensor, ...], truth_depth_m: Tensor, options: PlainSupervision) -> Tensor:
    """One error over the scales.

    Args:
        inv_depths: float [B, 1, H / 2^s, W / 2^s], finest first, 1/m, or all at full size.
        truth_depth_m: float [B, 1, H, W]; a coarse cell is compared with the truth at its middle pixel.
        options: which error, and the weights of the scales.

    Returns:
        float [B], weighted mean over the scales.
    """
    total = at_least_float32(inv_depths[0]).new_zeros(len(truth_depth_m))
    for inv_depth, share in zip(inv_depths, options.scales, strict=False):
        step = truth_depth_m.shape[-2] // inv_depth.shape[-2]
        truth = truth_depth_m[:, :, step // 2 :: step, step // 2 :: step]
        total = total + share * plain_error(inv_depth, truth, options)
    return total / sum(options.scales[: len(inv_depths)])


def depth_at_points(inv_depth: Tensor, bvu: Tensor, depth_m: Tensor, batch: int) -> Tensor:
    """Mean absolute log error at given points: completion has to go through them.

    Args:
        inv_depth: float [B, 1, H, W], 1/m.
        bvu: int64 [N, 3], image, row, column.
        depth_m: float [N], metres; entries <= 0 are left out.
        batch: B.

    Returns:
        float [B]; 0 for an image without points.
    """
    kept = depth_m > 0
    where, depth = bvu[kept], depth_m[kept]
    error = (log_depth(inv_depth[where[:, 0], 0, where[:, 1], where[:, 2]]) - torch.log(depth)).abs()
    count = torch.zeros(batch, dtype=error.dtype, device=error.device).index_add(0, where[:, 0], torch.ones_like(error))
    return torch.zeros_like(count).index_add(0, where[:, 0], error) / count.clamp_min(1.0)
