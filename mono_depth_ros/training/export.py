# SPDX-License-Identifier: Apache-2.0
"""Turns a checkpoint into the dial graph: model.onnx and its contract model.json, the only bridge to the run time.

Export is a wrapper around the network, then a comparison of numbers: the file is run in ONNX Runtime on several inputs,
with and without points, and compared with torch. A model that differs is not written.
"""

import io
import warnings
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mono_depth_ros.errors import ConfigError, ModelContractError
from mono_depth_ros.inference.contract import MODEL_FILE, ModelContract, save_contract, sha256_hex
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.networks.depth_network import DepthNetwork, config_from_dict, new_network
from mono_depth_ros.networks.lite_san import LiteSan
from mono_depth_ros.networks.packnet_san import PackNetSan
from mono_depth_ros.training.checkpoint import Checkpoint, ModelMetadata, NetworkState, cpu_weights
from mono_depth_ros.training.dial_graph import Graph, LiteGraph, graph_of
from mono_depth_ros.training.parity import ParityCase, compare_with_torch, example_ground, example_input
from mono_depth_ros.training.whole_folder import whole_folder

OPSET = 18
WEIGHT_TYPES = ("fp32", "fp16")
DUST_VALUES = 64  # smaller constants stay float32: shapes, limits, and nothing to gain


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written, and how well it agrees with torch."""

    contract: ModelContract
    onnx_bytes: int
    parity: tuple[ParityCase, ...]


def export_model(
    checkpoint: Checkpoint,
    out_dir: str | Path,
    size_px: tuple[int, int] | None = None,
    weights: str = "fp32",
    sigma_factor: float = 1.0,
) -> ExportReport:
    """Write model.onnx and model.json, compared with torch; nothing is left in `out_dir` on failure.

    Args:
        checkpoint: with a depth network.
        out_dir: folder of the model; other files in it stay, an older model is replaced.
        size_px: height and width, multiples of the network's `size_step_px`; None takes those of the checkpoint. At
            another width the training focal length is scaled with it.
        weights: "fp32", or "fp16": weights are rounded to half precision, stored so, and computed with in float32. The
            comparison is then with the rounded network.
        sigma_factor: what the run time multiplies the told sigma by, as `mono-depth evaluate` measures it.

    Raises:
        ConfigError: a size or type of weights that cannot be, or a factor for a network that tells no sigma.
        ModelContractError: the checkpoint has no depth network, or the graph does not agree with torch.
    """
    height, width = size_px or (checkpoint.metadata.height_px, checkpoint.metadata.width_px)
    if weights not in WEIGHT_TYPES:
        raise ConfigError(f"weights: expected one of {WEIGHT_TYPES}, got {weights!r}")
    network = checkpoint.depth_network()
    if sigma_factor != 1.0 and not isinstance(network, LiteSan):
        raise ConfigError(f"sigma_factor: expected 1 for a {type(network).__name__}, which tells no sigma")
    step = network.config.size_step_px
    if height < step or width < step or height % step or width % step:
        raise ConfigError(f"size: expected multiples of {step}, got height {height}, width {width}")
    if weights == "fp16":
        round_weights_to_half(network)
    content = build_onnx(graph_of(network).eval(), height, width)
    if weights == "fp16":
        content = store_weights_as_half(content)

    contract = contract_of(checkpoint.metadata, network, (height, width), weights, sha256_hex(content))
    contract = replace(contract, sigma_factor=sigma_factor)
    with whole_folder(Path(out_dir)) as trial_dir:
        (trial_dir / MODEL_FILE).write_bytes(content)
        save_contract(contract, trial_dir)
        parity = compare_with_torch(network, OnnxEngine(trial_dir))
        failed = [case for case in parity if not case.passed]
        if failed:
            raise ModelContractError(
                f"export of {contract.name}: ONNX Runtime differs from torch by more than 1 mm + 1e-4 * depth, or "
                "1e-3 of sigma or sky: "
                + "; ".join(
                    f"{case.name}: {case.error_m:.4g} m, {case.relative_error:.2g} relative, {case.beside:.2g} beside"
                    for case in failed
                )
            )
    return ExportReport(contract, len(content), parity)


def build_onnx(graph: Graph, height: int, width: int) -> bytes:
    """Serialized ONNX graph with dynamic batch size and number of points; of a LiteSan, of the image's size too."""
    arrays: tuple[npt.NDArray[Any], ...] = example_input(np.random.default_rng(0), (2, height, width), 50)
    if isinstance(graph, LiteGraph):
        arrays = (*arrays, example_ground(2, height))
    stream = io.BytesIO()
    graph.training = True  # the wrapper alone: its parts compute as in use
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # height and width are fixed on purpose; the tracer warns about each use
        torch.onnx.export(
            graph,
            tuple(torch.from_numpy(array) for array in arrays),
            stream,
            dynamo=False,
            opset_version=OPSET,
            # Every weight keeps its name and place, so that a model can be trained on from its graph: nothing is
            # folded (a run time does that as it loads the graph), and weights of equal values stay separate, which the
            # exporter grants to what it takes for a network in training.
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            input_names=list(graph.input_names),
            output_names=list(graph.output_names),
            dynamic_axes=graph.dynamic_axes,
        )
    return declare_point_inputs(stream.getvalue())


