# SPDX-License-Identifier: Apache-2.0
"""From rendered images to training batches: focal normalisation, augmentation, sparse points, prefetching.

A batch is a pure function of (seed, step): a run that was killed goes on with exactly the batches it would have seen.
"""

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mono_depth_ros.datasets.synthetic_dataset import SyntheticImage
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.training.augmentation import Augmentation, augment_image, empty_image
from mono_depth_ros.training.point_patterns import PointPatterns, sample_points

Rng = np.random.Generator
Float32 = npt.NDArray[np.float32]
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
        predictable: whether the image tells its metric depth (not when emptied or rescaled).
    """

    rgb: Float32
    truth_depth_m: Float32
    points: SparseDepth
    predictable: bool


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
    """

    rgb: Tensor
    truth_depth_m: Tensor
    bvu: Tensor
    points_depth_m: Tensor
    trusted_depth_m: Tensor
    predict_weight: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        tensors = (getattr(self, entry.name) for entry in fields(self))
        return Batch(*(tensor.to(device) for tensor in tensors))


def focal_factor(camera: PinholeCamera, trained_fx_px: float) -> float:
    """f = fx / trained_fx: depth_m = f * network depth. Twice the focal length makes things look twice as near."""
    return camera.fx_px / trained_fx_px


def mirrored(camera: PinholeCamera) -> PinholeCamera:
    """The camera of the image mirrored left to right."""
    cx = camera.width_px - 1 - camera.cx_px
    return PinholeCamera(camera.width_px, camera.height_px, camera.fx_px, camera.fy_px, cx, camera.cy_px)


def training_sample(
    rng: Rng,
    image: SyntheticImage,
    trained_fx_px: float,
    max_depth_m: float,
    augmentation: Augmentation,
    patterns: PointPatterns,
) -> TrainingSample:
    """Augment one image and draw its points.

    Args:
        rng: source of randomness.
        image: the image; its size is the network's.
        trained_fx_px: focal length at network resolution that depths are normalised to.
        max_depth_m: farther surfaces count as sky (network units).
        augmentation: what to do to the image.
        patterns: what points to draw.
    """
    depth, rgb, camera = image.depth_m, image.image_rgb, image.camera
    if rng.uniform() < augmentation.flip:
        depth, rgb, camera = depth[:, ::-1], rgb[:, ::-1], mirrored(camera)
    factor = 1.0 / focal_factor(camera, trained_fx_px)
    rescaled = rng.uniform() < augmentation.rescale
    if rescaled:
        factor *= float(np.exp(rng.normal(0.0, augmentation.rescale_sigma)))
    truth = depth * np.float32(factor)
    points = sample_points(rng, truth, camera, patterns)
    truth = np.where(truth > max_depth_m, np.float32(np.inf), truth)
    picture = augment_image(rng, rgb, augmentation)
    emptied = rng.uniform() < augmentation.empty
    if emptied:
        picture = empty_image(rng, picture)
    chw = np.ascontiguousarray(np.moveaxis(picture, 2, 0))
    return TrainingSample(chw, truth.astype(np.float32), points, not (rescaled or emptied))


def collate(samples: Sequence[TrainingSample], chaos_weight: Sequence[float] | None = None) -> Batch:
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
    weights = [1.0] * len(samples) if chaos_weight is None else list(chaos_weight)
    return Batch(
        torch.from_numpy(np.stack([s.rgb for s in samples])),
        torch.from_numpy(np.stack([s.truth_depth_m for s in samples])[:, None]),
        torch.from_numpy(np.concatenate(bvu)),
        torch.from_numpy(np.concatenate(depth).astype(np.float32)),
        torch.from_numpy(np.concatenate(trusted).astype(np.float32)),
        torch.tensor([w * float(s.predictable) for w, s in zip(weights, samples, strict=True)]),
    )


@dataclass(frozen=True, slots=True)
class BatchRecipe:
    """What a batch is made of; `chaos_prediction` weighs predictions in worlds that tell no scale."""

    batch_size: int
    seed: int
    trained_fx_px: float
    max_depth_m: float
    augmentation: Augmentation
    patterns: PointPatterns
    chaos_prediction: float


def batch_at(source: ImageSource, recipe: BatchRecipe, step: int) -> Batch:
    """The batch of one step: every image once per epoch, in an order that depends on seed and epoch only."""
    count = len(source)
    positions = range(step * recipe.batch_size, (step + 1) * recipe.batch_size)
    orders = {
        epoch: np.random.default_rng([recipe.seed, 7, epoch]).permutation(count)
        for epoch in {p // count for p in positions}
    }
    samples, weights = [], []
    for position in positions:
        image = source[int(orders[position // count][position % count])]
        rng = np.random.default_rng([recipe.seed, 11, position])
        samples.append(
            training_sample(rng, image, recipe.trained_fx_px, recipe.max_depth_m, recipe.augmentation, recipe.patterns)
        )
        weights.append(recipe.chaos_prediction if image.chaos else 1.0)
    return collate(samples, weights)


def batches(source: ImageSource, recipe: BatchRecipe, first_step: int, ahead: int = 3) -> Generator[Batch, None, None]:
    """Batches from `first_step` on, without end, made in a thread `ahead` of their use."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: list[Future[Batch]] = [pool.submit(batch_at, source, recipe, first_step + i) for i in range(ahead)]
        step = first_step + ahead
        try:
            while True:
                yield waiting.pop(0).result()
                waiting.append(pool.submit(batch_at, source, recipe, step))
                step += 1
        finally:
            for future in waiting:
                future.cancel()
