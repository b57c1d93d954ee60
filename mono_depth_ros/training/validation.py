# SPDX-License-Identifier: Apache-2.0
"""Quick validation during training: on rendered worlds never trained on, or on the held-out end of drives."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch

from mono_depth_ros.datasets.rendered.rendered_cache import SyntheticImage
from mono_depth_ros.evaluation.metrics import depth_metrics
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth, project_points, sparse_to_dense
from mono_depth_ros.networks.depth_network import DepthNetwork
from mono_depth_ros.networks.sparse_convolution import SparsePoints
from mono_depth_ros.training.batches import ImageSource, focal_factor
from mono_depth_ros.training.config import TrainConfig
from mono_depth_ros.training.drive_clips import DriveClips
from mono_depth_ros.training.point_patterns import beam_cells
from mono_depth_ros.training.views import central_view

Float32 = npt.NDArray[np.float32]
MAX_SCORED_M = 80.0


@dataclass(frozen=True, slots=True)
class Scores:
    """Mean AbsRel with the input points left out: streets by prediction, 4 and 32 beams; chaos worlds by beams."""

    street_prediction: float
    street_4_beams: float
    street_32_beams: float
    chaos_4_beams: float
    chaos_32_beams: float

    def to_dict(self) -> dict[str, float]:
        """Plain numbers by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DriveScores:
    """Means over held-out images of a drive, against its truth, or its points where it has no truth.

    Attributes:
        abs_rel: of the prediction as it is, in metres.
        abs_rel_scaled: the same after each image is scaled to the median of its truth.
        ratio: median over the images of the median of prediction / truth; 1 is metric.
        completion_abs_rel: of the completion from all recorded points, input points left out; NaN without truth.
        images: how many were scored.
    """

    abs_rel: float
    abs_rel_scaled: float
    ratio: float
    completion_abs_rel: float
    images: int

    def to_dict(self) -> dict[str, float]:
        """Plain numbers by name."""
        return asdict(self)


def even_beams(depth_m: np.ndarray, camera: PinholeCamera, count: int) -> SparseDepth:
    """Points of `count` beams spread over the lower four fifths of the image.

    Args:
        depth_m: float32 [H, W], truth; inf or NaN gives no point.
        camera: of the image.
        count: beams.
    """
    half = float(np.arctan(0.5 * camera.height_px / camera.fy_px))
    elevations = np.linspace(0.5 * half, -0.9 * half, count)
    rows, cols = beam_cells(camera, elevations, 0.0, np.arange(camera.width_px))
    depth = depth_m[rows, cols]
    good = np.isfinite(depth)
    flat, first = np.unique(rows[good] * camera.width_px + cols[good], return_index=True)
    return SparseDepth(
        camera.height_px, camera.width_px, flat // camera.width_px, flat % camera.width_px, depth[good][first]
    )


@torch.no_grad()
def validate(network: DepthNetwork, images: ImageSource, config: TrainConfig, trained_fx_px: float | None) -> Scores:
    """Scores of a network in eval mode, on the first images of a held-out source."""
    found: dict[str, list[float]] = {name: [] for name in ("prediction", "4", "32", "chaos 4", "chaos 32")}
    for index in range(min(config.validate_images, len(images))):
        image = images[index]
        if config.shapes:
            image = central_view(image, *config.shapes[index % len(config.shapes)])
        prefix = "chaos " if image.chaos else ""
        for beams in (4, 32) if image.chaos else (0, 4, 32):
            score = _abs_rel(network, image, beams, trained_fx_px)
            if score is not None:
                found["prediction" if beams == 0 else f"{prefix}{beams}"].append(score)
    means = [float(np.mean(scores)) if scores else float("nan") for scores in found.values()]
    return Scores(*means)


@torch.no_grad()
def validate_drive(
    network: DepthNetwork, source: DriveClips, config: TrainConfig, trained_fx_px: float | None
) -> DriveScores:
    """Scores of a network in eval mode, on held-out frames spread evenly over those there are."""
    count = min(config.validate_images, len(source.held_out))
    chosen = np.unique(np.linspace(0, max(len(source.held_out) - 1, 0), count).round().astype(int))
    plain, scaled, ratios, completed = [], [], [], []
    for drive, frame in (source.held_out[i] for i in chosen):
        images = source.drives[drive]
        camera, truth = images.camera(frame), images.truth(frame)
        points = project_points(images.points(frame), camera)
        known = sparse_to_dense(points) if truth is None else truth
        scored = np.isfinite(known) & (known < MAX_SCORED_M)
        factor = focal_factor(camera, trained_fx_px)
        if not scored.any():
            continue
        depth = _depth_m(network, np.array(images.images[frame]), None, factor)
        ratio = float(np.median(depth[scored] / known[scored]))
        ratios.append(ratio)
        plain.append(_score(depth, known, scored))
        scaled.append(_score(depth / ratio, known, scored))
        if truth is not None and network.config.sparse and len(points):
            scored[points.rows, points.cols] = False
            depth = _depth_m(network, np.array(images.images[frame]), points, factor)
            completed += [_score(depth, known, scored)] if scored.any() else []
    return DriveScores(
        abs_rel=_mean(plain),
        abs_rel_scaled=_mean(scaled),
        ratio=float(np.median(ratios)) if ratios else float("nan"),
        completion_abs_rel=_mean(completed),
        images=len(plain),
    )


def _mean(values: list[float]) -> float:
    """The mean; NaN of nothing."""
    return float(np.mean(values)) if values else float("nan")


def _score(depth_m: Float32, truth_m: Float32, scored: npt.NDArray[np.bool_]) -> float:
    """AbsRel of an image, the prediction limited to what is scored."""
    return depth_metrics(np.clip(depth_m, 0.1, MAX_SCORED_M)[scored], truth_m[scored]).abs_rel


def _depth_m(
    network: DepthNetwork, image_rgb: npt.NDArray[np.uint8], points: SparseDepth | None, factor: float
) -> Float32:
    """Metres float32 [H, W] of one image, by completion where points are given."""
    device = next(network.parameters()).device
    rgb = torch.from_numpy(image_rgb).to(device).permute(2, 0, 1)[None].float() / 255.0
    given = None
    if points is not None:
        bvu = np.stack([np.zeros_like(points.rows), points.rows, points.cols], axis=1)
        depth = torch.from_numpy(points.depth_m / np.float32(factor)).to(device)
        given = SparsePoints(torch.from_numpy(bvu).to(device), depth)
    inv_depth = network(rgb, given).inv_depths[0][0, 0].float().cpu().numpy()
    return np.asarray(np.float32(factor) / np.maximum(inv_depth, np.float32(1e-5)))


def _abs_rel(network: DepthNetwork, image: SyntheticImage, beams: int, trained_fx_px: float | None) -> float | None:
    scored = np.isfinite(image.depth_m) & (image.depth_m < MAX_SCORED_M)
    sparse = even_beams(image.depth_m, image.camera, beams) if beams else None
    if sparse is not None:
        scored[sparse.rows, sparse.cols] = False
    if not scored.any():
        return None
    depth = _depth_m(network, image.image_rgb, sparse, focal_factor(image.camera, trained_fx_px))
    return depth_metrics(np.clip(depth, 0.5, MAX_SCORED_M)[scored], image.depth_m[scored]).abs_rel
