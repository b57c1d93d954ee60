# SPDX-License-Identifier: Apache-2.0
"""Clips of drives as training batches: mirrored, augmented alike, with sparse points thinned as sensors thin them.

As for rendered images, what stands at a position of the stream is a pure function of seed and position.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.lidar_beams import in_beams
from mono_depth_ros.geometry.sparse_depth import SparseDepth, project_points, sparse_to_dense
from mono_depth_ros.training.augmentation import Augmentation, augment_image, random_look
from mono_depth_ros.training.batches import Batch, ClipTensors, Rng, focal_factor, mirrored, order_of
from mono_depth_ros.training.config import PoseConfig
from mono_depth_ros.training.drive_clips import Clip, DriveClips, motion, moved_m

Float32 = npt.NDArray[np.float32]
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
THINNED_BEAMS = (32, 16, 8, 4, 2)


@dataclass(frozen=True, slots=True)
class ClipRecipe:
    """What a batch of clips is made of; see TrainConfig, DriveConfig and PoseConfig."""

    seed: int
    trained_fx_px: float | None
    max_depth_m: float
    beams: int
    supervision: str
    augmentation: Augmentation
    pose: PoseConfig


@dataclass(frozen=True, slots=True, eq=False)
class ClipSample:
    """One augmented clip; arrays as in Batch and ClipTensors, without the batch axis.

    Attributes:
        points: the sparse input, network units.
        supervised_m: float32 [H, W], what supervises, network units; NaN unknown, inf sky.
    """

    rgb: Float32
    points: SparseDepth
    supervised_m: Float32
    target_rgb: Float32
    context_rgb: Float32
    pose_target_rgb: Float32
    pose_context_rgb: Float32
    K: Float32
    T_context_target: Float32
    distance_m: Float32
    dt_s: Float32
    focal: float


def thinned(rng: Rng, bins: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Which points a scanner with fewer beams, or one that loses packets, would give; sometimes all or none.

    A model that always gets all its points learns that these are all, and what supervises is then only what was given.
    Points are given by their bins of elevation, int8 [N]; bool [N].
    """
    kind = rng.uniform()
    if kind < 0.05 or not len(bins):
        return np.zeros(len(bins), bool)
    if kind < 0.25:
        return np.ones(len(bins), bool)
    if kind < 0.6:
        return in_beams(bins, int(rng.choice(THINNED_BEAMS)))
    return rng.uniform(size=len(bins)) < np.exp(rng.uniform(np.log(0.02), 0.0))


