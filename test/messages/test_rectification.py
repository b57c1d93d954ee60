# SPDX-License-Identifier: Apache-2.0
"""Lens distortion of camera_info is removed."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.rectification import Rectifier

WIDTH, HEIGHT, FOCAL = 160, 120, 100.0
LENSES = {
    "plumb_bob": [-0.3, 0.08, 0.001, -0.002, 0.0],
    "rational_polynomial": [-0.3, 0.08, 0.001, -0.002, 0.0, 0.01, 0.0, 0.0],
    "": [-0.3, 0.08, 0.001, -0.002, 0.0],
    "equidistant": [0.1, -0.05, 0.01, 0.0],
}


def info(model="plumb_bob", d=None):
    return SimpleNamespace(
        width=WIDTH,
        height=HEIGHT,
        distortion_model=model,
        d=LENSES[model] if d is None else d,
        k=[FOCAL, 0, 79.5, 0, FOCAL, 59.5, 0, 0, 1],
        p=[0.0] * 12,
        binning_x=0,
        binning_y=0,
        roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    )


def distorted_pixel(msg, direction):
    """Where the lens puts a direction (x/z, y/z), by OpenCV's forward model."""
    K, d = np.array(msg.k).reshape(3, 3), np.array(msg.d)
    point = np.array([[[*direction, 1.0]]])
    project = cv2.fisheye.projectPoints if msg.distortion_model == "equidistant" else cv2.projectPoints
    return project(point, np.zeros(3), np.zeros(3), K, d)[0].reshape(2)


@pytest.mark.parametrize("model", LENSES)
def test_a_point_moves_to_where_the_pinhole_camera_sees_it(model):
    msg = info(model)
    rectifier = Rectifier(msg)
    direction = (0.45, -0.3)
    raw = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cv2.circle(
        raw, tuple(int(n) for n in np.rint(16 * distorted_pixel(msg, direction))), 16 * 3, (255,) * 3, -1, shift=4
    )
    straight = rectifier.image(raw)[:, :, 0].astype(float)
    rows, cols = np.mgrid[0:HEIGHT, 0:WIDTH]
    centre = (cols * straight).sum() / straight.sum(), (rows * straight).sum() / straight.sum()
    np.testing.assert_allclose(centre, (FOCAL * 0.45 + 79.5, FOCAL * -0.3 + 59.5), atol=0.5)
    assert np.abs(distorted_pixel(msg, direction) - centre).max() > 1.0  # the lens did matter


@pytest.mark.parametrize("numbers", [12, 14])
def test_thin_prism_and_tilt_of_the_rational_polynomial_are_applied(numbers):
    d = [-0.1, 0.02, 0.001, -0.002, 0.0, 0.1, 0.0, 0.0, 0.1, 0.0, -0.1, 0.0, 0.05, -0.04][:numbers]
    msg = info("rational_polynomial", d)
    direction = (0.45, -0.3)
    rectifier = Rectifier(msg)
    columns = np.tile(np.arange(WIDTH, dtype=np.uint8)[None, :, None], (HEIGHT, 1, 3))
    col, row = round(FOCAL * direction[0] + 79.5), round(FOCAL * direction[1] + 59.5)
    exact = distorted_pixel(msg, ((col - 79.5) / FOCAL, (row - 59.5) / FOCAL))
    assert abs(rectifier.image(columns)[row, col, 0] - exact[0]) <= 0.6
    assert abs(exact - distorted_pixel(info("rational_polynomial", d[:8]), direction)).max() > 0.9


def test_the_inverse_model_leads_from_the_raw_pixel_to_the_straight_one():
    msg = info("inverse_brown_conrady", LENSES["plumb_bob"])
    col, row = 30, 100
    straight = distorted_pixel(info("plumb_bob"), ((col - 79.5) / FOCAL, (row - 59.5) / FOCAL))
    raw = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cv2.circle(raw, (col, row), 3, (255,) * 3, -1)
    image = Rectifier(msg).image(raw)[:, :, 0].astype(float)
    rows, cols = np.mgrid[0:HEIGHT, 0:WIDTH]
    centre = (cols * image).sum() / image.sum(), (rows * image).sum() / image.sum()
    np.testing.assert_allclose(centre, straight, atol=0.3)


@pytest.mark.parametrize(
    ("model", "d", "zeros"),
    [
        ("plumb_bob", 5, 3),
        ("rational_polynomial", 8, 6),
        ("rational_polynomial", 5, 9),
        ("equidistant", 4, 1),
        ("", 4, 4),
    ],
)
def test_zeros_at_the_end_of_d_mean_nothing(model, d, zeros):
    numbers = LENSES[model][:d]
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    longer = Rectifier(info(model, [*numbers, *[0.0] * zeros])).image(image)
    base = Rectifier(info("plumb_bob" if len(numbers) == 5 else model, numbers)).image(image)
    assert np.array_equal(longer, base)


def test_depth_keeps_its_values_and_is_unknown_beyond_the_lens():
    # A pincushion lens bends inwards: the corners of the pinhole image were not seen.
    rectifier = Rectifier(info(d=[0.3, 0.0, 0.0, 0.0, 0.0]))
    depth_m = np.where(np.arange(WIDTH) < 80, 2.0, 7.0).astype(np.float32) * np.ones((HEIGHT, 1), np.float32)
    straight_m = rectifier.depth(depth_m)
    assert set(np.unique(straight_m[np.isfinite(straight_m)])) == {2.0, 7.0}
    assert np.isnan(straight_m[0, 0]) and straight_m[60, 80] == 7.0
    labels = rectifier.labels(np.full((HEIGHT, WIDTH), 3, np.uint8))
    assert labels[0, 0] == 255 and labels[60, 80] == 3


@pytest.mark.parametrize(
    ("model", "d", "message"),
    [
        ("double_sphere", [0.1] * 2, "a distortion model of plumb_bob, .* got 'double_sphere'"),
        ("plumb_bob", [0.1] * 8, "at most 5 numbers in D of plumb_bob, got 8"),
        ("", [0.1] * 8, "at most 5 numbers in D of plumb_bob, got 8"),
        (
            "equidistant",
            [0.1, 0, 0, 0, 0.1],
            "at most 4 numbers in D of equidistant, got 5 up to the last that is not 0",
        ),
        ("rational_polynomial", [0.1] * 15, "at most 14 numbers"),
        ("plumb_bob", [np.nan] * 5, "finite numbers in D, got .nan"),
    ],
)
def test_what_is_wrong_with_a_model_is_said(model, d, message):
    with pytest.raises(DataError, match=message):
        Rectifier(info(model, d))


def test_a_lens_that_opencv_refuses_is_an_error_of_ours(monkeypatch):
    def refuse(*arguments):
        raise cv2.error("no")

    monkeypatch.setattr(cv2, "initUndistortRectifyMap", refuse)
    with pytest.raises(
        DataError, match=r"expected 160x120 pixels and D .* that OpenCV can rectify as 'plumb_bob', got: no"
    ):
        Rectifier(info())


def test_an_absurd_size_is_refused_before_anything_is_allocated(monkeypatch):
    monkeypatch.setattr(cv2, "initUndistortRectifyMap", None)  # is not called
    msg = info()
    msg.width, msg.height = 2**26, 1
    with pytest.raises(DataError, match=r"at most 32766 pixels a side and .* got 67108864x1"):
        Rectifier(msg)


def test_an_image_of_another_size_is_refused():
    with pytest.raises(DataError, match=r"expected 160x120 as camera_info says, got 80x120"):
        Rectifier(info()).image(np.zeros((120, 80, 3), np.uint8))
