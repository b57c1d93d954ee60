# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the ROS tests, which need rclpy and our messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dial_model import write_model
from ros_domain import next_domain

if TYPE_CHECKING:
    from ros_robot import Robot


@pytest.fixture(scope="session")
def dial_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a model that needs no training: 2 m + red / 255, plus the mean depth of the points."""
    return write_model(tmp_path_factory.mktemp("models") / "closed_form")


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> int:
    """A ROS domain that no other test of this machine uses at the same time, on this machine only."""
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    return next_domain()


@pytest.fixture
def robot(domain: int) -> Iterator[Robot]:
    """A robot with the node under test."""
    from ros_robot import Robot

    made = Robot(domain)
    yield made
    made.close()
