# SPDX-License-Identifier: Apache-2.0
"""The compressedDepth transport."""

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.compressed_depth import decode_compressed_depth


def message(pixels, encoding="16UC1", scale=0.0, shift=0.0, text="compressedDepth png"):
    png = cv2.imencode(".png", pixels)[1].tobytes()
    return SimpleNamespace(format=f"{encoding}; {text}", data=struct.pack("<iff", 0, scale, shift) + png)


def test_millimetres_are_metres_and_zero_is_unknown():
    depth_m = decode_compressed_depth(message(np.array([[0, 1500], [65535, 1]], np.uint16)))
    np.testing.assert_array_equal(depth_m, np.array([[np.nan, 1.5], [65.535, 0.001]], np.float32))


def test_floats_are_stored_as_quantised_inverse_depth():
    # q = A / z + B: with A = 100 and B = 5, 2 m is 55 and 10 m is 15.
    depth_m = decode_compressed_depth(message(np.array([[55, 15], [0, 5]], np.uint16), "32FC1", 100.0, 5.0))
    np.testing.assert_array_equal(depth_m, np.array([[2.0, 10.0], [np.nan, np.nan]], np.float32))


@pytest.mark.parametrize("text", ["jpeg", "16UC1; jpeg compressed bgr8", "rgb8; compressedDepth png"])
def test_another_format_is_refused(text):
    with pytest.raises(DataError, match="expected format"):
        decode_compressed_depth(SimpleNamespace(format=text, data=b""))


def test_broken_data_is_refused():
    whole = message(np.ones((4, 4), np.uint16))
    for data in (b"", whole.data[:12], whole.data[:-20], whole.data[:12] + b"RVL" * 30):
        with pytest.raises(DataError, match="whole PNG"):
            decode_compressed_depth(SimpleNamespace(format=whole.format, data=data))
    with pytest.raises(DataError, match="expected uint16"):
        decode_compressed_depth(message(np.ones((4, 4), np.uint8)))
    huge = whole.data[:28] + struct.pack(">II", 100_000, 100_000) + whole.data[36:]
    with pytest.raises(DataError, match="got 100000x100000"):
        decode_compressed_depth(SimpleNamespace(format=whole.format, data=huge))


WHOLE = message(np.arange(64, dtype=np.uint16).reshape(8, 8))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["16UC1", "32FC1"]), st.integers(0, len(WHOLE.data) - 1), st.binary(min_size=1, max_size=12))
def test_whatever_bytes_come_give_depth_or_a_reason(encoding, place, patch):
    data = WHOLE.data[:place] + patch + WHOLE.data[place + len(patch) :]
    try:
        depth_m = decode_compressed_depth(SimpleNamespace(format=f"{encoding}; compressedDepth png", data=data))
    except DataError:
        return
    assert depth_m.dtype == np.float32 and not (depth_m <= 0).any() and not np.isinf(depth_m).any()
