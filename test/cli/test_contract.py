# SPDX-License-Identifier: Apache-2.0
import argparse
import json

import numpy as np
import pytest
from image_model import build_graph

from mono_depth_ros.cli import contract
from mono_depth_ros.errors import ConfigError, ModelContractError
from mono_depth_ros.inference.contract import load_contract
from mono_depth_ros.inference.engine import OnnxEngine


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    contract.add_parser(parser.add_subparsers())
    args = parser.parse_args(["contract", "new", *words])
    return args.run(args)


@pytest.fixture
def onnx_file(tmp_path):
    path = tmp_path / "strong_net.onnx"
    path.write_bytes(build_graph(size=("H", "W")).SerializeToString())
    return path


def test_flags_make_a_model_that_runs(tmp_path, onnx_file, capsys):
    out = tmp_path / "models" / "strong"
    words = [str(onnx_file), "--out", str(out), "--kind", "relative_inverse_depth", "--licence", "MIT"]
    assert run(*words, "--size-multiple", "14", "--mean", "0.4", "0.5", "0.6", "--std", "0.2", "0.25", "0.5") == 0
    written = load_contract(out)
    assert (written.name, written.kind, written.metric, written.completes) == (
        "strong_net", "relative_inverse_depth", False, True,
    )  # fmt: skip
    assert (
        written.image is not None and written.image.dynamic_size and (written.height_px, written.width_px) == (518,) * 2
    )
    assert written.licence == "MIT" and onnx_file.is_file()
    rgb = np.zeros((1, 28, 42, 3), np.uint8)
    rgb[..., 0] = 51
    depth_m = OnnxEngine(out).infer(rgb, np.zeros((0, 3), np.int64), np.zeros(0, np.float32))
    np.testing.assert_allclose(depth_m, 5.0, rtol=1e-4)
    assert "518x518" in capsys.readouterr().out


def test_a_graph_of_one_size_sets_the_size_and_imagenet_is_the_default(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(build_graph(layout="NHWC", metric_slope=20.0).SerializeToString())
    assert run(str(path), "--kind", "metric_depth", "--value-range", "255", "--licence", "MIT") == 0
    written = load_contract(tmp_path)
    assert (written.height_px, written.width_px, written.metric) == (32, 64, True)
    assert written.image is not None and written.image.layout == "NHWC" and not written.image.dynamic_size
    assert written.image.mean == (123.675, 116.28, 103.53)


def test_without_a_terminal_what_is_missing_is_named(tmp_path, onnx_file):
    with pytest.raises(ConfigError, match="--kind: expected metric_depth or relative_inverse_depth"):
        run(str(onnx_file), "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_on_a_terminal_what_is_missing_is_asked(tmp_path, onnx_file, monkeypatch):
    answers = iter(["metric_depth", "MIT"])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: next(answers))
    assert run(str(onnx_file), "--out", str(tmp_path / "out")) == 0
    assert load_contract(tmp_path / "out").kind == "metric_depth"


def test_an_existing_contract_is_not_overwritten(tmp_path, onnx_file):
    words = [str(onnx_file), "--out", str(tmp_path / "out"), "--kind", "metric_depth", "--licence", "MIT"]
    assert run(*words) == 0
    with pytest.raises(ConfigError, match="expected no contract yet"):
        run(*words)


def test_a_model_that_does_not_run_leaves_no_contract(tmp_path):
    from onnx import helper

    model = build_graph(size=("H", "W"))
    model.graph.node.append(helper.make_node("Concat", ["disparity", "disparity"], ["double"], axis=1))
    model.graph.output[0].name = "double"
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelContractError, match="one depth per pixel"):
        run(str(path), "--out", str(tmp_path / "out"), "--kind", "metric_depth", "--licence", "MIT")
    assert not (tmp_path / "out" / "model.json").exists()


def test_a_file_of_another_name_needs_a_folder(onnx_file):
    with pytest.raises(ConfigError, match=r"called model\.onnx, or --out"):
        run(str(onnx_file), "--kind", "metric_depth", "--licence", "MIT")


def test_a_graph_of_two_outputs_asks_which(tmp_path):
    model = build_graph()
    model.graph.output.append(model.graph.output[0].__class__())
    model.graph.output[1].CopyFrom(model.graph.output[0])
    model.graph.output[1].name = "scaled"
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    words = [str(path), "--out", str(tmp_path / "out"), "--kind", "metric_depth", "--licence", "MIT"]
    with pytest.raises(ModelContractError, match="disparity, scaled; say which: --output-name"):
        run(*words)
    assert run(*words, "--output-name", "disparity") == 0
    assert json.loads((tmp_path / "out" / "model.json").read_text())["image"]["output_name"] == "disparity"
