# SPDX-License-Identifier: Apache-2.0
"""What a batch is, and rendered images as batches: focal normalisation, augmentation, sparse points, prefetching.

A batch is a pure function of (seed, step): a run that was killed goes on with exactly the batches it would have seen.
"""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mono_depth_ros.datasets.rendered.rendered_cache import SyntheticImage
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.training.augmentation import Augmentation, augment_image, empty_image, random_look
from mono_depth_ros.training.known_ground import UNKNOWN, GroundHints, ground_of
from mono_depth_ros.training.point_patterns import PointPatterns, sample_points
from mono_depth_ros.training.views import random_view

Rng = np.random.Generator
Float32 = npt.NDArray[np.float32]
KEPT_SHARE = (0.125, 0.75)  # of the points, or of their rows, when an image's points are thinned out
TRUSTED_POINT = 0.08  # a given point whose log depth is farther from the truth than this is not a point to go through


class ImageSource(Protocol):
    """Anything with images by number: a SyntheticDataset, a list."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> SyntheticImage: ...


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSample:
    """One augmented image, in the network's units (metres at the training focal length).

    Attributes:
        rgb: float32 [3, H, W], 0..1.
        truth_depth_m: float32 [H, W]; NaN unknown, inf sky.
        points: the sparse input, noise and all.
        shown_depth_m: as `truth_depth_m`, what the image shows: the truth before it was rescaled.
        rescaled: whether both differ.
        predictable: whether the image tells its metric depth (not when emptied).
        ground: float32 [4], the plane of the ground as far as it is known; see `known_ground`.
    """

    rgb: Float32
    truth_depth_m: Float32
    points: SparseDepth
    shown_depth_m: Float32
    rescaled: bool
    predictable: bool
    ground: Float32 = field(default_factory=UNKNOWN.copy)


@dataclass(frozen=True, slots=True, eq=False)
class RigTensors:
    """How B clips see each other: M moments of a rig of N cameras one after another, B = M N.

    Attributes:
        cameras: N.
        T_rig_camera: float32 [B, 4, 4], where each camera is mounted.
        others: int64 [B, S], clips of the batch that see something of what this one sees; -1 for none.
        T_other_camera: float32 [B, S, 4, 4], takes points of a camera to that other camera.
        visible: bool [B, 1, H, W], where an image does not show the robot itself.
    """

    cameras: int
    T_rig_camera: Tensor
    others: Tensor
    T_other_camera: Tensor
    visible: Tensor

    def to(self, device: torch.device) -> "RigTensors":
        """The same on a device."""
        moved = (getattr(self, entry.name).to(device) for entry in fields(self)[1:])
        return RigTensors(self.cameras, *moved)


@dataclass(frozen=True, slots=True, eq=False)
class ClipTensors:
    """What view synthesis needs of B clips with C contexts each.

    Attributes:
        target_rgb: float32 [B, 3, H, W], 0..1, as recorded (the network sees an augmented copy).
        context_rgb: float32 [B, C, 3, H, W], as recorded.
        pose_target_rgb, pose_context_rgb: the same shapes, as the pose network sees them.
        K: float32 [B, 3, 3], intrinsics in pixels of the network's image, of target and contexts alike.
        T_context_target: float32 [B, C, 4, 4], by odometry, metres; NaN without.
        distance_m: float32 [B, C], how far the camera moved to each context, by pose or speed; NaN without.
        dt_s: float32 [B, C], time between target and context, positive.
        focal: float32 [B], depth in metres = focal * network depth.
        rig: how the clips see each other, where they are of a rig.
    """

    target_rgb: Tensor
    context_rgb: Tensor
    pose_target_rgb: Tensor
    pose_context_rgb: Tensor
    K: Tensor
    T_context_target: Tensor
    distance_m: Tensor
    dt_s: Tensor
    focal: Tensor
    rig: RigTensors | None = None

    def to(self, device: torch.device) -> "ClipTensors":
        """The same clips on a device."""
        own = (getattr(self, entry.name) for entry in fields(self))
        return ClipTensors(*(None if value is None else value.to(device) for value in own))


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B samples as tensors.

    Attributes:
        rgb: float32 [B, 3, H, W], 0..1.
        truth_depth_m: float32 [B, 1, H, W]; NaN unknown, inf sky; network units.
        bvu: int64 [N, 3], image, row, column of the points of all images.
        points_depth_m: float32 [N], as given to the network.
        trusted_depth_m: float32 [N], the truth at the points; 0 where the given depth is far from it.
        predict_weight: float32 [B], weight of the prediction loss.
        clips: the images around these, where they come from a drive. `truth_depth_m` is then what supervises, if
            anything does: truth, or NaN beside the recorded points.
        kept: bool [N], the points that are left when they are thinned out; None where nothing asks for it.
        shown_depth_m: as `truth_depth_m`, for the prediction, where images were rescaled; None for the same.
        rescaled: bool [B], which images were; None for none.
        ground: float32 [B, 4], the plane of the ground as far as it is known; None where nothing asks for it.
    """

    rgb: Tensor
    truth_depth_m: Tensor
    bvu: Tensor
    points_depth_m: Tensor
    trusted_depth_m: Tensor
    predict_weight: Tensor
    clips: ClipTensors | None = None
    kept: Tensor | None = None
    shown_depth_m: Tensor | None = None
    rescaled: Tensor | None = None
    ground: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        values = (getattr(self, entry.name) for entry in fields(self))
        return Batch(*(None if value is None else value.to(device) for value in values))

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """All tensors by name, to keep a batch in a file."""
        named: list[tuple[str, Batch | ClipTensors]] = [("", self)]
        if self.clips is not None:
            named.append(("clips_", self.clips))
        return {
            f"{prefix}{entry.name}": getattr(part, entry.name).cpu().numpy()
            for prefix, part in named
            for entry in fields(part)
            if isinstance(getattr(part, entry.name), Tensor)
        }


