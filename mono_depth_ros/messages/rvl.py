# SPDX-License-Identifier: Apache-2.0
"""RVL (Wilson, Fast Lossless Depth Image Compression, 2017), the faster codec of the compressedDepth transport.

Pixels are taken row by row: a number of zeros, a number of others, and of each of those its difference to the one
before, again and again. Numbers are written three bits at a time, the lowest first, in nibbles whose highest bit tells
that more follow; eight nibbles make a word of 32 bits, the first in its highest bits. Words are little-endian, as
the transport writes them on the machines that ROS runs on.
"""

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import DataError

_MOST_NIBBLES = 10  # 30 bits: more than any count or difference has


def encode_rvl(pixels: npt.NDArray[np.uint16]) -> bytes:
    """The words of an image, uint16 [H, W]; its size is not among them."""
    flat = pixels.ravel()
    known = flat > 0
    borders = np.flatnonzero(np.diff(known, prepend=False, append=False))
    starts, ends = borders[0::2], borders[1::2]
    zeros = starts - np.concatenate([[0], ends[:-1]]) if len(starts) else starts
    difference = np.diff(flat[known].astype(np.int64), prepend=0)
    numbers = np.where(difference < 0, -2 * difference - 1, 2 * difference)
    counts = np.stack([zeros, ends - starts], axis=1).ravel()
    before = np.cumsum(ends - starts) - (ends - starts)
    numbers = np.insert(numbers, np.repeat(before, 2), counts)
    rest = flat.size - (int(ends[-1]) if len(ends) else 0)
    if rest:
        numbers = np.append(numbers, [rest, 0])
    return _words(numbers)


def decode_rvl(data: bytes, height_px: int, width_px: int) -> npt.NDArray[np.uint16]:
    """The image that ``encode_rvl`` was given.

    Raises:
        DataError: the words end early, or say something else than an image of this size.
    """
    numbers, total = _numbers(data), height_px * width_px
    places: list[slice] = []
    parts: list[npt.NDArray[np.int64]] = []
    done = at = 0
    while done < total:
        zeros, others = (int(number) for number in numbers[at : at + 2]) if at + 2 <= len(numbers) else (total + 1, 0)
        done, at = done + zeros + others, at + 2 + others
        if done > total or at > len(numbers):
            raise DataError(f"rvl: expected {total} pixels in {len(data)} bytes, got runs of another length")
        places.append(slice(done - others, done))
        parts.append(numbers[at - others : at])
    coded = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    values = np.cumsum((coded >> 1) ^ -(coded & 1)).astype(np.uint16)
    flat, taken = np.zeros(total, np.uint16), 0
    for place in places:
        count = place.stop - place.start
        flat[place] = values[taken : taken + count]
        taken += count
    return flat.reshape(height_px, width_px)


def _words(numbers: npt.NDArray[np.int64]) -> bytes:
    most = max(1, -(-int(numbers.max()).bit_length() // 3))
    shifted = numbers.astype(np.uint32)[:, None] >> (3 * np.arange(most, dtype=np.uint32))
    more = shifted > 7
    written = np.concatenate([np.ones((len(numbers), 1), bool), more[:, :-1]], axis=1)
    stream = ((shifted & 7) | (more * np.uint32(8))).astype(np.uint8)[written]
    stream = np.pad(stream, (0, -len(stream) % 8))
    high_first = (stream[0::2] << 4) | stream[1::2]
    return high_first.view(">u4").astype("<u4").tobytes()


def _numbers(data: bytes) -> npt.NDArray[np.int64]:
    """All numbers of the words; the zeros that fill the last word come as numbers, too."""
    high_first = np.frombuffer(data[: len(data) // 4 * 4], "<u4").astype(">u4").view(np.uint8)
    stream = np.stack([high_first >> 4, high_first & 15], axis=1).ravel().astype(np.int64)
    last = np.flatnonzero(stream < 8)
    stream = stream[: last[-1] + 1] if len(last) else stream[:0]
    first = np.concatenate([[0], last[:-1] + 1]) if len(last) else last
    digit = np.arange(len(stream)) - np.repeat(first, last - first + 1)
    if len(digit) and digit.max() >= _MOST_NIBBLES:
        raise DataError(f"rvl: expected numbers of at most {_MOST_NIBBLES} nibbles, got {int(digit.max()) + 1}")
    numbers: npt.NDArray[np.int64] = np.add.reduceat((stream & 7) << (3 * digit), first) if len(first) else stream
    return numbers
