# SPDX-License-Identifier: Apache-2.0
"""What the cameras of a rig say of each other's depth and motion (Guizilini et al., RA-L 2022, arXiv 2104.00152).

Between two cameras at the same moment nothing is unknown but depth, so the error against the other's image is least at
the true metres. Where the other camera is at another moment, its own predicted motion stands between.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mono_depth_ros.objectives.photometric import PhotometricOptions, photometric_loss
from mono_depth_ros.objectives.pose import compose
from mono_depth_ros.objectives.pose_consistency import pose_consistency_loss
from mono_depth_ros.objectives.view_synthesis import SynthesizedView, sample_at, synthesize
from mono_depth_ros.training.batches import ClipTensors, RigTensors


def unoccluded(view: SynthesizedView, clips: ClipTensors, context: Tensor | None = None) -> Tensor:
    """bool [B, 1, H, W]: where a view counts, and neither it nor its context shows the robot itself.

    Args:
        view: of the clips' images.
        clips: of a rig, or of single cameras, which have no masks.
        context: int64 [B], the clips whose camera the context is of; None for the same camera.
    """
    if clips.rig is None:
        return view.valid
    visible = clips.rig.visible
    other = visible if context is None else visible[context]
    return view.valid & visible & (sample_at(other.float(), view.pixel_uv) > 0.99)


def spatial_loss(depth_m: Tensor, clips: ClipTensors, rig: RigTensors, options: PhotometricOptions) -> Tensor:
    """Photometric error against the neighbours' images of the same moment, [B]; 0 for a camera without any.

    Args:
        depth_m: float [B, 1, H, W], metres.
        clips: of a rig.
        rig: theirs.
        options: of the error; the auto-mask, which is for what stands still in one camera's image, takes no part.
    """
    images = [clips.target_rgb[index] for index in _indices(rig)]
    return _against(depth_m, images, rig.T_other_camera.unbind(1), clips, rig, options)


def spatio_temporal_loss(
    depth_m: Tensor, motions: Sequence[Tensor], clips: ClipTensors, rig: RigTensors, options: PhotometricOptions
) -> Tensor:
    """The same against the neighbours' images of the moments around this one, which their own motion takes them to.

    Args:
        motions: float [B, 4, 4] per context, T_context_target of each camera.
    """
    losses = []
    for number, motion in enumerate(motions):
        images = [clips.context_rgb[index][:, number] for index in _indices(rig)]
        moved = [
            compose(motion[index], T.to(motion))
            for index, T in zip(_indices(rig), rig.T_other_camera.unbind(1), strict=True)
        ]
        losses.append(_against(depth_m, images, moved, clips, rig, options))
    return torch.stack(losses).mean(0)


def motion_consistency(motions: Sequence[Tensor], rig: RigTensors) -> Tensor:
    """Difference of the motions that the cameras of a moment make of themselves, [M], mean over the contexts."""
    shape = (-1, rig.cameras, 4, 4)
    mounts = rig.T_rig_camera.view(shape)
    return torch.stack([pose_consistency_loss(motion.view(shape), mounts) for motion in motions]).mean(0)


def _indices(rig: RigTensors) -> list[Tensor]:
    return [others.clamp_min(0) for others in rig.others.unbind(1)]


def _against(
    depth_m: Tensor,
    images: Sequence[Tensor],
    T_other_camera: Sequence[Tensor],
    clips: ClipTensors,
    rig: RigTensors,
    options: PhotometricOptions,
) -> Tensor:
    views, valid = [], []
    for index, others, image, T in zip(_indices(rig), rig.others.unbind(1), images, T_other_camera, strict=True):
        view = synthesize(image, depth_m, clips.K, clips.K[index], T)
        views.append(view.image)
        valid.append(unoccluded(view, clips, index) & (others >= 0)[:, None, None, None])
    options = replace(options, automask=False)
    value, _ = photometric_loss(clips.target_rgb, tuple(views), (), tuple(valid), options)
    return value
