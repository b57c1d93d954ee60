# SPDX-License-Identifier: Apache-2.0
"""The parameters are described once, in stream/config.py; the shipped file and the page say the same. Needs no ROS."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.perception.dial import Mode
from mono_depth_ros.ros.parameter_docs import BEGIN, outdated, parameter_file
from mono_depth_ros.stream.config import FIELDS, DepthNodeConfig, problem_with, problem_with_unknown

ROOT = Path(__file__).resolve().parent.parent.parent


def flat(tree: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested keys as dotted names."""
    names: dict[str, object] = {}
    for key, value in tree.items():
        names |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return names


def test_the_shipped_file_and_the_page_are_as_written_from_the_dataclass():
    assert outdated(ROOT, write=False) == []


def test_a_page_that_differs_is_found_and_written_anew(tmp_path):
    for name in ("docs/depth_node.md", "config/depth_node.yaml"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    page = tmp_path / "docs" / "depth_node.md"
    page.write_text(page.read_text().replace("| `cloud.stride` | 1 |", "| `cloud.stride` | 2 |"))
    assert outdated(tmp_path, write=False) == [page]
    assert outdated(tmp_path, write=True) == [page]
    assert page.read_text() == (ROOT / "docs" / "depth_node.md").read_text()
    page.write_text(page.read_text().replace(BEGIN, ""))
    assert outdated(tmp_path, write=True) == [page]


def test_the_file_that_ros_reads_holds_every_default():
    written = flat(yaml.safe_load(parameter_file())["/**"]["ros__parameters"])
    assert written == {
        name: list(field.default) if isinstance(field.default, tuple) else field.default
        for name, field in FIELDS.items()
        if field.default != ()
    }


def test_every_default_is_a_value_that_may_be_set_and_all_fit_to_each_other():
    problems = [problem_with(name, field.default) for name, field in FIELDS.items()]
    assert [problem for problem in problems if problem] == []
    DepthNodeConfig().check()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("mode", "both", "one of auto, prediction, completion"),
        ("scale.order", ["points", "points"], "each at most once"),
        ("scale.order", ["stars"], "some of model, points, odometry, camera_height"),
        ("scale.order", [], "a list of names such as"),
        ("lidar.memory_s", -1.0, "expected 0 to 5"),
        ("points.sources", "points", "a list of names"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_what_can(name, value, words):
    assert words in problem_with(name, value)


def test_values_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="min_points <= resume_points"):
        DepthNodeConfig(min_points=20, resume_points=15).check()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lidar.memory", "did you mean lidar.memory_s?"),
        ("max_wait_s", "did you mean sync.max_wait_s?"),
        ("xyzzy", "see docs/depth_node.md"),
        ("use_sim_time", ""),
        ("qos_overrides./image.subscription.reliability", ""),
        ("mode", ""),
    ],
)
def test_a_name_that_does_not_exist_is_told_with_the_nearest_that_does(name, words):
    problem = problem_with_unknown(name)
    assert (words in problem) if words else problem == ""


def test_mode_and_memory_become_the_policies_of_the_pipeline():
    config = DepthNodeConfig(mode="completion", memory_s=0.5, memory_points=7)
    assert config.dial_policy().forced is Mode.COMPLETION
    assert config.dial_policy().max_remembered_age_s == 0.5
    memory = config.memory_policy()
    assert memory is not None and (memory.memory_s, memory.max_points) == (0.5, 7)
    assert DepthNodeConfig(memory_s=0.0).memory_policy() is None
    assert DepthNodeConfig().dial_policy().forced is None
