# SPDX-License-Identifier: Apache-2.0
"""What becomes of depth when sensors fail: mode, reason, frames and accuracy, scenario by scenario.

One table, two transports: a recorded bag, and the real node with every message published on its topic.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from ros_domain import next_domain
from scenario_drive import AFTER, Played, play_bag
from scenarios import SCENARIOS, Scenario, drive


def check(played: Played, scenario: Scenario) -> None:
    """Compares what came of a scenario with what has to."""
    during, last = played.at(scenario.at), played.outcomes[-1]
    assert (during.mode, during.reason) == scenario.during
    assert (last.mode, last.reason) == scenario.after
    assert (len(played.outcomes), played.depths) == (scenario.images, scenario.depths)
    assert last.suspect == scenario.suspect, last.suspicion
    assert played.refused == scenario.refused
    error = during.abs_rel()
    assert math.isnan(error) if math.isnan(scenario.abs_rel) else error < scenario.abs_rel


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_failure_in_a_bag_has_its_mode_its_reason_and_loses_no_image(scenario: Scenario, tmp_path: Path):
    check(play_bag(drive(scenario), scenario.setup, tmp_path), scenario)


@pytest.fixture(scope="module")
def robot():
    """For one scenario after another."""
    pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")
    from scenario_robot import ScenarioRobot

    made = ScenarioRobot(next_domain())
    yield made
    made.close()


@pytest.mark.ros
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_failure_on_topics_of_the_node_has_the_same_outcome(scenario: Scenario, robot, monkeypatch):
    check(robot.play(drive(scenario), scenario.setup, monkeypatch), scenario)


def test_names_are_unique_and_there_are_at_least_thirty():
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names) >= 30
    assert max(scenario.at for scenario in SCENARIOS) < AFTER
