# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera of a rectified image.

Optical frame: x right, y down, z forward. Pixel centres lie at integer coordinates, (0, 0) is the centre of the first
pixel, so the image covers [-0.5, width - 0.5) x [-0.5, height - 0.5).
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import DataError

DepthMap: TypeAlias = npt.NDArray[np.float32]
Points: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PinholeCamera:
    """Intrinsics of one rectified image, in pixels of that image.

    Raises:
        DataError: if a size or focal length is not positive and finite.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            raise DataError(f"camera size: expected at least 1x1 pixels, got {self.width_px}x{self.height_px}")
        values = (self.fx_px, self.fy_px, self.cx_px, self.cy_px)
        if not np.isfinite(values).all() or self.fx_px <= 0 or self.fy_px <= 0:
            raise DataError(
                f"camera intrinsics: expected finite values and fx, fy > 0, got fx={self.fx_px} fy={self.fy_px} "
                f"cx={self.cx_px} cy={self.cy_px}; is the camera calibrated?"
            )

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """float64 [3, 3], maps (x/z, y/z, 1) to pixels."""
        return np.array([[self.fx_px, 0.0, self.cx_px], [0.0, self.fy_px, self.cy_px], [0.0, 0.0, 1.0]])

    def resized(self, width_px: int, height_px: int) -> "PinholeCamera":
        """The camera of the same image stretched to another size.

        Exact for resizing that keeps the image's borders (as OpenCV does): pixel centres move by half a pixel.
        """
        x_scale = width_px / self.width_px
        y_scale = height_px / self.height_px
        return PinholeCamera(
            width_px,
            height_px,
            self.fx_px * x_scale,
            self.fy_px * y_scale,
            (self.cx_px + 0.5) * x_scale - 0.5,
            (self.cy_px + 0.5) * y_scale - 0.5,
        )

    def rays(self) -> Points:
        """Direction of every pixel in the optical frame, scaled to z = 1; float32 [H, W, 3]."""
        rays = np.empty((self.height_px, self.width_px, 3), np.float32)
        rays[..., 0] = ((np.arange(self.width_px) - self.cx_px) / self.fx_px)[None, :]
        rays[..., 1] = ((np.arange(self.height_px) - self.cy_px) / self.fy_px)[:, None]
        rays[..., 2] = 1.0
        return rays

    def unproject(self, depth_m: DepthMap) -> Points:
        """Points of a depth image.

        Args:
            depth_m: float32 [H, W], metres along z, NaN where unknown.

        Returns:
            float32 [H, W, 3] in the optical frame, metres, NaN where the depth is NaN.

        Raises:
            DataError: if the depth image has another size than the camera.

        >>> camera = PinholeCamera(2, 1, 1.0, 1.0, 0.0, 0.0)
        >>> camera.unproject(np.array([[2.0, 4.0]], np.float32)).tolist()
        [[[0.0, 0.0, 2.0], [4.0, 0.0, 4.0]]]
        """
        if depth_m.shape != (self.height_px, self.width_px):
            raise DataError(
                f"depth image: expected shape {(self.height_px, self.width_px)} of its camera, got {depth_m.shape}"
            )
        points: Points = self.rays() * depth_m[..., None].astype(np.float32, copy=False)
        return points
