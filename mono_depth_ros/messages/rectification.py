# SPDX-License-Identifier: Apache-2.0
"""Removes the lens distortion that a sensor_msgs/CameraInfo describes."""

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.messages.camera_info import CameraInfoMessage, camera_from_info

# distortion_model of sensor_msgs/distortion_models -> how many numbers D has at most. A message without a name has the
# model that was the only one when there was no name.
_MODELS = {
    "plumb_bob": 5, "": 5, "inverse_brown_conrady": 5, "rational_polynomial": 14, "equidistant": 4, "fisheye": 4
}  # fmt: skip
_FISHEYE = ("equidistant", "fisheye")
# OpenCV takes these lengths of D and no others.
_LENGTHS = (4, 5, 8, 12, 14)


class Rectifier:
    """Turns raw images of a lens into those of a pinhole camera with the same K, size and orientation.

    Pixels that the lens did not see are black (NaN in depth maps). R is not applied: points are expected in the optical
    frame of this very camera, not in that of a stereo pair.

    Args:
        msg: of the raw images; region of interest and binning are honoured.

    Attributes:
        camera: of the rectified images.

    Raises:
        DataError: an unknown model, more numbers in D than it has (zeros behind them do not count), numbers that are
            not finite or that OpenCV refuses, or no usable K.
    """

    def __init__(self, msg: CameraInfoMessage) -> None:
        self.camera: PinholeCamera = camera_from_info(msg, rectified=False)
        model, d = str(msg.distortion_model), _coefficients(msg)
        c = self.camera
        try:
            self._cols, self._rows = _maps(model, c.matrix, d, (c.width_px, c.height_px))
        except (cv2.error, MemoryError) as error:
            raise DataError(
                f"camera_info: expected {c.width_px}x{c.height_px} pixels and D {d.tolist()} that OpenCV can rectify "
                f"as {model!r}, got: {error}"
            ) from error

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


def _coefficients(msg: CameraInfoMessage) -> NDArray[np.float64]:
    """D in a length that OpenCV takes: zeros at its end mean the same as fewer numbers."""
    model, d = str(msg.distortion_model), np.asarray(msg.d, np.float64).reshape(-1)
    used, most = len(np.trim_zeros(d, "b")), _MODELS.get(model, 0)
    problem = ""
    if model not in _MODELS:
        problem = f"a distortion model of {', '.join(filter(None, _MODELS))}, got {model!r}"
    elif not np.isfinite(d).all():
        problem = f"finite numbers in D, got {d.tolist()[:15]}"
    elif used > most:
        problem = f"at most {most} numbers in D of {model or 'plumb_bob'}, got {used} up to the last that is not 0"
    if problem:
        raise DataError(
            f"camera_info: expected {problem}; rectify the images upstream (image_proc), or say that they are rectified"
        )
    length = next(length for length in _LENGTHS if length >= used)
    return np.asarray(np.pad(d[:used], (0, length - used)), np.float64)


def _maps(
    model: str, K: NDArray[np.float64], d: NDArray[np.float64], size_px: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row in the raw image of every pixel of the rectified one, float32 [H,W] each."""
    if model == "inverse_brown_conrady":  # plumb_bob's polynomial, but from raw to straight: it has to be solved
        rows, cols = np.mgrid[0 : size_px[1], 0 : size_px[0]].astype(np.float32)
        straight = np.stack([(cols - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1]], axis=-1)
        raw = cv2.undistortPoints(straight.reshape(-1, 1, 2), np.eye(3), d, P=K).reshape(*rows.shape, 2)
        return raw[:, :, 0].astype(np.float32), raw[:, :, 1].astype(np.float32)
    init = cv2.fisheye.initUndistortRectifyMap if model in _FISHEYE else cv2.initUndistortRectifyMap
    cols, rows = init(K, d, np.eye(3), K, size_px, cv2.CV_32FC1)
    return np.asarray(cols, np.float32), np.asarray(rows, np.float32)
