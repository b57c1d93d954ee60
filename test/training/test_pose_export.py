# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""Export of pose networks: the run time's motion is torch's motion, or there is no file."""

import argparse
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="export needs torch")
pytest.importorskip("onnx", reason="export needs onnx")
pytest.importorskip("onnxruntime", reason="export compares with ONNX Runtime")

import numpy as np
from tiny_checkpoint import METADATA, tiny_network

from mono_depth_ros.cli import export as export_command
from mono_depth_ros.errors import ModelContractError
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pose_engine import PoseEngine
from mono_depth_ros.networks.pose_net import PoseNet
from mono_depth_ros.networks.two_stream_pose_net import TwoStreamPoseNet
from mono_depth_ros.training.checkpoint import load_checkpoint, save_checkpoint
from mono_depth_ros.training.model import TrainedModel
from mono_depth_ros.training.pose_export import export_pose

pytestmark = pytest.mark.torch


def moving(pose):
    """Untrained networks hardly move; this one does, some metres and some degrees."""
    with torch.no_grad():
        pose.head.weight.mul_(20.0)
        pose.head.bias.copy_(torch.tensor([30.0, -10.0, 70.0, 5.0, -20.0, 8.0])[: len(pose.head.bias)])
    return pose.eval()


def saved(tmp_path, pose, depth=None):
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, METADATA, tiny_network() if depth is None else depth, pose)
    return path


def images(seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (METADATA.height_px, METADATA.width_px, 3), dtype=np.uint8) for _ in range(2)]


@pytest.mark.parametrize("kind", ["pair", "two_stream"])
def test_the_run_time_reads_it_and_gives_the_motion_that_training_saw(tmp_path, kind):
    torch.manual_seed(1)
    pose = moving(PoseNet(1) if kind == "pair" else TwoStreamPoseNet())
    depth = tiny_network()
    report = export_pose(load_checkpoint(saved(tmp_path, pose, depth)), tmp_path / "pose")
    assert report.error < 1e-4
    assert report.longest > 0.5
    engine = PoseEngine(tmp_path / "pose")
    assert engine.contract == report.contract
    assert engine.contract.depth_model == METADATA.name
    assert (engine.contract.height_px, engine.contract.width_px) == (METADATA.height_px, METADATA.width_px)
    previous, current = images()
    target, context = (torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255.0 for rgb in (current, previous))
    # as in training: two contexts of one target, here the same image twice
    model = TrainedModel(depth, pose, "prediction").eval()
    no_points = torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0)
    with torch.no_grad():
        poses = model(target, *no_points, target, torch.stack([context, context], dim=1)).poses
    expected = poses[0, 0].numpy()
    np.testing.assert_allclose(engine.infer(previous, current), expected, atol=1e-4)
    back = engine.infer(current, previous)
    assert np.abs(back - expected).max() > 1e-3  # the order of the images matters
    # the image after the target: time runs forwards for the network, from the target to it
    np.testing.assert_allclose(np.linalg.inv(back), poses[0, 1].numpy(), atol=1e-4)


def test_a_network_for_three_images_is_refused_with_the_way_out(tmp_path):
    with pytest.raises(ModelContractError, match=r"pose\.source=pair"):
        export_pose(load_checkpoint(saved(tmp_path, PoseNet(2))), tmp_path / "pose")
    assert not (tmp_path / "pose").exists()
    save_checkpoint(tmp_path / "depth.ckpt", METADATA, tiny_network())
    with pytest.raises(ModelContractError, match="got none"):
        export_pose(load_checkpoint(tmp_path / "depth.ckpt"), tmp_path / "pose")


def test_a_motion_that_is_no_number_is_not_written(tmp_path):
    pose = moving(PoseNet(1))
    with torch.no_grad():
        pose.head.bias[0] = float("nan")
    checkpoint = load_checkpoint(saved(tmp_path, moving(PoseNet(1))))
    broken = replace(checkpoint, pose=replace(checkpoint.pose, weights=pose.state_dict()))
    with pytest.raises(ModelContractError, match="finite motion"):
        export_pose(broken, tmp_path / "pose")
    assert not (tmp_path / "pose").exists()


@pytest.mark.parametrize("neighbours", [1, 2])
def test_the_command_writes_both_models_where_there_are_both(tmp_path, capsys, neighbours):
    path = saved(tmp_path, moving(PoseNet(neighbours)) if neighbours == 1 else PoseNet(2))
    parser = argparse.ArgumentParser()
    export_command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["export", str(path), "--out", str(tmp_path / "m")])
    assert args.run(args) == 0
    assert OnnxEngine(tmp_path / "m").contract.name == METADATA.name
    assert (tmp_path / "m" / "pose" / "model.json").exists() == (neighbours == 1)
    assert ("motion between two images" in capsys.readouterr().out) == (neighbours == 1)