def declare_point_inputs(content: bytes) -> bytes:
    """Add the inputs for points where the exporter left them out, as it does for a network that only predicts."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_model_from_string(content)
    present = {node.name for node in model.graph.input}
    for name, dtype, shape in (
        ("points_bvu", TensorProto.INT64, ["N", 3]),
        ("points_depth_m", TensorProto.FLOAT, ["N"]),
    ):
        if name not in present:
            model.graph.input.append(helper.make_tensor_value_info(name, dtype, shape))
    serialized: bytes = model.SerializeToString()
    return serialized


def round_weights_to_half(network: nn.Module) -> None:
    """Round every floating-point weight and buffer to half precision, in place; they stay float32.

    Raises:
        ModelContractError: a weight is too large for half precision.
    """
    with torch.no_grad():
        for name, tensor in network.state_dict(keep_vars=True).items():
            if tensor.is_floating_point():
                rounded = tensor.half().float()
                if not torch.isfinite(rounded).all():
                    raise ModelContractError(f"{name}: too large for fp16 weights (above 65504); export with fp32")
                tensor.copy_(rounded)


def store_weights_as_half(content: bytes) -> bytes:
    """Store float32 initializers that lose nothing by it as float16, each behind a Cast that is folded when loaded.

    Weights that the exporter computed from others (folded constants) may not be representable; they stay float32, so
    the graph computes what it computed before.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_model_from_string(content)
    casts = []
    for initializer in model.graph.initializer:
        if initializer.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(initializer)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < DUST_VALUES or not np.array_equal(half.astype(np.float32), values):
            continue
        name = initializer.name
        initializer.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)  # a node comes before those that read it
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def contract_of(
    metadata: ModelMetadata, network: DepthNetwork, size_px: tuple[int, int], weights: str, sha256: str
) -> ModelContract:
    """The contract for an exported network."""
    height, width = size_px
    trained_fx_px, lite = metadata.trained_fx_px, isinstance(network, LiteSan)
    if trained_fx_px is not None and not lite:  # a LiteSan sees images of any size with one focal length
        trained_fx_px = trained_fx_px * width / metadata.width_px
    described: dict[str, Any] = {"class": type(network).__name__, **network.config.to_dict(), "weights": weights}
    if metadata.source:
        described["source"] = {key: metadata.source.get(key) for key in ("file", "sha256", "network")}
    return ModelContract(
        name=metadata.name,
        network=described,
        height_px=height,
        width_px=width,
        min_depth_m=metadata.min_depth_m,
        max_depth_m=metadata.max_depth_m,
        metric=metadata.metric,
        trained_fx_px=trained_fx_px,
        completes=network.config.sparse,
        training_data=metadata.training_data,
        recipe=metadata.recipe,
        git_commit=metadata.git_commit,
        onnx_sha256=sha256,
        licence=metadata.licence,
        accuracy=metadata.accuracy,
        size_step_px=network.config.size_step_px if lite else 0,
        takes_ground=lite and network.config.sparse,
        tells_sigma=lite,
    )


def checkpoint_of_model(model_dir: str | Path) -> Checkpoint:
    """An exported model as a checkpoint to train on from: the weights in its graph, without a pose network.

    Running statistics of the sparse branch come with them. What was read is run against the file.

    Raises:
        ModelContractError: the model cannot be read, is not a PackNetSan, lacks a weight, or does not compute what its
            graph does.
    """
    engine = OnnxEngine(Path(model_dir))
    contract = engine.contract
    described = {key: value for key, value in contract.network.items() if key not in ("class", "weights", "source")}
    if contract.network.get("class") not in (PackNetSan.__name__, LiteSan.__name__):
        raise ModelContractError(
            f"{model_dir}: expected a PackNetSan or LiteSan to train on from, got {contract.network}"
        )
    network = new_network(config_from_dict(described))
    weights = _weights_of_graph(Path(model_dir) / MODEL_FILE)
    wanted = {name: value for name, value in network.state_dict().items() if value.is_floating_point()}
    if isinstance(network, LiteSan):  # its coarser heads serve training alone: they are not in the graph and start anew
        wanted = {name: value for name, value in wanted.items() if not name.startswith(LiteSan.coarser_heads)}
    missing = [name for name in wanted if name not in weights or weights[name].size != wanted[name].numel()]
    if missing:
        raise ModelContractError(
            f"{model_dir}: expected every weight under its name and of its size, {len(missing)} are not ({missing[0]}, "
            "...); another version exported it: start from its checkpoint, or export that again"
        )
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(torch.from_numpy(weights[name]).reshape(value.shape))
    network.eval()
    wrong = [case for case in compare_with_torch(network, engine) if not case.passed]
    if wrong:
        raise ModelContractError(
            f"{model_dir}: its weights could not be read back, {wrong[0].name} differ by {wrong[0].error_m:.3g} m; "
            "start from its checkpoint instead"
        )
    names = {entry.name for entry in fields(ModelMetadata)}
    metadata = ModelMetadata(**{name: value for name, value in asdict(contract).items() if name in names})
    return Checkpoint(metadata, NetworkState(network.config.to_dict(), cpu_weights(network)), None, {})


def _weights_of_graph(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The float constants of a graph by their names in the network."""
    import onnx
    from onnx import numpy_helper

    found = {}
    for initializer in onnx.load(path).graph.initializer:
        values = numpy_helper.to_array(initializer)
        if np.issubdtype(values.dtype, np.floating) and initializer.name.startswith("network."):
            found[initializer.name.removeprefix("network.").removesuffix(".half")] = values.astype(np.float32)
    return found
