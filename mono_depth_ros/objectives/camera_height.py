# SPDX-License-Identifier: Apache-2.0
"""Camera height: the ground plane in the predicted depth has to lie as far below the camera as it does in truth.

Ground pixels are those of the lower image whose surface normal points up (the idea of DNet, Xue et al., IROS 2020,
arXiv 2004.01024); a plane n . P + h = 0 is fitted to them by reweighted least squares, and log h is the weighted mean
of log(-n . P_i). Where no plane is found, h is the median height of the lowest rows under the camera, with the known
direction up: rough, but it never falls silent. The objective is |log(h / h_real)|. No true depth enters.

What is wrong with a depth whose ground lies at another height is its unit, not its shape. So the gradient does not go
through the ground's pixels, which could bend until no ground is left. It goes to the length of the motions that images
were warped with, by log |t|. Depth follows through view synthesis, pixel by pixel as far as the
images hold it, just as with supervision by velocity. A push on depth itself, even the same for every pixel, ran away
with those that no image holds: shape was lost (docs/training.md).

All images of a batch share one push, the mean of theirs, each proportional to its error and limited: a network has one
unit, and what a single image says of it is spoiled by whatever stands on its road.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.objectives.projection import known_depth, ray_map

# Width of the weights in log distance, fit after fit: wide enough for a first plane that is a bit tilted, narrow
# enough at the end that a kerb does not raise a road.
_WIDTHS = (0.4, 0.2, 0.1, 0.05, 0.05, 0.05)
_FULL_PUSH = 0.3  # |log(h / h_real)| from which the push does not grow


@dataclass(frozen=True, slots=True)
class GroundOptions:
    """What may be ground.

    Attributes:
        lowest_share: share of the image's rows, from the bottom, in which ground is looked for.
        normal_tilt_rad: largest angle between a pixel's normal and up; pi looks at the lower image alone.
        plane_tilt_rad: largest angle between the fitted plane's normal and up; a plane beyond is no ground.
        reach_heights: how far away ground is looked at, in heights of the camera: roads curve.
        normal_step_px: distance of the neighbours from which a normal is made.
        smallest_share: share of the image's pixels that must lie on the plane; below it there is none.
        fallback_share: share of the image's rows, from the bottom, whose median height counts where no plane is found;
            0 leaves the height unknown then.
        fit_plane: whether a plane is looked for at all. False takes the known direction up as exact: a camera that is
            level within a degree knows it better than the normals of a depth that is still being learned, whose error
            goes into the height.
    """

    lowest_share: float = 0.6
    normal_tilt_rad: float = math.radians(25.0)
    plane_tilt_rad: float = math.radians(15.0)
    reach_heights: float = 8.0
    normal_step_px: int = 2
    smallest_share: float = 0.02
    fallback_share: float = 0.25
    fit_plane: bool = True

    def __post_init__(self) -> None:
        for name in ("lowest_share", "smallest_share"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}: expected a share, 0..1, got {getattr(self, name)}")
        for name in ("normal_tilt_rad", "plane_tilt_rad"):
            if not 0.0 < getattr(self, name) <= math.pi:
                raise ConfigError(f"{name}: expected 0..pi, got {getattr(self, name)}")
        if not self.reach_heights > 0:
            raise ConfigError(f"reach_heights: expected > 0, got {self.reach_heights}")
        if not 0.0 <= self.fallback_share <= 1.0:
            raise ConfigError(f"fallback_share: expected a share, 0..1, got {self.fallback_share}")
        if not (self.fit_plane or self.fallback_share > 0.0):
            raise ConfigError("fallback_share: expected more than 0 where no plane is fitted, got 0")
        if self.normal_step_px < 1:
            raise ConfigError(f"normal_step_px: expected 1 or more, got {self.normal_step_px}")


@dataclass(frozen=True, slots=True, eq=False)
class CameraHeight:
    """What the ground says.

    Args:
        loss: float [B], |log(height / real)|, 0 where either is unknown; its gradient is the push that all share.
        height_m: float [B], height of the camera over the ground in the predicted depth, no gradient; NaN unknown.
        up_camera: float [B, 3], normal of the ground in the camera's frame; the prior where no plane was found.
        ground: bool [B, 1, H, W], pixels that lie on the plane; none where none was found.
    """

    loss: Tensor
    height_m: Tensor
    up_camera: Tensor
    ground: Tensor


def surface_normals(points_m: Tensor, step_px: int) -> tuple[Tensor, Tensor]:
    """Normals of a depth map from the points left, right, above and below, towards the camera.

    Args:
        points_m: float [B, 3, H, W], optical frame.
        step_px: how far away those points are.

    Returns:
        Unit normals [B, 3, H, W], and bool [B, 1, H, W] where there is one: not at the image's edge.
    """
    inner = points_m[..., step_px:-step_px, step_px:-step_px]
    along_u = points_m[..., step_px:-step_px, 2 * step_px :] - points_m[..., step_px:-step_px, : -2 * step_px]
    along_v = points_m[..., 2 * step_px :, step_px:-step_px] - points_m[..., : -2 * step_px, step_px:-step_px]
    normal = torch.linalg.cross(along_v, along_u, dim=1)  # x right, y down: level ground gives (0, -1, 0)
    length = torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    whole = torch.zeros_like(points_m)
    whole[..., step_px:-step_px, step_px:-step_px] = normal / length.clamp_min(torch.finfo(length.dtype).tiny)
    there = torch.zeros_like(points_m[:, :1], dtype=torch.bool)
    there[..., step_px:-step_px, step_px:-step_px] = (length > 0) & (inner[:, 2:] > 0)
    return whole, there


def _candidates(points_m: Tensor, known: Tensor, up: Tensor, options: GroundOptions) -> Tensor:
    """Pixels that may be ground, bool [B, 1, H, W]."""
    height, width = points_m.shape[-2:]
    below = (points_m * up).sum(1, keepdim=True) < 0
    rows = torch.arange(height, device=points_m.device)[:, None] >= height * (1.0 - options.lowest_share)
    maybe = known & below & rows
    step = options.normal_step_px
    if options.normal_tilt_rad >= math.pi or min(height, width) <= 2 * step:
        return maybe
    normal, there = surface_normals(points_m, step)
    # A normal is only as good as the depth it is made of.
    unknown = torch.nn.functional.max_pool2d((~known).float(), 2 * step + 1, 1, step) > 0
    level = (normal * up).sum(1, keepdim=True) >= math.cos(options.normal_tilt_rad)
    return maybe & there & ~unknown & level


def _fit_plane(points_m: Tensor, candidates: Tensor, up: Tensor, reach_heights: float) -> tuple[Tensor, Tensor]:
    """Plane m . P = 1 through the candidates, m = -n / h.

    Each pixel counts by the relative error of its distance, with Cauchy weights 1 / (1 + (log ratio / width)^2).

    Args:
        points_m: [B, 3, H, W].
        candidates: bool [B, 1, H, W].
        up: [B, 3, 1, 1], unit.
        reach_heights: candidates farther away than this many times their median height are left out.

    Returns:
        Unit vector down, -n, [B, 3]; and weights [B, 1, H, W] in 0..1.
    """
    height = -(points_m * up).sum(1, keepdim=True)
    middle = torch.where(candidates, height, torch.nan).flatten(1).nanmedian(1).values.nan_to_num(1.0).clamp_min(1e-6)
    points = (points_m / middle[:, None, None, None]).double()  # the same fit at every scale of the depth
    candidates = candidates & (points[:, 2:] <= reach_heights)
    fits = candidates.double()
    m = -up.flatten(1).double()
    ridge = 1e-9 * torch.eye(3, dtype=torch.float64, device=points.device)
    for width in _WIDTHS:
        ratio = (points * m[..., None, None]).sum(1, keepdim=True)  # 1 on the plane
        residual = torch.log(torch.where(candidates, ratio, torch.ones_like(ratio)).clamp_min(1e-6))
        fits = candidates / (1.0 + (residual / width).square())
        flat, weight = points.flatten(2), fits.flatten(2)
        moment = (flat * weight) @ flat.transpose(1, 2) / flat.shape[-1] + ridge
        m = torch.linalg.solve(moment, (flat * weight).sum(2) / flat.shape[-1])
    return torch.nn.functional.normalize(m, dim=1).to(points_m), fits.to(points_m)


def _plane_height(points_m: Tensor, down: Tensor, weight: Tensor) -> Tensor:
    """Logarithm of the distance to the plane, [B], the weighted mean over its pixels."""
    distance = (points_m * down[..., None, None]).sum(1, keepdim=True)
    weight = torch.where(distance > 0, weight, torch.zeros_like(weight))
    log_distance = torch.log(torch.where(weight > 0, distance, torch.ones_like(distance)))
    return (weight * log_distance).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp_min(1e-6)


def _fallback_height(points_m: Tensor, known: Tensor, up: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Logarithm of the median height of the camera over the lowest rows, [B], and bool [B] where there is one."""
    height = -(points_m * up[..., None, None]).sum(1, keepdim=True)
    rows = torch.arange(points_m.shape[-2], device=points_m.device)[:, None] >= points_m.shape[-2] * (1.0 - share)
    middle = torch.where(known & rows & (height > 0), height, torch.nan).flatten(1).nanmedian(1).values
    there = torch.isfinite(middle)
    return torch.log(torch.where(there, middle, torch.ones_like(middle))), there