def focal_factor(camera: PinholeCamera, trained_fx_px: float | None) -> float:
    """f = fx / trained_fx: depth_m = f * network depth. Twice the focal length makes things look twice as near.

    1 without a focal length: then the network's depth is metres whatever the camera.
    """
    return 1.0 if trained_fx_px is None else camera.fx_px / trained_fx_px


def mirrored(camera: PinholeCamera) -> PinholeCamera:
    """The camera of the image mirrored left to right."""
    cx = camera.width_px - 1 - camera.cx_px
    return PinholeCamera(camera.width_px, camera.height_px, camera.fx_px, camera.fy_px, cx, camera.cy_px)


def training_sample(
    rng: Rng,
    image: SyntheticImage,
    trained_fx_px: float | None,
    max_depth_m: float,
    augmentation: Augmentation,
    patterns: PointPatterns,
    hints: GroundHints | None = None,
) -> TrainingSample:
    """Augment one image and draw its points.

    Args:
        rng: source of randomness.
        image: the image; its size is the network's.
        trained_fx_px: focal length at network resolution that depths are normalised to; None leaves them as they are.
        max_depth_m: farther surfaces count as sky (network units).
        augmentation: what to do to the image.
        patterns: what points to draw.
        hints: how the plane of the ground is known; None for not at all.
    """
    depth, rgb, camera = image.depth_m, image.image_rgb, image.camera
    if rng.uniform() < augmentation.flip:
        depth, rgb, camera = depth[:, ::-1], rgb[:, ::-1], mirrored(camera)
    shown = truth = depth * np.float32(1.0 / focal_factor(camera, trained_fx_px))
    rescaled = rng.uniform() < augmentation.rescale
    if rescaled:
        truth = shown * np.float32(np.exp(rng.normal(0.0, augmentation.rescale_sigma)))
    points = sample_points(rng, truth, camera, patterns, focal_factor(camera, trained_fx_px))
    shown, truth = (np.where(far > max_depth_m, np.float32(np.inf), far) for far in (shown, truth))
    picture = augment_image(rng, rgb, random_look(rng, augmentation))
    emptied = rng.uniform() < augmentation.empty
    if emptied:
        picture = empty_image(rng, picture)
    chw = np.ascontiguousarray(np.moveaxis(picture, 2, 0))
    # a rescaled world contradicts its image: there is no ground that fits both modes
    ground = UNKNOWN if hints is None or rescaled else ground_of(rng, truth, camera, hints)
    return TrainingSample(
        chw, truth.astype(np.float32), points, shown.astype(np.float32), bool(rescaled), not emptied, ground
    )


def collate(
    samples: Sequence[TrainingSample], chaos_weight: Sequence[float] | None = None, with_ground: bool = False
) -> Batch:
    """Stack samples; `chaos_weight` scales the prediction weight per sample."""
    bvu, depth, trusted = [], [], []
    for b, sample in enumerate(samples):
        points = sample.points
        bvu.append(np.stack([np.full_like(points.rows, b), points.rows, points.cols], axis=1))
        depth.append(points.depth_m)
        truth = sample.truth_depth_m[points.rows, points.cols]
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.abs(np.log(points.depth_m) - np.log(truth))
        trusted.append(np.where(off < TRUSTED_POINT, truth, np.float32(0.0)))
    rescaled = [sample.rescaled for sample in samples]
    weights = [1.0] * len(samples) if chaos_weight is None else list(chaos_weight)
    return Batch(
        torch.from_numpy(np.stack([s.rgb for s in samples])),
        torch.from_numpy(np.stack([s.truth_depth_m for s in samples])[:, None]),
        torch.from_numpy(np.concatenate(bvu)),
        torch.from_numpy(np.concatenate(depth).astype(np.float32)),
        torch.from_numpy(np.concatenate(trusted).astype(np.float32)),
        torch.tensor([w * float(s.predictable) for w, s in zip(weights, samples, strict=True)]),
        shown_depth_m=torch.from_numpy(np.stack([s.shown_depth_m for s in samples])[:, None])
        if any(rescaled)
        else None,
        rescaled=torch.tensor(rescaled) if any(rescaled) else None,
        ground=torch.from_numpy(np.stack([s.ground for s in samples])) if with_ground else None,
    )


