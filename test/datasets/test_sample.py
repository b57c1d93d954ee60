# SPDX-License-Identifier: Apache-2.0
"""What a sample refuses to hold."""

import numpy as np
import pytest

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera

CAMERA = PinholeCamera(4, 3, 2.0, 2.0, 1.5, 1.0)
IMAGE = np.zeros((3, 4, 3), np.uint8)
TRUTH = np.ones((3, 4), np.float32)


def test_truth_may_have_a_grid_of_its_own():
    small = CAMERA.resized(2, 1)
    sample = DepthSample("a", 0, "front", IMAGE, CAMERA, None, np.ones((1, 2), np.float32), small)
    assert sample.truth_camera == small


@pytest.mark.parametrize(
    ("image", "points", "truth", "truth_camera", "names"),
    [
        (IMAGE[:2], None, TRUTH, CAMERA, "image_rgb"),
        (IMAGE.astype(np.float32), None, TRUTH, CAMERA, "image_rgb"),
        (IMAGE, np.zeros((5, 2), np.float32), TRUTH, CAMERA, "points_camera_m"),
        (IMAGE, None, TRUTH.astype(np.float64), CAMERA, "truth_depth_m"),
        (IMAGE, None, TRUTH.T, CAMERA, "truth_depth_m"),
        (IMAGE, None, TRUTH, None, "truth_depth_m and truth_camera together"),
    ],
)
def test_wrong_shapes_and_types_are_refused_by_name(image, points, truth, truth_camera, names):
    with pytest.raises(DataError, match=names):
        DepthSample("a", 0, "front", image, CAMERA, points, truth, truth_camera)
