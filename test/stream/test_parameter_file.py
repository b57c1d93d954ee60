# SPDX-License-Identifier: Apache-2.0
"""Parameters of a file or a command line become what the parts of the node are told."""

import pytest

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.intake.sensor_intake import IntakePolicy
from mono_depth_ros.stream.parameter_file import config_from, read_parameter_file


def test_what_the_messages_do_not_say_reaches_the_intake():
    given = {
        "rectified": False,
        "lidar.time_field": "t",
        "lidar.time_offset_s": 0.25,
        "lidar.min_range_m": 1.5,
        "image.bits": 12,
    }
    policy = config_from(given).intake_policy("/camera/image_raw")
    assert policy == IntakePolicy(False, "t", 0.25, 1.5, 12, "/camera/image_raw")


def test_a_file_for_other_nodes_only_names_them(tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text("dept_node:\n  ros__parameters:\n    mode: prediction\n")
    with pytest.raises(ConfigError, match=r"expected a section .* or `depth_node:`, got dept_node"):
        read_parameter_file(path)
    assert read_parameter_file(path, "dept_node") == {"mode": "prediction"}
