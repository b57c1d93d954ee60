# SPDX-License-Identifier: Apache-2.0
"""Image messages: every encoding, padding, byte order; broken ones are errors that say what is wrong."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.image_bits import ImageBits
from mono_depth_ros.messages.images import (
    decode_compressed_image,
    decode_depth_image,
    decode_image,
    depth_image_fields,
    rgb_image_fields,
)

RGB = np.random.default_rng(1).integers(0, 256, (5, 6, 3), dtype=np.uint8)


def image_message(pixels, encoding, padding=0, big_endian=False):
    """A stand-in for sensor_msgs/Image with `padding` bytes of rubbish behind every row."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
    rows = np.hstack([rows, np.full((height, padding), 0xAB, np.uint8)])
    return SimpleNamespace(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=rows.shape[1],
        data=rows.tobytes(),
    )


@pytest.mark.parametrize("padding", [0, 7])
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [
        ("rgb8", (0, 1, 2)),
        ("bgr8", (2, 1, 0)),
        ("8UC3", (2, 1, 0)),
        ("rgba8", (0, 1, 2, 0)),
        ("bgra8", (2, 1, 0, 0)),
    ],
)
def test_colour_encodings_give_rgb(encoding, channels, padding):
    pixels = RGB[:, :, channels]
    assert np.array_equal(decode_image(image_message(pixels, encoding, padding)), RGB)
    if encoding.endswith("8"):
        for order in "<>":
            wide = (pixels * np.uint16(257)).astype(f"{order}u2")
            message = image_message(wide, encoding[:-1] + "16", padding, big_endian=order == ">")
            assert np.array_equal(decode_image(message), RGB)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_is_repeated_in_three_channels(encoding):
    decoded = decode_image(image_message(RGB[:, :, 0], encoding, padding=3))
    assert np.array_equal(decoded, np.repeat(RGB[:, :, :1], 3, axis=2))


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_mono16_uses_its_byte_order_and_full_range(order):
    values = np.array([[0, 257, 32896, 65535]], dtype=order)
    decoded = decode_image(image_message(values, "mono16", padding=2, big_endian=order == ">u2"))
    assert decoded[0, :, 1].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("encoding", "red_at"),
    [("bayer_rggb8", (0, 0)), ("bayer_grbg8", (0, 1)), ("bayer_gbrg8", (1, 0)), ("bayer_bggr8", (1, 1))],
)
def test_bayer_red_sites_become_red(encoding, red_at):
    mosaic = np.zeros((8, 8), np.uint8)
    mosaic[red_at[0] :: 2, red_at[1] :: 2] = 200
    assert decode_image(image_message(mosaic, encoding))[4, 4].tolist() == [200, 0, 0]
    wide = image_message(mosaic.astype(np.uint16) << 4, encoding[:-1] + "16")
    assert decode_image(wide, ImageBits(12))[4, 4].tolist() == [199, 0, 0]


def test_12_bits_in_mono16_are_scaled_as_told():
    values = np.array([[0, 257, 2048, 4095, 5000]], np.uint16)
    assert decode_image(image_message(values, "mono16"), ImageBits(12))[0, :, 1].tolist() == [0, 16, 128, 255, 255]


@pytest.mark.parametrize(("encoding", "chroma"), [("nv12", (90, 240)), ("nv21", (240, 90))])
def test_chroma_below_the_luma_is_read(encoding, chroma):
    planes = np.full((6, 6), 81, np.uint8)  # ITU-R BT.601: red is Y 81, U 90, V 240
    planes[4:, 0::2], planes[4:, 1::2] = chroma
    message = image_message(planes, encoding, padding=2)
    message.height = 4
    decoded = decode_image(message)
    assert decoded.shape == (4, 6, 3)
    assert np.abs(decoded.astype(int) - (255, 0, 0)).max() <= 2


def test_chroma_that_is_missing_is_a_truncated_image():
    with pytest.raises(DataError, match=r"expected 36 bytes \(6 rows of 6\), got 24; the message is truncated"):
        decode_image(image_message(np.zeros((4, 6), np.uint8), "nv12"))


@pytest.mark.parametrize(("height", "width"), [(4, 5), (3, 6)])
def test_odd_sizes_of_shared_chroma_are_refused(height, width):
    with pytest.raises(DataError, match="expected an even"):
        decode_image(image_message(np.zeros((height, width), np.uint8), "nv12"))


