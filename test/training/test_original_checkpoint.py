# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""Checkpoints of the original release: read exactly, never executed, misfits listed."""

import argparse
import builtins
import functools
import os
import pickle
import sys
import types
import zipfile
import zlib

import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from torch.nn import functional

from mono_depth_ros.cli import import_checkpoint
from mono_depth_ros.errors import ConfigError, ModelContractError
from mono_depth_ros.networks.packnet_san import PACKNET01, PACKNET_SAN01, Packing
from mono_depth_ros.networks.sparse_convolution import SparseConv2d, SparseGrid, neighbour_rows
from mono_depth_ros.training.checkpoint import load_checkpoint
from mono_depth_ros.training.original_checkpoint import read_original_checkpoint
from mono_depth_ros.training.original_layout import packing, packnet_translations, pose_translations, sparse_kernel

pytestmark = pytest.mark.torch


def constant(key, shape):
    """A tensor of one number that depends on the key; a file stores it in a few bytes whatever its shape."""
    return torch.tensor(zlib.crc32(key.encode()) % 1000 / 1000.0).expand(shape)


def fake_state(translations, prefix="", rename=lambda key: key):
    shapes = {key: shape for entry in translations.values() for key, shape in entry.shapes.items()}
    return {prefix + rename(key): constant(key, shape) for key, shape in shapes.items()}


@pytest.fixture
def config_class(monkeypatch):
    """A stand-in for yacs.config.CfgNode that pickles as the real one does; forgotten before anything is loaded."""
    module = types.ModuleType("yacs.config")

    class CfgNode(dict):
        def __init__(self, values):
            super().__init__(values)
            self.__dict__.update({"__immutable__": True, "__deprecated_keys__": set(), "__renamed_keys__": {}})

    CfgNode.__module__ = "yacs.config"
    CfgNode.__qualname__ = "CfgNode"
    module.CfgNode = CfgNode
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    return CfgNode


def kitti_san_config(node):
    return node(
        {
            "model": node({"name": "SemiSupCompletionModel", "params": node({"max_depth": 80.0})}),
            "datasets": node(
                {
                    "augmentation": node({"image_shape": (), "crop_train_borders": (-352, 0, 0.5, 1216)}),
                    "train": node({"dataset": ["KITTI"]}),
                }
            ),
        }
    )


def save(contents, path, legacy=False):
    torch.save(contents, path, _use_new_zipfile_serialization=not legacy)
    for name in ("yacs.config", "yacs"):
        sys.modules.pop(name, None)
    return path


def test_packnet_san_file_with_dropout_names_becomes_our_checkpoint(tmp_path, config_class, capsys):
    def with_dropout(key):
        return key.replace(".conv3.weight", ".conv3.0.weight").replace(".conv3.bias", ".conv3.0.bias")

    state = fake_state(packnet_translations(PACKNET_SAN01), "model.depth_net.", with_dropout)
    state["model.depth_net.mconvs.mconvs.0.layer_final.0.bn.num_batches_tracked"] = torch.tensor(5)
    assert "model.depth_net.encoder.conv2.0.conv3.0.weight" in state
    contents = {"config": kitti_san_config(config_class), "epoch": 49, "state_dict": state, "optimizer": {}}
    path = save(contents, tmp_path / "PackNetSAN01_HR_sup_K.ckpt")

    parser = argparse.ArgumentParser()
    import_checkpoint.add_parser(parser.add_subparsers())
    out = tmp_path / "models" / "san"
    args = parser.parse_args(["import-checkpoint", str(path), "--out", str(out)])
    assert args.run(args) == 0
    assert "PackNetSAN01, 352x1216, up to 80 m, metric" in capsys.readouterr().out

    checkpoint = load_checkpoint(out / "checkpoint.pt")
    metadata = checkpoint.metadata
    assert (metadata.name, metadata.height_px, metadata.width_px, metadata.metric) == ("san", 352, 1216, True)
    assert metadata.source["epoch"] == 49
    assert metadata.source["model"]["name"] == "SemiSupCompletionModel"
    assert len(metadata.source["sha256"]) == 64
    weights = checkpoint.depth.weights
    theirs = "encoder.conv4.2.conv3.weight"
    assert torch.equal(weights["stages.3.2.shortcut.weight"], constant(theirs, (256, 256, 1, 1)))
    assert torch.equal(weights["fusion_bias"], constant("bias", (5,)))
    kernels = [f"mconvs.mconvs.2.layer{chain}.0.kernel" for chain in (1, 2, 3)]
    first_row = weights["sparse_branch.levels.2.expand.weight"][0]
    assert first_row[[0, 128, 384]].tolist() == [constant(kernel, ()).item() for kernel in kernels]
    assert "yacs.config" not in sys.modules


