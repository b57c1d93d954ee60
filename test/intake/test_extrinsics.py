# SPDX-License-Identifier: Apache-2.0
"""Where sensors sit: a failed look-up is a reason and is tried again; a known place is not asked for again."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mono_depth_ros.errors import FrameError
from mono_depth_ros.geometry.rigid import rigid_from_quaternion
from mono_depth_ros.intake.extrinsics import CameraExtrinsics, given_transform
from mono_depth_ros.intake.transform_tree import TransformTree
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer
from mono_depth_ros.ros.tf_transforms import TfTransforms


class LateTransforms:
    """Knows nothing at first."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.known = False

    def known_until_ns(self, frame_a: str, frame_b: str) -> None:
        return None

    def lookup(self, frame_a: str, frame_b: str, stamp_ns: int | None = None) -> np.ndarray:
        self.asked.append((frame_a, frame_b))
        if not self.known:
            raise FrameError(f"no_extrinsics: no transform from {frame_b!r} to {frame_a!r}")
        return np.eye(4)


def test_a_missing_transform_is_told_and_looked_up_again_until_it_is_there():
    source, buffer = LateTransforms(), SnapshotBuffer()
    extrinsics = CameraExtrinsics({"points": source}, base=source)
    problems = extrinsics.update(buffer, "camera", {("points", "lidar")}, "base")
    assert len(problems) == 2 and "'lidar' to 'camera'" in problems[0]
    assert not buffer.has_T_camera_lidar("lidar")
    source.known = True
    assert extrinsics.update(buffer, "camera", {("points", "lidar")}, "base") == []
    assert buffer.has_T_camera_lidar("lidar")
    asked = len(source.asked)
    extrinsics.update(buffer, "camera", {("points", "lidar")}, "base")
    assert len(source.asked) == asked
    assert source.asked[-2:] == [("camera", "lidar"), ("base", "camera")]


def test_a_place_that_changes_is_taken_over_and_told_and_one_that_is_lost_again_is_kept():
    class Bumped(LateTransforms):
        T_a_b = np.eye(4)

        def lookup(self, frame_a: str, frame_b: str, stamp_ns: int | None = None) -> np.ndarray:
            super().lookup(frame_a, frame_b)
            return self.T_a_b

    now_s = [0.0]
    source, fixed, buffer = Bumped(), given_transform([0, 0, 0, 0, 0, 0, 1]), SnapshotBuffer()
    source.known = True
    extrinsics = CameraExtrinsics({"points": source}, fixed, recheck_s=1.0, clock=lambda: now_s[0])

    def update(at_s: float) -> list[str]:
        now_s[0] = at_s
        return extrinsics.update(buffer, "camera", {("points", "lidar")}, "base")

    assert update(0.0) == []
    source.T_a_b = given_transform([0.0, 0.0, 0.1, 0.0, np.sin(0.05), 0.0, np.cos(0.05)]).lookup("", "")
    assert update(0.5) == []
    (problem,) = update(1.1)
    assert problem == "extrinsics_changed: 'lidar' in 'camera' moved by 0.100 m and turned by 5.73 degrees"
    np.testing.assert_array_equal(buffer._points._T_camera_lidar["lidar"], source.T_a_b)
    assert update(2.2) == [] and extrinsics.changes == 1
    source.known = False
    assert update(3.3) == [] and buffer.has_T_camera_lidar("lidar")


def test_a_given_transform_is_the_pose_of_the_sensor():
    T_camera_lidar = given_transform([1.0, 2.0, 3.0, 0.5, -0.5, 0.5, 0.5]).lookup("camera", "lidar")
    # One metre ahead of the LiDAR (x) is one metre along the camera's z.
    np.testing.assert_allclose(T_camera_lidar @ [1.0, 0.0, 0.0, 1.0], [1.0, 2.0, 4.0, 1.0], atol=1e-12)


