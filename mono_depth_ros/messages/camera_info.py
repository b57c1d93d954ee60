# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo <-> PinholeCamera."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.messages.images import MAX_PIXELS

# The longest side of an image whose pixels OpenCV moves (cv2.remap).
MAX_SIDE_PX = 32766
_RECTIFIED = re.compile(r"(^|[/_])rect(ified)?([/_]|$)")


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
    r: Sequence[float]
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

    Width and height are those of the full sensor, as the message defines them. Where a driver gives those of the binned
    image beside a binning, nothing in the message tells, and the result is a camera of another size than its images.
    A message without a size is refused, since K does not say for which size it holds.

    Raises:
        DataError: the camera is not calibrated (K[0] is 0), has no size or an absurd one, is skewed, or has non-finite
            numbers.
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
    """Whether the raw images of this camera are distorted: any number in D is not zero, or none at all (NaN).

    Zeros mean a straight lens in every model, also in `equidistant`, as ROS's image_geometry takes them.
    """
    return any(float(coefficient) != 0.0 for coefficient in msg.d)


def rectified_warning(msg: CameraInfoMessage, rectified: bool, image_topic: str = "") -> str:
    """Why images that are taken for rectified may be raw ones; "" where nothing says so.

    D is no evidence in itself: the camera_info beside rectified images is that of the raw ones, D included (image_proc
    publishes no other). What decides is, in this order, whether the name of the images' topic has the word "rect", and
    P: a calibration for rectified images gives a P other than K, while drivers that do not rectify leave it empty or
    copy K into it. A topic without that word is reported also with such a P, since it is as good as always raw.

    Args:
        msg: of the camera.
        rectified: whether the images are taken for rectified.
        image_topic: the resolved name; "" where it is not known.
    """
    d, k, r, p = (np.asarray(numbers, np.float64).reshape(-1) for numbers in (msg.d, msg.k, msg.r, msg.p))
    if not rectified or not np.nan_to_num(d).any() or says_rectified(image_topic) or (k.size, p.size) != (9, 12):
        return ""
    turned = r.size == 9 and r.any() and not np.allclose(r, np.eye(3).reshape(-1))
    if p[0] == 0.0:
        evidence = "its P is empty"
    elif not turned and np.allclose(p.reshape(3, 4)[:, :3].reshape(-1), k, rtol=1e-6):
        evidence = "its P is a copy of K, as drivers of raw images fill it in"
    elif image_topic:
        evidence = f"the name {image_topic} says nothing of rectified images"
    else:
        return ""
    return (
        f"camera_info: the lens has distortion (D is not 0) and {evidence}, while the images are taken for rectified; "
        "if they are raw, set rectified to false, or take the images of image_proc"
    )


def says_rectified(topic: str) -> bool:
    """Whether the name of a topic says that its images are rectified.

    >>> says_rectified("/camera/image_rect_color"), says_rectified("/direct/image_raw")
    (True, False)
    """
    return _RECTIFIED.search(topic) is not None


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
        raise DataError(
            f"camera_info: expected a size of at least 1x1, got width {msg.width} and height {msg.height}; "
            "the driver has to say for which size its K holds"
        )
    if max(width_px, height_px) > MAX_SIDE_PX or width_px * height_px > MAX_PIXELS:
        raise DataError(
            f"camera_info: expected at most {MAX_SIDE_PX} pixels a side and {MAX_PIXELS} in all, "
            f"got {width_px}x{height_px}"
        )
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
