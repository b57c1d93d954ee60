# SPDX-License-Identifier: Apache-2.0
"""Reads files of a data set that somebody else made: sizes bounded, nothing unpickled, errors with the path."""

import io
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.images import MAX_PIXELS, decode_compressed_image

MAX_IMAGE_BYTES = 256 << 20
MAX_ARRAY_BYTES = 512 << 20
MAX_TEXT_BYTES = 256 << 20

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_GREY = 0


@dataclass(slots=True, eq=False)
class _ImageFile:
    """The bytes of an image, as a message would carry them (and not frozen, since messages are not)."""

    format: str
    data: bytes


def path_inside(root: Path, relative: str, source: Path) -> Path:
    """A path that a file of the data set names, which has to stay below `root`.

    Symbolic links are followed: they are how large data sets are spread over disks.

    Args:
        source: the file that named it, for the message.

    Raises:
        DataError: it is empty, absolute, climbs with "..", or has characters that no file of a data set needs.
    """
    parts = PurePosixPath(relative).parts
    leaves = relative.startswith(("/", "~")) or ".." in parts or any(character in relative for character in "\\:")
    if not parts or leaves or not relative.isprintable():
        raise DataError(f"{source}: expected a path inside {root}, got {relative[:200]!r}")
    return root.joinpath(*parts)


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """A whole file of at most `max_bytes`.

    Raises:
        DataError: it is not there, is larger, or cannot be read.
    """
    try:
        if not path.is_file():
            raise DataError(f"{path}: expected a file, got {'a folder' if path.is_dir() else 'nothing there'}")
        with path.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no file system takes
        raise DataError(f"{path}: cannot be read ({error})") from error
    if len(data) > max_bytes:
        raise DataError(f"{path}: expected at most {max_bytes} bytes, got more")
    return data