def keep_mask(rng: Rng, shape: tuple[int, int], pose: PoseConfig) -> Float32 | None:
    """float32 [H, W] of 0 and 1 that a clip's pose input is multiplied by, or None to leave it whole.

    Blocks of 4 x 4 pixels are dropped together: single pixels would be filled in by the first convolution.
    """
    if rng.uniform() >= pose.sparsify:
        return None
    kept = rng.uniform(pose.sparsify_keep, 1.0)
    blocks = rng.uniform(size=(-(-shape[0] // 4), -(-shape[1] // 4))) < kept
    return np.repeat(np.repeat(blocks, 4, 0), 4, 1)[: shape[0], : shape[1]].astype(np.float32)


def clip_sample(rng: Rng, source: DriveClips, clip: Clip, recipe: ClipRecipe) -> ClipSample:
    """Mirror, augment and thin one clip."""
    drive = source.drives[clip.drive]
    camera = drive.camera(clip.target)
    images = [np.array(drive.images[frame]) for frame in (clip.target, *clip.contexts)]
    T_context_target = np.stack([motion(drive, context, clip.target) for context in clip.contexts])
    points, bins = drive.points(clip.target), drive.beams(clip.target)
    if recipe.beams:
        kept = in_beams(bins, recipe.beams)
        points, bins = points[kept], bins[kept]
    given = points[thinned(rng, bins)]
    truth = drive.truth(clip.target) if recipe.supervision == "truth" else None
    if rng.uniform() < recipe.augmentation.flip:
        camera = mirrored(camera)
        images = [image[:, ::-1] for image in images]
        T_context_target = MIRROR @ T_context_target @ MIRROR
        points, given = _mirrored_points(points), _mirrored_points(given)
        truth = None if truth is None else truth[:, ::-1]
    look = random_look(rng, recipe.augmentation)
    seen = [_chw(augment_image(rng, np.ascontiguousarray(image), look)) for image in images]
    keep = keep_mask(rng, images[0].shape[:2], recipe.pose)
    posed = seen if keep is None else [picture * keep for picture in seen]
    focal = focal_factor(camera, recipe.trained_fx_px)
    recorded = [_chw(image.astype(np.float32) / np.float32(255.0)) for image in images]
    return ClipSample(
        rgb=seen[0],
        points=_in_network_units(project_points(given, camera), focal),
        supervised_m=_supervised(recipe, camera, points, truth, focal),
        target_rgb=recorded[0],
        context_rgb=np.stack(recorded[1:]),
        pose_target_rgb=posed[0],
        pose_context_rgb=np.stack(posed[1:]),
        K=camera.matrix.astype(np.float32),
        T_context_target=T_context_target.astype(np.float32),
        distance_m=np.array([moved_m(drive, clip.target, frame) for frame in clip.contexts], np.float32),
        dt_s=np.array(
            [abs(int(drive.stamps_ns[clip.target] - drive.stamps_ns[frame])) * 1e-9 for frame in clip.contexts],
            np.float32,
        ),
        focal=focal,
    )


def _supervised(
    recipe: ClipRecipe, camera: PinholeCamera, points: Float32, truth: Float32 | None, focal: float
) -> Float32:
    """What supervises: truth, the recorded points, or nothing."""
    if truth is not None:
        depth = truth / np.float32(focal)
        return np.where(depth > recipe.max_depth_m, np.float32(np.inf), depth).astype(np.float32)
    if recipe.supervision == "points":
        depth = sparse_to_dense(project_points(points, camera)) / np.float32(focal)
        return np.where(depth > recipe.max_depth_m, np.float32(np.nan), depth).astype(np.float32)
    return np.full((camera.height_px, camera.width_px), np.nan, np.float32)


def _in_network_units(sparse: SparseDepth, focal: float) -> SparseDepth:
    return SparseDepth(sparse.height_px, sparse.width_px, sparse.rows, sparse.cols, sparse.depth_m / np.float32(focal))


def _mirrored_points(points_camera_m: Float32) -> Float32:
    return points_camera_m * np.array([-1.0, 1.0, 1.0], np.float32)


def _chw(image: Float32) -> Float32:
    return np.ascontiguousarray(np.moveaxis(image, 2, 0))


def clip_batch_at(source: DriveClips, recipe: ClipRecipe, positions: range) -> Batch:
    """The clips at some positions of the endless stream."""
    chosen = order_of(len(source.clips), recipe.seed, positions)
    samples = [
        clip_sample(np.random.default_rng([recipe.seed, 13, position]), source, source.clips[index], recipe)
        for position, index in zip(positions, chosen, strict=True)
    ]
    return stacked_clips(samples)


def stacked_clips(samples: Sequence[ClipSample]) -> Batch:
    """Clips as one batch."""
    bvu = [
        np.stack([np.full_like(sample.points.rows, b), sample.points.rows, sample.points.cols], axis=1)
        for b, sample in enumerate(samples)
    ]
    depth = torch.from_numpy(np.concatenate([sample.points.depth_m for sample in samples]).astype(np.float32))

    def stacked(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([getattr(sample, name) for sample in samples]))

    clips = ClipTensors(
        target_rgb=stacked("target_rgb"),
        context_rgb=stacked("context_rgb"),
        pose_target_rgb=stacked("pose_target_rgb"),
        pose_context_rgb=stacked("pose_context_rgb"),
        K=stacked("K"),
        T_context_target=stacked("T_context_target"),
        distance_m=stacked("distance_m"),
        dt_s=stacked("dt_s"),
        focal=torch.tensor([sample.focal for sample in samples], dtype=torch.float32),
    )
    return Batch(
        rgb=stacked("rgb"),
        truth_depth_m=stacked("supervised_m")[:, None],
        bvu=torch.from_numpy(np.concatenate(bvu)),
        points_depth_m=depth,
        trusted_depth_m=depth,
        predict_weight=torch.ones(len(samples)),
        clips=clips,
    )
