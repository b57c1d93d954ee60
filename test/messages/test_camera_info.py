# SPDX-License-Identifier: Apache-2.0
"""Calibration messages: which numbers describe which image."""

from types import SimpleNamespace

import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.messages.camera_info import (
    camera_from_info,
    camera_info_fields,
    has_distortion,
    rectified_warning,
)


def info(**changes):
    """A stand-in for sensor_msgs/CameraInfo of a 640x480 camera whose K and P differ."""
    values = {
        "height": 480,
        "width": 640,
        "distortion_model": "plumb_bob",
        "d": [0.0] * 5,
        "k": [500.0, 0, 320, 0, 510, 240, 0, 0, 1],
        "r": [1.0, 0, 0, 0, 1, 0, 0, 0, 1],
        "p": [450.0, 0, 310, 0, 0, 460, 230, 0, 0, 0, 1, 0],
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0),
    }
    return SimpleNamespace(**{**values, **changes})


def test_rectified_images_are_described_by_p():
    assert camera_from_info(info()) == PinholeCamera(640, 480, 450.0, 460.0, 310.0, 230.0)


def test_raw_images_are_described_by_k():
    assert camera_from_info(info(), rectified=False) == PinholeCamera(640, 480, 500.0, 510.0, 320.0, 240.0)


def test_k_serves_where_p_is_empty():
    assert camera_from_info(info(p=[0.0] * 12)).fx_px == 500.0


@pytest.mark.parametrize("rectified", [True, False])
def test_an_uncalibrated_camera_is_refused(rectified):
    with pytest.raises(DataError, match=r"focal length in K\[0\], got 0, which means an uncalibrated camera"):
        camera_from_info(info(k=[0.0] * 9, p=[0.0] * 12), rectified)


def test_a_camera_without_size_is_refused():
    with pytest.raises(DataError, match="at least 1x1, got width 640 and height 0"):
        camera_from_info(info(height=0))


@pytest.mark.parametrize("size", [(2**26, 1), (1, 40_000), (30_000, 30_000)])
def test_an_absurd_size_is_refused(size):
    with pytest.raises(DataError, match=f"at most 32766 pixels a side and 67108864 in all, got {size[0]}x{size[1]}"):
        camera_from_info(info(width=size[0], height=size[1]))


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="finite numbers in P"):
        camera_from_info(info(p=[450.0, 0, float("nan"), 0, 0, 460, 230, 0, 0, 0, 1, 0]))


def test_negative_focal_length_is_refused():
    with pytest.raises(DataError, match="positive focal lengths in P"):
        camera_from_info(info(p=[-450.0, 0, 310, 0, 0, 460, 230, 0, 0, 0, 1, 0]))


def test_skew_is_refused():
    with pytest.raises(DataError, match="no skew"):
        camera_from_info(info(k=[500.0, 3.0, 320, 0, 510, 240, 0, 0, 1]), rectified=False)


def test_wrong_number_of_entries_is_refused():
    with pytest.raises(DataError, match="9 numbers in K and 12 in P, got 8 and 12"):
        camera_from_info(info(k=[500.0] * 8))


def test_region_of_interest_moves_the_centre():
    roi = SimpleNamespace(x_offset=100, y_offset=50, height=200, width=300)
    assert camera_from_info(info(roi=roi)) == PinholeCamera(300, 200, 450.0, 460.0, 210.0, 180.0)


def test_binning_keeps_the_borders_of_the_image():
    camera = camera_from_info(info(binning_x=2, binning_y=4))
    assert camera == PinholeCamera(640, 480, 450.0, 460.0, 310.0, 230.0).resized(320, 120)


def test_distortion_is_seen():
    assert not has_distortion(info())
    assert has_distortion(info(d=[0.0, 0.1, 0, 0, 0]))


@pytest.mark.parametrize("model", ["", "plumb_bob", "equidistant", "inverse_brown_conrady", "somebody_elses"])
def test_zeros_are_a_straight_lens_in_every_model(model):
    assert not has_distortion(info(distortion_model=model))
    assert not has_distortion(info(distortion_model=model, d=[]))


def test_a_distortion_that_is_not_known_counts_as_one():
    assert has_distortion(info(d=[float("nan")] * 5))


D = [-0.3, 0.1, 0.0, 0.0, 0.0]
COPY_OF_K = [500.0, 0, 320, 0, 0, 510, 240, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("changes", "topic", "evidence"),
    [
        ({"p": COPY_OF_K}, "", "its P is a copy of K"),
        ({"p": COPY_OF_K, "r": [0.0] * 9}, "", "its P is a copy of K"),
        ({"p": [0.0] * 12}, "", "its P is empty"),
        ({}, "/camera/image_raw", "the name /camera/image_raw says nothing of rectified images"),
        ({}, "/direct/image", "the name /direct/image says nothing"),
    ],
)
def test_images_that_may_be_raw_are_warned_about(changes, topic, evidence):
    warning = rectified_warning(info(d=D, **changes), True, topic)
    assert f"D is not 0) and {evidence}" in warning and "set rectified to false" in warning


@pytest.mark.parametrize(
    ("changes", "topic"),
    [
        ({}, ""),  # calibrated for rectified images
        ({"p": COPY_OF_K, "r": [0.0, -1, 0, 1, 0, 0, 0, 0, 1]}, ""),  # of a stereo pair
        ({"p": COPY_OF_K}, "/camera/image_rect"),
        ({"p": COPY_OF_K}, "/camera/image_rect_color/compressed"),
        ({"p": COPY_OF_K}, "/camera/rectified/image"),
        ({"p": COPY_OF_K, "d": [0.0] * 5}, "/camera/image_raw"),
        ({"p": COPY_OF_K, "d": [float("nan")] * 5}, "/camera/image_raw"),
        ({"p": [1.0] * 3}, "/camera/image_raw"),  # is refused anyway
    ],
)
def test_images_that_nothing_speaks_against_are_not_warned_about(changes, topic):
    assert rectified_warning(info(**{"d": D, **changes}), True, topic) == ""


def test_raw_images_are_not_warned_about():
    assert rectified_warning(info(d=D, p=COPY_OF_K), False, "/camera/image_raw") == ""


@pytest.mark.parametrize("rectified", [True, False])
def test_written_fields_read_back(rectified):
    camera = PinholeCamera(32, 24, 20.5, 21.5, 15.25, 11.75)
    fields = camera_info_fields(camera)
    message = info(height=fields.height, width=fields.width, k=fields.k, p=fields.p, d=fields.d)
    assert camera_from_info(message, rectified) == camera
    assert np.array_equal(fields.r, np.eye(3).ravel())
    assert not has_distortion(message)