def read_text(path: Path) -> str:
    """A UTF-8 text file.

    Raises:
        DataError: it is not there, is too large, or is not text.
    """
    try:
        return read_bytes(path, MAX_TEXT_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text, got other bytes ({error})") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not blank, stripped."""
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def read_numbers(path: Path, counts: tuple[int, ...]) -> NDArray[np.float64]:
    """All numbers of a text file, float64 [n], n one of `counts`.

    Raises:
        DataError: another count, or something that is not a finite number.
    """
    return parse_numbers(read_text(path), counts, str(path))


def parse_numbers(text: str, counts: tuple[int, ...], name: str) -> NDArray[np.float64]:
    """Numbers separated by white space, float64 [n], n one of `counts`.

    Raises:
        DataError: another count, or something that is not a finite number; the message starts with `name`.

    >>> parse_numbers("1 2.5e0", (2,), "K.txt").tolist()
    [1.0, 2.5]
    """
    words = text.split()
    expected = " or ".join(map(str, counts))
    if len(words) not in counts:
        raise DataError(f"{name}: expected {expected} numbers, got {len(words)} words")
    try:
        numbers = np.array([float(word) for word in words], dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{name}: expected {expected} numbers, got {error}") from error
    if not np.isfinite(numbers).all():
        raise DataError(f"{name}: expected finite numbers, got {text.strip()[:80]!r}")
    return numbers


def read_json(path: Path) -> Any:
    """A JSON file.

    Raises:
        DataError: it is not there, is too large, or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, got {type(error).__name__}: {error}") from error


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """A PNG or JPEG file as uint8 [H,W,3] RGB; its size is checked before it is decoded.

    Raises:
        DataError: it is not there, is too large, truncated, or neither PNG nor JPEG.
    """
    data = read_bytes(path, MAX_IMAGE_BYTES)
    try:
        return decode_compressed_image(_ImageFile(path.suffix.lstrip("."), data))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def read_uint16_png(path: Path) -> NDArray[np.uint16]:
    """A grey PNG of 16 bits as it is stored, uint16 [H,W].

    Raises:
        DataError: it is not there, is too large, truncated, in colour, or of 8 bits (a picture of depth, not depth).
    """
    data = read_bytes(path, MAX_IMAGE_BYTES)
    if not data.startswith(_PNG_MAGIC) or len(data) < 33:
        raise DataError(f"{path}: expected a PNG file, got {len(data)} bytes that start with {data[:4].hex() or '-'}")
    width_px, height_px = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if (data[24], data[25]) != (16, _PNG_GREY):
        raise DataError(
            f"{path}: expected grey pixels of 16 bits, got {data[24]} bits and PNG colour type {data[25]}; "
            "was it saved again by a program that keeps 8 bits?"
        )
    if not 0 < width_px * height_px <= MAX_PIXELS:
        raise DataError(f"{path}: expected 1 to {MAX_PIXELS} pixels, got {width_px}x{height_px}")
    if b"IEND" not in data[-64:]:
        raise DataError(f"{path}: the PNG of {len(data)} bytes has no end; the file is truncated")
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DataError(f"{path}: cannot be decoded ({error})") from error
    if pixels is None or pixels.shape != (height_px, width_px) or pixels.dtype != np.uint16:
        raise DataError(f"{path}: expected {width_px}x{height_px} pixels as its header says, got none; it is broken")
    return np.asarray(pixels, np.uint16)


def read_depth_png(path: Path) -> NDArray[np.float32]:
    """Depth stored as uint16 in 1/256 m with 0 for unknown (KITTI, VOID).

    Returns:
        float32 [H,W], metres, NaN where unknown.

    Raises:
        DataError: see `read_uint16_png`.
    """
    stored = read_uint16_png(path)
    depth_m: NDArray[np.float32] = stored.astype(np.float32) / np.float32(256.0)
    depth_m[stored == 0] = np.nan
    return depth_m


def read_npz_array(path: Path, key: str) -> NDArray[Any]:
    """One array of an .npz file, with the shape and type that its header says.

    Raises:
        DataError: it is not there, the file is broken, or the array is larger than allowed or made of Python objects.
    """
    data = read_bytes(path, MAX_ARRAY_BYTES)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if f"{key}.npy" not in names:
                keys = ", ".join(name.removesuffix(".npy") for name in names[:20])
                raise DataError(f"{path}: expected an array {key!r}, got {keys or 'none'}")
            size = archive.getinfo(f"{key}.npy").file_size
            if size > MAX_ARRAY_BYTES:
                raise DataError(f"{path}: expected {key} of at most {MAX_ARRAY_BYTES} bytes, got {size}")
            with archive.open(f"{key}.npy") as member:
                stored = member.read(size)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path}: expected an .npz file, got {type(error).__name__}: {error}") from error
    except Exception as error:  # zlib.error and whatever else a crafted archive provokes in the decompressors
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: {key} cannot be unpacked ({type(error).__name__}: {error})") from error
    return _npy_array(stored, f"{path}: {key}")


def require_shape(array: NDArray[Any], shape: tuple[int, ...], path: Path, of: str) -> None:
    """Refuses an array of another shape.

    Raises:
        DataError: with the path, both shapes, and what the shape comes from.
    """
    if array.shape != shape:
        raise DataError(f"{path}: expected shape {shape} of {of}, got {array.shape}")


def _npy_array(stored: bytes, name: str) -> NDArray[Any]:
    """The array of a .npy file; the header's size is compared with the bytes before memory is taken."""
    stream = io.BytesIO(stored)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise DataError(f"{name}: expected .npy version 1.0 or 2.0, got {version}")
        shape, fortran_order, dtype = read_header(stream)
    except (ValueError, SyntaxError, TypeError, RecursionError) as error:
        raise DataError(f"{name}: expected a .npy header, got {error}") from error
    if dtype.hasobject:
        raise DataError(f"{name}: expected numbers, got Python objects, which are not loaded since they can run code")
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != len(stored) - stream.tell():
        raise DataError(
            f"{name}: expected {shape} of {dtype} as its header says, got {len(stored) - stream.tell()} bytes"
        )
    if math.prod(shape) == 0:
        return np.empty(shape, dtype)
    flat = np.frombuffer(stored, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran_order else "C")
