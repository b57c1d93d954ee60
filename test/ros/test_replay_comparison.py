# SPDX-License-Identifier: Apache-2.0
"""bench/replay_comparison.py: what differs between a node's messages and those of replay."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

pytestmark = pytest.mark.ros

NAN = float("nan")


@pytest.fixture
def bench(repository, monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(repository / "bench")
    return importlib.import_module("replay_comparison")


def depth(*row_m: float) -> Any:
    from sensor_msgs.msg import Image

    data = np.array([row_m], "<f4").tobytes()
    return Image(height=1, width=len(row_m), encoding="32FC1", step=4 * len(row_m), data=data)


def status(age_s: float = 0.1, **changes: Any) -> Any:
    from mono_depth_ros.msg import DepthStatus, SensorHealth

    sensors = [SensorHealth(name="points", age_s=age_s), SensorHealth(name="odometry", age_s=NAN)]
    return DepthStatus(mode=2, reason="points_used", scale_value=1.0, scale_age_s=NAN, sensors=sensors, **changes)


def rows(table: str) -> dict[str, list[str]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:] if "|" in line]
    return {row[0]: row[1:] for row in cells}


def test_equal_messages_are_equal_where_both_have_no_number(bench):
    one = {7: depth(1.0, NAN)}, {7: status()}
    other = {7: depth(1.0, NAN)}, {7: status()}
    table = bench.table(one, other)
    found = rows(table)
    assert found.pop("depth (m)") == ["1", "1", "1", "1", "0"]
    assert set(found) == {f"status: {name}" for name in bench.SHOWN}
    assert "scale_age_s" in table.splitlines()[-1] and "sensors.age_s" in table.splitlines()[-1]


def test_what_differs_has_a_row_with_the_largest_difference(bench):
    one = {1: depth(1.0, 2.0), 2: depth(1.0, 2.0)}, {1: status(), 2: status(latency_s=1.0)}
    other = {1: depth(1.0, 2.5), 2: depth(1.0, 2.0)}, {1: status(age_s=0.35), 2: status(latency_s=3.0)}
    found = rows(bench.table(one, other))
    assert found["depth (m)"] == ["2", "2", "2", "1", "0.5"]
    assert found["status: sensors.age_s"] == ["2", "2", "2", "1", "0.25"]
    assert found["status: latency_s"] == ["2", "2", "2", "1", "2"]


def test_depth_that_only_one_of_them_knows_differs_without_bound(bench):
    found = rows(bench.table(({1: depth(1.0, NAN)}, {}), ({1: depth(1.0, 2.0)}, {})))
    assert found["depth (m)"] == ["1", "1", "1", "0", "inf"]


def test_images_of_one_of_them_are_counted_and_not_compared(bench):
    found = rows(bench.table(({1: depth(1.0)}, {1: status()}), ({1: depth(1.0), 2: depth(9.0)}, {1: status()})))
    assert found["depth (m)"] == ["1", "2", "1", "1", "0"]
