# SPDX-License-Identifier: Apache-2.0
"""The loss of a batch: every term by name, and their weighted sum.

Terms are means over images of values per image, so a batch split over processes gives the same loss and gradients.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from mono_depth_ros.objectives.camera_height import camera_height_loss
from mono_depth_ros.objectives.feature_consistency import feature_consistency
from mono_depth_ros.objectives.photometric import photometric_error, photometric_loss
from mono_depth_ros.objectives.reprojected import reprojected_distance_loss
from mono_depth_ros.objectives.smoothness import smoothness_over_scales
from mono_depth_ros.objectives.spread import sky_entropy, spread_likelihood
from mono_depth_ros.objectives.supervised import SupervisedWeights, depth_at_points, plain_supervision, supervised_depth
from mono_depth_ros.objectives.velocity import travelled_distance_loss
from mono_depth_ros.objectives.view_synthesis import synthesize
from mono_depth_ros.training.batches import Batch, ClipTensors, RigTensors
from mono_depth_ros.training.config import TrainConfig, VideoObjectives
from mono_depth_ros.training.model import Outputs
from mono_depth_ros.training.rig_losses import motion_consistency, spatial_loss, spatio_temporal_loss, unoccluded
from mono_depth_ros.training.schedule import Schedule

SMALLEST_INV_DEPTH = 1e-4  # network units; nearer to 0 a depth is as good as infinite, and its gradient is not
Weighted = dict[str, tuple[Tensor, float]]


def objective(outputs: Outputs, batch: Batch, config: TrainConfig, share: float) -> dict[str, Tensor]:
    """The loss and its terms.

    Args:
        outputs: of TrainedModel.
        batch: what they were made from.
        config: with the weights.
        share: of the run that is done, 0..1, for the schedules.

    Returns:
        Scalars by name, unweighted, and "loss", their weighted sum. Terms of completion end in "_completed" on drives.
    """
    terms = (
        _of_drives(outputs, batch, batch.clips, config, share)
        if batch.clips
        else _of_truth(outputs, batch, config, share)
    )
    terms |= _of_features(outputs, batch, config, share)
    loss = sum((weight * value for value, weight in terms.values()), torch.zeros((), device=batch.rgb.device))
    return {**{name: value for name, (value, _) in terms.items()}, "loss": loss}


def _of_truth(outputs: Outputs, batch: Batch, config: TrainConfig, share: float) -> Weighted:
    """Images with dense truth."""
    weights = config.objectives
    terms: Weighted = {}
    shown = batch.truth_depth_m if batch.shown_depth_m is None else batch.shown_depth_m
    if outputs.predicted is not None:
        value = supervised_depth(outputs.predicted, shown, weights.prediction)
        terms["prediction"] = (value * batch.predict_weight).mean(), weights.prediction_weight.at(share)
    if outputs.completed is not None:
        value = supervised_depth(outputs.completed, batch.truth_depth_m, weights.completion)
        terms["completion"] = value.mean(), weights.completion_weight.at(share)
    for suffix, said, truth, weight in (
        ("", outputs.predicted_said, shown, batch.predict_weight),
        ("_completed", outputs.completed_said, batch.truth_depth_m, torch.ones_like(batch.predict_weight)),
    ):
        if said is None:
            continue
        spread = (spread_likelihood(said.log_spread, said.inv_depths[0], truth) * weight).mean()
        terms[f"spread{suffix}"] = spread, weights.spread_weight.at(share)
        terms[f"sky{suffix}"] = (sky_entropy(said.sky_logit, truth) * weight).mean(), weights.sky_weight.at(share)
    return terms


def _of_features(outputs: Outputs, batch: Batch, config: TrainConfig, share: float) -> Weighted:
    """What joins points and features, on any kind of image."""
    weights = config.objectives
    terms: Weighted = {}
    if outputs.completed is not None and weights.points_weight.used:
        at_points = depth_at_points(outputs.completed[0], batch.bvu, batch.trusted_depth_m, len(batch.predict_weight))
        terms["points"] = at_points.mean(), weights.points_weight.at(share)
    if outputs.predicted is not None and outputs.fused is not None and weights.consistency_weight.used:
        # where points say another scale than the image, their features must differ
        agree = batch.predict_weight if batch.rescaled is None else batch.predict_weight * ~batch.rescaled
        value = feature_consistency(outputs.skips, outputs.fused) * agree
        terms["consistency"] = value.mean(), weights.consistency_weight.at(share)
    if outputs.completed is not None and outputs.thinned is not None and weights.sparsity_weight.used:
        value = _between_sparsities(outputs.thinned[0], outputs.completed[0], 1.0 / config.max_depth_m)
        terms["sparsity"] = value.mean(), weights.sparsity_weight.at(share)
    return terms


def _between_sparsities(thinned: Tensor, completed: Tensor, sky: float) -> Tensor:
    """Mean of |log depth from a part of the points - log depth from all points| per image, [B].

    All points know best: no gradient reaches what they gave. Inverse depths below `sky` are all one.

    Args:
        thinned, completed: inverse depths [B, 1, H, W], network units.
        sky: inverse depth of the sky.
    """
    difference = thinned.clamp_min(sky).log() - completed.detach().clamp_min(sky).log()
    return difference.abs().mean((1, 2, 3))


def _of_drives(outputs: Outputs, batch: Batch, clips: ClipTensors, config: TrainConfig, share: float) -> Weighted:
    """Clips: what their images say of depth and motion, and what odometry and points say of metres."""
    T_context_target = clips.T_context_target if outputs.poses is None else outputs.poses
    motions = tuple(T_context_target.unbind(1))
    clips = _blurred(clips, config.video.blur_px)
    terms: Weighted = {}
    if outputs.poses is not None and config.video.velocity.used:
        value = travelled_distance_loss(motions, tuple(clips.distance_m.unbind(1)))
        terms["velocity"] = value.mean(), config.video.velocity.at(share)
    rig = clips.rig
    if rig is not None and outputs.poses is not None and config.rig.pose_consistency.used:
        terms["pose_consistency"] = motion_consistency(motions, rig).mean(), config.rig.pose_consistency.at(share)
    unwarped = _unwarped_errors(clips, config.video)
    objectives = config.objectives
    for suffix, inv_depths, mode, dense in (
        ("", outputs.predicted, objectives.prediction_weight, objectives.prediction),
        ("_completed", outputs.completed, objectives.completion_weight, objectives.completion),
    ):
        if inv_depths is None:
            continue
        found = _of_depth(inv_depths, batch, clips, motions, unwarped, config.video, share, dense)
        if rig is not None and config.video.photometric.used:
            found |= _of_rig(inv_depths[0], clips, rig, motions, config, share)
        terms |= {f"{name}{suffix}": (value, weight * mode.at(share)) for name, (value, weight) in found.items()}
    return terms


def _of_depth(
    inv_depths: tuple[Tensor, ...],
    batch: Batch,
    clips: ClipTensors,
    motions: tuple[Tensor, ...],
    unwarped: tuple[Tensor, ...],
    video: VideoObjectives,
    share: float,
    dense: SupervisedWeights,
) -> Weighted:
    """The terms of one mode's depth."""
    count = len(video.scales)
    full = tuple(_to_size(inv_depth, batch.rgb.shape[-2:]) for inv_depth in inv_depths[:count])
    terms: Weighted = {}

    def add(name: str, schedule: Schedule, value: Tensor) -> None:
        terms[name] = value.mean(), schedule.at(share)

    if video.photometric.used:
        add("photometric", video.photometric, _photometric(full, clips, motions, unwarped, video))
    if video.smoothness.used:
        add("smoothness", video.smoothness, smoothness_over_scales(full, clips.target_rgb))
    if video.supervised.used and video.supervised_loss == "log":
        add("supervised", video.supervised, supervised_depth(inv_depths, batch.truth_depth_m, dense))
    elif video.supervised.used:
        add("supervised", video.supervised, plain_supervision(full, batch.truth_depth_m, video.plain))
    metres = metric_depth(full[0], clips.focal)
    if video.reprojected.used:
        measured = batch.truth_depth_m * clips.focal[:, None, None, None]
        distances = [
            reprojected_distance_loss(
                metres, measured, clips.K, clips.K, T, video.reprojected_norm, video.reprojected_detach_pose
            )
            for T in motions
        ]
        add("reprojected", video.reprojected, torch.stack(distances).mean(0) * (100.0 / batch.rgb.shape[-1]))
    if video.camera_height.used:
        height = torch.full_like(clips.focal, video.camera_height_m or float("nan"))
        moved = torch.stack([T[:, :3, 3] for T in motions], dim=1)
        found = camera_height_loss(metres, clips.K, height, video.ground, translations=moved)
        add("camera_height", video.camera_height, found.loss)
    return terms


