# SPDX-License-Identifier: Apache-2.0
"""What a user reads on /diagnostics, line by line."""

from __future__ import annotations

import dataclasses

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from diagnostic_msgs.msg import DiagnosticStatus

from mono_depth_ros.perception.snapshot import SensorReport, SensorState
from mono_depth_ros.ros.diagnostics import Diagnostics, NodeHealth
from mono_depth_ros.ros.qos_health import QosCounts
from mono_depth_ros.stream.image_worker import ImageCounts

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE


def report(name: str, state: SensorState, rejected: int = 0) -> SensorReport:
    """One input."""
    return SensorReport(name, state, 0.1, 10.0, state is SensorState.OK, "why", 5, rejected, "last words")


HEALTHY = NodeHealth(
    lifecycle="active",
    failure="",
    reports=tuple(report(name, SensorState.OK) for name in ("image", "camera_info", "points", "odometry")),
    images_silent_s=0.05,
    counts=ImageCounts(5, 5, 0, 0),
    mode="COMPLETION",
    reason="points_used",
)


def levels(diagnostics: Diagnostics, health: NodeHealth) -> dict[str, tuple[bytes, str]]:
    """Level and message by line."""
    lines = diagnostics.message(health).status
    return {line.name.removeprefix("front/depth_node: "): (line.level, line.message) for line in lines}


def changed(name: str, state: SensorState, rejected: int = 0) -> NodeHealth:
    """Healthy but for one input."""
    others = tuple(report for report in HEALTHY.reports if report.name != name)
    return dataclasses.replace(HEALTHY, reports=(*others, report(name, state, rejected)))


def test_a_healthy_node_has_a_line_for_itself_for_every_input_and_for_the_depth():
    lines = levels(Diagnostics("/front/depth_node"), HEALTHY)
    assert list(lines) == ["node", "image", "camera_info", "points", "odometry", "calibration", "depth"]
    assert {level for level, _ in lines.values()} == {OK}


@pytest.mark.parametrize(
    ("name", "state", "level"),
    [
        ("points", SensorState.ABSENT, OK),
        ("odometry", SensorState.ABSENT, OK),
        ("camera_info", SensorState.ABSENT, WARN),
        ("points", SensorState.STALE, WARN),
        ("points", SensorState.INVALID, ERROR),
    ],
)
def test_a_sensor_that_may_be_absent_is_no_fault_but_one_that_fails_is(name, state, level):
    assert levels(Diagnostics("/front/depth_node"), changed(name, state))[name][0] == level


def test_rejected_messages_warn_until_none_are_rejected_any_more():
    diagnostics = Diagnostics("/front/depth_node")
    bad = changed("points", SensorState.OK, rejected=3)
    assert levels(diagnostics, bad)["points"] == (WARN, "3 rejected: last words")
    assert levels(diagnostics, bad)["points"][0] == OK


def test_no_depth_is_an_error_as_long_as_it_lasts():
    diagnostics = Diagnostics("/front/depth_node")
    without = dataclasses.replace(HEALTHY, mode="NONE", reason="no_camera_info")
    for _ in range(2):
        assert levels(diagnostics, without)["depth"] == (ERROR, "no depth: no_camera_info")


def test_dropped_images_warn_with_their_number():
    diagnostics = Diagnostics("/front/depth_node")
    levels(diagnostics, HEALTHY)
    slow = dataclasses.replace(HEALTHY, counts=ImageCounts(15, 8, 7, 0))
    level, message = levels(diagnostics, slow)["depth"]
    assert level == WARN and message.startswith("7 of 10 images dropped")


def test_silence_of_the_camera_warns_while_active():
    silent = dataclasses.replace(HEALTHY, images_silent_s=5.0)
    assert levels(Diagnostics("/front/depth_node"), silent)["image"] == (WARN, "stale: no image for 5.0 s")


def test_a_failure_and_a_substitute_provider_are_told():
    failed = NodeHealth(lifecycle="unconfigured", failure="configure failed: no model")
    assert levels(Diagnostics("/front/depth_node"), failed)["node"] == (ERROR, "configure failed: no model")
    slower = dataclasses.replace(HEALTHY, provider_note="asked for CUDA, runs CPU")
    assert levels(Diagnostics("/front/depth_node"), slower)["node"] == (WARN, "asked for CUDA, runs CPU")


