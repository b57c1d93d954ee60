# SPDX-License-Identifier: Apache-2.0
"""The defaults are written once, in DepthNodeConfig; the shipped file and the page tell the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from mono_depth_ros.ros.parameters import FIELDS, problem_with

ROOT = Path(__file__).resolve().parent.parent.parent
EXTRINSICS = {"extrinsics.T_camera_lidar", "extrinsics.T_base_camera"}


def flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested keys as dotted names."""
    names: dict[str, object] = {}
    for key, value in tree.items():
        names |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return names


def test_the_shipped_file_has_every_parameter_with_its_default():
    written = flat(yaml.safe_load((ROOT / "config" / "depth_node.yaml").read_text())["/**"]["ros__parameters"])
    defaults = {
        name: list(field.default) if isinstance(field.default, tuple) else field.default
        for name, field in FIELDS.items()
        if name not in EXTRINSICS
    }
    assert written == defaults


def test_the_page_lists_every_parameter():
    page = (ROOT / "docs" / "depth_node.md").read_text()
    row = re.compile(r"^\| `([\w.]+)` \|[^|]+\|[^|]*\| (?:at the start|unconfigured|any time) \|$", re.MULTILINE)
    documented = row.findall(page)
    assert documented == list(FIELDS)


def test_every_default_is_a_value_that_may_be_set():
    problems = [problem_with(name, field.default) for name, field in FIELDS.items()]
    assert [problem for problem in problems if problem] == []
