# SPDX-License-Identifier: Apache-2.0
"""The codec RVL, against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.rvl import decode_rvl, encode_rvl

PIXELS = np.array([[0, 0, 1500], [1502, 0, 65535]], np.uint16)
# Two zeros, two others: +1500 is 3000, in octal 5670, as nibbles 8 F E 5; +2 is 4. One zero, one other: +64033 is
# 128066, in octal 372102, as nibbles A 8 9 A F 3. Words 228FE541 and 1A89AF30, the lowest byte first.
WORDS = bytes.fromhex("41e58f2230af891a")


def test_an_image_is_written_as_worked_out_by_hand():
    assert encode_rvl(PIXELS) == WORDS


def test_an_image_is_read_as_worked_out_by_hand():
    np.testing.assert_array_equal(decode_rvl(WORDS, 2, 3), PIXELS)


@settings(max_examples=100, deadline=None)
@given(arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_whatever_is_written_is_read_again(pixels):
    np.testing.assert_array_equal(decode_rvl(encode_rvl(pixels), *pixels.shape), pixels)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_whatever_bytes_come_give_an_image_or_a_reason(data):
    try:
        pixels = decode_rvl(data, 4, 5)
    except DataError:
        return
    assert pixels.shape == (4, 5)


@pytest.mark.parametrize("data", [b"", WORDS[:4], WORDS[4:], b"\xff" * 64])
def test_words_that_are_no_image_of_the_size_are_refused(data):
    with pytest.raises(DataError, match="rvl: expected"):
        decode_rvl(data, 2, 3)
