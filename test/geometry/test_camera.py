# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera

CAMERA = PinholeCamera(64, 48, 40.0, 44.0, 30.5, 25.0)


def test_unprojected_points_project_back_to_their_pixels():
    depth_m = np.random.default_rng(0).uniform(1, 50, (48, 64)).astype(np.float32)
    pixels = CAMERA.unproject(depth_m) @ CAMERA.matrix.T
    cols, rows = np.meshgrid(np.arange(64), np.arange(48))
    np.testing.assert_allclose(pixels[..., 0] / pixels[..., 2], cols, atol=1e-4)
    np.testing.assert_allclose(pixels[..., 1] / pixels[..., 2], rows, atol=1e-4)


def test_unknown_depth_gives_unknown_points():
    depth_m = np.full((48, 64), np.nan, np.float32)
    assert np.isnan(CAMERA.unproject(depth_m)).all()


def test_resized_camera_sees_what_opencv_resizing_shows():
    # A linear ramp keeps its value at every ray, whatever the image is stretched to.
    ramp = CAMERA.rays()[..., 0]
    resized = CAMERA.resized(128, 24)
    shown = cv2.resize(ramp, (128, 24), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(shown[:, 2:-2], resized.rays()[:, 2:-2, 0], atol=1e-5)


def test_resizing_there_and_back_is_the_identity():
    back = CAMERA.resized(97, 31).resized(64, 48)
    np.testing.assert_allclose(back.matrix, CAMERA.matrix, atol=1e-12)


@pytest.mark.parametrize("fx_px", [0.0, -1.0, float("nan"), float("inf")])
def test_a_camera_without_focal_length_is_refused(fx_px):
    with pytest.raises(DataError, match="calibrated"):
        PinholeCamera(4, 4, fx_px, 1.0, 0.0, 0.0)


def test_depth_of_another_size_is_refused():
    with pytest.raises(DataError, match=r"\(48, 64\).*\(24, 32\)"):
        CAMERA.unproject(np.ones((24, 32), np.float32))
