# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E402  (torch is looked for before what needs it is imported)
"""Export: the file computes what torch computes, for any number of points, or there is no file."""

import argparse
import json
import os
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="export needs torch")
pytest.importorskip("onnx", reason="export needs onnx")
pytest.importorskip("onnxruntime", reason="export compares with ONNX Runtime")

import copy

import numpy as np
from tiny_checkpoint import METADATA, tiny_network

from mono_depth_ros.cli import export as export_command
from mono_depth_ros.datasets.rendered.rendered_cache import SyntheticConfig
from mono_depth_ros.errors import ConfigError, ModelContractError
from mono_depth_ros.inference.contract import sha256_hex
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.training.checkpoint import Checkpoint, NetworkState, cpu_weights, save_checkpoint
from mono_depth_ros.training.config import TrainConfig
from mono_depth_ros.training.dial_graph import ExportGraph
from mono_depth_ros.training.export import checkpoint_of_model, export_model
from mono_depth_ros.training.parity import POINT_COUNTS, compare_with_torch, example_input
from mono_depth_ros.training.run_state import initialised, keeps_statistics, new_models

pytestmark = pytest.mark.torch
SHAPE = (METADATA.height_px, METADATA.width_px)


def checkpoint_of(network):
    return Checkpoint(METADATA, NetworkState(network.config.to_dict(), cpu_weights(network)), None, {})


@pytest.fixture(scope="module")
def network():
    return tiny_network()


