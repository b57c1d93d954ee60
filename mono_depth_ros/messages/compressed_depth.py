# SPDX-License-Identifier: Apache-2.0
"""Depth images of the compressedDepth transport (sensor_msgs/CompressedImage) <-> arrays.

The format of the ROS package compressed_depth_image_transport: 12 bytes (an int32, then float32 A and B), then a PNG of
16 bits; or, where the format says rvl, columns and rows as uint32 and the words of ``rvl.py``. For "16UC1" the pixels
are millimetres; for "32FC1" they are quantised inverse depth, depth = A / (pixel - B). In both, 0 is unknown.
"""

import struct
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.images import MAX_PIXELS, CompressedImageMessage, depth_image_fields
from mono_depth_ros.messages.rvl import decode_rvl, encode_rvl

DEPTH_CODECS = ("png", "rvl")
_HEADER_BYTES, _RVL_SIZE_BYTES = 12, 8
_LEVELS = 65534  # steps of 16 bits, 0 being unknown
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True, eq=False)
class CompressedImageFields:
    """The values of a sensor_msgs/CompressedImage without its header; data is uint8 [N]."""

    format: str
    data: NDArray[np.uint8]


def compressed_depth_fields(depth_m: NDArray[np.float32], encoding: str, codec: str) -> CompressedImageFields:
    """What to put into a CompressedImage of this transport.

    Args:
        depth_m: float32 [H,W], metres along the camera axis, NaN where unknown.
        encoding: 16UC1 is exact to the millimetre, up to 65.535 m; 32FC1 spreads 16 bits evenly over the inverse of the
            depths that are there, so that a depth of z is exact to z^2 / 65534 * (1 / nearest - 1 / farthest) / 2.
        codec: one of DEPTH_CODECS.
    """
    height_px, width_px = depth_m.shape
    pixels, scale, shift = _millimetres(depth_m) if encoding == "16UC1" else _quantised(depth_m)
    if codec == "rvl":
        # Readers take less than a byte for five pixels for a broken message, however much is unknown.
        words = encode_rvl(pixels).ljust(pixels.size // 5, b"\0")
        body = struct.pack("<II", width_px, height_px) + words
    else:
        body = cv2.imencode(".png", pixels)[1].tobytes()
    data = np.frombuffer(struct.pack("<iff", 0, scale, shift) + body, np.uint8)
    return CompressedImageFields(f"{encoding}; compressedDepth {codec}", data)


def _millimetres(depth_m: NDArray[np.float32]) -> tuple[NDArray[np.uint16], float, float]:
    return depth_image_fields(depth_m, "16UC1").data.view("<u2").reshape(depth_m.shape), 0.0, 0.0


def _quantised(depth_m: NDArray[np.float32]) -> tuple[NDArray[np.uint16], float, float]:
    """Pixels and A and B as float32 has them: 1 is the farthest depth, 65535 the nearest."""
    known = np.isfinite(depth_m) & (depth_m > 0)
    farthest_m = float(depth_m[known].max()) if known.any() else 1.0
    # At least a factor of two: near one depth alone A and B would be too large for float32.
    nearest_m = min(float(depth_m[known].min()), farthest_m / 2) if known.any() else 0.5
    scale = np.float32(_LEVELS / (1.0 / nearest_m - 1.0 / farthest_m))
    shift = np.float32(1.0 - float(scale) / farthest_m)
    inverse = float(scale) / np.where(known, depth_m, np.float32(farthest_m)).astype(np.float64) + float(shift)
    pixels = np.where(known, np.clip(np.rint(inverse), 1, _LEVELS + 1), 0).astype(np.uint16)
    return pixels, float(scale), float(shift)


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
    pixels = _rvl_pixels(data) if "compressedDepth rvl" in text else _png_pixels(data)
    stored = pixels.astype(np.float32)
    if encoding == "32FC1":
        _, scale, shift = struct.unpack("<iff", data[:_HEADER_BYTES])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            depth_m = np.float32(scale) / (stored - np.float32(shift))
    else:
        depth_m = stored / np.float32(1000.0)
    depth_m[~((stored > 0) & np.isfinite(depth_m) & (depth_m > 0))] = np.nan
    return np.asarray(depth_m, np.float32)


def _rvl_pixels(data: bytes) -> NDArray[np.uint16]:
    start = _HEADER_BYTES + _RVL_SIZE_BYTES
    if len(data) < start:
        raise DataError(f"compressed depth: expected {start} bytes and the words of RVL, got {len(data)} bytes")
    width_px, height_px = struct.unpack("<II", data[_HEADER_BYTES:start])
    if not 0 < width_px * height_px <= MAX_PIXELS:
        raise DataError(f"compressed depth: expected 1 to {MAX_PIXELS} pixels, got {width_px}x{height_px}")
    return decode_rvl(data[start:], height_px, width_px)


def _png_pixels(data: bytes) -> NDArray[np.uint16]:
    png = data[_HEADER_BYTES:]
    if not png.startswith(_PNG_MAGIC) or len(png) < 33 or b"IEND" not in png[-64:]:
        raise DataError(
            f"compressed depth: expected {_HEADER_BYTES} bytes and a whole PNG, got {len(data)} bytes with "
            f"{png[:4].hex() or 'nothing'} at its start"
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
    return np.asarray(pixels, np.uint16)
