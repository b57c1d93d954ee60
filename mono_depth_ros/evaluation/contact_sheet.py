# SPDX-License-Identifier: Apache-2.0
"""One frame of an evaluation at a glance: image, truth, prediction, completion, and where they are wrong."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.evaluation.evaluate import ImageDepths
from mono_depth_ros.evaluation.method_depths import CLASSICAL, COMPLETION, NEAREST, PREDICTION, PUBLISHED
from mono_depth_ros.evaluation.protocol_steps import Mask
from mono_depth_ros.evaluation.protocols import Protocol
from mono_depth_ros.evaluation.score_slices import SCORED
from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import sparse_to_dense

Picture = npt.NDArray[np.uint8]

# Errors of this share of the truth and more have the last colour.
MOST_ERROR = 0.5
_PANEL_PX, _MOST_HEIGHT_PX = 620, 420
_BAR_PX, _HEAD_PX = 46, 26
_UNKNOWN_BGR = (48, 48, 48)
_TITLES = {
    PUBLISHED: "published by the node",
    PREDICTION: "prediction",
    COMPLETION: "completion",
    NEAREST: "nearest point",
    CLASSICAL: "classical",
}
# A map with fewer known pixels than this is drawn with larger dots.
_DENSE_SHARE = 0.4


def shown_depths_m(protocol: Protocol) -> tuple[float, float]:
    """The depths of the first and last colour, the same for all frames of an evaluation."""
    edges = protocol.range_edges_m
    return edges[1] / 5.0, min(edges[-1], protocol.max_truth_m)


def draw_contact_sheet(depths: ImageDepths, protocol: Protocol) -> bytes:
    """A JPEG: two panels per line, and colour bars of depth and of error below."""
    limits = shown_depths_m(protocol)
    height, width = depths.truth_m.shape
    size = (_PANEL_PX, max(1, min(_MOST_HEIGHT_PX, round(_PANEL_PX * height / width))))
    methods = [method for method in (PUBLISHED, PREDICTION, COMPLETION) if method in depths.depths_m]
    methods = methods or [method for method in (NEAREST, CLASSICAL) if method in depths.depths_m]
    points = f", {len(depths.sparse)} points" if len(depths.sparse) else ", no points"
    panels = [
        titled(f"image{points}", _image_with_points(depths, size, limits)),
        titled(f"truth, {depths.score.pixels[SCORED]} pixels scored", coloured_depth(depths.truth_m, size, limits)),
    ]
    if len(methods) == 1:
        panels += [_depth_of(depths, methods[0], size, limits), _error_of(depths, methods[0], size)]
    else:
        panels += [_depth_of(depths, method, size, limits) for method in methods]
        panels += [_error_of(depths, method, size) for method in methods]
    lines = [np.hstack(panels[at : at + 2]) for at in range(0, len(panels), 2)]
    bars = np.hstack([_depth_bar(limits), _error_bar()])
    done, jpeg = cv2.imencode(".jpg", np.vstack([*lines, bars]), [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not done:
        raise RuntimeError("OpenCV cannot write JPEG")
    return bytes(jpeg.tobytes())


def _depth_of(depths: ImageDepths, method: str, size: tuple[int, int], limits: tuple[float, float]) -> Picture:
    return titled(_TITLES[method], coloured_depth(depths.depths_m[method], size, limits))


def _error_of(depths: ImageDepths, method: str, size: tuple[int, int]) -> Picture:
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(depths.depths_m[method] - depths.truth_m) / depths.truth_m
    share = np.clip(error / MOST_ERROR, 0.0, 1.0).astype(np.float32)
    abs_rel = depths.score.metrics[SCORED][method].abs_rel
    panel = _coloured(share, depths.scored, size, cv2.COLORMAP_INFERNO)
    return titled(f"error of {_TITLES[method]}, AbsRel {abs_rel:.3f}", panel)


def _image_with_points(depths: ImageDepths, size: tuple[int, int], limits: tuple[float, float]) -> Picture:
    image = cv2.cvtColor(depths.sample.image_rgb, cv2.COLOR_RGB2BGR)
    panel = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if len(depths.sparse):
        points_m = sparse_to_dense(depths.sparse)
        known = np.isfinite(points_m)
        small_m, small_known = _shrunk(_log_share(points_m, limits), known, size)
        panel[small_known] = _colours(small_m, cv2.COLORMAP_TURBO)[small_known]
    return np.asarray(panel, np.uint8)


def coloured_depth(depth_m: DepthMap, size: tuple[int, int], limits: tuple[float, float]) -> Picture:
    """BGR picture of `size` (width, height): logarithmic between the limits in metres, grey where depth is unknown."""
    with np.errstate(invalid="ignore"):
        known = np.isfinite(depth_m) & (depth_m > 0)
    return _coloured(_log_share(depth_m, limits), known, size, cv2.COLORMAP_TURBO)


def _log_share(depth_m: DepthMap, limits: tuple[float, float]) -> DepthMap:
    """0 far to 1 near, by the logarithm; NaN stays."""
    low, high = np.log(limits[0]), np.log(limits[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (high - np.log(depth_m)) / (high - low)
    return np.asarray(np.clip(share, 0.0, 1.0), np.float32)


def _coloured(share: DepthMap, known: Mask, size: tuple[int, int], colours: int) -> Picture:
    small, small_known = _shrunk(share, known, size)
    panel = _colours(small, colours)
    panel[~small_known] = _UNKNOWN_BGR
    return panel


def _shrunk(share: DepthMap, known: Mask, size: tuple[int, int]) -> tuple[DepthMap, Mask]:
    """At the size of a panel; few pixels become dots, of which the highest value (the nearest, the worst) wins."""
    values = np.where(known, share, np.float32(-1.0))
    if known.mean() < _DENSE_SHARE:
        side = 2 * max(1, round(1.2 * known.shape[1] / size[0])) + 1
        values = cv2.dilate(values, np.ones((side, side), np.uint8))
    values = cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)
    return np.maximum(values, 0.0), values >= 0.0


def _colours(share: DepthMap, colours: int) -> Picture:
    return np.asarray(cv2.applyColorMap(np.round(share * 255.0).astype(np.uint8), colours), np.uint8)


def titled(text: str, panel: Picture) -> Picture:
    """A panel with a line of text above it and a white border to its right."""
    head = np.full((_HEAD_PX, panel.shape[1], 3), 255, np.uint8)
    cv2.putText(head, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    framed = np.vstack([head, panel])
    framed[:, -3:] = 255
    return framed


def _depth_bar(limits: tuple[float, float]) -> Picture:
    steps = [1.0, 2.0, 5.0]
    decades = [step * 10.0**power for power in range(-2, 4) for step in steps]
    ticks = [depth for depth in decades if limits[0] * 1.1 <= depth <= limits[1] * 0.95]
    places = [float(_log_share(np.array([depth], np.float32), limits)[0]) for depth in ticks]
    # Near at the left, so places run from 1 to 0.
    share = np.linspace(1.0, 0.0, _PANEL_PX - 80, dtype=np.float32)
    return _bar(
        share, cv2.COLORMAP_TURBO, [f"{depth:g}" for depth in ticks], [1.0 - place for place in places], "depth m"
    )


def _error_bar() -> Picture:
    share = np.linspace(0.0, 1.0, _PANEL_PX - 80, dtype=np.float32)
    ticks = [0.0, 0.1, 0.2, 0.3, 0.4]
    names = [*(f"{tick:.0%}" for tick in ticks), f"{MOST_ERROR:.0%}+"]
    return _bar(share, cv2.COLORMAP_INFERNO, names, [*(tick / MOST_ERROR for tick in ticks), 0.98], "error")


def _bar(share: DepthMap, colours: int, names: Sequence[str], places: Sequence[float], title: str) -> Picture:
    bar = np.full((_BAR_PX, _PANEL_PX, 3), 255, np.uint8)
    bar[6:24, 70:-10] = _colours(share[None], colours)
    cv2.putText(bar, title, (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    for name, place in zip(names, places, strict=True):
        left = 70 + round(place * (len(share) - 1))
        cv2.line(bar, (left, 22), (left, 28), (0, 0, 0), 1)
        cv2.putText(bar, name, (left - 4 * len(name), 42), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return bar
