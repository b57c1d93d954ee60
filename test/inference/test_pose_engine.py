# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mono_depth_ros.errors import DataError, ModelContractError
from mono_depth_ros.inference.contract import sha256_hex
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pose_engine import (
    PoseContract,
    PoseEngine,
    load_pose_contract,
    rigid_from_pose_vector,
    save_pose_contract,
)

SIZE = (8, 16)


def build_graph(output: str = "pose", previous: str = "rgb_previous") -> onnx.ModelProto:
    """The mean difference of current and previous image, in all six numbers; or an identity matrix plus it."""
    shape = ["B", *SIZE, 3]
    count = 6 if output == "pose" else 16
    base = [0.0] * 6 if output == "pose" else np.eye(4).reshape(-1).tolist()
    nodes = [
        helper.make_node("Cast", [previous], ["previous_float"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["rgb_current"], ["current_float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["current_float", "previous_float"], ["difference"]),
        helper.make_node("ReduceMean", ["difference"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "axis1"], ["column"]),
        helper.make_node("Add", ["column", "base"], ["row"]),
        helper.make_node("Reshape", ["row", "shape"], [output]),
    ]
    out_shape = [-1, 6] if output == "pose" else [-1, 4, 4]
    initializers = [
        helper.make_tensor("axis1", TensorProto.INT64, [1], [1]),
        helper.make_tensor("base", TensorProto.FLOAT, [1, count], base),
        helper.make_tensor("shape", TensorProto.INT64, [len(out_shape)], out_shape),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.UINT8, shape) for name in (previous, "rgb_current")]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "pose", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write(model_dir: Path, model: onnx.ModelProto) -> Path:
    content = model.SerializeToString()
    model_dir.mkdir(parents=True, exist_ok=True)
    (model_dir / "model.onnx").write_bytes(content)
    save_pose_contract(PoseContract("pose", *SIZE, "street", sha256_hex(content), "Apache-2.0"), model_dir)
    return model_dir


def images(difference: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((*SIZE, 3), 10, np.uint8), np.full((*SIZE, 3), 10 + difference, np.uint8)


def test_six_numbers_become_a_motion(tmp_path):
    motion = PoseEngine(write(tmp_path, build_graph())).infer(*images(1))
    np.testing.assert_allclose(motion, rigid_from_pose_vector(np.ones(6)), atol=1e-6)
    np.testing.assert_allclose(motion[:3, :3] @ motion[:3, :3].T, np.eye(3), atol=1e-9)


def test_a_matrix_is_taken_as_it_is(tmp_path):
    motion = PoseEngine(write(tmp_path, build_graph("T_previous_current"))).infer(*images(2))
    np.testing.assert_allclose(motion, np.eye(4) + 2.0)


def test_euler_angles_are_applied_as_the_training_does():
    torch = pytest.importorskip("torch")
    from mono_depth_ros.objectives.pose import pose_matrix

    vector = np.array([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])
    np.testing.assert_allclose(rigid_from_pose_vector(vector), pose_matrix(torch.tensor(vector)).numpy(), atol=1e-7)


def test_the_order_of_the_images_is_that_of_the_contract(tmp_path):
    engine = PoseEngine(write(tmp_path, build_graph()))
    previous, current = images(3)
    assert engine.infer(previous, current)[0, 3] == pytest.approx(3.0)
    assert engine.infer(current, previous)[0, 3] == pytest.approx(-3.0)


def test_images_of_another_size_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"rgb_current: expected uint8 \[8, 16, 3\]"):
        PoseEngine(write(tmp_path, build_graph())).infer(images(0)[0], np.zeros((4, 4, 3), np.uint8))


def test_a_graph_with_other_names_is_refused(tmp_path):
    with pytest.raises(ModelContractError, match=r"input rgb_previous: expected.*input rgb_before: not expected"):
        PoseEngine(write(tmp_path, build_graph(previous="rgb_before")))
    with pytest.raises(ModelContractError, match="outputs: expected"):
        PoseEngine(write(tmp_path / "b", build_graph("motion")))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "dial"}, "expected kind 'pose', got 'dial'"),
        ({"height_px": 0}, r"height_px: expected a whole number"),
        ({"onnx_sha256": "0" * 64}, "expected sha256"),
        ({"extra": 1}, "unknown field 'extra'"),
    ],
)
def test_a_wrong_contract_is_refused(tmp_path, changes, message):
    directory = write(tmp_path, build_graph())
    fields = json.loads((directory / "model.json").read_text())
    (directory / "model.json").write_text(json.dumps({**fields, **changes}))
    with pytest.raises(ModelContractError, match=message):
        PoseEngine(directory)


def test_a_pose_network_is_no_depth_model(tmp_path):
    directory = write(tmp_path, build_graph())
    assert load_pose_contract(directory).depth_model == "street"
    with pytest.raises(ModelContractError, match=r"model\.json"):
        OnnxEngine(directory)
