# SPDX-License-Identifier: Apache-2.0
"""What a sample refuses to hold."""

import numpy as np
import pytest

from mono_depth_ros.datasets.sample import ContextFrame, DepthSample, Samples, prepare
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


def test_the_relative_pose_takes_points_of_the_other_image_into_this_camera():
    here, ahead = np.eye(4), np.eye(4)
    here[:3, 3], ahead[:3, 3] = (1.0, 0.0, 0.0), (1.0, 0.0, 2.5)
    samples = [DepthSample("a", 0, "front", IMAGE, CAMERA, None, None, None, 5.0, pose) for pose in (here, ahead)]
    np.testing.assert_allclose((samples[0].T_self_other(samples[1]) @ [0.0, 0.0, 4.0, 1.0])[:3], [0.0, 0.0, 6.5])


def test_a_relative_pose_needs_both_poses():
    sample = DepthSample("a", 0, "front", IMAGE, CAMERA, None, None, None)
    with pytest.raises(DataError, match="expected both with a pose"):
        sample.T_self_other(sample)


@pytest.mark.parametrize(
    ("speed_mps", "T_world_camera", "names"),
    [(-1.0, None, "speed_mps"), (float("nan"), None, "speed_mps"), (None, np.eye(3), "T_world_camera")],
)
def test_impossible_motion_is_refused(speed_mps, T_world_camera, names):
    with pytest.raises(DataError, match=names):
        DepthSample("a", 0, "front", IMAGE, CAMERA, None, None, None, speed_mps, T_world_camera)


@pytest.mark.parametrize(
    ("image", "T_context_sample", "names"),
    [(IMAGE[..., :2], np.eye(4), "image_rgb"), (IMAGE, np.eye(4, dtype=np.float32), "T_context_sample")],
)
def test_a_context_frame_refuses_wrong_shapes_and_types(image, T_context_sample, names):
    with pytest.raises(DataError, match=names):
        ContextFrame(0, image, T_context_sample)


class Counting:
    """A reader of three samples that remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def __len__(self):
        return 3

    def read(self, index):
        self.asked.append(index)
        return f"sample {index}"

    def read_context(self, index, step):
        return f"context {index}{step:+d}"


def test_samples_are_read_when_they_are_asked_for():
    reader = Counting()
    samples = Samples(reader)
    assert len(samples) == 3 and reader.asked == []
    assert samples[1] == "sample 1" and reader.asked == [1]
    assert next(iter(samples)) == "sample 0" and reader.asked == [1, 0]
    assert list(samples) == ["sample 0", "sample 1", "sample 2"]
    assert samples.context(2, -1) == "context 2-1"


@pytest.mark.parametrize("index", [-1, 3])
def test_there_are_no_samples_beyond_the_ends(index):
    reader = Counting()
    with pytest.raises(IndexError):
        Samples(reader)[index]
    with pytest.raises(IndexError):
        Samples(reader).context(index, 1)
    assert reader.asked == []


def test_samples_that_lie_on_the_disk_need_no_preparation():
    reader = Counting()
    prepare(Samples(reader), lambda *_: pytest.fail("nothing to tell"))
    assert reader.asked == []