def test_millimetres_are_no_picture():
    with pytest.raises(DataError, match="got '16UC1'; it is depth in millimetres as a rule, a picture is mono16"):
        decode_image(image_message(np.zeros((4, 4), np.uint16), "16UC1"))


@pytest.mark.parametrize(
    ("encoding", "luma_first"), [("yuv422", False), ("uyvy", False), ("yuv422_yuy2", True), ("yuyv", True)]
)
def test_yuv422_reads_luma_from_its_place(encoding, luma_first):
    luma, chroma = np.full((4, 6), 126, np.uint8), np.full((4, 6), 128, np.uint8)
    packed = np.stack([luma, chroma] if luma_first else [chroma, luma], axis=2)
    decoded = decode_image(image_message(packed, encoding))
    assert decoded.shape == (4, 6, 3)
    assert np.ptp(decoded) == 0
    assert abs(int(decoded[0, 0, 0]) - round((126 - 16) * 255 / 219)) <= 1


def test_decoded_image_does_not_share_memory_with_the_message():
    message = image_message(RGB, "rgb8")
    message.data = bytearray(message.data)
    decoded = decode_image(message)
    message.data[0] ^= 0xFF
    assert np.array_equal(decoded, RGB)


def test_message_data_may_be_a_numpy_array():
    message = image_message(RGB, "rgb8")
    message.data = np.frombuffer(message.data, np.uint8)
    assert np.array_equal(decode_image(message), RGB)


def test_unknown_encoding_names_the_supported_ones():
    with pytest.raises(DataError, match=r"expected one of rgb8.*got 'jpeg2000'"):
        decode_image(image_message(RGB, "jpeg2000"))


def test_truncated_image_says_expected_and_got():
    message = image_message(RGB, "rgb8")
    message.data = message.data[:-1]
    with pytest.raises(DataError, match=r"expected 90 bytes \(5 rows of 18\), got 89; the message is truncated"):
        decode_image(message)


def test_empty_data_is_a_truncated_image():
    message = image_message(RGB, "rgb8")
    message.data = b""
    with pytest.raises(DataError, match="got 0"):
        decode_image(message)


def test_step_shorter_than_a_row_is_refused():
    message = image_message(RGB, "rgb8")
    message.step = 17
    with pytest.raises(DataError, match="step of at least 18"):
        decode_image(message)


@pytest.mark.parametrize(("height", "width"), [(0, 4), (4, 0), (2**31, 2**31)])
def test_impossible_size_is_refused_before_anything_is_allocated(height, width):
    message = SimpleNamespace(height=height, width=width, encoding="rgb8", is_bigendian=0, step=2**40, data=b"")
    with pytest.raises(DataError, match="expected a size"):
        decode_image(message)


def test_odd_width_of_paired_pixels_is_refused():
    with pytest.raises(DataError, match="even width"):
        decode_image(image_message(np.zeros((4, 5, 2), np.uint8), "yuyv"))


def compressed(data, image_format="png"):
    return SimpleNamespace(format=image_format, data=data)


def encoded(extension):
    smooth = cv2.resize(RGB, (64, 48), interpolation=cv2.INTER_CUBIC)
    return smooth, cv2.imencode(extension, cv2.cvtColor(smooth, cv2.COLOR_RGB2BGR))[1].tobytes()


def test_png_is_decoded_exactly():
    smooth, data = encoded(".png")
    assert np.array_equal(decode_compressed_image(compressed(data)), smooth)


def test_jpeg_is_decoded_in_rgb_order():
    smooth, data = encoded(".jpg")
    decoded = decode_compressed_image(compressed(data, "rgb8; jpeg compressed bgr8")).astype(int)
    assert np.abs(decoded - smooth).mean() < 6


@pytest.mark.parametrize(("extension", "image_format"), [(".png", "png compressed "), (".jpg", "jpeg compressed ")])
def test_a_mosaic_in_a_compressed_image_is_demosaiced(extension, image_format):
    mosaic = np.zeros((32, 32), np.uint8)
    mosaic[0::2, 1::2] = 200  # red of GRBG
    message = compressed(cv2.imencode(extension, mosaic)[1].tobytes(), f"bayer_grbg8; {image_format}")
    assert np.abs(decode_compressed_image(message)[15, 15].astype(int) - (200, 0, 0)).max() <= 8


