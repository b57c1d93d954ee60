# SPDX-License-Identifier: Apache-2.0
"""The depth result at the size that is asked for, and the pictures made of it."""

from dataclasses import dataclass

import cv2
import numpy as np

from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.inference.pipeline import at_image_size
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.snapshot import RgbImage, SensorSnapshot

OUTPUT_SIZES = ("network", "image")
_CAPTION_FROM_PX = 90


@dataclass(frozen=True, slots=True, eq=False)
class OutputView:
    """Depth, colour and intrinsics of one size.

    Attributes:
        camera: intrinsics of both images.
        depth_m: float32 [h, w], metres along z, NaN where unknown.
        image_rgb: uint8 [h, w, 3].
        sigma_m: float32 [h, w], standard deviation of the depth, metres, NaN where unknown; None if the model tells
            none.
    """

    camera: PinholeCamera
    depth_m: DepthMap
    image_rgb: RgbImage
    sigma_m: DepthMap | None = None


def output_view(result: DepthResult, snapshot: SensorSnapshot, size: str) -> OutputView:
    """The result at network resolution (``size`` "network"), or at that of the camera image ("image")."""
    if size == "image":
        result = at_image_size(result, snapshot)
    return OutputView(result.camera, result.depth_m, result.image_rgb, result.sigma_m)


def with_caption(picture: RgbImage, caption: str) -> RgbImage:
    """A picture with a line of text along its lower edge; one too small to be read is left as it is.

    Args:
        picture: uint8 [h, w, 3], RGB.
        caption: plain ASCII.
    """
    height, width = picture.shape[:2]
    if height < _CAPTION_FROM_PX or not caption:
        return picture
    scale = min(0.5, height / 400)
    (text_width, text_height), _ = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    scale *= min(1.0, (width - 8) / text_width)
    captioned = picture.copy()
    captioned[height - text_height - 8 :] //= 3
    at = (4, height - 5)
    cv2.putText(captioned, caption, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return captioned


def colour_depth(depth_m: DepthMap, max_depth_m: float) -> RgbImage:
    """A picture of depth: near is warm, far is cold, unknown is black; steps follow inverse depth, as the eye does.

    Args:
        depth_m: float32 [h, w], metres, NaN where unknown.
        max_depth_m: this and more is the coldest colour.

    Returns:
        uint8 [h, w, 3], RGB.
    """
    known = np.isfinite(depth_m) & (depth_m > 0)
    # Warm ends at 1/20 of the far end: a nearer surface fills most of the picture and needs no finer steps.
    near_inv, far_inv = 20.0 / max_depth_m, 1.0 / max_depth_m
    inv_depth = 1.0 / np.where(known, depth_m, max_depth_m)
    warmth = np.clip((inv_depth - far_inv) / (near_inv - far_inv), 0.0, 1.0) ** 0.5
    bgr = cv2.applyColorMap(np.rint(255 * warmth).astype(np.uint8), cv2.COLORMAP_TURBO)
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    rgb[~known] = 0
    return np.asarray(rgb, np.uint8)
