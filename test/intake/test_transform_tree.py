# SPDX-License-Identifier: Apache-2.0
"""The tree of fixed transforms."""

from types import SimpleNamespace

import numpy as np
import pytest

from mono_depth_ros.errors import DataError, FrameError
from mono_depth_ros.geometry.rigid import invert_rigid, rigid_from_quaternion
from mono_depth_ros.intake import transform_tree as transforms
from mono_depth_ros.intake.transform_tree import TransformTree

T_BASE_LIDAR = rigid_from_quaternion([0.0, 0.0, 1.7], [0.0, 0.0, np.sin(0.3), np.cos(0.3)])
T_BASE_MAST = rigid_from_quaternion([0.5, 0.0, 1.0], [0.0, np.sin(0.1), 0.0, np.cos(0.1)])
T_MAST_CAMERA = rigid_from_quaternion([0.0, 0.2, 0.1], [-0.5, 0.5, -0.5, 0.5])


@pytest.fixture
def robot():
    tree = TransformTree()
    tree.add("base_link", "lidar", T_BASE_LIDAR)
    tree.add("mast", "camera", T_MAST_CAMERA)
    tree.add("base_link", "mast", T_BASE_MAST)
    return tree


def test_lookup_chains_through_the_common_ancestor(robot):
    expected = invert_rigid(T_BASE_MAST @ T_MAST_CAMERA) @ T_BASE_LIDAR
    np.testing.assert_allclose(robot.lookup("camera", "lidar"), expected, atol=1e-12)
    np.testing.assert_allclose(robot.lookup("lidar", "camera"), invert_rigid(expected), atol=1e-12)


def test_lookup_of_an_ancestor_and_of_itself(robot):
    np.testing.assert_allclose(robot.lookup("base_link", "camera"), T_BASE_MAST @ T_MAST_CAMERA, atol=1e-12)
    np.testing.assert_allclose(robot.lookup("mast", "mast"), np.eye(4))


def test_leading_slashes_of_old_frame_names_do_not_matter(robot):
    np.testing.assert_allclose(robot.lookup("/base_link", "/lidar"), T_BASE_LIDAR)


def test_a_later_transform_of_the_same_child_replaces_the_first(robot):
    robot.add("base_link", "lidar", np.eye(4))
    np.testing.assert_allclose(robot.lookup("base_link", "lidar"), np.eye(4))


def test_unconnected_frames_are_an_error_that_lists_the_known_ones(robot):
    with pytest.raises(FrameError, match=r"got none; known frames: base_link, camera, lidar, mast"):
        robot.lookup("camera", "gps")


def test_a_circle_is_an_error():
    tree = TransformTree()
    tree.add("a", "b", np.eye(4))
    tree.add("b", "a", np.eye(4))
    with pytest.raises(FrameError, match="circle"):
        tree.lookup("c", "a")


@pytest.mark.parametrize(("parent", "child"), [("a", "a"), ("", "a"), ("a", "")])
def test_frames_need_two_different_names(parent, child):
    with pytest.raises(FrameError, match="two different frame names"):
        TransformTree().add(parent, child, np.eye(4))


def test_the_number_of_frames_is_bounded(monkeypatch):
    monkeypatch.setattr(transforms, "MAX_FRAMES", 2)
    tree = TransformTree()
    tree.add("base", "a", np.eye(4))
    tree.add("base", "b", np.eye(4))
    tree.add("base", "b", np.eye(4))
    with pytest.raises(FrameError, match="at most 2 frames"):
        tree.add("base", "c", np.eye(4))


def test_a_message_with_one_broken_transform_gives_the_others_and_is_told():
    def entry(parent: str, child: str, w: float) -> SimpleNamespace:
        zero = SimpleNamespace(x=0.0, y=0.0, z=0.0)
        turn = SimpleNamespace(x=0.0, y=0.0, z=0.0, w=w)
        return SimpleNamespace(
            header=SimpleNamespace(frame_id=parent),
            child_frame_id=child,
            transform=SimpleNamespace(translation=zero, rotation=turn),
        )

    tree = TransformTree()
    with pytest.raises(DataError, match="never filled in"):
        tree.put(SimpleNamespace(transforms=[entry("base", "bad", 0.0), entry("base", "good", 1.0)]))
    assert tree.frames() == ("base", "good")


def test_what_moves_is_known_between_its_messages_and_forgotten_after_some_seconds(monkeypatch):
    monkeypatch.setattr(transforms, "_OUTDATED_TOGETHER", 0)
    tree = TransformTree()
    for second in range(30):
        tree.add("odom", "base_link", rigid_from_quaternion([2.0 * second, 0, 0], [0, 0, 0, 1]), second * 10**9)
    assert tree.lookup("odom", "base_link", 25 * 10**9 + 250_000_000)[0, 3] == pytest.approx(50.5)
    assert tree.lookup("odom", "base_link")[0, 3] == tree.lookup("odom", "base_link", 99 * 10**9)[0, 3] == 58.0
    assert tree.lookup("odom", "base_link", 0)[0, 3] == 38.0
    assert [stamp_ns // 10**9 for stamp_ns, _ in tree.samples("odom", "base_link", 26 * 10**9)] == [27, 28, 29]
    assert tree.known_until_ns("base_link", "odom") == 29 * 10**9


def test_what_is_sent_over_and_over_does_not_move():
    tree = TransformTree()
    for second in range(30):
        tree.add("base_link", "camera", np.eye(4), second * 10**9)
    assert tree.known_until_ns("base_link", "camera") is None
    assert len(tree.samples("base_link", "camera", 0)) == 1


def test_time_that_begins_anew_forgets_what_moved():
    tree = TransformTree()
    for second in (100, 101, 102, 103, 104, 5):
        tree.add("odom", "base_link", rigid_from_quaternion([second, 0, 0], [0, 0, 0, 1]), second * 10**9)
    assert tree.samples("odom", "base_link", 0)[0][0] == 5 * 10**9
    assert tree.lookup("odom", "base_link", 103 * 10**9)[0, 3] == 5.0