def _scale_handle(depth_m: Tensor, known: Tensor, translations: Tensor | None, log_height: Tensor) -> Tensor:
    """Zeros [B] whose gradient by log |t| is 1 / C; without motions, by log depth 1 / N for each known pixel.

    Motions shorter than a tenth of the height count less, down to nothing: a camera that stands has no scale.
    """
    if translations is None:
        log_depth = torch.log(torch.where(known, depth_m, torch.ones_like(depth_m))).flatten(1)
        factor = log_depth.sum(1) / known.flatten(1).sum(1).clamp_min(1)
    else:
        length = torch.linalg.vector_norm(translations.to(depth_m), dim=-1)
        smallest = 0.1 * log_height.exp()[:, None]
        share = (length.detach() / smallest).clamp_max(1.0)
        # d length / length is d log |t|
        factor = (share * length / torch.maximum(length.detach(), smallest)).mean(1)
    return factor - factor.detach()


def _common_push(error: Tensor, scored: Tensor) -> Tensor:
    """Mean of the limited errors of all scored images, over all processes of a DDP run: a scalar in -1..1."""
    total = torch.stack([(error / _FULL_PUSH).clamp(-1.0, 1.0).sum(), scored.sum().to(error)])
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
    return total[0] / total[1].clamp_min(1.0)


