# SPDX-License-Identifier: Apache-2.0
"""Bits of 16-bit pixels: told, or learnt from the images."""

import numpy as np
import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.messages.image_bits import ImageBits


def pixels(*values):
    return np.array([values], np.uint16)


@pytest.mark.parametrize(
    ("largest", "bits"), [(0, 10), (1023, 10), (1024, 12), (4095, 12), (16383, 14), (16384, 16), (65535, 16)]
)
def test_the_fewest_usual_bits_that_hold_the_largest_value_are_taken(largest, bits):
    camera = ImageBits()
    camera.to_8_bits(pixels(0, largest))
    assert camera.bits == bits


def test_bits_found_are_never_given_up_again():
    camera = ImageBits()
    assert camera.to_8_bits(pixels(3000, 1000)).tolist() == [[187, 62]]
    assert camera.to_8_bits(pixels(800, 1000)).tolist() == [[50, 62]]
    camera.to_8_bits(pixels(20000))
    assert camera.bits == 16 and camera.to_8_bits(pixels(1000)).tolist() == [[4]]


def test_what_is_taken_for_granted_is_said():
    camera = ImageBits()
    assert camera.warning == ""
    camera.to_8_bits(pixels(3000))
    assert "has reached 4096 yet" in camera.warning and "set image.bits to 12, or to 16" in camera.warning
    camera.to_8_bits(pixels(60000))
    assert camera.warning == ""


def test_bits_that_are_told_hold_and_are_no_guess():
    camera = ImageBits(14)
    assert camera.to_8_bits(pixels(100, 16383, 65535)).tolist() == [[2, 255, 255]]
    assert camera.bits == 14 and camera.warning == ""


@pytest.mark.parametrize("bits", [-1, 7, 17])
def test_impossible_bits_are_refused(bits):
    with pytest.raises(ConfigError, match=f"image.bits: expected 8 to 16, or 0 to find them, got {bits}"):
        ImageBits(bits)
