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
from mono_depth_ros.messages.compressed_depth import DEPTH_CODECS, compressed_depth_fields, decode_compressed_depth
from mono_depth_ros.messages.images import depth_image_fields


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


DEPTH_M = np.linspace(0.6, 119.0, 640 * 48, dtype=np.float32).reshape(48, 640)


@pytest.mark.parametrize("codec", DEPTH_CODECS)
def test_written_floats_are_read_within_half_a_step_of_inverse_depth(codec):
    depth_m = DEPTH_M.copy()
    depth_m[::3, ::5] = np.nan
    written = compressed_depth_fields(depth_m, "32FC1", codec)
    assert written.format == f"32FC1; compressedDepth {codec}"
    read_m = decode_compressed_depth(written)
    assert np.array_equal(np.isnan(read_m), np.isnan(depth_m))
    known = np.isfinite(depth_m)
    step = (1 / depth_m[known].min() - 1 / depth_m[known].max()) / 65534
    assert np.abs(read_m - depth_m)[known].max() <= 0.51 * step * 119.0**2
    assert np.abs(1 / read_m - 1 / depth_m)[known].max() <= 0.6 * step


@pytest.mark.parametrize("codec", DEPTH_CODECS)
def test_written_millimetres_are_those_of_the_plain_image(codec):
    written = compressed_depth_fields(DEPTH_M, "16UC1", codec)
    plain = depth_image_fields(DEPTH_M, "16UC1").data.view("<u2").reshape(DEPTH_M.shape)
    expected = np.where(plain > 0, plain / np.float32(1000), np.float32(np.nan)).astype(np.float32)
    np.testing.assert_array_equal(decode_compressed_depth(written), expected)


@pytest.mark.parametrize("codec", DEPTH_CODECS)
@pytest.mark.parametrize("depth_m", [np.nan, 7.0])
def test_one_depth_everywhere_or_none_is_written_too(codec, depth_m):
    whole_m = np.full((30, 40), depth_m, np.float32)
    np.testing.assert_allclose(decode_compressed_depth(compressed_depth_fields(whole_m, "32FC1", codec)), whole_m, 1e-6)


def test_a_written_message_has_the_transports_header_and_for_rvl_columns_and_rows():
    data = compressed_depth_fields(DEPTH_M, "32FC1", "rvl").data.tobytes()
    kind, scale, shift, columns, rows = struct.unpack("<iffII", data[:20])
    assert (kind, columns, rows) == (0, 640, 48)
    assert scale / (65535 - shift) == pytest.approx(0.6, rel=1e-4) and scale / (1 - shift) == pytest.approx(
        119, rel=1e-4
    )


def test_an_image_without_depth_is_not_so_small_that_the_transports_reader_calls_it_broken():
    # It refuses more than five pixels for every byte after its own header.
    unknown_m = np.full((480, 640), np.nan, np.float32)
    assert (len(compressed_depth_fields(unknown_m, "32FC1", "rvl").data) - 12) * 5 >= 480 * 640


def test_rvl_of_an_absurd_size_or_without_a_size_is_refused():
    for data in (b"\0" * 19, struct.pack("<iffII", 0, 1.0, 0.0, 100_000, 100_000)):
        with pytest.raises(DataError, match="compressed depth: expected"):
            decode_compressed_depth(SimpleNamespace(format="32FC1; compressedDepth rvl", data=data))


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
