# SPDX-License-Identifier: Apache-2.0
"""Runs an exported graph with ONNX Runtime, and holds it to its contract."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError, DataError, ModelContractError
from mono_depth_ros.inference.contract import DIAL, MODEL_FILE, ModelContract, load_contract, sha256_hex
from mono_depth_ros.placeholder import placeholder

if TYPE_CHECKING:
    from mono_depth_ros.inference.image_graph import ImageGraph

MAX_MODEL_BYTES = 2 << 30
PRECISIONS = ("float32", "bfloat16")
OPENVINO = "OpenVINOExecutionProvider"
_INPUTS = {"rgb": ("tensor(uint8)", 4), "points_bvu": ("tensor(int64)", 2), "points_depth_m": ("tensor(float)", 1)}
_GROUND = {"ground": ("tensor(float)", 2)}
_OUTPUTS, _MORE_OUTPUTS = ["depth_m"], ["sigma_log", "sky"]


class Inferred(NamedTuple):
    """What a network says of a batch of images.

    Attributes:
        depth_m: float32 [B, H, W], the network's normalised metres.
        sigma_log: float32 [B, H, W], standard deviation of the natural log of the depth; None if it tells none.
        sky: float32 [B, H, W], the probability that there is no surface; None if it tells none.
    """

    depth_m: npt.NDArray[np.float32]
    sigma_log: npt.NDArray[np.float32] | None = None
    sky: npt.NDArray[np.float32] | None = None


class OnnxEngine:
    """One model, ready to run: a dial graph, or a depth network of others made to behave like one.

    Args:
        model_dir: folder with model.onnx and model.json.
        providers: execution providers of ONNX Runtime, the preferred first; those that this build of ONNX Runtime
            lacks are passed over, and ``provider_note`` says so.
        intra_op_threads: threads within one operator; 0 lets ONNX Runtime choose (one per physical core).
        precision: one of PRECISIONS. "bfloat16" lets OpenVINO compute with eight bits of mantissa where the CPU
            can, which is faster; other providers compute in float32, and ``provider_note`` says so.

    Attributes:
        contract: what model.json says.
        provider: the execution provider that really runs.
        provider_note: empty, or what is not as it was asked for.
        precision: with which it computes.

    Raises:
        ModelContractError: if the files are missing, damaged, or do not match each other.
        ConfigError: if none of the providers exists here.
    """

    def __init__(
        self,
        model_dir: Path,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        intra_op_threads: int = 0,
        precision: str = PRECISIONS[0],
    ) -> None:
        self.contract: ModelContract = load_contract(model_dir)
        path = model_dir / MODEL_FILE
        content = read_checked(path, self.contract.onnx_sha256)
        session = open_session(content, path, providers, intra_op_threads, precision)
        self._graph = _graph_of_kind(session, self.contract, path)
        self.provider: str = session.get_providers()[0]
        notes = [] if self.provider == providers[0] else [f"asked for {providers[0]}, runs {self.provider}"]
        self.precision = precision if self.provider == OPENVINO else PRECISIONS[0]
        if self.precision != precision:
            notes.append(f"asked for {precision}, which needs {OPENVINO}; computes in {self.precision}")
        self.provider_note = "; ".join(notes)

    def infer(
        self,
        rgb: npt.NDArray[np.uint8],
        points_bvu: npt.NDArray[np.int64],
        points_depth_m: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """Depth of a batch of images, each completed if it has a point and predicted if not.

        Args:
            rgb: uint8 [B, H, W, 3] at network resolution (``pipeline.fit_to_network``).
            points_bvu: int64 [N, 3]: index in the batch, row, column.
            points_depth_m: float32 [N], in the network's normalised metres; entries <= 0 are padding.

        Returns:
            float32 [B, H, W], the network's normalised metres; for a network of relative inverse depth, right up to
            an unknown factor where there is no point.

        Raises:
            DataError: if a shape, type or index is not as above.
            ModelContractError: if the graph fails on them all the same.
        """
        return self.infer_all(rgb, points_bvu, points_depth_m).depth_m

    def infer_all(
        self,
        rgb: npt.NDArray[np.uint8],
        points_bvu: npt.NDArray[np.int64],
        points_depth_m: npt.NDArray[np.float32],
        ground: npt.NDArray[np.float32] | None = None,
    ) -> Inferred:
        """As ``infer``, with all that the network tells and takes.

        Args:
            rgb, points_bvu, points_depth_m: see there.
            ground: float32 [B, 4]: a, b, c and how sure, 0..1: the ground's inverse depth is
                ``a * column + b * row + c`` in the network's normalised units; None or zeros where it is unknown. A
                graph without that input does without it.

        Raises:
            DataError, ModelContractError: as there.
        """
        self._check_arrays(rgb, points_bvu, points_depth_m)
        if ground is not None and (ground.dtype != np.float32 or ground.shape != (len(rgb), 4)):
            raise DataError(f"ground: expected float32 [{len(rgb)}, 4], got {ground.dtype} {list(ground.shape)}")
        try:
            return self._graph.run(rgb, points_bvu, points_depth_m, ground)
        except ModelContractError:
            raise
        except Exception as error:  # ONNX Runtime raises many private types.
            raise ModelContractError(
                f"model {self.contract.name}: expected it to run on {len(rgb)} images and {len(points_depth_m)} "
                f"points, got: {str(error).splitlines()[0]}"
            ) from error

    def warm_up(self) -> None:
        """One run with and one without points, so that the first image of a drive does not wait for allocations."""
        rgb = np.zeros((1, self.contract.height_px, self.contract.width_px, 3), np.uint8)
        self.infer(rgb, np.zeros((0, 3), np.int64), np.zeros(0, np.float32))
        self.infer(rgb, np.zeros((1, 3), np.int64), np.ones(1, np.float32))

    def _check_arrays(self, rgb: npt.NDArray[Any], points_bvu: npt.NDArray[Any], depth_m: npt.NDArray[Any]) -> None:
        height, width = self.contract.height_px, self.contract.width_px
        step = self.contract.free_size_step_px
        if step and rgb.ndim == 4:
            height, width = (max(step, side // step * step) for side in rgb.shape[1:3])
        if rgb.dtype != np.uint8 or rgb.ndim != 4 or rgb.shape[1:] != (height, width, 3):
            raise DataError(f"rgb: expected uint8 [B, {height}, {width}, 3], got {rgb.dtype} {list(rgb.shape)}")
        if points_bvu.dtype != np.int64 or points_bvu.ndim != 2 or points_bvu.shape[1] != 3:
            raise DataError(f"points_bvu: expected int64 [N, 3], got {points_bvu.dtype} {list(points_bvu.shape)}")
        if depth_m.dtype != np.float32 or depth_m.shape != points_bvu.shape[:1]:
            raise DataError(
                f"points_depth_m: expected float32 [{len(points_bvu)}], got {depth_m.dtype} {list(depth_m.shape)}"
            )
        if len(points_bvu) and (
            points_bvu.min() < 0 or (points_bvu.max(axis=0) >= (rgb.shape[0], rgb.shape[1], rgb.shape[2])).any()
        ):
            raise DataError(f"points_bvu: expected cells inside [B, H, W] = {list(rgb.shape[:3])}, got some outside")


class DialGraph:
    """The graph of docs/data_flow.md: it takes points itself.

    Args:
        session: of ONNX Runtime.
        contract, path: that it is held to, and what to name in an error.

    Raises:
        ModelContractError: if inputs or outputs are others.
    """

    def __init__(self, session: Any, contract: ModelContract, path: Path) -> None:
        _check_signature(session, path, contract)
        self._session = session
        self._takes_ground = contract.takes_ground
        self._outputs = _OUTPUTS + (_MORE_OUTPUTS if contract.tells_sigma else [])
        self._sigma_factor = np.float32(contract.sigma_factor)

    def run(
        self,
        rgb: npt.NDArray[np.uint8],
        points_bvu: npt.NDArray[np.int64],
        points_depth_m: npt.NDArray[np.float32],
        ground: npt.NDArray[np.float32] | None = None,
    ) -> Inferred:
        """As OnnxEngine.infer_all, for arrays that are as they should be."""
        feeds = {"rgb": rgb, "points_bvu": points_bvu, "points_depth_m": points_depth_m}
        if self._takes_ground:
            feeds["ground"] = np.zeros((len(rgb), 4), np.float32) if ground is None else ground
        depth_m, *more = (np.asarray(value, np.float32) for value in self._session.run(self._outputs, feeds))
        return Inferred(depth_m, more[0] * self._sigma_factor, more[1]) if more else Inferred(depth_m)


def _graph_of_kind(session: Any, contract: ModelContract, path: Path) -> "DialGraph | ImageGraph":
    if contract.kind == DIAL:
        return DialGraph(session, contract, path)
    # Only here, since it needs OpenCV and a dial graph does not.
    from mono_depth_ros.inference.image_graph import ImageGraph

    return ImageGraph(session, contract, path)


@dataclass(frozen=True, slots=True)
class GraphSignature:
    """Names and shapes of a graph; an axis is a number, or a name or None where it takes any size."""

    path: Path
    inputs: dict[str, list[int | str | None]]
    outputs: dict[str, list[int | str | None]]

    def only_input(self) -> str:
        """The name of the one input.

        Raises:
            ModelContractError: if there are others.
        """
        return _only(self.inputs, self.path, "input")

    def only_output(self) -> str:
        """The name of the one output.

        Raises:
            ModelContractError: if there are others.
        """
        return _only(self.outputs, self.path, "output")

    def input_shape(self, name: str | None = None) -> list[int | str | None]:
        """Four axes of an input, by default of the only one.

        Raises:
            ModelContractError: if there is no such input, or it is no image.
        """
        name = name or self.only_input()
        shape = self.inputs.get(name, [])
        if len(shape) != 4:
            raise ModelContractError(f"{self.path}: expected an input {name!r} of 4 axes, got {self.inputs}")
        return shape


def _only(nodes: dict[str, list[int | str | None]], path: Path, what: str) -> str:
    if len(nodes) != 1:
        raise ModelContractError(f"{path}: expected one {what}, got {', '.join(nodes)}; say which: --{what}-name")
    return next(iter(nodes))


def graph_signature(path: Path) -> GraphSignature:
    """What a graph takes and gives.

    Raises:
        ModelContractError: if it cannot be read or opened.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelContractError(f"{path}: cannot be read: {error}") from None
    session = open_session(content, path, ("CPUExecutionProvider",))
    return GraphSignature(
        path,
        {node.name: list(node.shape) for node in session.get_inputs()},
        {node.name: list(node.shape) for node in session.get_outputs()},
    )