@pytest.fixture(scope="module")
def model_dir(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    export_model(checkpoint_of(network), folder)
    return folder


@pytest.fixture(scope="module")
def engine(model_dir):
    return OnnxEngine(model_dir)


def torch_depth(network, arrays):
    with torch.no_grad():
        return ExportGraph(network)(*(torch.from_numpy(array) for array in arrays)).numpy()


@pytest.mark.parametrize(("batch", "count"), [(1, 0), (1, 1), (1, 2), (3, 0), (3, 700), (1, SHAPE[0] * SHAPE[1])])
def test_the_file_agrees_with_torch_for_any_batch_and_number_of_points(network, engine, batch, count):
    arrays = example_input(np.random.default_rng(count), (batch, *SHAPE), count)
    expected = torch_depth(network, arrays)
    depth_m = engine.infer(*arrays)
    assert depth_m.dtype == np.float32
    assert depth_m.shape == (batch, *SHAPE)
    np.testing.assert_allclose(depth_m, expected, atol=1e-3, rtol=1e-4)


def test_without_valid_points_the_graph_predicts_bit_for_bit(engine):
    rgb, points_bvu, points_depth_m = example_input(np.random.default_rng(5), (2, *SHAPE), 200, first_image=1)
    predicted = engine.infer(rgb, points_bvu[:0], points_depth_m[:0])
    np.testing.assert_array_equal(engine.infer(rgb, points_bvu, np.zeros_like(points_depth_m)), predicted)
    mixed = engine.infer(rgb, points_bvu, points_depth_m)
    np.testing.assert_array_equal(mixed[0], predicted[0])
    assert np.abs(mixed[1] - predicted[1]).max() > 0.01


def test_padding_points_change_nothing_in_the_graph(engine):
    rgb, points_bvu, points_depth_m = example_input(np.random.default_rng(6), (1, *SHAPE), 100)
    valid = points_depth_m > 0
    assert 0 < valid.sum() < len(valid)
    completed = engine.infer(rgb, points_bvu[valid], points_depth_m[valid])
    np.testing.assert_array_equal(engine.infer(rgb, points_bvu, points_depth_m), completed)


def test_the_report_covers_every_number_of_points_and_a_mixed_batch(network, tmp_path):
    report = export_model(checkpoint_of(network), tmp_path / "m")
    assert [case.name for case in report.parity[:-1]] == [f"{count} points" for count in POINT_COUNTS]
    assert "2 images" in report.parity[-1].name
    assert all(case.passed and case.relative_error < 1e-3 for case in report.parity)
    assert report.onnx_bytes == (tmp_path / "m" / "model.onnx").stat().st_size
    assert sorted(os.listdir(tmp_path / "m")) == ["model.json", "model.onnx"]


def test_the_contract_repeats_the_metadata_and_scales_the_focal_length_with_the_width(network, tmp_path):
    contract = export_model(checkpoint_of(network), tmp_path / "m", size_px=(32, 192)).contract
    assert contract == OnnxEngine(tmp_path / "m").contract
    assert (contract.height_px, contract.width_px) == (32, 192)
    assert contract.trained_fx_px == pytest.approx(METADATA.trained_fx_px * 192 / METADATA.width_px)
    for name in ("name", "min_depth_m", "max_depth_m", "metric", "recipe", "training_data", "licence", "accuracy"):
        assert getattr(contract, name) == getattr(METADATA, name)
    assert contract.completes
    assert contract.network["widths"] == list(network.config.widths)


@pytest.mark.parametrize("prior", [False, True])
def test_a_network_of_single_groups_agrees_for_batches_of_any_size(tmp_path, prior):
    network = tiny_network(norm_groups=1, prior=prior)
    export_model(checkpoint_of(network), tmp_path / "m")
    arrays = example_input(np.random.default_rng(3), (3, *SHAPE), 200)
    np.testing.assert_allclose(OnnxEngine(tmp_path / "m").infer(*arrays), torch_depth(network, arrays), rtol=1e-4)


def test_half_weights_halve_the_file_and_compute_the_rounded_network(network, model_dir, tmp_path):
    report = export_model(checkpoint_of(network), tmp_path / "half", weights="fp16")
    assert report.contract.network["weights"] == "fp16"
    weight_bytes = sum(4 * value.numel() for value in network.parameters())
    saved = (model_dir / "model.onnx").stat().st_size - report.onnx_bytes
    assert saved > 0.4 * weight_bytes
    arrays = example_input(np.random.default_rng(7), (1, *SHAPE), 100)
    depth_m = OnnxEngine(tmp_path / "half").infer(*arrays)
    exact = torch_depth(network, arrays)
    assert 1e-6 < np.abs(depth_m / exact - 1.0).max() < 0.05


def test_a_network_that_only_predicts_takes_points_and_ignores_them(tmp_path):
    network = tiny_network(sparse=False)
    contract = export_model(checkpoint_of(network), tmp_path / "m").contract
    assert not contract.completes
    engine = OnnxEngine(tmp_path / "m")
    rgb, points_bvu, points_depth_m = example_input(np.random.default_rng(8), (1, *SHAPE), 100)
    predicted = engine.infer(rgb, points_bvu[:0], points_depth_m[:0])
    np.testing.assert_array_equal(engine.infer(rgb, points_bvu, points_depth_m), predicted)


@pytest.mark.parametrize(
    ("weights", "prior", "groups"), [("fp32", False, 4), ("fp32", False, 1), ("fp16", False, 1), ("fp16", True, 1)]
)
def test_an_exported_model_is_a_checkpoint_to_train_on_from(tmp_path, weights, prior, groups):
    network = tiny_network(norm_groups=groups, prior=prior)
    torch.nn.init.normal_(network.stem.conv.bias, std=0.3)  # without, the norm after it hides a wrong factor
    export_model(checkpoint_of(network), tmp_path / "m", weights=weights)
    checkpoint = checkpoint_of_model(tmp_path / "m")
    assert checkpoint.metadata == METADATA
    arrays = example_input(np.random.default_rng(4), (2, *SHAPE), 300)
    given = OnnxEngine(tmp_path / "m").infer(*arrays)
    np.testing.assert_allclose(torch_depth(checkpoint.depth_network(), arrays), given, rtol=1e-4)
    config = initialised(TrainConfig(init=str(tmp_path / "m"), rendered=SyntheticConfig(width_px=64, height_px=32)))
    assert config.network == network.config
    assert config.trained_fx_px == pytest.approx(METADATA.trained_fx_px * 64 / METADATA.width_px)
    assert keeps_statistics(config, 0.0)  # they are folded into the weights
    assert not keeps_statistics(replace(config, init=""), 0.0)
    with_prior = initialised(replace(config, network=replace(config.network, prior=True)))
    assert with_prior.network == replace(network.config, prior=True)
    contrast = replace(config, network=replace(config.network, image_input="local_contrast"))
    assert initialised(contrast).network == replace(network.config, image_input="local_contrast")
    continued = replace(config, network=replace(config.network, packing_border="continued"))
    assert initialised(continued).network == replace(network.config, packing_border="continued")
    started = new_models(with_prior)[0].depth.eval()
    np.testing.assert_allclose(torch_depth(started, arrays), given, rtol=1e-4)
    packed = TrainConfig(
        init=str(tmp_path / "m"),
        network=replace(network.config, grid_stride=2),
        rendered=SyntheticConfig(width_px=128, height_px=64),
    )
    assert initialised(packed).trained_fx_px == pytest.approx(METADATA.trained_fx_px * 128 / METADATA.width_px)
    larger = new_models(initialised(packed))[0].depth.eval()
    assert larger.config == replace(network.config, grid_stride=2)
    rgb, bvu, depth_m = arrays
    twice = (rgb.repeat(2, axis=1).repeat(2, axis=2), bvu * (1, 2, 2), depth_m)
    np.testing.assert_allclose(torch_depth(larger, twice), given.repeat(2, axis=1).repeat(2, axis=2), rtol=1e-3)


def test_an_exported_model_that_lacks_a_weight_names_it_and_the_way_out(tmp_path):
    export_model(checkpoint_of(tiny_network()), tmp_path)
    content = (tmp_path / "model.onnx").read_bytes().replace(b"network.fusion_bias", b"nameless.fusion_bia")
    (tmp_path / "model.onnx").write_bytes(content)
    contract = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**contract, "onnx_sha256": sha256_hex(content)}))
    with pytest.raises(ModelContractError, match=r"fusion_bias.*start from its checkpoint"):
        checkpoint_of_model(tmp_path)