def test_packnet01_and_pose_net_share_a_file(tmp_path):
    state = fake_state(packnet_translations(PACKNET01), "model.depth_net.")
    state |= fake_state(pose_translations(2), "model.pose_net.")
    original = read_original_checkpoint(save({"state_dict": state}, tmp_path / "x.ckpt"))
    assert original.network == "PackNet01"
    assert original.config == {}
    assert original.pose.neighbours == 2
    expected = constant("unpack5.conv3d.bias", (8,))
    assert torch.equal(original.depth.unpackings[4].conv3d.bias.detach(), expected)


@pytest.mark.parametrize("legacy", [False, True])
def test_the_embedded_configuration_is_read_as_plain_values_in_both_file_formats(tmp_path, config_class, legacy):
    state = fake_state(pose_translations(2), "model.pose_net.")
    config = config_class({"model": config_class({"name": "SelfSupModel", "shape": (192, 640), "odd": {1, 2}})})
    path = save({"config": config, "state_dict": state, "epoch": 3}, tmp_path / "x.ckpt", legacy)
    original = read_original_checkpoint(path)
    assert original.config == {"model": {"name": "SelfSupModel", "shape": [192, 640], "odd": "set"}}
    assert original.epoch == 3


@pytest.mark.parametrize("prefix", ["model.pose_net.", "pose_network.", "model.model.pose_network.", ""])
def test_pose_net_is_found_under_every_prefix_of_the_release(tmp_path, prefix):
    state = fake_state(pose_translations(1), prefix)
    contents = state if prefix == "" else {"state_dict": state}
    original = read_original_checkpoint(save(contents, tmp_path / "pose.pth.tar"))
    assert original.network == "PoseNet"
    assert original.pose.neighbours == 1
    assert torch.equal(original.pose.stages[6][0].bias.detach(), constant("conv7.0.bias", (256,)))


def test_misfits_are_listed_all_at_once(tmp_path):
    state = fake_state(pose_translations(2), "model.pose_net.")
    del state["model.pose_net.conv3.0.bias"]
    state["model.pose_net.conv1.0.weight"] = torch.zeros(16, 9, 5, 5)
    state["model.pose_net.surprise"] = torch.zeros(2)
    with pytest.raises(ModelContractError) as caught:
        read_original_checkpoint(save({"state_dict": state}, tmp_path / "x.ckpt"))
    for text in (
        "3 tensors do not fit",
        "missing conv3.0.bias [64]",
        "unexpected surprise [2]",
        "misshaped conv1.0.weight: expected [16, 9, 7, 7], got [16, 9, 5, 5]",
    ):
        assert text in str(caught.value)


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


class SetsState:
    """Pickles as an object whose state is given to os.system's module."""

    def __reduce__(self):
        return functools.partial, (os.system,), {"x": 1}


def traps(trap):
    command = f"touch {trap}"
    return {
        "os.system": Call(os.system, command),
        "eval": Call(builtins.eval, f"__import__('os').system({command!r})"),
        "exec": Call(builtins.exec, f"import os; os.system({command!r})"),
        "getattr": Call(getattr, command, "upper"),
        "partial": SetsState(),
        "torch.load": Call(torch.load, str(trap)),
        "torch.hub": Call(torch.hub.load_state_dict_from_url, f"file://{trap}"),
    }


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("place", ["top", "config", "state_dict", "optimizer"])
@pytest.mark.parametrize("name", sorted(traps("x")))
def test_a_pickle_that_calls_something_is_refused_by_name_and_not_run(tmp_path, config_class, name, place, legacy):
    trap = tmp_path / "trap"
    bomb = traps(trap)[name]
    pose = fake_state(pose_translations(2), "model.pose_net.")
    contents = {
        "top": bomb,
        "config": {"config": config_class({"model": config_class({"name": bomb})}), "state_dict": pose},
        "state_dict": {"state_dict": {**pose, "model.pose_net.conv1.0.weight": bomb}},
        "optimizer": {"state_dict": pose, "optimizer": [{"lr": (bomb,)}]},
    }[place]
    path = save(contents, tmp_path / "bad.ckpt", legacy)
    with pytest.raises(ModelContractError, match=r"refused.*it asks for \S+") as caught:
        read_original_checkpoint(path)
    assert "module" not in str(caught.value).split("it asks for")[1]
    assert not trap.exists()


def test_the_traps_are_real(tmp_path):
    trap = tmp_path / "trap"
    path = save({"x": traps(trap)["os.system"]}, tmp_path / "bad.ckpt")
    torch.load(path, weights_only=False)
    assert trap.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_pickle_is_refused_without_running_it(tmp_path):
    trap = tmp_path / "trap"
    path = tmp_path / "bad.ckpt"
    path.write_bytes(pickle.dumps({"state_dict": traps(trap)["os.system"]}))
    with pytest.raises(ModelContractError):
        read_original_checkpoint(path)
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04", b"\x80\x02}q\x00."])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(ModelContractError, match=str(path)):
        read_original_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
    ],
)
def test_what_stands_in_place_of_a_checkpoint_is_named(tmp_path, content, what):
    path = tmp_path / "network.ckpt"
    path.write_bytes(content)
    with pytest.raises(ModelContractError, match=what):
        read_original_checkpoint(path)
    with pytest.raises(ModelContractError, match=what):
        load_checkpoint(path)


