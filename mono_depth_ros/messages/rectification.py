# SPDX-License-Identifier: Apache-2.0
"""Removes the lens distortion that a sensor_msgs/CameraInfo describes."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.messages.camera_info import CameraInfoMessage, camera_from_info

# distortion_model of sensor_msgs/distortion_models -> how many numbers D has
_MODELS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,), "fisheye": (4,)}


class Rectifier:
    """Turns raw images of a lens into those of a pinhole camera with the same K, size and orientation.

    Pixels that the lens did not see are black (NaN in depth maps). R is not applied: points are expected in the optical
    frame of this very camera, not in that of a stereo pair.

    Args:
        msg: of the raw images; region of interest and binning are honoured.

    Attributes:
        camera: of the rectified images.

    Raises:
        DataError: an unknown model, another number of coefficients than it has, or no usable K.
    """

    def __init__(self, msg: CameraInfoMessage) -> None:
        self.camera: PinholeCamera = camera_from_info(msg, rectified=False)
        model = str(msg.distortion_model)
        d = np.asarray(msg.d, np.float64).reshape(-1)
        if model not in _MODELS or len(d) not in _MODELS[model] or not np.isfinite(d).all():
            known = ", ".join(f"{name} ({' or '.join(map(str, sizes))})" for name, sizes in _MODELS.items())
            raise DataError(
                f"camera_info: expected a distortion model of {known} with as many finite numbers in D, got {model!r} "
                f"with {d.tolist()[:14]}; rectify the images upstream (image_proc), or say that they are rectified"
            )
        c = self.camera
        K = np.array([[c.fx_px, 0, c.cx_px], [0, c.fy_px, c.cy_px], [0, 0, 1]])
        fisheye = model in ("equidistant", "fisheye")
        init = cv2.fisheye.initUndistortRectifyMap if fisheye else cv2.initUndistortRectifyMap
        self._cols, self._rows = init(K, d, np.eye(3), K, (c.width_px, c.height_px), cv2.CV_32FC1)

    def image(self, image_rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The rectified image, uint8 [H,W,3], bilinear.

        Raises:
            DataError: the image has another size than the camera.
        """
        self._check(image_rgb.shape)
        return np.asarray(cv2.remap(image_rgb, self._cols, self._rows, cv2.INTER_LINEAR), np.uint8)

    def depth(self, depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rectified depth map, float32 [H,W], nearest pixel; NaN where unknown. Raises DataError as `image`."""
        self._check(depth_m.shape)
        nan = (float("nan"),) * 4
        moved = cv2.remap(
            depth_m, self._cols, self._rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=nan
        )
        return np.asarray(moved, np.float32)

    def labels(self, labels: NDArray[np.uint8], unknown: int = 255) -> NDArray[np.uint8]:
        """Rectified class numbers, uint8 [H,W], nearest pixel. Raises DataError as `image`."""
        self._check(labels.shape)
        border = (float(unknown),) * 4
        moved = cv2.remap(
            labels, self._cols, self._rows, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=border
        )
        return np.asarray(moved, np.uint8)

    def _check(self, shape: tuple[int, ...]) -> None:
        if shape[:2] != (self.camera.height_px, self.camera.width_px):
            raise DataError(
                f"image: expected {self.camera.width_px}x{self.camera.height_px} as camera_info says, "
                f"got {shape[1]}x{shape[0]}"
            )
