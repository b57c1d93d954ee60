# SPDX-License-Identifier: Apache-2.0
"""Audit of a drive: which of its images a network puts a hole in the ground of, and what that looks like."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.evaluation.contact_sheet import Picture, coloured_depth, titled
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.ground_plane import GroundPlane
from mono_depth_ros.inference.ground_holes import DEFAULT_HOLE_POLICY, GroundHoles, HolePolicy, find_ground_holes
from mono_depth_ros.inference.network_image import Engine, fit_to_network, infer_batch

_HOLE_BGR, _GROUND_BGR, _POINT_BGR = (40, 40, 230), (60, 160, 60), (130, 130, 130)
_PANEL_PX = (480, 270)  # width, most height
_SIDE_HEIGHTS = 25.0, 3.0  # the side view shows so many camera heights ahead, and to both sides of the ground


@dataclass(frozen=True, slots=True)
class AuditedFrame:
    """What was found in one image.

    Attributes:
        data: URL of the data set.
        camera, stamp_ns, name: which image.
        is_hole: whether its predicted ground has a hole.
        share: of the image, that the largest group of pixels well below the ground covers.
        ground: "plane", or why none was found (then nothing can be said of the image).
        camera_height: above that plane, in the unit of the prediction; NaN without.
    """

    data: str
    camera: str
    stamp_ns: int
    name: str
    is_hole: bool
    share: float
    ground: str
    camera_height: float


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """One image with what the network and the audit say of it.

    Attributes:
        frame: the outcome.
        image_rgb: uint8 [H, W, 3] as the network saw it.
        camera: of that.
        depth_m: float32 [H, W], predicted; infinite where the network says sky.
        holes: of that depth.
    """

    frame: AuditedFrame
    image_rgb: npt.NDArray[np.uint8]
    camera: PinholeCamera
    depth_m: DepthMap
    holes: GroundHoles


def audit_image(engine: Engine, sample: DepthSample, url: str, policy: HolePolicy = DEFAULT_HOLE_POLICY) -> Audited:
    """Predicts the depth of one image without its points, and looks for holes in its ground."""
    fit = fit_to_network(sample.image_rgb, sample.camera, engine.contract)
    said = infer_batch(engine, [(fit, None)])[0]
    depth_m = said.depth_m
    if said.sky is not None:
        depth_m = np.where(said.sky > 0.5, np.float32(np.inf), depth_m)
    holes = find_ground_holes(depth_m, fit.camera, policy=policy)
    known = isinstance(holes.plane, GroundPlane)
    ground = "plane" if isinstance(holes.plane, GroundPlane) else holes.plane.reason
    height = holes.plane.height if isinstance(holes.plane, GroundPlane) else float("nan")
    frame = AuditedFrame(
        url, sample.camera_name, sample.stamp_ns, sample.name, known and holes.is_hole, holes.share, ground, height
    )
    return Audited(frame, fit.image_rgb, fit.camera, depth_m, holes)


def frames_csv(frames: Sequence[AuditedFrame]) -> str:
    """Every image, a line each."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(AuditedFrame)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(frame) for frame in frames)
    return text.getvalue()


def draw_audit(audited: Audited) -> bytes:
    """A JPEG: the image with the hole marked, its depth, and points and ground from the side."""
    height, width = audited.depth_m.shape
    size = (_PANEL_PX[0], max(1, min(_PANEL_PX[1], round(_PANEL_PX[0] * height / width))))
    image = cv2.resize(cv2.cvtColor(audited.image_rgb, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA)
    below = cv2.resize(audited.holes.below.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    outline, _ = cv2.findContours(below, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outline, -1, _HOLE_BGR, 2)
    finite = audited.depth_m[np.isfinite(audited.depth_m)]
    limits = (float(np.percentile(finite, 2)), float(np.percentile(finite, 98))) if finite.size else (1.0, 2.0)
    depth = coloured_depth(audited.depth_m, size, (limits[0], max(limits[1], 1.01 * limits[0])))
    panels = [titled(f"{100 * audited.frame.share:.2f} % of the image below the ground", image)]
    panels += [titled("predicted depth", depth), titled("from the side, in camera heights", _side_view(audited, size))]
    done, jpeg = cv2.imencode(".jpg", np.hstack(panels), [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise RuntimeError("OpenCV cannot write JPEG")
    return bytes(jpeg.tobytes())


def _side_view(audited: Audited, size: tuple[int, int]) -> Picture:
    """Forward distance to the right, height above the ground upwards; points below it by the margin in red."""
    width, height = size
    view = np.full((height, width, 3), 255, np.uint8)
    plane = audited.holes.plane
    if not isinstance(plane, GroundPlane):
        return view
    ahead, beside = _SIDE_HEIGHTS
    points = audited.camera.unproject(np.minimum(audited.depth_m, np.float32(1e6)))
    above = (points @ plane.normal) / plane.height + 1.0
    forward = points[..., 2] / plane.height
    cols = np.clip(forward / ahead * (width - 1), 0, width - 1).astype(int)
    rows = np.clip((beside - above) / (2 * beside) * (height - 1), 0, height - 1).astype(int)
    order = ((~audited.holes.below, _POINT_BGR), (audited.holes.below, _HOLE_BGR))
    for chosen, colour in order:
        view[rows[chosen], cols[chosen]] = colour
    cv2.line(view, (0, height // 2), (width, height // 2), _GROUND_BGR, 1)
    for tick in range(5, int(ahead), 5):
        at = round(tick / ahead * (width - 1))
        cv2.putText(view, str(tick), (at, height - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (0, 0, 0), 1, cv2.LINE_AA)
    return view
