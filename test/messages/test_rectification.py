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
    ("model", "d"),
    [("double_sphere", [0.1] * 2), ("", [0.1] * 5), ("plumb_bob", [0.1] * 8), ("plumb_bob", [np.nan] * 5)],
)
def test_an_unknown_model_is_refused(model, d):
    with pytest.raises(DataError, match="expected a distortion model of plumb_bob"):
        Rectifier(info(model, d))


def test_an_image_of_another_size_is_refused():
    with pytest.raises(DataError, match="expected 160x120 as camera_info says, got 80x120"):
        Rectifier(info()).image(np.zeros((120, 80, 3), np.uint8))