def broken_network():
    network = tiny_network()
    with torch.no_grad():
        network.heads[0].conv.bias.fill_(float("nan"))
    return network


def test_a_graph_that_does_not_agree_is_not_written(tmp_path):
    with pytest.raises(ModelContractError, match="ONNX Runtime differs from torch"):
        export_model(checkpoint_of(broken_network()), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_failed_export_leaves_an_older_model_alone(network, tmp_path):
    export_model(checkpoint_of(network), tmp_path)
    (tmp_path / "README.md").write_text("card")
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    with pytest.raises(ModelContractError):
        export_model(checkpoint_of(broken_network()), tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_weights_too_large_for_half_precision_are_refused(tmp_path):
    network = tiny_network()
    with torch.no_grad():
        network.stem.conv.weight[0, 0, 0, 0] = 1e5
    with pytest.raises(ModelContractError, match=r"stem.conv.weight: too large for fp16"):
        export_model(checkpoint_of(network), tmp_path / "m", weights="fp16")


@pytest.mark.parametrize("size_px", [(0, 32), (33, 64), (64, 100)])
def test_sizes_that_are_no_multiple_of_32_are_refused(network, tmp_path, size_px):
    with pytest.raises(ConfigError, match="multiples of 32"):
        export_model(checkpoint_of(network), tmp_path / "m", size_px=size_px)
    assert not (tmp_path / "m").exists()


def test_the_command_exports_and_prints_the_comparison(network, tmp_path, capsys):
    save_checkpoint(tmp_path / "checkpoint.pt", METADATA, depth=network)
    parser = argparse.ArgumentParser()
    export_command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["export", str(tmp_path / "checkpoint.pt"), "--out", str(tmp_path / "m")])
    assert args.run(args) == 0
    printed = capsys.readouterr().out
    assert "5000 points" in printed
    assert "64x96, prediction and completion, metric" in printed
    assert json.loads((tmp_path / "m" / "model.json").read_text())["name"] == "tiny"


def test_the_comparison_is_with_double_precision(network, engine, model_dir, monkeypatch):
    compared = []

    class Recorded(ExportGraph):
        def forward(self, *arrays):
            depth_m = super().forward(*arrays)
            compared.append(depth_m.dtype)
            return depth_m

    monkeypatch.setattr("mono_depth_ros.training.parity.ExportGraph", Recorded)
    assert all(case.passed for case in compare_with_torch(network, engine))
    assert set(compared) == {torch.float64}
    arrays = example_input(np.random.default_rng(0), (1, *SHAPE), 40)
    single, double = torch_depth(network, arrays), torch_depth(copy.deepcopy(network).double(), arrays)
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    np.testing.assert_allclose(single, double, rtol=1e-4)
    assert (single != double).any()
    weights = checkpoint_of_model(model_dir).depth.weights.values()
    assert {weight.dtype for weight in weights if weight.is_floating_point()} == {torch.float32}
