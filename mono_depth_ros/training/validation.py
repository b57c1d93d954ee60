# SPDX-License-Identifier: Apache-2.0
"""Quick validation during training: AbsRel on worlds never trained on, without points and with two fixed patterns."""

from dataclasses import asdict, dataclass

import numpy as np
import torch

from mono_depth_ros.datasets.synthetic_dataset import SyntheticImage
from mono_depth_ros.evaluation.metrics import depth_metrics
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth
from mono_depth_ros.networks.packnet_san import PackNetSan, SparsePoints
from mono_depth_ros.training.batches import ImageSource, focal_factor
from mono_depth_ros.training.config import TrainConfig
from mono_depth_ros.training.point_patterns import beam_cells

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
def validate(network: PackNetSan, images: ImageSource, config: TrainConfig) -> Scores:
    """Scores of a network in eval mode, on the first images of a held-out source."""
    found: dict[str, list[float]] = {name: [] for name in ("prediction", "4", "32", "chaos 4", "chaos 32")}
    for index in range(min(config.validate_images, len(images))):
        image = images[index]
        prefix = "chaos " if image.chaos else ""
        for beams in (4, 32) if image.chaos else (0, 4, 32):
            score = _abs_rel(network, image, beams, config)
            if score is not None:
                found["prediction" if beams == 0 else f"{prefix}{beams}"].append(score)
    means = [float(np.mean(scores)) if scores else float("nan") for scores in found.values()]
    return Scores(*means)


def _abs_rel(network: PackNetSan, image: SyntheticImage, beams: int, config: TrainConfig) -> float | None:
    device = next(network.parameters()).device
    factor = focal_factor(image.camera, config.trained_fx_px)
    rgb = torch.from_numpy(image.image_rgb).to(device).permute(2, 0, 1)[None].float() / 255.0
    scored = np.isfinite(image.depth_m) & (image.depth_m < MAX_SCORED_M)
    points = None
    if beams:
        sparse = even_beams(image.depth_m, image.camera, beams)
        scored[sparse.rows, sparse.cols] = False
        bvu = np.stack([np.zeros_like(sparse.rows), sparse.rows, sparse.cols], axis=1)
        points = SparsePoints(
            torch.from_numpy(bvu).to(device), torch.from_numpy(sparse.depth_m / np.float32(factor)).to(device)
        )
    if not scored.any():
        return None
    inv_depth = network(rgb, points).inv_depths[0][0, 0].float().cpu().numpy()
    depth = factor / np.maximum(inv_depth, 1e-5)
    return depth_metrics(np.clip(depth, 0.5, MAX_SCORED_M)[scored], image.depth_m[scored]).abs_rel