def test_a_suspect_calibration_warns_as_long_as_it_is():
    diagnostics = Diagnostics("/front/depth_node")
    suspect = dataclasses.replace(HEALTHY, calibration_reason="lidar_tilted: by 3 degrees")
    for _ in range(2):
        assert levels(diagnostics, suspect)["calibration"] == (WARN, "calibration_suspect: lidar_tilted: by 3 degrees")
    assert levels(diagnostics, HEALTHY)["calibration"][0] == OK


def test_a_place_that_changed_warns_once_and_an_unknown_parameter_for_ever():
    diagnostics = Diagnostics("/front/depth_node")
    moved = dataclasses.replace(HEALTHY, transform_changes=1, last_transform_change="extrinsics_changed: by 3 cm")
    assert levels(diagnostics, moved)["node"] == (WARN, "extrinsics_changed: by 3 cm")
    assert levels(diagnostics, moved)["node"][0] == OK
    unknown = dataclasses.replace(HEALTHY, unknown_parameters=("modus: no such parameter",))
    for _ in range(2):
        assert levels(diagnostics, unknown)["node"] == (WARN, "modus: no such parameter")


def test_lost_messages_warn_while_they_are_lost_and_publishers_that_cannot_be_heard_as_long_as_nothing_comes():
    diagnostics = Diagnostics("/front/depth_node")
    lossy = dataclasses.replace(HEALTHY, qos={"points": QosCounts(lost=4)})
    assert levels(diagnostics, lossy)["points"] == (WARN, "message_lost: the middleware lost 4 messages")
    assert levels(diagnostics, lossy)["points"][0] == OK
    mute = dataclasses.replace(changed("points", SensorState.ABSENT), qos={"points": QosCounts(incompatible=1)})
    for _ in range(2):
        level, message = levels(diagnostics, mute)["points"]
        assert level == WARN and message.startswith("incompatible_qos: 1 publishers")


def test_depth_warns_while_it_is_predicted_although_there_were_points():
    fallen = dataclasses.replace(HEALTHY, mode="PREDICTION", reason="points_stale")
    for _ in range(2):
        assert levels(Diagnostics("/a"), fallen)["a: depth"] == (WARN, "fallen back to PREDICTION: points_stale")
    chosen = dataclasses.replace(fallen, reason="prediction_forced")
    no_lidar = dataclasses.replace(fallen, reports=HEALTHY.reports[:2])
    for health in (chosen, no_lidar):
        assert levels(Diagnostics("/a"), health)["a: depth"][0] == OK


def test_images_that_nobody_wants_are_no_fault():
    diagnostics = Diagnostics("/front/depth_node")
    levels(diagnostics, HEALTHY)
    idle = dataclasses.replace(HEALTHY, counts=ImageCounts(9, 5, 0, 0, idle=4))
    assert levels(diagnostics, idle)["depth"] == (OK, "idle: nobody listens to any output")


def test_what_a_node_said_is_stale_as_soon_as_it_is_not_active_any_more():
    diagnostics = Diagnostics("/front/depth_node")
    names = list(levels(diagnostics, HEALTHY))
    for lifecycle in ("inactive", "unconfigured"):
        lines = levels(diagnostics, NodeHealth(lifecycle=lifecycle, failure=""))
        assert lines.pop("node") == (OK, lifecycle)
        assert sorted(lines) == sorted(names[1:])
        assert set(lines.values()) == {(STALE, f"the node is {lifecycle}")}
    assert levels(diagnostics, HEALTHY)["points"][0] == OK


def test_a_node_that_was_never_active_says_nothing_of_inputs():
    assert list(levels(Diagnostics("/front/depth_node"), NodeHealth(lifecycle="inactive", failure=""))) == ["node"]


def test_without_images_depth_warns_and_ages_grow():
    silent = dataclasses.replace(HEALTHY, images_silent_s=16.0)
    lines = {line.name.partition(": ")[2]: line for line in Diagnostics("/a").message(silent).status}
    assert (lines["depth"].level, lines["depth"].message) == (WARN, "no depth: no image for 16.0 s")
    assert (lines["image"].level, lines["image"].message) == (WARN, "stale: no image for 16.0 s")
    assert (lines["points"].level, lines["points"].message) == (STALE, "ok: why, as of the latest image, 16.0 s ago")
    assert {pair.key: pair.value for pair in lines["points"].values}["age_s"] == "16.100"
