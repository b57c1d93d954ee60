# SPDX-License-Identifier: Apache-2.0
"""Lens distortion of the model that ROS calls plumb_bob (Brown, Conrady): three radial and two tangential terms."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera

Float64 = npt.NDArray[np.float64]

_ITERATIONS = 12
# An undistorted point that is distorted again has to come back to within this (normalized coordinates: 0.01 px of a
# lens of 1000 px); farther away the lens model has folded back and no ray belongs to the pixel.
_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class Distortion:
    """Coefficients in the order of `CameraInfo.d` (and of OpenCV).

    Raises:
        DataError: if one is not finite.
    """

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    def __post_init__(self) -> None:
        if not np.isfinite(self.coefficients).all():
            raise DataError(f"distortion: expected finite coefficients, got {self.coefficients.tolist()}")

    @property
    def coefficients(self) -> Float64:
        """k1, k2, p1, p2, k3; float64 [5]."""
        return np.array([self.k1, self.k2, self.p1, self.p2, self.k3])


def distort(points: Float64, distortion: Distortion) -> Float64:
    """Where a lens puts normalized image points.

    Args:
        points: float64 [..., 2], x / z and y / z of straight rays.
        distortion: of the lens.

    Returns:
        float64 [..., 2]; times fx, fy plus cx, cy gives pixels of the raw image.

    The formula is that of the ROS page on CameraInfo and of OpenCV's camera calibration.

    >>> distort(np.array([0.5, 0.0]), Distortion(k1=-0.2)).tolist()
    [0.475, 0.0]
    """
    x, y = points[..., 0], points[..., 1]
    r2 = x * x + y * y
    radial = 1.0 + r2 * (distortion.k1 + r2 * (distortion.k2 + r2 * distortion.k3))
    distorted = np.empty_like(points)
    distorted[..., 0] = x * radial + 2.0 * distortion.p1 * x * y + distortion.p2 * (r2 + 2.0 * x * x)
    distorted[..., 1] = y * radial + distortion.p1 * (r2 + 2.0 * y * y) + 2.0 * distortion.p2 * x * y
    return distorted


def undistort(points: Float64, distortion: Distortion) -> Float64:
    """The inverse of `distort`, by Newton's method on its two equations.

    Args:
        points: float64 [..., 2], normalized points of the raw image.
        distortion: of the lens.

    Returns:
        float64 [..., 2], x / z and y / z of straight rays; NaN where the lens model has no such ray.
    """
    straight = points.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for _ in range(_ITERATIONS):
            (xx, xy), (yx, yy) = _slopes(straight, distortion)
            error_x, error_y = np.moveaxis(distort(straight, distortion) - points, -1, 0)
            determinant = xx * yy - xy * yx
            step = np.stack([yy * error_x - xy * error_y, xx * error_y - yx * error_x], axis=-1)
            straight = straight - step / determinant[..., None]
        (xx, xy), (yx, yy) = _slopes(straight, distortion)
        missed = ~(np.abs(distort(straight, distortion) - points).max(axis=-1) < _TOLERANCE)
        missed |= ~((xx * yy - xy * yx > 0) & (xx + yy > 0))  # beyond the radius at which the model folds back
    straight[missed] = np.nan
    return straight


def _slopes(points: Float64, distortion: Distortion) -> tuple[tuple[Float64, Float64], tuple[Float64, Float64]]:
    """Derivatives of `distort`: rows by its x and y, columns by those of the straight ray; float64 [...] each."""
    x, y = points[..., 0], points[..., 1]
    r2 = x * x + y * y
    radial = 1.0 + r2 * (distortion.k1 + r2 * (distortion.k2 + r2 * distortion.k3))
    growth = 2.0 * (distortion.k1 + r2 * (2.0 * distortion.k2 + r2 * 3.0 * distortion.k3))  # (d radial / d r) / r
    mixed = x * y * growth + 2.0 * (distortion.p1 * x + distortion.p2 * y)
    along_x = radial + x * x * growth + 2.0 * distortion.p1 * y + 6.0 * distortion.p2 * x
    along_y = radial + y * y * growth + 6.0 * distortion.p1 * y + 2.0 * distortion.p2 * x
    return (along_x, mixed), (mixed, along_y)


def distorted_rays(camera: PinholeCamera, distortion: Distortion) -> npt.NDArray[np.float32]:
    """Direction of every pixel of a raw image in the optical frame, scaled to z = 1; float32 [H, W, 3].

    Depth is Z along these rays, as it is along straight ones.

    Raises:
        DataError: the lens model folds back within the image, so that some pixels have no ray.
    """
    u = (np.arange(camera.width_px) - camera.cx_px) / camera.fx_px
    v = (np.arange(camera.height_px) - camera.cy_px) / camera.fy_px
    seen = np.stack(np.broadcast_arrays(u[None, :], v[:, None]), axis=-1)
    straight = undistort(seen, distortion)
    if not np.isfinite(straight).all():
        raise DataError(
            f"distortion {distortion.coefficients.tolist()}: expected a ray for every pixel of {camera}, got none for "
            f"{int(np.isnan(straight[..., 0]).sum())} of them; use a longer focal length or weaker coefficients"
        )
    rays = np.ones((camera.height_px, camera.width_px, 3), np.float32)
    rays[..., :2] = straight
    return rays