def test_without_tf2_msgs_every_look_up_says_what_to_set_instead(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    transforms = TfTransforms(node=None)
    with pytest.raises(FrameError, match=r"extrinsics\.T_camera_lidar"):
        transforms.lookup("camera", "lidar")


def test_a_frame_without_a_name_is_an_error_and_a_frame_in_itself_is_the_identity(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", None)
    transforms = TfTransforms(node=None)
    with pytest.raises(FrameError, match="no_frame_id"):
        transforms.lookup("", "lidar")
    np.testing.assert_array_equal(transforms.lookup("camera", "camera"), np.eye(4))


SECOND_NS = 1_000_000_000


def turned(degrees: float) -> np.ndarray:
    """About the vertical axis."""
    half = np.radians(degrees) / 2
    return rigid_from_quaternion([0.0, 0.0, 0.0], [0.0, 0.0, np.sin(half), np.cos(half)])


def panning(child: str, rate_dps: float = 90.0, until_s: float = 2.0) -> TransformTree:
    """base -> camera and base -> lidar, of which one pans; known twenty times a second."""
    tree = TransformTree()
    for frame in ("camera", "lidar"):
        tree.add("base", frame, np.eye(4))
    for step in range(round(20 * until_s) + 1):
        tree.add("base", child, turned(rate_dps * step / 20), step * SECOND_NS // 20)
    return tree


def heading_deg(T_a_b: np.ndarray) -> float:
    return float(np.degrees(np.arctan2(T_a_b[1, 0], T_a_b[0, 0])))


def test_a_camera_that_pans_is_placed_at_the_stamp_of_the_image():
    tree, buffer = panning("camera"), SnapshotBuffer()
    extrinsics = CameraExtrinsics({"points": tree}, tree)
    for at_s in (0.51, 1.0, 1.33):
        problems = extrinsics.update(buffer, "camera", {("points", "lidar")}, "base", round(at_s * SECOND_NS))
        assert problems == [] and extrinsics.changes == 0
        assert heading_deg(buffer._points._T_camera_lidar["lidar"]) == pytest.approx(-90.0 * at_s, abs=1e-6)
        assert heading_deg(buffer._T_base_camera) == pytest.approx(90.0 * at_s, abs=1e-6)


def test_a_lidar_that_pans_is_placed_at_the_stamp_of_each_scan():
    tree, buffer = panning("lidar"), SnapshotBuffer()
    for at_s in (0.9, 1.0):
        buffer.add_points(round(at_s * SECOND_NS), np.ones((3, 3), np.float32), "lidar")
    extrinsics = CameraExtrinsics({"points": tree}, tree)
    assert extrinsics.update(buffer, "camera", {("points", "lidar")}, "base", round(1.2 * SECOND_NS)) == []
    scans = [kept.scan for kept in buffer._points._scans["points"]]
    assert [heading_deg(buffer._points._place_of(scan)) for scan in scans] == pytest.approx([81.0, 90.0])


def test_an_image_waits_for_what_moves_and_not_for_what_stopped():
    tree = panning("camera", until_s=2.0)
    extrinsics = CameraExtrinsics({"points": tree}, tree)
    frames = ("camera", {("points", "lidar")}, "base")
    known = [extrinsics.known_at(*frames, round(at_s * SECOND_NS)) for at_s in (1.9, 2.0, 2.1, 3.5)]
    assert known == [True, True, False, True]
    buffer = SnapshotBuffer()
    (late, _) = extrinsics.update(buffer, *frames, round(2.1 * SECOND_NS))
    assert late == "transform_late: 'lidar' in 'camera' moves, and is known until 0.10 s before the image"
    assert abs(heading_deg(buffer._T_base_camera)) == pytest.approx(180.0)


def test_a_mount_that_is_calibrated_anew_moves_only_once():
    tree, buffer, now_s = TransformTree(), SnapshotBuffer(), [0.0]
    for frame in ("camera", "lidar"):
        tree.add("base", frame, np.eye(4), 0)
    extrinsics = CameraExtrinsics({"points": tree}, tree, clock=lambda: now_s[0])
    assert extrinsics.update(buffer, "camera", {("points", "lidar")}, "base", SECOND_NS) == []
    tree.add("base", "lidar", turned(3.0), 2 * SECOND_NS)
    now_s[0] = 2.0
    (told,) = extrinsics.update(buffer, "camera", {("points", "lidar")}, "base", 2 * SECOND_NS)
    assert told.startswith("extrinsics_changed") and extrinsics.changes == 1
