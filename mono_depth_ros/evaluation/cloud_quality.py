# SPDX-License-Identifier: Apache-2.0
"""What a robot meets in the node's cloud: points in the air, imprints of its LiDAR, rough surfaces.

    flying        share of the points that lie at a true edge and more than 0.5 m and 5 % from every surface there.
                  "There" are the true depths that fall on the 3x3 pixels around a point's own, an edge is where they
                  differ by more than a quarter and a metre. Points without a true depth there are in no number.
    right edge points lost
                  share of the published pixels that lie at a true edge on one of its surfaces, and became no point
    imprint       how far depth stands out at the pixels of its input points: the median of |inverse depth less the
                  mean of its four neighbours'| over inverse depth, there over elsewhere. 1: points leave no trace.
                  Both are of pixels without a depth edge beside them.
    normals       dispersion: the median over the same pixels of the angle sqrt(2 (1 - R)), R being the length of the
                  mean of the unit normals of the 3x3 pixels around; 0 on a plane

The last two need no truth; their names are those of FounRef (arXiv 2609.29224), the definitions are ours.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.evaluation.protocol_steps import Mask
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import SparseDepth, project_points

_EDGE_RATIO, _EDGE_M = 1.25, 1.0  # of the true depths around a pixel, at a true edge
_NEAR_RATIO, _NEAR_M = 0.05, 0.5  # of a point to a surface that it lies on
_SMOOTH_LOG = 0.1  # depth of the 3x3 pixels around differs by less, away from depth edges
_AROUND = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


@dataclass(frozen=True, slots=True)
class ImageCloud:
    """One image.

    Attributes:
        pixels, flying, right_edge: of the published depth, among pixels with true depth around.
        points, points_flying, points_right_edge: of those, what became points of the cloud.
        imprint: at input points over elsewhere; None without.
        normals_deg: dispersion; None without a smooth pixel.
    """

    pixels: int
    flying: int
    right_edge: int
    points: int
    points_flying: int
    points_right_edge: int
    imprint: float | None
    normals_deg: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def image_cloud_from_dict(content: Mapping[str, Any]) -> ImageCloud:
    """The opposite of ``ImageCloud.to_dict``."""
    return ImageCloud(**content)


def image_cloud(sample: DepthSample) -> ImageCloud | None:
    """How good the cloud of an image is; None where the node published nothing of it, or truth is missing."""
    published, cloud_m = sample.published, sample.cloud_m
    if published is None or cloud_m is None or sample.truth_depth_m is None or sample.truth_camera is None:
        return None
    seen, edge, near = _at_truth(published.depth_m, published.camera, sample.truth_depth_m, sample.truth_camera)
    counted = [seen, edge & ~near, edge & near]
    kept = np.isfinite(cloud_m)
    points_m = np.zeros((0, 3), np.float32) if sample.points_camera_m is None else sample.points_camera_m
    imprint, normals_deg = _roughness(published.depth_m, published.camera, project_points(points_m, published.camera))
    pixels, flying, right = (int(mask.sum()) for mask in counted)
    points, points_flying, points_right = (int((mask & kept).sum()) for mask in counted)
    return ImageCloud(pixels, flying, right, points, points_flying, points_right, imprint, normals_deg)


def cloud_rows(images: Iterable[ImageCloud]) -> list[dict[str, str]]:
    """The table of all images: what was published, and what became the cloud; empty without any pixel."""
    known = list(images)
    total = [sum(numbers) for numbers in zip(*(astuple(image)[:6] for image in known), strict=True)]
    if not known or not total[0]:
        return []
    pixels, flying, right_edge, points, points_flying, points_right_edge = total
    rows = []
    for name, count, in_air, right in (
        ("published depth", pixels, flying, right_edge),
        ("cloud", points, points_flying, points_right_edge),
    ):
        lost = f"{1.0 - right / right_edge:.1%}" if right_edge else "-"
        share = f"{in_air / count:.2%}" if count else "-"
        rows.append({"of the node": name, "points": str(count), "flying": share, "right edge points lost": lost})
    imprint = median_text([image.imprint for image in known], "{:.2f}")
    normals = median_text([image.normals_deg for image in known], "{:.1f} deg")
    rows[0] |= {"imprint": imprint, "normals": normals}
    rows[1] |= {"imprint": "", "normals": ""}
    return rows


def median_text(values: Iterable[float | None], form: str) -> str:
    """The median of the known values as text; "-" without any."""
    known = [value for value in values if value is not None]
    return form.format(float(np.median(known))) if known else "-"


def _at_truth(
    depth_m: DepthMap, camera: PinholeCamera, truth_m: DepthMap, truth_camera: PinholeCamera
) -> tuple[Mask, Mask, Mask]:
    """Per pixel, bool [H, W]: whether truth is around it, whether that is an edge, whether it lies on a surface."""
    points_m = truth_camera.unproject(truth_m)[np.isfinite(truth_m) & (truth_m > 0)]
    true_m = points_m[:, 2]
    cols = np.rint(camera.fx_px * points_m[:, 0] / true_m + camera.cx_px).astype(np.int64)
    rows = np.rint(camera.fy_px * points_m[:, 1] / true_m + camera.cy_px).astype(np.int64)
    nearest = np.full(depth_m.shape, np.inf, np.float32)
    farthest, near = np.zeros_like(nearest), np.zeros(depth_m.shape, bool)
    for down, right in _AROUND:
        row, col = rows + down, cols + right
        inside = (row >= 0) & (row < depth_m.shape[0]) & (col >= 0) & (col < depth_m.shape[1])
        at, there_m = (row[inside], col[inside]), true_m[inside]
        np.minimum.at(nearest, at, there_m)
        np.maximum.at(farthest, at, there_m)
        with np.errstate(invalid="ignore"):
            on_it = np.abs(depth_m[at] - there_m) <= np.maximum(_NEAR_M, _NEAR_RATIO * there_m)
        near[at[0][on_it], at[1][on_it]] = True
    seen = np.isfinite(depth_m) & (farthest > 0)
    edge = seen & (farthest > _EDGE_RATIO * nearest) & (farthest - nearest > _EDGE_M)
    return seen, edge, near


def _roughness(depth_m: DepthMap, camera: PinholeCamera, points: SparseDepth) -> tuple[float | None, float | None]:
    """The imprint of points, and the dispersion of normals in degrees."""
    known = np.isfinite(depth_m)
    filled_m = np.where(known, depth_m, np.float32(1e4))
    log_depth, around = np.log(filled_m), np.ones((3, 3), np.uint8)
    smooth = cv2.dilate(log_depth, around) - cv2.erode(log_depth, around) < _SMOOTH_LOG
    smooth &= known
    smooth[[0, -1]] = smooth[:, [0, -1]] = False
    inv_depth = 1.0 / filled_m
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4.0
    step = np.abs(inv_depth - cv2.filter2D(inv_depth, -1, cross)) * filled_m
    at_points = np.zeros_like(smooth)
    at_points[points.rows, points.cols] = True
    here, elsewhere = step[smooth & at_points], step[smooth & ~at_points]
    imprint = None
    if len(here) and len(elsewhere) and (usual := float(np.median(elsewhere))) > 0:
        imprint = float(np.median(here)) / usual
    return imprint, _normal_dispersion(camera.unproject(filled_m), smooth)


def _normal_dispersion(points_m: npt.NDArray[np.float32], smooth: Mask) -> float | None:
    if not smooth.any():
        return None
    right, down = np.gradient(points_m, axis=1), np.gradient(points_m, axis=0)
    normals = np.cross(right, down)
    normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
    length = np.linalg.norm(cv2.blur(normals, (3, 3)), axis=2)[smooth]
    angles = np.sqrt(np.maximum(2.0 * (1.0 - length), 0.0))
    return float(np.degrees(np.median(angles)))
