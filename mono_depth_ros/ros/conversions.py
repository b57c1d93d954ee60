# SPDX-License-Identifier: Apache-2.0
"""rclpy's message classes for `messages/sensor_messages.py`, and the images that only cv_bridge knows."""

import array
import functools
import importlib
import importlib.util
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage, Image

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.image_bits import ImageBits
from mono_depth_ros.messages.images import decode_any_image, is_decodable
from mono_depth_ros.messages.sensor_messages import SensorMessages
from mono_depth_ros.perception.snapshot import RgbImage


@functools.cache
def _class_of(message_type: str) -> Any:
    package, _, name = message_type.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def filled_array(values: npt.NDArray[Any]) -> "array.array[Any]":
    """A contiguous array in the one form that rclpy takes without a copy per element."""
    filled: array.array[Any] = array.array({"|u1": "B", "<f4": "f", "<f8": "d"}[values.dtype.str])
    filled.frombytes(np.ascontiguousarray(values).data.cast("B") if values.size else b"")
    return filled


MESSAGES = SensorMessages(_class_of, filled_array)


def message_image(message: Image | CompressedImage, bits: ImageBits | None = None) -> RgbImage:
    """The pixels of an image message, uint8 [H, W, 3] RGB; encodings that depth seldom meets go through cv_bridge.

    Raises:
        DataError: if the message does not hold them.
    """
    raw = not isinstance(message, CompressedImage)
    if raw and not is_decodable(message.encoding) and importlib.util.find_spec("cv_bridge") is not None:
        return _through_cv_bridge(message)
    return decode_any_image(message, bits)


def _through_cv_bridge(message: Image) -> RgbImage:
    from cv_bridge import CvBridge, CvBridgeError

    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(message, desired_encoding="rgb8"))
    # Truncated data comes as a ValueError of numpy, an encoding that it does not know either as its own error.
    except (CvBridgeError, ValueError, TypeError) as error:
        raise DataError(
            f"image encoding: expected {message.encoding!r} to be converted by cv_bridge, got: {error}"
        ) from error
