# SPDX-License-Identifier: Apache-2.0
"""Pseudo truth from the other camera of a rectified stereo pair: matched, not measured."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.recent import RecentMessages
from mono_depth_ros.datasets.bags.topics import BagTopics, TopicNames, choose_topics
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.intake.sensor_intake import CameraImage
from mono_depth_ros.messages.camera_info import camera_from_info, has_distortion
from mono_depth_ros.messages.images import decode_any_image

# At 0.5 m baseline and 700 px a quarter pixel is 4 % of 40 m, and what lies farther is left to instruments.
TRUSTED_M = 40.0
_MAX_STAMP_DIFFERENCE_NS = 1_000_000
_BLOCK_PX = 5


def stereo_depth(
    left_rgb: NDArray[np.uint8], right_rgb: NDArray[np.uint8], camera: PinholeCamera, baseline_m: float, shift_px: float
) -> DepthMap:
    """Depth of the left image by semi-global matching (Hirschmueller 2008, OpenCV's) with a left-right check.

    Z = fx * baseline / (u_left - u_right - shift). Searched are disparities up to an eighth of the width, so that what
    is nearer than 8 * fx * baseline / width stays unknown, as does what is farther than TRUSTED_M.

    Args:
        left_rgb, right_rgb: uint8 [H,W,3], rectified, epipolar lines are rows.
        camera: of the left image.
        baseline_m: how far the right camera is to the right.
        shift_px: cx of the left less cx of the right camera.

    Returns:
        float32 [H,W], metres, NaN where unknown.
    """
    disparities = 16 * -(-camera.width_px // (8 * 16))
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=disparities,
        blockSize=_BLOCK_PX,
        # The penalties that OpenCV's documentation recommends, for one channel.
        P1=8 * _BLOCK_PX**2,
        P2=32 * _BLOCK_PX**2,
        disp12MaxDiff=1,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    left, right = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (left_rgb, right_rgb))
    matched = matcher.compute(left, right)  # int16, sixteenths of a pixel, negative where there is no match
    disparity_px = matched.astype(np.float32) / np.float32(16.0) - np.float32(shift_px)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth_m = np.float32(camera.fx_px * baseline_m) / disparity_px
    depth_m[~((matched > 0) & (disparity_px > 0) & (depth_m <= TRUSTED_M))] = np.nan
    return np.asarray(depth_m, np.float32)


class StereoTruth:
    """Truth from images of the right camera that have the stamps of the left ones.

    Args:
        bag: where the messages come from.
        topics: of the left camera, whose images have to be rectified, or without distortion.
        right: namespace of the right camera.

    Raises:
        DataError: the bag has no such camera.
    """

    def __init__(self, bag: Rosbag2Reader, topics: BagTopics, right: str) -> None:
        other = choose_topics(bag.types, TopicNames(camera=right, points="none", odometry="none"))
        if other.image == topics.image:
            raise DataError(f"right={right}: expected the other camera of the pair, got the camera itself")
        self._image, self._info = other.image, other.camera_info
        self._name = right
        self._images = RecentMessages()
        self._newest_info: Any = None

    def topics(self) -> tuple[str, ...]:
        """What `put` wants to see."""
        return (self._image, self._info)

    def put(self, message: BagMessage, decoded: Any) -> None:
        """Takes a message in."""
        if message.topic == self._image:
            self._images.put(message.stamp_ns, decoded)
        elif message.topic == self._info:
            self._newest_info = decoded

    def at(self, image: CameraImage, camera: PinholeCamera) -> tuple[DepthMap, PinholeCamera] | None:
        """Depth and its camera at an image; None unless a right image has its stamp, to a millisecond.

        Raises:
            DataError: the cameras are no rectified pair, or a message is broken.
        """
        decoded = self._images.at(image.stamp_ns, _MAX_STAMP_DIFFERENCE_NS)
        if decoded is None or self._newest_info is None:
            return None
        baseline_m, shift_px = _pair(self._newest_info, camera, self._name)
        right_rgb = decode_any_image(decoded)
        if right_rgb.shape != image.image_rgb.shape:
            raise DataError(
                f"right={self._name}: expected images of {image.image_rgb.shape} as the left ones, "
                f"got {right_rgb.shape}"
            )
        return stereo_depth(image.image_rgb, right_rgb, camera, baseline_m, shift_px), camera


def _pair(info: Any, left: PinholeCamera, name: str) -> tuple[float, float]:
    """(baseline in metres, cx left less cx right) from the right camera's P, whose P[3] is -fx * baseline."""
    right = camera_from_info(info)
    p = [float(number) for number in info.p]
    baseline_m = -p[3] / p[0] if p[0] else 0.0
    same = abs(right.fx_px - left.fx_px) < 0.01 and abs(right.fy_px - left.fy_px) < 0.01
    if not same or abs(right.cy_px - left.cy_px) > 0.01 or has_distortion(info):
        raise DataError(
            f"right={name}: expected a rectified pair with one fx, fy and cy and no distortion, "
            f"got left {left} and right {right}, D {[float(n) for n in info.d][:8]}"
        )
    if not 0.0 < baseline_m < 100.0:
        raise DataError(
            f"right={name}: expected P[3] = -fx * baseline of a camera on the right, got P[3] = {p[3]:g}; "
            "are left and right exchanged?"
        )
    return baseline_m, left.cx_px - right.cx_px
