# SPDX-License-Identifier: Apache-2.0
"""Depth networks in ONNX files as people have them, given to `mono-depth contract new`."""

import re
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from image_model import build_graph
from street_recording import command

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 99000000\n"


def saved(**changes: int) -> Callable[[Path], None]:
    """A sound network, but for what its file says of itself."""

    def write(path: Path) -> None:
        model = build_graph(metric_slope=20.0, batch=1)
        model.ir_version = changes.get("ir_version", model.ir_version)
        model.opset_import[0].version = changes.get("opset", model.opset_import[0].version)
        path.write_bytes(model.SerializeToString())

    return write


def in_two_files(path: Path) -> None:
    """The weights lie beside the graph, as newer exporters write them."""
    model = build_graph(metric_slope=20.0, batch=1)
    for tensor in model.graph.initializer:  # only what is stored as raw bytes can lie elsewhere
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    onnx.save(model, path, save_as_external_data=True, location="weights.data", size_threshold=0)


# What is written, and patterns of what has to be told.
REFUSED = {
    "weights in a second file": (in_two_files, ("second file",)),
    "an IR version of the future": (saved(ir_version=99), ("IR version",)),
    "an opset of the future": (saved(opset=99), ("opset",)),
    "a pointer of Git LFS": (lambda path: path.write_text(POINTER), ("git lfs",)),
    "a web page": (lambda path: path.write_text("<!DOCTYPE html><html></html>"), ("web page",)),
    "an empty file": (lambda path: path.write_bytes(b""), ("empty",)),
}


def contract(capsys: pytest.CaptureFixture[str], file: Path, out: Path) -> tuple[int, str]:
    """The command's exit code and what it printed."""
    values = ("--mean", "0", "0", "0", "--std", "1", "1", "1", "--max-depth-m", "20", "--licence", "none")
    return command(capsys, "contract", "new", str(file), "--out", str(out), "--kind", "metric_depth", *values)


@pytest.mark.parametrize("kind", [{}, {"half": True}, {"output_axes": 3}, {"layout": "NHWC"}], ids=str)
def test_a_network_of_either_precision_and_layout_becomes_a_model(kind, tmp_path, capsys):
    (tmp_path / "net.onnx").write_bytes(build_graph(metric_slope=20.0, batch=1, **kind).SerializeToString())
    exit_code, told = contract(capsys, tmp_path / "net.onnx", tmp_path / "model")
    assert exit_code == 0, told
    assert (tmp_path / "model/model.json").exists()


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_network_for_us_is_refused_in_a_sentence(name, tmp_path, capsys):
    write, patterns = REFUSED[name]
    write(tmp_path / "net.onnx")
    exit_code, told = contract(capsys, tmp_path / "net.onnx", tmp_path / "model")
    assert exit_code == 1
    assert told.startswith("mono-depth contract: ") and "net.onnx" in told and "Traceback" not in told
    for pattern in patterns:
        assert re.search(pattern, told, re.IGNORECASE), f"{pattern}: {told}"
    assert not (tmp_path / "model/model.json").exists()
