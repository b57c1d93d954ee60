# SPDX-License-Identifier: Apache-2.0
"""Lens distortion against OpenCV, and back."""

import cv2
import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.distortion import Distortion, distort, distorted_rays, undistort

LENS = Distortion(-0.28, 0.07, 0.001, -0.0007, -0.004)
CAMERA = PinholeCamera(160, 96, 110.0, 112.0, 81.0, 46.5)


def test_points_are_distorted_as_opencv_projects_them():
    points = np.random.default_rng(0).uniform(-0.7, 0.7, (50, 2))
    rays = np.concatenate([points, np.ones((50, 1))], axis=1)
    expected, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), np.eye(3), LENS.coefficients)
    np.testing.assert_allclose(distort(points, LENS), expected[:, 0], atol=1e-12)


def test_undistort_is_the_inverse_of_distort():
    points = np.random.default_rng(1).uniform(-0.7, 0.7, (7, 9, 2))
    np.testing.assert_allclose(undistort(distort(points, LENS), LENS), points, atol=1e-9)


def test_rays_go_through_the_pixels_of_the_raw_image():
    rays = distorted_rays(CAMERA, LENS).astype(np.float64)
    u, v = np.moveaxis(distort(rays[..., :2], LENS), -1, 0)
    np.testing.assert_allclose(u[3] * CAMERA.fx_px + CAMERA.cx_px, np.arange(160), atol=2e-3)
    np.testing.assert_allclose(v[:, 5] * CAMERA.fy_px + CAMERA.cy_px, np.arange(96), atol=2e-3)
    np.testing.assert_allclose(distorted_rays(CAMERA, Distortion()), CAMERA.rays(), atol=1e-6)


def test_a_lens_that_folds_back_is_refused():
    with pytest.raises(DataError, match="expected a ray for every pixel"):
        distorted_rays(PinholeCamera(160, 96, 40.0, 40.0, 79.5, 47.5), Distortion(k1=-0.4))
    with pytest.raises(DataError, match="finite"):
        Distortion(k1=float("nan"))