def read_checked(path: Path, onnx_sha256: str) -> bytes:
    """The file's bytes, if they are those that the contract was written for.

    Raises:
        ModelContractError: if it cannot be read, is too large, or is another file.
    """
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise ModelContractError(f"{path}: expected at most {MAX_MODEL_BYTES} bytes, got {path.stat().st_size}")
        content = path.read_bytes()
    except OSError as error:
        raise ModelContractError(f"{path}: cannot be read: {error}") from None
    digest = sha256_hex(content)
    if digest != onnx_sha256:
        if what := placeholder(path):
            raise ModelContractError(f"{path}: expected an ONNX file, got {what}")
        raise ModelContractError(
            f"{path}: expected sha256 {onnx_sha256} (from model.json), got {digest}; the file is damaged or "
            "belongs to another contract: copy both files again or export again"
        )
    return content


def _onnxruntime() -> Any:
    """The module, which a plain pip install leaves to the user to choose."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ConfigError(
            "onnxruntime: expected ONNX Runtime, got none; install one: pip install onnxruntime (or onnxruntime-gpu, "
            "onnxruntime-openvino), or mono_depth_ros[cpu] (gpu, openvino)"
        ) from error
    return onnxruntime


def _available(providers: Sequence[str]) -> list[str]:
    here = _onnxruntime().get_available_providers()
    usable = [name for name in providers if name in here]
    if not usable:
        raise ConfigError(
            f"execution providers: expected one of {here}, got {list(providers)}; onnxruntime-gpu and "
            "onnxruntime-openvino bring others"
        )
    return usable


def provider_options(provider: str, precision: str) -> dict[str, str]:
    """What to tell an execution provider about the arithmetic; nothing to most.

    Raises:
        ConfigError: if there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    if provider == OPENVINO and precision == "bfloat16":
        return {"load_config": json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}})}
    return {}