def test_a_mosaic_that_was_demosaiced_before_compression_is_colour():
    smooth, data = encoded(".png")
    assert np.array_equal(decode_compressed_image(compressed(data, "bayer_rggb8; png compressed bgr8")), smooth)


def test_a_png_of_16_bits_is_scaled_as_told():
    values = np.array([[0, 257, 2048, 4095]] * 4, np.uint16)
    message = compressed(cv2.imencode(".png", values)[1].tobytes(), "mono16; png compressed ")
    assert decode_compressed_image(message, ImageBits(12))[2, :, 1].tolist() == [0, 16, 128, 255]
    assert decode_compressed_image(message)[2, :, 1].tolist() == [0, 1, 8, 16]


def test_alpha_of_a_png_is_left_out():
    smooth, _ = encoded(".png")
    rgba = np.dstack([smooth[:, :, ::-1], np.full(smooth.shape[:2], 7, np.uint8)])
    assert np.array_equal(decode_compressed_image(compressed(cv2.imencode(".png", rgba)[1].tobytes())), smooth)


@pytest.mark.parametrize("extension", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.98])
def test_truncated_compressed_image_is_refused(extension, share):
    data = encoded(extension)[1]
    with pytest.raises(DataError, match="compressed image"):
        decode_compressed_image(compressed(data[: int(share * len(data))]))


def test_png_that_claims_an_absurd_size_is_refused_by_its_header():
    data = bytearray(encoded(".png")[1])
    data[16:24] = (60000).to_bytes(4, "big") * 2
    with pytest.raises(DataError, match="width 60000 and height 60000"):
        decode_compressed_image(compressed(bytes(data)))


def test_other_compressed_data_is_refused():
    with pytest.raises(DataError, match="expected JPEG or PNG"):
        decode_compressed_image(compressed(b"GIF89a" + bytes(40)))


def test_broken_png_body_is_refused():
    data = bytearray(encoded(".png")[1])
    data[45 : len(data) - 20] = bytes(len(data) - 65)
    with pytest.raises(DataError, match="compressed image"):
        decode_compressed_image(compressed(bytes(data)))


def test_depth_in_metres_keeps_values_and_marks_the_rest_unknown():
    values = np.array([[1.5, np.nan, np.inf], [-np.inf, 0.0, -1.0]], "<f4")
    depth_m = decode_depth_image(image_message(values, "32FC1", padding=4))
    np.testing.assert_array_equal(depth_m, np.array([[1.5, np.nan, np.nan], [np.nan] * 3], np.float32))


@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
def test_depth_in_millimetres_has_zero_as_unknown(encoding):
    depth_m = decode_depth_image(image_message(np.array([[0, 1500]], ">u2"), encoding, big_endian=True))
    np.testing.assert_array_equal(depth_m, np.array([[np.nan, 1.5]], np.float32))


def test_colour_image_is_no_depth():
    with pytest.raises(DataError, match="expected 32FC1"):
        decode_depth_image(image_message(RGB, "rgb8"))


def test_depth_written_as_32fc1_reads_back_bit_by_bit():
    depth_m = np.array([[0.1, np.nan, 79.9], [3.0, 250.0, np.nan]], np.float32)
    fields = depth_image_fields(depth_m)
    assert (fields.height, fields.width, fields.step, fields.encoding, fields.is_bigendian) == (2, 3, 12, "32FC1", 0)
    np.testing.assert_array_equal(decode_depth_image(fields), depth_m)


def test_depth_written_as_16uc1_rounds_to_millimetres_and_drops_what_does_not_fit():
    fields = depth_image_fields(np.array([[1.2346, np.nan, 65.535, 65.54, 1e-5]], np.float32), "16UC1")
    assert fields.data.view("<u2").tolist() == [1235, 0, 65535, 0, 0]


def test_unknown_depth_encoding_is_refused():
    with pytest.raises(DataError, match="'32FC1' or '16UC1'"):
        depth_image_fields(np.ones((2, 2), np.float32), "64FC1")


def test_rgb_fields_read_back():
    assert np.array_equal(decode_image(rgb_image_fields(RGB[:, ::2])), RGB[:, ::2])
