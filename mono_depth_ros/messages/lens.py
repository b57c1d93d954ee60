# SPDX-License-Identifier: Apache-2.0
"""The lens of a camera as its camera_info says now, with the map that rectifies its images kept until it changes."""

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.messages.camera_info import (
    CameraInfoMessage,
    camera_from_info,
    has_distortion,
    rectified_warning,
)
from mono_depth_ros.messages.rectification import Rectifier


class Lens:
    """Raw images are rectified, with the same K and size, so that a pinhole camera describes them and their depth.

    Args:
        rectified: whether the images are rectified already; then D does not count.
        image_topic: of the images, whose name may say that they are rectified.

    Attributes:
        rectifier: for the images of the newest camera_info; None for rectified images and straight lenses.
        applied: whether an image was rectified.
        warning: what looks wrong with the newest camera_info; empty if nothing does.
    """

    def __init__(self, rectified: bool, image_topic: str = "") -> None:
        self._rectified = rectified
        self._image_topic = image_topic
        self.warning = ""
        self.applied = False
        self._key: tuple[object, ...] | None = None
        self.rectifier: Rectifier | None = None

    def update(self, msg: CameraInfoMessage) -> PinholeCamera:
        """Takes a camera_info in; the map is computed anew only if it says something new.

        Returns:
            The camera of the images after `rectified`.

        Raises:
            DataError: it is unusable; or the distortion model is unknown and would be needed.
        """
        camera = camera_from_info(msg, self._rectified)
        self.warning = rectified_warning(msg, self._rectified, self._image_topic)
        if self._rectified or not has_distortion(msg):
            self.rectifier, self._key = None, None
            return camera
        key = (camera, str(msg.distortion_model), tuple(float(number) for number in msg.d))
        if key != self._key:
            self.rectifier, self._key = Rectifier(msg), key
        return camera

    def image(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image, uint8 [H, W, 3], without distortion; of another size than the camera_info's it is left alone."""
        rectifier = self.rectifier
        if rectifier is None or image_rgb.shape[:2] != (rectifier.camera.height_px, rectifier.camera.width_px):
            return image_rgb
        self.applied = True
        return rectifier.image(image_rgb)
