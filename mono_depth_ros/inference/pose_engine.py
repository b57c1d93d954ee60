# SPDX-License-Identifier: Apache-2.0
"""Runs an exported pose network: the motion of the camera between two images, in the unit of a depth network.

It is a model of its own (a folder with model.onnx and model.json), trained together with a depth network. The ratio
of odometry's distance to its own is the factor that makes that depth network's predictions metric.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mono_depth_ros.errors import ConfigError, DataError, ModelContractError
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.inference.contract import CONTRACT_FILE, MAX_SIDE_PX, MODEL_FILE, field_problems, read_json_object
from mono_depth_ros.inference.engine import OnnxEngine, open_session, read_checked
from mono_depth_ros.perception.snapshot import RgbImage
from mono_depth_ros.whole_file import write_whole

POSE = "pose"
VECTOR_OUTPUT, MATRIX_OUTPUT = "pose", "T_previous_current"
_INPUTS = ("rgb_previous", "rgb_current")
_TEXT = ("name", "kind", "depth_model", "onnx_sha256", "licence", "training_data", "recipe", "git_commit")


@dataclass(frozen=True, slots=True)
class PoseContract:
    """What model.json of a pose network promises.

    The graph's inputs are ``rgb_previous`` and ``rgb_current``, uint8 [B, H, W, 3]. Its one output is ``pose``, float
    [B, 6]: translation x, y, z and Euler angles about x, y, z (rad; R = Rx Ry Rz) of ``T_previous_current``, optical
    axes; or ``T_previous_current`` itself, float [B, 4, 4].

    Attributes:
        name: of the model.
        height_px, width_px: of both images.
        depth_model: name of the depth model whose unit of length it shares.
        onnx_sha256: of model.onnx, lower-case hex.
        licence, training_data, recipe, git_commit: where it comes from and what one may do with it.
        kind, schema_version: "pose", 1.

    Raises:
        ModelContractError: with every field that cannot be, all at once.
    """

    name: str
    height_px: int
    width_px: int
    depth_model: str
    onnx_sha256: str
    licence: str
    training_data: str = "unknown"
    recipe: str = "unknown"
    git_commit: str = ""
    kind: str = POSE
    schema_version: int = 1

    def __post_init__(self) -> None:
        problems = [
            f"{name}: expected text, got {getattr(self, name)!r}"
            for name in _TEXT
            if not isinstance(getattr(self, name), str)
        ]
        for name in ("height_px", "width_px"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= MAX_SIDE_PX:
                problems.append(f"{name}: expected a whole number in 1..{MAX_SIDE_PX}, got {value!r}")
        if self.kind != POSE:
            problems.append(f"kind: expected {POSE}, got {self.kind!r}; is this a depth model?")
        if self.schema_version != 1:
            problems.append(f"schema_version: expected 1, got {self.schema_version!r}; export it again")
        if problems:
            raise ModelContractError("pose contract: " + "; ".join(problems))


def load_pose_contract(model_dir: Path) -> PoseContract:
    """Reads ``model_dir/model.json``.

    Raises:
        ModelContractError: if it is missing, not JSON, or holds other than the fields of PoseContract.
    """
    path = model_dir / CONTRACT_FILE
    fields = read_json_object(path)
    if fields.get("kind") != POSE:
        raise ModelContractError(f"{path}: expected kind {POSE!r}, got {fields.get('kind')!r}; is this a depth model?")
    problems = field_problems(PoseContract, fields)
    if problems:
        raise ModelContractError(f"{path}: " + "; ".join(problems))
    try:
        return PoseContract(**fields)
    except ModelContractError as error:
        raise ModelContractError(f"{path}: {error}") from None


def save_pose_contract(contract: PoseContract, model_dir: Path) -> None:
    """Writes ``model_dir/model.json`` whole or not at all."""
    write_whole(model_dir / CONTRACT_FILE, json.dumps(dataclasses.asdict(contract), indent=2) + "\n")


class PoseEstimator(Protocol):
    """What scaling needs of a pose network; PoseEngine is one, a test's stand-in another."""

    contract: PoseContract

    def infer(self, rgb_previous: RgbImage, rgb_current: RgbImage) -> RigidTransform: ...


