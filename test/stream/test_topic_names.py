# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from mono_depth_ros.stream.topic_names import camera_topics


@pytest.mark.parametrize(
    ("remapped", "transport", "image", "camera_info"),
    [
        ({}, "raw", "/robot/image", "/robot/camera_info"),
        ({}, "compressed", "/robot/image/compressed", "/robot/camera_info"),
        ({"image": "/cam/image_raw"}, "raw", "/cam/image_raw", "/cam/camera_info"),
        ({"image": "/cam/image_raw"}, "compressed", "/cam/image_raw/compressed", "/cam/camera_info"),
        ({"image": "/cam/image_raw", "camera_info": "/calibration"}, "raw", "/cam/image_raw", "/calibration"),
        ({"image/compressed": "/cam/jpeg"}, "compressed", "/cam/jpeg", "/robot/camera_info"),
    ],
)
def test_one_remapping_moves_what_belongs_together(remapped, transport, image, camera_info):
    topics = camera_topics(lambda name: remapped.get(name, f"/robot/{name}"), lambda name: f"/robot/{name}", transport)
    assert (topics.image, topics.camera_info) == (image, camera_info)