def _of_rig(
    inv_depth: Tensor,
    clips: ClipTensors,
    rig: RigTensors,
    motions: tuple[Tensor, ...],
    config: TrainConfig,
    share: float,
) -> Weighted:
    """What the neighbours' images say of the finest depth."""
    metres, options = metric_depth(inv_depth, clips.focal), config.video.appearance
    photometric = config.video.photometric.at(share)
    terms: Weighted = {}
    if config.rig.spatial.used:
        value = spatial_loss(metres, clips, rig, options)
        terms["spatial"] = value.mean(), photometric * config.rig.spatial.at(share)
    if config.rig.spatio_temporal.used:
        value = spatio_temporal_loss(metres, motions, clips, rig, options)
        terms["spatio_temporal"] = value.mean(), photometric * config.rig.spatio_temporal.at(share)
    return terms


@torch.no_grad()
def _blurred(clips: ClipTensors, side_px: int) -> ClipTensors:
    """The clips with images that are averaged over boxes; at the edge over what there is."""
    if side_px == 1:
        return clips

    def blurred(rgb: Tensor) -> Tensor:
        flat = rgb.flatten(0, -4)
        mean = functional.avg_pool2d(flat, side_px, stride=1, padding=side_px // 2, count_include_pad=False)
        return mean.view(rgb.shape)

    return replace(clips, target_rgb=blurred(clips.target_rgb), context_rgb=blurred(clips.context_rgb))


@torch.no_grad()
def _unwarped_errors(clips: ClipTensors, video: VideoObjectives) -> tuple[Tensor, ...]:
    """What the auto-mask compares with, the same for every scale and mode; empty without it."""
    if not (video.photometric.used and video.appearance.automask):
        return ()
    contexts = clips.context_rgb.unbind(1)
    return tuple(photometric_error(clips.target_rgb, context, video.appearance.ssim_weight) for context in contexts)


def _photometric(
    full: tuple[Tensor, ...],
    clips: ClipTensors,
    motions: tuple[Tensor, ...],
    unwarped: tuple[Tensor, ...],
    video: VideoObjectives,
) -> Tensor:
    """Weighted mean over the scales, [B]."""
    contexts = tuple(clips.context_rgb.unbind(1))
    total = torch.zeros_like(clips.focal)
    for inv_depth, weight in zip(full, video.scales, strict=False):
        if weight == 0.0:
            continue
        depth_m = metric_depth(inv_depth, clips.focal)
        views = [
            synthesize(context, depth_m, clips.K, clips.K, T) for context, T in zip(contexts, motions, strict=True)
        ]
        value, _ = photometric_loss(
            clips.target_rgb,
            tuple(view.image for view in views),
            contexts,
            tuple(unoccluded(view, clips) for view in views),
            video.appearance,
            unwarped,
        )
        total = total + weight * value
    return total / sum(video.scales[: len(full)])


def metric_depth(inv_depth: Tensor, focal: Tensor) -> Tensor:
    """Metres from the network's inverse depth [B, 1, H, W] and the focal factor [B]."""
    return focal[:, None, None, None] / inv_depth.clamp_min(SMALLEST_INV_DEPTH)


def _to_size(inv_depth: Tensor, size: torch.Size) -> Tensor:
    """The inverse depth at full size; bilinear, so that a coarse scale is not judged by its blocks."""
    if inv_depth.shape[-2:] == size:
        return inv_depth
    return functional.interpolate(inv_depth, size=tuple(size), mode="bilinear", align_corners=False)


@torch.no_grad()
def ratio_at_points(outputs: Outputs, batch: Batch) -> float:
    """Median of depth / measured depth at the batch's points, by prediction where there is one; NaN without points."""
    inv_depths = outputs.predicted if outputs.predicted is not None else outputs.completed
    if inv_depths is None or not len(batch.points_depth_m):
        return float("nan")
    b, v, u = batch.bvu.unbind(1)
    return float((1.0 / (inv_depths[0][b, 0, v, u].clamp_min(SMALLEST_INV_DEPTH) * batch.points_depth_m)).median())