class PoseEngine:
    """One pose network, ready to run.

    Args:
        model_dir: folder with model.onnx and model.json.
        providers, intra_op_threads: as for OnnxEngine.

    Attributes:
        contract: what model.json says.

    Raises:
        ModelContractError: if the files are missing, damaged, or do not match each other.
        ConfigError: if none of the providers exists here.
    """

    def __init__(
        self, model_dir: Path, providers: Sequence[str] = ("CPUExecutionProvider",), intra_op_threads: int = 0
    ) -> None:
        self.contract = load_pose_contract(model_dir)
        path = model_dir / MODEL_FILE
        content = read_checked(path, self.contract.onnx_sha256)
        self._session = open_session(content, path, providers, intra_op_threads)
        self._output = _check_signature(self._session, path, self.contract)

    def infer(self, rgb_previous: RgbImage, rgb_current: RgbImage) -> RigidTransform:
        """The motion between two images.

        Args:
            rgb_previous, rgb_current: uint8 [H, W, 3] at the network's size.

        Returns:
            T_previous_current, float64 [4, 4], translation in the unit of the depth model.

        Raises:
            DataError: if an image has another shape or type.
            ModelContractError: if the graph fails, or gives no finite motion.
        """
        size = (self.contract.height_px, self.contract.width_px, 3)
        for name, image in zip(_INPUTS, (rgb_previous, rgb_current), strict=True):
            if image.dtype != np.uint8 or image.shape != size:
                raise DataError(f"{name}: expected uint8 {list(size)}, got {image.dtype} {list(image.shape)}")
        feeds = {"rgb_previous": rgb_previous[None], "rgb_current": rgb_current[None]}
        try:
            (output,) = self._session.run([self._output], feeds)
        except Exception as error:  # ONNX Runtime raises many private types.
            raise ModelContractError(f"model {self.contract.name}: {str(error).splitlines()[0]}") from error
        motion = np.asarray(output, np.float64)[0]
        if motion.shape != ((6,) if self._output == VECTOR_OUTPUT else (4, 4)) or not np.isfinite(motion).all():
            raise ModelContractError(f"model {self.contract.name}: expected a finite motion, got {motion.tolist()}")
        return rigid_from_pose_vector(motion) if self._output == VECTOR_OUTPUT else motion


def rigid_from_pose_vector(vector: np.ndarray[Any, np.dtype[np.float64]]) -> RigidTransform:
    """A motion from translation x, y, z and Euler angles about x, y, z (rad), R = Rx Ry Rz; float64 [6] to [4, 4].

    >>> rigid_from_pose_vector(np.array([1.0, 2.0, 3.0, 0.0, 0.0, np.pi / 2])).round(6)[:2].tolist()
    [[0.0, -1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 2.0]]
    """
    (ca, cb, cc), (sa, sb, sc) = np.cos(vector[3:]), np.sin(vector[3:])
    motion = np.eye(4)
    motion[:3, :3] = (
        np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
        @ np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
        @ np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    )
    motion[:3, 3] = vector[:3]
    return motion


def _check_signature(session: Any, path: Path, contract: PoseContract) -> str:
    """The name of the output, if inputs and outputs are as the contract says."""
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    problems = []
    for name in _INPUTS:
        node = inputs.pop(name, None)
        size = [contract.height_px, contract.width_px, 3]
        if node is None or node.type != "tensor(uint8)" or list(node.shape[1:]) != size:
            got = "none" if node is None else f"{node.type} {node.shape}"
            problems.append(f"input {name}: expected tensor(uint8) [B, {size[0]}, {size[1]}, 3], got {got}")
    problems += [f"input {name}: not expected" for name in inputs]
    if outputs not in ([VECTOR_OUTPUT], [MATRIX_OUTPUT]):
        problems.append(f"outputs: expected [{VECTOR_OUTPUT!r}] or [{MATRIX_OUTPUT!r}], got {outputs}")
    if problems:
        raise ModelContractError(f"{path}: " + "; ".join(problems))
    return str(outputs[0])


def open_pose_model(
    folder: Path | None, engine: OnnxEngine, providers: Sequence[str], intra_op_threads: int = 0
) -> PoseEngine | None:
    """The pose network of a depth model, if there is a folder with one.

    Raises:
        ConfigError: if it was trained together with another depth model, so that its metres are others.
        ModelContractError: if it cannot be opened.
    """
    if folder is None:
        return None
    pose = PoseEngine(folder, providers, intra_op_threads)
    if pose.contract.depth_model != engine.contract.name:
        raise ConfigError(
            f"pose_model: expected the one of depth model {engine.contract.name!r}, got that of "
            f"{pose.contract.depth_model!r}; its unit of length is another"
        )
    return pose
