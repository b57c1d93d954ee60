# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image and CompressedImage <-> arrays.

Inside the package an image is uint8 RGB [H,W,3] and a depth map float32 metres [H,W] with NaN where unknown; the
conversion to and from REP 118 (32FC1 metres with NaN, 16UC1 millimetres with 0) happens here and nowhere else.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.image_bits import ImageBits

# A message may claim any size; nothing above this is decoded (8192 x 8192 is far beyond any robot's camera).
MAX_PIXELS = 8192 * 8192

# encoding -> (channels, element type, OpenCV's conversion to RGB of its 8-bit pixels)
_LAYOUTS: dict[str, tuple[int, str, int | None]] = {
    "rgb8": (3, "u1", None),
    "bgr8": (3, "u1", cv2.COLOR_BGR2RGB),
    "8UC3": (3, "u1", cv2.COLOR_BGR2RGB),  # says nothing about colour order; OpenCV's is assumed
    "rgba8": (4, "u1", cv2.COLOR_RGBA2RGB),
    "bgra8": (4, "u1", cv2.COLOR_BGRA2RGB),
    "mono8": (1, "u1", cv2.COLOR_GRAY2RGB),
    "8UC1": (1, "u1", cv2.COLOR_GRAY2RGB),
    "yuv422": (2, "u1", cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, "u1", cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, "u1", cv2.COLOR_YUV2RGB_YUYV),
    "yuyv": (2, "u1", cv2.COLOR_YUV2RGB_YUYV),
    # Below the rows of luma, half as many of chroma.
    "nv12": (1, "u1", cv2.COLOR_YUV2RGB_NV12),
    "nv21": (1, "u1", cv2.COLOR_YUV2RGB_NV21),
    # OpenCV names a Bayer pattern by its second row and column, ROS by its first: RGGB there is BG here.
    "bayer_rggb8": (1, "u1", cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (1, "u1", cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, "u1", cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, "u1", cv2.COLOR_BayerGB2RGB),
}
# What has 8 bits and no pairs of pixels comes with 16 bits too.
_LAYOUTS |= {
    name[:-1] + "16": (channels, "u2", conversion)
    for name, (channels, _, conversion) in _LAYOUTS.items()
    if name.endswith("8")
}
_TWO_PLANES = ("nv12", "nv21")
_DEPTH_LAYOUTS: dict[str, tuple[int, str]] = {"32FC1": (1, "f4"), "16UC1": (1, "u2"), "mono16": (1, "u2")}

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_JPEG_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class ImageMessage(Protocol):
    """The attributes of sensor_msgs/Image that are read here; data is anything with the buffer protocol."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class CompressedImageMessage(Protocol):
    """The attributes of sensor_msgs/CompressedImage that are read here."""

    format: str
    data: Any


@dataclass(frozen=True, slots=True, eq=False)
class ImageFields:
    """The values of a sensor_msgs/Image without its header; data is uint8 [height * step]."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: NDArray[np.uint8]


def is_decodable(encoding: str) -> bool:
    """Whether `decode_image` knows an encoding."""
    return encoding in _LAYOUTS


def decode_image(msg: ImageMessage, bits: ImageBits | None = None) -> NDArray[np.uint8]:
    """The pixels of a raw image message.

    Row padding (`step`) and byte order (`is_bigendian`) are honoured.

    Args:
        msg: the image.
        bits: of the camera, for encodings of 16 bits; None takes their full range.

    Returns:
        uint8 [H,W,3], RGB, owning its memory.

    Raises:
        DataError: unknown encoding, impossible size, or fewer bytes than the size needs.
    """
    encoding = str(msg.encoding)
    if encoding not in _LAYOUTS:
        supported = ", ".join(_LAYOUTS)
        depth = "; it is depth in millimetres as a rule, a picture is mono16" if encoding == "16UC1" else ""
        raise DataError(
            f"image encoding: expected one of {supported}; got {encoding!r}{depth}; "
            "convert it upstream, for example with image_proc or the camera driver's encoding parameter"
        )
    channels, element, _ = _LAYOUTS[encoding]
    planes = encoding in _TWO_PLANES
    if (channels == 2 or planes) and int(msg.width) % 2:
        raise DataError(f"image: encoding {encoding} stores pixels in pairs; expected an even width, got {msg.width}")
    if planes and int(msg.height) % 2:
        raise DataError(f"image: encoding {encoding} stores rows in pairs; expected an even height, got {msg.height}")
    pixels = _pixels(msg, channels, element, 1.5 if planes else 1.0)
    return _to_rgb(pixels[:, :, 0] if channels == 1 else pixels, encoding, bits)


def decode_compressed_image(msg: CompressedImageMessage, bits: ImageBits | None = None) -> NDArray[np.uint8]:
    """The pixels of a JPEG or PNG message, in the orientation in which they were stored.

    The size is read from the file's own header and checked before anything is allocated. compressed_image_transport
    stores a Bayer mosaic as it is, as a grey picture whose `format` begins with the encoding: it is demosaiced.

    Args:
        msg: the image.
        bits: of the camera, for a PNG of 16 bits; None takes their full range.

    Returns:
        uint8 [H,W,3], RGB.

    Raises:
        DataError: neither JPEG nor PNG, absurd size, truncated or broken data.
    """
    data = _buffer(msg.data, "compressed image").tobytes()
    height_px, width_px = _compressed_size(data, str(msg.format))
    _check_size(height_px, width_px, "compressed image")
    # EXIF orientation is ignored: camera_info describes the pixels as the sensor stored them.
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise DataError(f"compressed image: {len(data)} bytes of {msg.format!r} cannot be decoded ({error})") from error
    if pixels is None or pixels.shape[:2] != (height_px, width_px):
        got = "nothing" if pixels is None else f"shape {pixels.shape}"
        raise DataError(
            f"compressed image: expected {width_px}x{height_px} pixels as its header says, got {got} from "
            f"{len(data)} bytes of {msg.format!r}; the data is broken"
        )
    if pixels.ndim == 3:
        return _to_rgb(pixels, "bgr8", bits)
    encoding = str(msg.format).partition(";")[0].strip()
    return _to_rgb(pixels, encoding if encoding.startswith("bayer_") and encoding in _LAYOUTS else "mono8", bits)


def decode_depth_image(msg: ImageMessage) -> NDArray[np.float32]:
    """The depth of a REP 118 message: 32FC1 in metres, or 16UC1 (also labelled mono16) in millimetres with 0 unknown.

    Returns:
        float32 [H,W], metres along the camera axis, NaN where unknown (also where the message has infinities, zero or
        negative numbers).

    Raises:
        DataError: another encoding, impossible size, or fewer bytes than the size needs.
    """
    encoding = str(msg.encoding)
    if encoding not in _DEPTH_LAYOUTS:
        raise DataError(f"depth image encoding: expected 32FC1 (m) or 16UC1 (mm), got {encoding!r}")
    pixels = _pixels(msg, *_DEPTH_LAYOUTS[encoding])[:, :, 0]
    depth_m = pixels.astype(np.float32)
    if encoding != "32FC1":
        depth_m /= np.float32(1000.0)
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = np.nan
    return depth_m


def depth_image_fields(depth_m: NDArray[np.float32], encoding: str = "32FC1") -> ImageFields:
    """What to put into an Image for a depth map (REP 118).

    Args:
        depth_m: float32 [H,W], metres, NaN where unknown.
        encoding: "32FC1" keeps metres and NaN; "16UC1" rounds to millimetres, with 0 for unknown and for what does not
            fit (65.535 m is the farthest; a saturated number would read as a measurement).

    Raises:
        DataError: another encoding or a depth map that is not two-dimensional.
    """
    if depth_m.ndim != 2:
        raise DataError(f"depth_m: expected shape [H,W], got {depth_m.shape}")
    if encoding == "32FC1":
        return _fields(np.asarray(depth_m, dtype="<f4"), encoding)
    if encoding == "16UC1":
        with np.errstate(invalid="ignore", over="ignore"):
            depth_mm = np.rint(depth_m.astype(np.float64) * 1000.0)
            fits = (depth_mm > 0) & (depth_mm <= 65535)  # False for NaN
        return _fields(np.where(fits, depth_mm, 0).astype("<u2"), encoding)
    raise DataError(f"depth encoding: expected '32FC1' or '16UC1', got {encoding!r}")


def rgb_image_fields(image_rgb: NDArray[np.uint8]) -> ImageFields:
    """What to put into an Image for uint8 [H,W,3] RGB pixels (encoding rgb8)."""
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8:
        raise DataError(f"image_rgb: expected uint8 [H,W,3], got {image_rgb.dtype} {image_rgb.shape}")
    return _fields(image_rgb, "rgb8")


def _fields(pixels: NDArray[Any], encoding: str) -> ImageFields:
    height_px, width_px = pixels.shape[:2]
    data = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    step = data.size // height_px if height_px else 0
    return ImageFields(height_px, width_px, encoding, 0, step, data)


def _buffer(data: Any, name: str) -> NDArray[np.uint8]:
    """A uint8 view [n] of bytes, array.array('B') or a uint8 array."""
    try:
        return np.frombuffer(data, dtype=np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        if len(data) == 0:  # numpy refuses an empty buffer
            return np.empty(0, np.uint8)
        raise DataError(f"{name}: expected a buffer of bytes in its data, got {type(data).__name__}") from error


def _check_size(height_px: int, width_px: int, name: str) -> None:
    if height_px <= 0 or width_px <= 0 or height_px * width_px > MAX_PIXELS:
        raise DataError(
            f"{name}: expected a size from 1x1 up to {MAX_PIXELS} pixels, got width {width_px} and height {height_px}"
        )


def _pixels(msg: ImageMessage, channels: int, element: str, rows_per_pixel: float = 1.0) -> NDArray[Any]:
    """A strided view [H * rows_per_pixel, W, channels] of the message's bytes in the message's byte order."""
    height_px, width_px, step = int(msg.height), int(msg.width), int(msg.step)
    _check_size(height_px, width_px, "image")
    height_px = int(height_px * rows_per_pixel)
    dtype = np.dtype(element).newbyteorder(">" if msg.is_bigendian else "<")
    pixel_bytes = channels * dtype.itemsize
    row_bytes = width_px * pixel_bytes
    if step < row_bytes:
        raise DataError(
            f"image: expected a step of at least {row_bytes} bytes for {width_px} {msg.encoding} pixels, got {step}"
        )
    data = _buffer(msg.data, "image")
    needed = (height_px - 1) * step + row_bytes  # the padding behind the last row may be absent
    if data.size < needed:
        raise DataError(
            f"image: expected {height_px * step} bytes ({height_px} rows of {step}), got {data.size}; "
            "the message is truncated"
        )
    strides = (step, pixel_bytes, dtype.itemsize)
    return np.ndarray((height_px, width_px, channels), dtype, buffer=data, strides=strides)


def _to_rgb(pixels: NDArray[Any], encoding: str, bits: ImageBits | None) -> NDArray[np.uint8]:
    if pixels.dtype.itemsize == 2:
        pixels = (bits or ImageBits(16)).to_8_bits(pixels)
    conversion = _LAYOUTS[encoding][2]
    if conversion is None:
        return np.array(pixels, dtype=np.uint8)
    try:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), conversion), dtype=np.uint8)
    except cv2.error as error:
        raise DataError(
            f"image: {pixels.shape[1]}x{pixels.shape[0]} {encoding} pixels cannot be converted to RGB ({error})"
        ) from error


