# SPDX-License-Identifier: Apache-2.0
"""Views cut from rendered images: any ratio of sides, square pixels, another zoom each time an image is seen."""

import cv2
import numpy as np

from mono_depth_ros.datasets.rendered.rendered_cache import SyntheticImage
from mono_depth_ros.geometry.camera import PinholeCamera

Rng = np.random.Generator
OFF_CENTRE = 0.5  # how much of the room around a view it may be moved by
LARGEST_ENLARGEMENT = 1.5


def random_view(rng: Rng, image: SyntheticImage, width_px: int, height_px: int, least_zoom: float) -> SyntheticImage:
    """A view of a random part of an image.

    Args:
        rng: source of randomness.
        image: rendered, of any size.
        width_px, height_px: of the view.
        least_zoom: the view shows between this share and all of the width or height that there is room for,
            log-uniform.
    """
    zoom = float(np.exp(rng.uniform(np.log(least_zoom), 0.0)))
    return _view(image, width_px, height_px, zoom, rng.uniform(-OFF_CENTRE, OFF_CENTRE, 2))


def central_view(image: SyntheticImage, width_px: int, height_px: int) -> SyntheticImage:
    """The largest view of this size about the middle of an image."""
    return _view(image, width_px, height_px, 1.0, np.zeros(2))


def _view(
    image: SyntheticImage,
    width_px: int,
    height_px: int,
    zoom: float,
    moved: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> SyntheticImage:
    """The part of an image that a camera with square pixels sees; `moved` by shares of half the room beside it."""
    camera = image.camera
    squareness = camera.fy_px / camera.fx_px  # rows of the image per column, for the same angle
    across = min(camera.width_px, camera.height_px / squareness * width_px / height_px)
    across = min(camera.width_px, max(across * zoom, min(across, width_px / LARGEST_ENLARGEMENT)))
    down = across * squareness * height_px / width_px
    left = 0.5 * (camera.width_px - across) * (1.0 + moved[0])
    top = 0.5 * (camera.height_px - down) * (1.0 + moved[1])
    x_scale, y_scale = width_px / across, height_px / down
    seen = PinholeCamera(
        width_px,
        height_px,
        camera.fx_px * x_scale,
        camera.fy_px * y_scale,
        (camera.cx_px + 0.5 - left) * x_scale - 0.5,
        (camera.cy_px + 0.5 - top) * y_scale - 0.5,
    )
    columns = (left + (np.arange(width_px) + 0.5) / x_scale - 0.5).astype(np.float32)
    rows = (top + (np.arange(height_px) + 0.5) / y_scale - 0.5).astype(np.float32)
    nearest = np.ix_(
        np.clip(np.rint(rows), 0, camera.height_px - 1).astype(np.intp),
        np.clip(np.rint(columns), 0, camera.width_px - 1).astype(np.intp),
    )
    return SyntheticImage(_resampled(image, columns, rows, x_scale), image.depth_m[nearest], seen, image.chaos)


def _resampled(image: SyntheticImage, columns: np.ndarray, rows: np.ndarray, scale: float) -> np.ndarray:
    """uint8 [H, W, 3] at these places; averaged before where the view is smaller, so that nothing aliases."""
    rgb = image.image_rgb
    if scale < 0.9:
        rgb = cv2.GaussianBlur(rgb, (0, 0), sigmaX=0.45 * np.sqrt(1.0 / scale**2 - 1.0) + 1e-3)
    x, y = np.meshgrid(columns, rows)
    return np.asarray(cv2.remap(rgb, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
