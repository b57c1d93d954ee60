# SPDX-License-Identifier: Apache-2.0
"""The doctor beside a real node: a healthy graph, and graphs in which one thing is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_robot import T_BASE_CAMERA, T_CAMERA_LIDAR, camera_info_of, cloud_of, image_of
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from mono_depth_ros.ros.doctor.collector import DoctorCollector
from mono_depth_ros.ros.doctor.diagnosis import diagnose, gives_depth

if TYPE_CHECKING:
    from ros_robot import Robot

    from mono_depth_ros.ros.doctor.findings import Finding

pytestmark = pytest.mark.ros
NODE = "/depth_node"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Patient:
    """A robot whose messages come at 10 Hz while the doctor looks at it."""

    def __init__(self, robot: Robot) -> None:
        self.robot = robot
        self.focal_px = 60.0
        self.lidar_frame_late = 0
        self._frame = 0
        self.sent: list[str] = []

    def begin(self, *topics: str) -> None:
        """Advertises these topics and publishes them from now on."""
        types = {"/image": Image, "/camera_info": CameraInfo, "/points": PointCloud2}
        for topic in topics:
            self.robot.advertise(topic, types[topic])
        self.sent = list(topics)
        self.robot.peer.create_timer(0.1, self._publish)

    def _publish(self) -> None:
        self._frame += 1
        if "/camera_info" in self.sent:
            self.robot.publish("/camera_info", camera_info_of(self._frame, self.focal_px))
        if "/points" in self.sent:
            self.robot.publish("/points", cloud_of(self._frame - self.lidar_frame_late))
        if "/image" in self.sent:
            self.robot.publish("/image", image_of(self._frame))

    def look(self) -> tuple[dict[str, Finding], bool]:
        """What the doctor finds by name, and whether there is depth."""
        collector = DoctorCollector(context=self.robot.context)
        try:
            found = diagnose(collector.look(1.5, discovery_s=0.5))
        finally:
            collector.close()
        return {finding.name: finding for finding in found[NODE]}, gives_depth(found)


@pytest.fixture
def patient(robot: Robot) -> Iterator[Patient]:
    return Patient(robot)


def start(patient: Patient, model: Path, **values: object) -> bool:
    extrinsics = {"extrinsics__T_camera_lidar": T_CAMERA_LIDAR, "extrinsics__T_base_camera": T_BASE_CAMERA}
    return patient.robot.start_node(model=str(model), **{**extrinsics, **values})


def test_a_healthy_graph_completes(patient, dial_model):
    start(patient, dial_model)
    patient.begin("/image", "/camera_info", "/points")
    found, depth = patient.look()
    assert depth
    assert "COMPLETION" in found["depth_comes"].what
    assert not set(found) - {"depth_comes", "nobody_listens", "stamps_off_clock", "other_intrinsics"}


def test_without_camera_info_the_doctor_says_so(patient, dial_model):
    start(patient, dial_model)
    patient.begin("/image")
    found, depth = patient.look()
    assert not depth
    assert "nobody publishes /camera_info" in found["no_publisher_of_camera_info"].what
    assert found["no_camera_info"].severity.name == "ERROR"


def test_zero_intrinsics_and_a_late_lidar_are_told_apart(patient, dial_model):
    patient.focal_px, patient.lidar_frame_late = 0.0, 30
    start(patient, dial_model)
    patient.begin("/image", "/camera_info", "/points")
    found, depth = patient.look()
    assert not depth
    assert "calibrated" in found["camera_info_unusable"].what
    assert "3.0 s behind" in found["stamps_apart"].what


def test_a_qos_mismatch_is_found_by_comparing_both_ends(patient, dial_model, monkeypatch):
    from rclpy.qos import QoSProfile, ReliabilityPolicy

    # As an override by parameter would: the node asks for reliable images.
    from mono_depth_ros.ros import depth_inputs

    profile = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
    monkeypatch.setattr(depth_inputs, "QoSProfile", lambda depth, reliability: profile)
    start(patient, dial_model)
    driver = patient.robot.peer.create_publisher(
        Image, "/image", QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    patient.robot.peer.create_timer(0.1, lambda: driver.publish(image_of(0)))
    found, depth = patient.look()
    assert not depth
    assert "/robot publishes /image" in found["qos_mismatch"].what
    assert "qos_overrides./image.subscription.reliability:=best_effort" in found["qos_mismatch"].to_do


def test_a_calibration_that_was_sent_before_is_heard_and_its_distortion_is_said(patient, dial_model):
    patient.robot.peer.create_publisher(CameraInfo, "/camera_info", LATCHED).publish(camera_info_of(0, distortion=0.1))
    start(patient, dial_model)
    patient.begin("/image")
    found, _ = patient.look()
    assert not {"camera_info_silent", "latched_missed", "qos_mismatch"} & set(found)
    assert "the images are taken for rectified" in found["not_rectified"].what


def test_a_latched_message_that_the_node_does_not_ask_for_is_told_apart_from_silence(patient, dial_model):
    patient.robot.peer.create_publisher(PointCloud2, "/points", LATCHED).publish(cloud_of(0))
    start(patient, dial_model)
    patient.begin("/image", "/camera_info")
    found, _ = patient.look()
    assert "durability:=transient_local" in found["latched_missed"].to_do
    assert "points_silent" not in found


def test_a_node_that_could_not_be_configured_gives_its_reason(patient, tmp_path):
    assert not start(patient, tmp_path / "absent", diagnostics__period_s=0.2)
    found, depth = patient.look()
    assert not depth
    assert "absent" in found["node_unconfigured"].why
    assert "ros2 lifecycle set /depth_node configure" in found["node_unconfigured"].to_do


def test_the_reason_of_a_node_in_a_namespace_is_found_too(patient, tmp_path):
    from rclpy.parameter import Parameter

    from mono_depth_ros.ros.depth_node import DepthNode

    node = DepthNode(patient.robot.context, "/front", [Parameter("model", value=str(tmp_path / "nowhere"))])
    assert not patient.robot.run(node)
    collector = DoctorCollector(context=patient.robot.context)
    try:
        (finding,) = diagnose(collector.look(1.5, discovery_s=0.5))["/front/depth_node"]
    finally:
        collector.close()
    assert finding.name == "node_unconfigured" and "nowhere" in finding.why and "autostart" not in finding.to_do


def test_nodes_that_are_found_one_after_another_are_all_looked_at(monkeypatch):
    looks = iter([[], ["/a"], ["/a"], ["/a", "/b"], ["/a", "/b"], ["/a", "/b"]])
    collector = DoctorCollector.__new__(DoctorCollector)  # without a graph
    now: list[str] = []
    monkeypatch.setattr(collector, "_candidates", lambda: list(now))
    monkeypatch.setattr(collector, "_spin", lambda _seconds, _until: now.__setitem__(slice(None), next(looks)))
    assert collector._settled(60.0, 1.0) == ["/a"]  # twice the same
    assert collector._settled(60.0, 1.0) == ["/a", "/b"]


def test_topics_of_the_right_type_are_offered(patient, dial_model):
    start(patient, dial_model)
    patient.robot.peer.create_publisher(Image, "/front/image_raw", 5)
    found, _ = patient.look()
    assert found["no_publisher_of_image"].to_do.endswith("image:=/front/image_raw")


def test_the_command_ends_with_1_where_there_is_no_node(domain, monkeypatch, capsys):
    from mono_depth_ros.cli.main import main

    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    assert main(["doctor", "--seconds", "0.5"]) == 1
    shown = capsys.readouterr().out
    assert "no_depth_node" in shown and f"domain {domain}" in shown