def open_session(
    content: bytes,
    path: Path,
    providers: Sequence[str],
    intra_op_threads: int = 0,
    precision: str = PRECISIONS[0],
) -> Any:
    """Opens a graph from memory: one that refers to other files on this machine cannot be opened so.

    Raises:
        ModelContractError: if ONNX Runtime cannot.
        ConfigError: if ONNX Runtime or all of the providers are missing here, or there is no such precision.
    """
    onnxruntime = _onnxruntime()
    usable = [(name, provider_options(name, precision)) for name in _available(providers)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=usable)
    except Exception as error:  # ONNX Runtime raises many private types; all of them mean "not a model we can run".
        raise ModelContractError(f"{path}: ONNX Runtime cannot open it: {_cause(path, str(error))}") from None


def _cause(path: Path, said: str) -> str:
    """Why ONNX Runtime refuses a file and what to do, where that is known; else its own first line."""
    import onnxruntime

    if what := placeholder(path):
        return f"it is {what}"
    if re.search("external (data|tensor)", said, re.IGNORECASE):
        return (
            "its weights are in a second file (external data), which a model from elsewhere may not open here; put "
            f"them inside: python -c \"import onnx; onnx.save(onnx.load('{path}'), 'whole.onnx')\""
        )
    newest = re.search(r"max supported (IR version: \d+)", said) or re.search(r"is till (opset \d+)", said)
    if newest:
        return (
            f"it is newer than ONNX Runtime {onnxruntime.__version__}, which reads up to "
            f"{newest[1].replace(':', '')}; install a newer onnxruntime, or export it for an older opset"
        )
    return said.splitlines()[0] if said else "without a reason"