@dataclass(frozen=True, slots=True)
class BatchRecipe:
    """What a batch is made of.

    Attributes:
        seed: of the run.
        trained_fx_px, max_depth_m, augmentation, patterns: see `training_sample`.
        chaos_prediction: weight of predictions in worlds that tell no scale.
        shapes: (width, height) that batches are drawn from, each a view of its image; empty for the images as they are.
        least_zoom: see `views.random_view`.
        ground: how the plane of the ground is known.
    """

    seed: int
    trained_fx_px: float | None
    max_depth_m: float
    augmentation: Augmentation
    patterns: PointPatterns
    chaos_prediction: float
    shapes: tuple[tuple[int, int], ...] = ()
    least_zoom: float = 0.6
    ground: GroundHints = field(default_factory=GroundHints)


def order_of(count: int, seed: int, positions: range) -> list[int]:
    """Which of `count` items stand at these positions: each once per epoch, the order a matter of seed and epoch."""
    orders = {
        epoch: np.random.default_rng([seed, 7, epoch]).permutation(count) for epoch in {p // count for p in positions}
    }
    return [int(orders[position // count][position % count]) for position in positions]


def batch_at(source: ImageSource, recipe: BatchRecipe, positions: range) -> Batch:
    """The images at some positions of the endless stream; a position's sample depends on seed and position only."""
    samples, weights = [], []
    of_batch = np.random.default_rng([recipe.seed, 13, positions.start])
    shape = recipe.shapes[int(of_batch.integers(len(recipe.shapes)))] if recipe.shapes else None
    hints = recipe.ground if of_batch.uniform() < recipe.ground.share else None
    for position, index in zip(positions, order_of(len(source), recipe.seed, positions), strict=True):
        image = source[index]
        rng = np.random.default_rng([recipe.seed, 11, position])
        if shape is not None:
            image = random_view(rng, image, *shape, recipe.least_zoom)
        samples.append(
            training_sample(
                rng, image, recipe.trained_fx_px, recipe.max_depth_m, recipe.augmentation, recipe.patterns, hints
            )
        )
        weights.append(recipe.chaos_prediction if image.chaos else 1.0)
    return collate(samples, weights, with_ground=hints is not None)


def with_kept_points(batch: Batch, seed: int, positions: range) -> Batch:
    """The batch with a part of its points chosen to be kept when they are thinned out.

    Per image a share of 1/8 to 3/4 is kept, in half of the images of the points, in the others of the image rows, as a
    scanner with fewer beams would see. The choice depends on seed and position only.

    Args:
        batch: its images are at the positions, in this order.
        seed: of the run.
        positions: of the endless stream.
    """
    kept = torch.zeros(len(batch.bvu), dtype=torch.bool)
    for b, position in enumerate(positions):
        rng = np.random.default_rng([seed, 17, position])
        of_image = torch.nonzero(batch.bvu[:, 0] == b)[:, 0]
        share, by_rows = rng.uniform(*KEPT_SHARE), rng.uniform() < 0.5
        chances = rng.uniform(size=batch.rgb.shape[2] if by_rows else len(of_image))
        at = batch.bvu[of_image, 1].numpy() if by_rows else np.arange(len(of_image))
        kept[of_image] = torch.from_numpy(chances[at] < share)
    return replace(batch, kept=kept)


def positions_of(step: int, batch_size: int, rank: int = 0, world: int = 1) -> range:
    """The part of a step's batch that process `rank` of `world` computes."""
    share = batch_size // world
    return range(step * batch_size + rank * share, step * batch_size + (rank + 1) * share)


def stream(make: Callable[[int], Batch], first_step: int, ahead: int = 4) -> Generator[Batch, None, None]:
    """The batches of `make(step)` from `first_step` on, without end, made in two threads `ahead` of their use."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        waiting: list[Future[Batch]] = [pool.submit(make, first_step + i) for i in range(ahead)]
        step = first_step + ahead
        try:
            while True:
                yield waiting.pop(0).result()
                waiting.append(pool.submit(make, step))
                step += 1
        finally:
            for future in waiting:
                future.cancel()
