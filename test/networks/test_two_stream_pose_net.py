# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""The two-stream pose network: both streams count, and pairs are independent of each other."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="networks need torch")

from tiny_checkpoint import METADATA

from mono_depth_ros.networks.two_stream_pose_net import TwoStreamPoseNet
from mono_depth_ros.training.checkpoint import load_checkpoint, save_checkpoint

pytestmark = pytest.mark.torch


def inputs(contexts: int = 2) -> list[torch.Tensor]:
    torch.manual_seed(1)
    size = (32, 64)
    return [torch.rand(2, 3, *size), torch.rand(2, contexts, 3, *size), torch.rand(2, 1, *size),
            torch.rand(2, contexts, 1, *size)]  # fmt: skip


def test_it_starts_near_no_motion_and_any_number_of_contexts_is_fine() -> None:
    torch.manual_seed(0)
    network = TwoStreamPoseNet()
    for contexts in (1, 2, 3):
        poses = network(*inputs(contexts))
        assert poses.shape == (2, contexts, 6)
        assert 0.0 < poses.abs().max() < 0.2


def test_appearance_and_depth_both_change_the_motion_and_pairs_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    network = TwoStreamPoseNet().eval()
    target, contexts, depth, depths = inputs()
    with torch.no_grad():
        poses = network(target, contexts, depth, depths)
        for changed in ((target, contexts.flip(-1), depth, depths), (target, contexts, depth, depths.flip(-1)),
                        (target, contexts, depth.flip(-1), depths)):  # fmt: skip
            assert (network(*changed) - poses).abs().max() > 1e-5
        other = contexts.clone()
        other[:, 1] = 0.0
        torch.testing.assert_close(network(target, other, depth, depths)[:, 0], poses[:, 0])
        torch.testing.assert_close(network(target, contexts.flip(1), depth, depths.flip(1)), poses.flip(1))


def test_a_checkpoint_brings_it_back(tmp_path: Path) -> None:
    network = TwoStreamPoseNet().eval()
    save_checkpoint(tmp_path / "pose.ckpt", METADATA, pose=network)
    again = load_checkpoint(tmp_path / "pose.ckpt").pose_network()
    assert isinstance(again, TwoStreamPoseNet)
    with torch.no_grad():
        assert torch.equal(again(*inputs()), network(*inputs()))