def _check_signature(session: Any, path: Path, contract: ModelContract) -> None:
    """Compares the graph's inputs and outputs with the contract."""
    problems = []
    inputs = {node.name: node for node in session.get_inputs()}
    free = bool(contract.size_step_px)
    for name, (dtype, rank) in (_INPUTS | _GROUND if contract.takes_ground else _INPUTS).items():
        node = inputs.pop(name, None)
        if node is None or node.type != dtype or len(node.shape) != rank:
            got = "none" if node is None else f"{node.type} {node.shape}"
            problems.append(f"input {name}: expected {dtype} of {rank} axes, got {got}")
        elif name == "rgb" and free and (any(isinstance(side, int) for side in node.shape[1:3]) or node.shape[3] != 3):
            problems.append(f"input rgb: expected [B, H, W, 3] of any size (from model.json), got {node.shape}")
        elif name == "rgb" and not free and list(node.shape[1:]) != [contract.height_px, contract.width_px, 3]:
            problems.append(
                f"input rgb: expected [B, {contract.height_px}, {contract.width_px}, 3] (from model.json), "
                f"got {node.shape}"
            )
    problems += [f"input {name}: not expected" for name in inputs]
    outputs = [node.name for node in session.get_outputs()]
    expected = _OUTPUTS + (_MORE_OUTPUTS if contract.tells_sigma else [])
    if outputs != expected:
        problems.append(f"outputs: expected {expected}, got {outputs}")
    if problems:
        raise ModelContractError(f"{path}: " + "; ".join(problems))
