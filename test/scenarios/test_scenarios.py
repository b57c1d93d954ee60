# SPDX-License-Identifier: Apache-2.0
"""What becomes of depth when sensors fail: mode, reason, frames and accuracy, scenario by scenario. No ROS here."""

from __future__ import annotations

import math

import pytest
from scenario_drive import AFTER, abs_rel, play, told
from scenarios import SCENARIOS, Scenario, drive

from mono_depth_ros.perception.calibration import UNSUSPECTED


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_failure_has_its_mode_its_reason_and_loses_no_image(scenario: Scenario):
    played = play(drive(scenario), scenario.setup)
    during = played.at(scenario.at)
    assert told(during) == scenario.during
    assert told(played.outcomes[-1][1]) == scenario.after
    assert (len(played.outcomes), played.depths) == (scenario.images, scenario.depths)
    calibration = getattr(played.outcomes[-1][1], "calibration", UNSUSPECTED)
    assert calibration.suspect == scenario.suspect, calibration.reason
    assert played.refused == scenario.refused
    error = abs_rel(scenario.at, during)
    assert math.isnan(error) if math.isnan(scenario.abs_rel) else error < scenario.abs_rel


def test_names_are_unique_and_there_are_at_least_thirty():
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names) >= 30
    assert max(scenario.at for scenario in SCENARIOS) < AFTER