def _compressed_size(data: bytes, image_format: str) -> tuple[int, int]:
    """(height, width) from the header of a complete PNG or JPEG file."""
    if data.startswith(_PNG_MAGIC) and len(data) >= 24:
        if b"IEND" not in data[-64:]:
            raise DataError(f"compressed image: the PNG of {len(data)} bytes has no end; the message is truncated")
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if data.startswith(_JPEG_MAGIC):
        return _jpeg_size(data)
    raise DataError(
        f"compressed image: expected JPEG or PNG data, got {len(data)} bytes of format {image_format!r} "
        f"that start with {data[:4].hex() or 'nothing'}"
    )


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """(height, width) from the frame header of a JPEG file, found by walking its segments."""
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_START_OF_FRAME:
            # The decoder fills the missing rows of a truncated file with grey without an error, so look for the end.
            if data.rfind(b"\xff\xd9") < position:
                raise DataError(f"compressed image: the JPEG of {len(data)} bytes has no end; the message is truncated")
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            return height, int.from_bytes(data[position + 7 : position + 9], "big")
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise DataError(f"compressed image: no frame header in {len(data)} bytes of JPEG; the data is broken or truncated")


def decode_any_image(msg: Any, bits: ImageBits | None = None) -> NDArray[np.uint8]:
    """Pixels of an Image or a CompressedImage, uint8 [H, W, 3] RGB; `bits` as for `decode_image`.

    Raises:
        DataError: the message does not hold them.
    """
    return decode_compressed_image(msg, bits) if hasattr(msg, "format") else decode_image(msg, bits)
