# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo <-> PinholeCamera."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera


class RegionOfInterestMessage(Protocol):
    """The attributes of sensor_msgs/RegionOfInterest that are read here."""

    x_offset: int
    y_offset: int
    height: int
    width: int


class CameraInfoMessage(Protocol):
    """The attributes of sensor_msgs/CameraInfo that are read here."""

    height: int
    width: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: RegionOfInterestMessage


@dataclass(frozen=True, slots=True, eq=False)
class CameraInfoFields:
    """The values of a sensor_msgs/CameraInfo without its header; d [5], k [9], r [9], p [12] are float64."""

    height: int
    width: int
    distortion_model: str
    d: NDArray[np.float64]
    k: NDArray[np.float64]
    r: NDArray[np.float64]
    p: NDArray[np.float64]


def camera_from_info(msg: CameraInfoMessage, rectified: bool = True) -> PinholeCamera:
    """The pinhole camera of the images that go with this message, region of interest and binning applied.

    A rectified image is described by P (by K where a driver leaves P empty), a raw one by K. Distortion is not
    modelled: for a raw image with `has_distortion` the result is only as good as the lens is straight, so rectify it
    first (image_proc). The fourth column of P (the baseline of a stereo pair) is not used: points are expected in the
    optical frame of this very camera.

    Raises:
        DataError: the camera is not calibrated (K[0] is 0), has no size, is skewed, or has non-finite numbers.
    """
    k = np.asarray(msg.k, dtype=np.float64).reshape(-1)
    p = np.asarray(msg.p, dtype=np.float64).reshape(-1)
    if k.size != 9 or p.size != 12:
        raise DataError(f"camera_info: expected 9 numbers in K and 12 in P, got {k.size} and {p.size}")
    use_p = rectified and p[0] != 0.0
    if not use_p and k[0] == 0.0:
        raise DataError(
            "camera_info: expected a focal length in K[0], got 0, which means an uncalibrated camera; "
            "calibrate it (camera_calibration) or give the driver its camera_info_url"
        )
    name, numbers = ("P", p[[0, 1, 2, 5, 6]]) if use_p else ("K", k[[0, 1, 2, 4, 5]])
    if not np.isfinite(numbers).all():
        raise DataError(f"camera_info: expected finite numbers in {name}, got {numbers.tolist()}")
    fx_px, skew, cx_px, fy_px, cy_px = numbers.tolist()
    if fx_px <= 0.0 or fy_px <= 0.0:
        raise DataError(f"camera_info: expected positive focal lengths in {name}, got fx {fx_px} and fy {fy_px}")
    if abs(skew) > 1e-6 * fx_px:
        raise DataError(f"camera_info: expected no skew in {name}[1], got {skew}; rectify the images first")
    return _windowed(msg, fx_px, fy_px, cx_px, cy_px)


def has_distortion(msg: CameraInfoMessage) -> bool:
    """Whether the raw images of this camera are distorted (any coefficient in D is not zero)."""
    return any(float(coefficient) != 0.0 for coefficient in msg.d)


def camera_info_fields(camera: PinholeCamera) -> CameraInfoFields:
    """What to put into a CameraInfo for rectified images of this camera: D = 0, R = identity, P = [K|0]."""
    k = np.array([camera.fx_px, 0.0, camera.cx_px, 0.0, camera.fy_px, camera.cy_px, 0.0, 0.0, 1.0])
    p = np.zeros((3, 4))
    p[:, :3] = k.reshape(3, 3)
    return CameraInfoFields(
        height=camera.height_px,
        width=camera.width_px,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).reshape(-1),
        p=p.reshape(-1),
    )


def _windowed(msg: CameraInfoMessage, fx_px: float, fy_px: float, cx_px: float, cy_px: float) -> PinholeCamera:
    """The camera after the message's region of interest, then its binning; both are in full-resolution pixels."""
    width_px = int(msg.roi.width) or int(msg.width)
    height_px = int(msg.roi.height) or int(msg.height)
    binning_x, binning_y = max(1, int(msg.binning_x)), max(1, int(msg.binning_y))
    width_px, height_px = width_px // binning_x, height_px // binning_y
    if width_px <= 0 or height_px <= 0:
        raise DataError(f"camera_info: expected a size of at least 1x1, got width {msg.width} and height {msg.height}")
    cx_px -= int(msg.roi.x_offset)
    cy_px -= int(msg.roi.y_offset)
    # The centre of a binned pixel lies between the centres of its parts, hence the halves.
    return PinholeCamera(
        width_px=width_px,
        height_px=height_px,
        fx_px=fx_px / binning_x,
        fy_px=fy_px / binning_y,
        cx_px=(cx_px + 0.5) / binning_x - 0.5,
        cy_px=(cy_px + 0.5) / binning_y - 0.5,
    )
