# SPDX-License-Identifier: Apache-2.0
"""Depth images of the compressedDepth transport (sensor_msgs/CompressedImage) -> arrays.

The format of the ROS package compressed_depth_image_transport: 12 bytes (an int32, then float32 A and B), then a PNG of
16 bits. For "16UC1" the pixels are millimetres; for "32FC1" they are quantised inverse depth, depth = A / (pixel - B).
In both, 0 is unknown. The transport's other codec, RVL, is refused.
"""

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.images import MAX_PIXELS, CompressedImageMessage

_HEADER_BYTES = 12
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def is_compressed_depth(image_format: str) -> bool:
    """Whether a CompressedImage's format names this transport.

    >>> is_compressed_depth("16UC1; compressedDepth png"), is_compressed_depth("jpeg")
    (True, False)
    """
    return "compressedDepth" in image_format


def decode_compressed_depth(msg: CompressedImageMessage) -> NDArray[np.float32]:
    """The depth of a message.

    Returns:
        float32 [H,W], metres along the camera axis, NaN where unknown.

    Raises:
        DataError: another format or encoding, an absurd size, or broken data.
    """
    text = str(msg.format)
    encoding = text.partition(";")[0].strip()
    if not is_compressed_depth(text) or encoding not in ("16UC1", "32FC1", "mono16"):
        raise DataError(f"compressed depth: expected format '16UC1; compressedDepth' or with 32FC1, got {text!r}")
    data = bytes(memoryview(msg.data))
    png = data[_HEADER_BYTES:]
    if not png.startswith(_PNG_MAGIC) or len(png) < 33 or b"IEND" not in png[-64:]:
        raise DataError(
            f"compressed depth: expected {_HEADER_BYTES} bytes and a whole PNG, got {len(data)} bytes with "
            f"{png[:4].hex() or 'nothing'} at its start; RVL is not read, set the publisher's format to png"
        )
    width_px, height_px = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    if not 0 < width_px * height_px <= MAX_PIXELS:
        raise DataError(f"compressed depth: expected 1 to {MAX_PIXELS} pixels, got {width_px}x{height_px}")
    try:
        pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DataError(f"compressed depth: {len(png)} bytes of PNG cannot be decoded ({error})") from error
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape != (height_px, width_px):
        got = "nothing" if pixels is None else f"{pixels.dtype} {pixels.shape}"
        raise DataError(f"compressed depth: expected uint16 ({height_px}, {width_px}), got {got}")
    stored = pixels.astype(np.float32)
    if encoding == "32FC1":
        _, scale, shift = struct.unpack("<iff", data[:_HEADER_BYTES])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            depth_m = np.float32(scale) / (stored - np.float32(shift))
    else:
        depth_m = stored / np.float32(1000.0)
    depth_m[~((stored > 0) & np.isfinite(depth_m) & (depth_m > 0))] = np.nan
    return np.asarray(depth_m, np.float32)
