# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""PoseNet: shapes, starting point, refusals. Its numbers are in test_conformance.py."""

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.networks.pose_net import PoseNet

pytestmark = pytest.mark.torch


def test_pose_net_gives_six_numbers_per_neighbour_near_no_motion():
    torch.manual_seed(0)
    target, before, after = torch.rand(3, 2, 3, 64, 96)
    poses = PoseNet(neighbours=2)(target, (before, after))
    assert tuple(poses.shape) == (2, 2, 6)
    assert 0.0 < poses.abs().max() < 0.1


def test_pose_net_tells_the_neighbours_apart():
    torch.manual_seed(0)
    target, before, after = torch.rand(3, 1, 3, 64, 96)
    network = PoseNet(neighbours=2)
    assert not torch.allclose(network(target, (before, after)), network(target, (after, before)))


def test_pose_net_refuses_another_number_of_images():
    image = torch.zeros(1, 3, 64, 96)
    with pytest.raises(ConfigError, match="takes 2 images, got 1"):
        PoseNet(neighbours=2)(image, (image,))
