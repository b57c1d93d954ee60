# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""Our checkpoint file: everything comes back, nothing half-written, nothing executed."""

import os
import pickle
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from tiny_checkpoint import METADATA, TINY, tiny_network

from mono_depth_ros.errors import ModelContractError
from mono_depth_ros.networks.pose_net import PoseNet
from mono_depth_ros.training.checkpoint import load_checkpoint, load_weights, save_checkpoint

pytestmark = pytest.mark.torch


class RunsCode:
    """Pickles as a call of os.mkdir."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_networks_metadata_and_training_state_come_back(tmp_path):
    depth, pose = tiny_network(), PoseNet(neighbours=2)
    optimizer = torch.optim.AdamW(depth.parameters(), lr=1e-3)
    depth(torch.rand(1, 3, 32, 32)).inv_depths[0].mean().backward()
    optimizer.step()
    training_state = {"step": 7, "optimizer": optimizer.state_dict(), "random": torch.get_rng_state(), "scores": [0.5]}
    path = tmp_path / "runs" / "checkpoint.pt"
    save_checkpoint(path, METADATA, depth=depth, pose=pose, training_state=training_state)

    checkpoint = load_checkpoint(path)
    assert checkpoint.metadata == METADATA
    loaded = checkpoint.depth_network()
    assert loaded.config == TINY
    assert not loaded.training
    rgb = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        assert torch.equal(loaded(rgb).inv_depths[0], depth(rgb).inv_depths[0])
        assert torch.equal(checkpoint.pose_network()(rgb, (rgb, rgb)), pose(rgb, (rgb, rgb)))
    assert checkpoint.training_state["step"] == 7
    assert torch.equal(checkpoint.training_state["random"], training_state["random"])
    again = torch.optim.AdamW(loaded.parameters(), lr=1.0)
    again.load_state_dict(checkpoint.training_state["optimizer"])
    assert again.param_groups[0]["lr"] == 1e-3
    assert os.listdir(path.parent) == ["checkpoint.pt"]


def test_a_checkpoint_that_could_not_be_read_back_is_not_written(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, METADATA, depth=tiny_network())
    before = path.read_bytes()
    with pytest.raises(ModelContractError, match="cannot be read"):
        save_checkpoint(path, METADATA, depth=tiny_network(), training_state={"config": METADATA})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


def test_loading_a_checkpoint_runs_no_code(tmp_path):
    trap = tmp_path / "trap"
    path = tmp_path / "checkpoint.pt"
    torch.save({"schema_version": 1, "training_state": {"x": [RunsCode(trap)]}}, path)
    with pytest.raises(ModelContractError, match="cannot be read"):
        load_checkpoint(path)
    assert not trap.exists()
    torch.load(path, weights_only=False)  # the trap is real
    assert trap.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"PK\x03\x04 truncated", "cannot be read"),
        (pickle.dumps({"schema_version": 1}), "cannot be read"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content, message):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(ModelContractError, match=message):
        load_checkpoint(path)


def test_a_missing_file_and_another_schema_version_are_refused(tmp_path):
    with pytest.raises(ModelContractError, match="No such file"):
        load_checkpoint(tmp_path / "none.pt")
    torch.save({"schema_version": 99}, tmp_path / "new.pt")
    with pytest.raises(ModelContractError, match="expected schema version 1, got 99"):
        load_checkpoint(tmp_path / "new.pt")
    torch.save({"state_dict": {}}, tmp_path / "original.pt")
    with pytest.raises(ModelContractError, match="import-checkpoint"):
        load_checkpoint(tmp_path / "original.pt")
    torch.save({"schema_version": 1, "metadata": {}, "depth": None}, tmp_path / "half.pt")
    with pytest.raises(ModelContractError, match="damaged or incomplete"):
        load_checkpoint(tmp_path / "half.pt")


def test_weights_that_do_not_fit_are_all_listed():
    network = tiny_network()
    weights = network.state_dict()
    del weights["stem.conv.bias"]
    weights["stem.conv.weight"] = torch.zeros(1, 2)
    weights["surprise"] = torch.zeros(3)
    with pytest.raises(ModelContractError) as caught:
        load_weights(network, weights, "x")
    for text in ("missing stem.conv.bias [8]", "unexpected surprise [3]", "expected [8, 3, 3, 3], got [1, 2]"):
        assert text in str(caught.value)


def test_a_checkpoint_without_the_asked_network_says_so(tmp_path):
    path = tmp_path / "pose.pt"
    save_checkpoint(path, replace(METADATA, name="pose_only"), pose=PoseNet(neighbours=1))
    with pytest.raises(ModelContractError, match="pose_only: holds no depth network"):
        load_checkpoint(path).depth_network()
    assert load_checkpoint(path).pose_network().neighbours == 1
