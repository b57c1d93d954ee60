# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import onnx
import pytest
from dial_model import HEIGHT_PX, WIDTH_PX, build_graph, write_model

from mono_depth_ros.errors import ConfigError, DataError, ModelContractError
from mono_depth_ros.inference.engine import OnnxEngine, graph_signature, provider_options

RGB = np.zeros((1, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
NO_POINTS = (np.zeros((0, 3), np.int64), np.zeros(0, np.float32))


def test_the_engine_runs_with_and_without_points_and_names_its_provider(tmp_path):
    engine = OnnxEngine(write_model(tmp_path))
    assert np.unique(engine.infer(RGB, *NO_POINTS)).tolist() == [2.0]
    points = np.array([[0, 1, 2], [0, 3, 4], [0, 0, 0]]), np.array([10.0, 20.0, 0.0], np.float32)
    assert np.unique(engine.infer(RGB, *points)).tolist() == [17.0]
    assert engine.provider == "CPUExecutionProvider" and engine.provider_note == ""


def test_a_provider_that_is_not_here_is_passed_over_and_told(tmp_path):
    engine = OnnxEngine(write_model(tmp_path), providers=("NoSuchProvider", "CPUExecutionProvider"))
    assert engine.provider == "CPUExecutionProvider"
    assert "NoSuchProvider" in engine.provider_note


def test_less_precision_is_for_openvino_and_elsewhere_told(tmp_path):
    engine = OnnxEngine(write_model(tmp_path), precision="bfloat16")
    assert engine.precision == "float32"
    assert "OpenVINOExecutionProvider" in engine.provider_note
    assert "bf16" in provider_options("OpenVINOExecutionProvider", "bfloat16")["load_config"]
    assert provider_options("OpenVINOExecutionProvider", "float32") == {}
    with pytest.raises(ConfigError, match="float32, bfloat16"):
        OnnxEngine(tmp_path, precision="bfloat17")


def test_no_usable_provider_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="NoSuchProvider"):
        OnnxEngine(write_model(tmp_path), providers=("NoSuchProvider",))


def test_a_damaged_model_is_refused_by_its_hash(tmp_path):
    model_dir = write_model(tmp_path)
    content = bytearray((model_dir / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (model_dir / "model.onnx").write_bytes(content)
    with pytest.raises(ModelContractError, match="sha256"):
        OnnxEngine(model_dir)


def test_bytes_that_are_no_graph_are_refused(tmp_path):
    model_dir = write_model(tmp_path)
    rewrite(model_dir, b"not a graph")
    with pytest.raises(ModelContractError, match="cannot open"):
        OnnxEngine(model_dir)


def test_a_graph_that_reads_other_files_is_refused(tmp_path):
    model = build_graph()
    secret = tmp_path / "m" / "weights.bin"
    secret.parent.mkdir()
    secret.write_bytes(np.array([2.0], np.float32).tobytes())
    two = model.graph.initializer[2]
    two.ClearField("float_data")
    two.data_location = onnx.TensorProto.EXTERNAL
    two.external_data.add(key="location", value=str(secret))
    with pytest.raises(ModelContractError, match=r"weights are in a second file.*onnx\.save"):
        OnnxEngine(write_model(tmp_path / "m", model=model))


def test_weights_in_a_second_file_are_said_and_how_to_put_them_inside(tmp_path):
    model = build_graph()
    two = model.graph.initializer[2]
    two.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(two), two.name))  # only raw data may go out
    path = tmp_path / "network.onnx"
    onnx.save(model, path, save_as_external_data=True, location="network.onnx.data", size_threshold=0)
    with pytest.raises(ModelContractError, match=r"weights are in a second file.*onnx\.load\('.*network\.onnx'\)"):
        graph_signature(path)


@pytest.mark.parametrize(("field", "reads_up_to"), [("ir_version", r"IR version \d+"), ("opset", r"opset \d+")])
def test_a_graph_newer_than_the_runtime_names_both_versions(tmp_path, field, reads_up_to):
    model = build_graph()
    if field == "opset":
        model.opset_import[0].version = 99
    else:
        model.ir_version = 99
    with pytest.raises(ModelContractError, match=rf"newer than ONNX Runtime [\d.]+, which reads up to {reads_up_to};"):
        OnnxEngine(write_model(tmp_path, model=model))


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "git lfs pull"), (b"", "an empty file")],
)
def test_what_stands_in_place_of_a_model_is_named(tmp_path, content, what):
    model_dir = write_model(tmp_path)
    (model_dir / "model.onnx").write_bytes(content)
    with pytest.raises(ModelContractError, match=what):
        OnnxEngine(model_dir)
    with pytest.raises(ModelContractError, match=what):
        graph_signature(model_dir / "model.onnx")


def test_a_graph_of_another_size_than_its_contract_is_refused(tmp_path):
    with pytest.raises(ModelContractError, match=r"input rgb: expected \[B, 32, 64, 3\].*96"):
        OnnxEngine(write_model(tmp_path, model=build_graph(96, 64)))


def test_a_graph_that_fails_while_it_runs_is_a_model_error(tmp_path):
    model = build_graph()
    # Gather a colour channel that is not there: nothing is wrong with the file, until it runs.
    index = next(value for value in model.graph.initializer if value.name == "red_index")
    index.int64_data[0] = 7
    engine = OnnxEngine(write_model(tmp_path, model=model))
    with pytest.raises(ModelContractError, match="expected it to run on 1 images and 0 points"):
        engine.infer(RGB, *NO_POINTS)


def test_a_missing_model_file_is_named(tmp_path):
    model_dir = write_model(tmp_path)
    (model_dir / "model.onnx").unlink()
    with pytest.raises(ModelContractError, match=r"model\.onnx"):
        OnnxEngine(model_dir)


@pytest.mark.parametrize(
    ("rgb", "bvu", "depth_m", "message"),
    [
        (RGB[0], *NO_POINTS, "rgb: expected uint8"),
        (RGB.astype(np.float32), *NO_POINTS, "rgb: expected uint8"),
        (RGB, np.zeros((1, 2), np.int64), np.ones(1, np.float32), "points_bvu: expected int64"),
        (RGB, np.zeros((1, 3), np.int64), np.ones(2, np.float32), "points_depth_m"),
        (RGB, np.array([[1, 0, 0]]), np.ones(1, np.float32), "inside"),
        (RGB, np.array([[0, HEIGHT_PX, 0]]), np.ones(1, np.float32), "inside"),
        (RGB, np.array([[0, 0, -1]]), np.ones(1, np.float32), "inside"),
    ],
)
def test_arrays_that_the_graph_cannot_take_are_refused(tmp_path, rgb, bvu, depth_m, message):
    with pytest.raises(DataError, match=message):
        OnnxEngine(write_model(tmp_path)).infer(rgb, bvu, depth_m)


def rewrite(model_dir, content: bytes) -> None:
    from mono_depth_ros.inference.contract import sha256_hex

    (model_dir / "model.onnx").write_bytes(content)
    fields = json.loads((model_dir / "model.json").read_text())
    fields["onnx_sha256"] = sha256_hex(content)
    (model_dir / "model.json").write_text(json.dumps(fields))
