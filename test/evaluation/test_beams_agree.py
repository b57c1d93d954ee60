# SPDX-License-Identifier: Apache-2.0
"""A number of beams is the same points to every command that thins a scan."""

import numpy as np
import pytest
from bag_maker import (
    IMAGE_TOPIC,
    PERIOD_NS,
    START_NS,
    TRUTH_TOPIC,
    drive_messages,
    points_message,
    wall_points,
    write_bag,
)

from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.bags.scan_history import ImagesWithScans
from mono_depth_ros.datasets.bags.topics import find_topics
from mono_depth_ros.datasets.open_dataset import open_dataset
from mono_depth_ros.evaluation.dropout.fading_sweeps import FadingImage, FadingPlan
from mono_depth_ros.evaluation.dropout.sample_history import FadingInput, SampleHistory
from mono_depth_ros.evaluation.dropout.sensor_fading import outside_cells

PLAN = FadingPlan(truth_scale=1.0, max_age_s=0.0)
SPEED_MPS, LATE_NS = 20.0, 40_000_000


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """A dense scan 40 ms before each image, in which the car comes 0.8 m closer to the wall."""
    messages = [entry for entry in drive_messages(images=3, speed_mps=SPEED_MPS) if entry[0] != TRUTH_TOPIC]
    for number in range(3):
        stamp_ns = START_NS + number * PERIOD_NS - LATE_NS
        scan_m = wall_points(10.0 - SPEED_MPS * (stamp_ns - START_NS) * 1e-9, 1)
        messages.append((TRUTH_TOPIC, stamp_ns, points_message(stamp_ns, scan_m)))
    return write_bag(tmp_path_factory.mktemp("beams") / "bag", sorted(messages, key=lambda entry: entry[1]))


def faded_of_bag(path):
    """Images as `dropout-curve --points-dense` fades them, by stamp."""
    with Rosbag2Reader(path) as opened:
        images = ImagesWithScans(opened, find_topics(opened.types, points=TRUTH_TOPIC), (0.0,))
        return {image.stamp_ns: FadingImage(FadingInput(image), PLAN) for image in images}


@pytest.mark.parametrize("beams", [1, 4, 32])
def test_evaluate_and_dropout_curve_take_the_same_points_of_a_bag(bag, beams):
    faded = faded_of_bag(bag)
    url = f"bag:{bag}?image={IMAGE_TOPIC}&points={TRUTH_TOPIC}&gt_points={TRUTH_TOPIC}"
    thinned = {sample.stamp_ns: sample for sample in open_dataset(f"{url}&beams={beams}")}
    whole = {given.image.stamp_ns: FadingImage(given, PLAN) for given in SampleHistory(open_dataset(url), (0.0,))}
    compared = [stamp_ns for stamp_ns in thinned if stamp_ns in faded]
    assert len(compared) >= 2
    for stamp_ns in compared:
        for fading in (faded[stamp_ns], whole[stamp_ns]):
            points_m = thinned[stamp_ns].points_camera_m
            points_m = points_m[outside_cells(points_m, fading.truth_camera, fading.held_out.cells)]
            assert 0 < len(points_m) < 64 * beams
            np.testing.assert_allclose(points_m, fading.points("beams", beams), atol=1e-4)