def test_a_folder_a_missing_file_and_a_compressed_archive_are_refused(tmp_path):
    with pytest.raises(ModelContractError, match="found a folder"):
        read_original_checkpoint(tmp_path)
    with pytest.raises(ModelContractError, match="found nothing"):
        read_original_checkpoint(tmp_path / "none.ckpt")
    bomb = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10_000_000)
    with pytest.raises(ModelContractError, match="unpack to 10000000"):
        read_original_checkpoint(bomb)


def test_a_checkpoint_of_another_network_is_not_mistaken(tmp_path):
    path = save({"state_dict": {"model.depth_net.encoder.conv1.weight": torch.zeros(64, 3, 7, 7)}}, tmp_path / "r.ckpt")
    with pytest.raises(ModelContractError, match=r"unexpected encoder.conv1.weight \[64, 3, 7, 7\]"):
        read_original_checkpoint(path)
    path = save({"state_dict": {"a": 1}}, tmp_path / "numbers.ckpt")
    with pytest.raises(ModelContractError, match="expected a dictionary of tensors"):
        read_original_checkpoint(path)


def test_the_size_must_come_from_the_file_or_the_command_line(tmp_path):
    path = save({"state_dict": fake_state(pose_translations(2), "model.pose_net.")}, tmp_path / "x.ckpt")
    parser = argparse.ArgumentParser()
    import_checkpoint.add_parser(parser.add_subparsers())

    def run(*options):
        args = parser.parse_args(["import-checkpoint", str(path), "--out", str(tmp_path / "out"), *options])
        return args.run(args)

    with pytest.raises(ModelContractError, match="--height and --width"):
        run()
    with pytest.raises(ConfigError, match="both or neither"):
        run("--height", "192")
    assert not (tmp_path / "out").exists()
    assert run("--height", "192", "--width", "640", "--relative", "--trained-fx", "372") == 0
    metadata = load_checkpoint(tmp_path / "out" / "checkpoint.pt").metadata
    assert (metadata.height_px, metadata.width_px, metadata.metric) == (192, 640, False)
    assert metadata.trained_fx_px == 372.0


def test_packing_weights_keep_their_function_in_our_channel_order():
    channels, features = 4, 4
    torch.manual_seed(0)
    ours = Packing(channels, 3, PACKNET_SAN01)
    conv3d = torch.nn.Conv3d(1, features, 3, padding=1)
    conv2d = torch.nn.Conv2d(4 * channels * features, channels, 3, padding=1)
    originals = {
        "p.conv3d.weight": conv3d.weight,
        "p.conv3d.bias": conv3d.bias,
        "p.conv.conv_base.weight": conv2d.weight,
        "p.conv.conv_base.bias": conv2d.bias,
        "p.conv.normalize.weight": torch.randn(channels),
        "p.conv.normalize.bias": torch.randn(channels),
    }
    translations = packing("o", "p", channels, 3, features)
    ours.load_state_dict(
        {key[2:]: entry.build([originals[name] for name in entry.shapes]) for key, entry in translations.items()}
    )
    x = torch.randn(2, channels, 8, 12)
    with torch.no_grad():
        volume = conv3d(functional.pixel_unshuffle(x, 2).unsqueeze(1))  # [B, D, 4C, H/2, W/2]
        scale, shift = originals["p.conv.normalize.weight"], originals["p.conv.normalize.bias"]
        expected = functional.elu(functional.group_norm(conv2d(volume.flatten(1, 2)), 4, scale, shift))
        torch.testing.assert_close(ours(x), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [3, 5])
def test_sparse_kernels_are_read_with_the_row_offset_running_fastest(size):
    torch.manual_seed(0)
    kernel = torch.randn(size * size, 2, 3)
    conv = SparseConv2d(2, 3, size)
    entry = sparse_kernel("w", {"k": tuple(kernel.shape)}, axis=1)["w"]
    conv.weight.data = entry.build([kernel])
    cells = torch.nonzero(torch.ones(1, 7, 9))
    grid = SparseGrid(torch.randn(len(cells), 2), cells, 1, 7, 9)
    conv2d_weight = kernel.reshape(size, size, 2, 3).permute(3, 2, 1, 0)  # [Cout, Cin, rows, columns]
    expected = functional.conv2d(grid.to_dense(), conv2d_weight, padding=size // 2)
    features = conv(grid.features, neighbour_rows(grid, cells, size))
    result = SparseGrid(features, cells, 1, 7, 9).to_dense()
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)