def camera_height_loss(
    depth_m: Tensor,
    K: Tensor,
    real_height_m: Tensor,
    options: GroundOptions | None = None,
    up_camera: Tensor | None = None,
    usable: Tensor | None = None,
    translations: Tensor | None = None,
) -> CameraHeight:
    """Height of the camera in the predicted depth against the real one.

    Args:
        depth_m: float [B, 1, H, W], predicted; NaN, inf and values <= 0 are left out.
        K: float [B, 3, 3], pixels, at that size.
        real_height_m: float [B], of the optical centre over the ground; NaN where unknown.
        options: what may be ground.
        up_camera: float [B, 3], direction away from the ground in the optical frame as far as it is known (from the
            mounting, or from gravity); (0, -1, 0), a level camera, without it.
        usable: bool [B, 1, H, W], False where the image shows the robot itself; None: everywhere.
        translations: float [B, C, 3], of the predicted motions that go with this depth; they take the gradient. Without
            them depth takes it, as a common factor of all pixels.

    Returns:
        CameraHeight. A depth that is twice as far everywhere gives exactly twice the height.
    """
    options = options or GroundOptions()
    depth, known = known_depth(depth_m)
    known = known if usable is None else known & usable
    points = depth * ray_map(K, depth)
    prior = points.new_tensor([[0.0, -1.0, 0.0]]).expand(len(points), 3) if up_camera is None else up_camera.to(points)
    prior = torch.nn.functional.normalize(prior, dim=1)
    with torch.no_grad():
        candidates = _candidates(points, known, prior[..., None, None], options)
        down, weight = _fit_plane(points, candidates, prior[..., None, None], options.reach_heights)
        ground = weight > 0.5
        enough = ground.flatten(1).float().mean(1) >= options.smallest_share
        plane = options.fit_plane & enough & ((-down * prior).sum(1) >= math.cos(options.plane_tilt_rad))
        ground = ground & plane[:, None, None, None]
        log_height, found = _plane_height(points, down, torch.where(ground, weight, torch.zeros_like(weight))), plane
        if options.fallback_share > 0.0:
            rough, there = _fallback_height(points, known, prior, options.fallback_share)
            log_height, found = torch.where(plane, log_height, rough), plane | there
        real = real_height_m.to(log_height)
        scored = found & torch.isfinite(real) & (real > 0)
        error = log_height - torch.log(torch.where(scored, real, torch.ones_like(real)))
        error = torch.where(scored, error, torch.zeros_like(error))
        push = _common_push(error, scored)
    return CameraHeight(
        loss=error.abs() + push * _scale_handle(depth, known, translations, log_height),
        height_m=torch.where(found, log_height.exp(), torch.nan),
        up_camera=torch.where(plane[:, None], -down, prior),
        ground=ground,
    )
