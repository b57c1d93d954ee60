# SPDX-License-Identifier: Apache-2.0
"""Our checkpoint file: networks, what is known about them, and the state of the training that made them.

A checkpoint is one file written by torch that holds only tensors, numbers, strings, lists and dictionaries. It is read
with torch's weights-only unpickler, so a checkpoint from a stranger cannot run code. It is written whole or not at all.
"""

import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mono_depth_ros.errors import ConfigError, ModelContractError
from mono_depth_ros.networks.depth_network import DepthNetwork, config_from_dict, new_network
from mono_depth_ros.networks.pose_net import PoseNet
from mono_depth_ros.networks.two_stream_pose_net import TwoStreamPoseNet
from mono_depth_ros.placeholder import placeholder
from mono_depth_ros.whole_file import whole_file

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a checkpoint knows about its model; export copies it into the contract.

    Attributes:
        name: name of the model, as in models/NAME.
        height_px, width_px: network resolution.
        min_depth_m, max_depth_m: range the output is limited to, metres at network focal length.
        metric: whether the output is in metres (False: up to an unknown factor).
        trained_fx_px: focal length at network resolution that the depth refers to; None = no focal normalisation.
        training_data: what it was trained on, one line.
        recipe: name of the recipe, or where the weights come from.
        git_commit: commit of this package that trained it.
        licence: licence of the weights.
        accuracy: measured accuracy, plain numbers by name.
        source: for imported weights: file name, sha256, summary of the embedded configuration; else empty.
    """

    name: str
    height_px: int
    width_px: int
    min_depth_m: float
    max_depth_m: float
    metric: bool
    trained_fx_px: float | None
    training_data: str
    recipe: str
    git_commit: str
    licence: str
    accuracy: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkState:
    """Configuration (plain dictionary) and weights of one network."""

    config: dict[str, Any]
    weights: dict[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Contents of a checkpoint file.

    Attributes:
        metadata: what is known about the model.
        depth: the depth network, or None (a pose network alone).
        pose: the PoseNet or TwoStreamPoseNet, or None.
        training_state: whatever the trainer needs to go on (optimizer, step, random state): tensors and plain values.
    """

    metadata: ModelMetadata
    depth: NetworkState | None
    pose: NetworkState | None
    training_state: dict[str, Any]

    def depth_network(self) -> DepthNetwork:
        """The depth network with its weights, on CPU, in eval mode. Raises ModelContractError."""
        if self.depth is None:
            raise ModelContractError(f"checkpoint {self.metadata.name}: holds no depth network, only a pose network")
        network = new_network(config_from_dict(self.depth.config))
        load_weights(network, self.depth.weights, f"checkpoint {self.metadata.name}")
        return network.eval()

    def pose_network(self) -> PoseNet | TwoStreamPoseNet:
        """The pose network with its weights, on CPU, in eval mode. Raises ModelContractError."""
        if self.pose is None:
            raise ModelContractError(f"checkpoint {self.metadata.name}: holds no pose network")
        network: PoseNet | TwoStreamPoseNet
        if self.pose.config.get("kind", "single_stream") == "two_stream":
            network = TwoStreamPoseNet()
        else:
            network = PoseNet(neighbours=int(self.pose.config["neighbours"]))
        load_weights(network, self.pose.weights, f"checkpoint {self.metadata.name}, pose network")
        return network.eval()


def load_weights(network: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    """Copy weights into a network; every missing, unexpected and misshaped entry in one ModelContractError."""
    expected = network.state_dict()
    problems = [f"missing {key} {list(value.shape)}" for key, value in expected.items() if key not in weights]
    problems += [f"unexpected {key} {list(value.shape)}" for key, value in weights.items() if key not in expected]
    problems += [
        f"{key}: expected {list(expected[key].shape)}, got {list(value.shape)}"
        for key, value in weights.items()
        if key in expected and value.shape != expected[key].shape
    ]
    if problems:
        raise ModelContractError(f"{name}: weights do not fit the configuration: " + "; ".join(problems))
    network.load_state_dict(weights)


def save_checkpoint(
    path: str | Path,
    metadata: ModelMetadata,
    depth: DepthNetwork | None = None,
    pose: PoseNet | TwoStreamPoseNet | None = None,
    training_state: dict[str, Any] | None = None,
) -> None:
    """Write a checkpoint whole or not at all.

    Args:
        path: file to write; folders are created, an existing file is replaced.
        metadata: what is known about the model; plain values only.
        depth: depth network, any device and mode.
        pose: pose network, any device and mode.
        training_state: tensors and plain values, nested at will; checked by reading the file back.

    Raises:
        ModelContractError: something in `metadata` or `training_state` is not a tensor or a plain value.
    """
    contents = {
        "schema_version": SCHEMA_VERSION,
        "metadata": asdict(metadata),
        "depth": None if depth is None else {"config": depth.config.to_dict(), "weights": cpu_weights(depth)},
        "pose": None if pose is None else {"config": _pose_config(pose), "weights": cpu_weights(pose)},
        "training_state": training_state or {},
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as beside:
        with beside.open("wb") as stream:
            torch.save(contents, stream)
            stream.flush()
            os.fsync(stream.fileno())
        load_checkpoint(beside)  # never leave a file behind that cannot be read again


def _pose_config(pose: PoseNet | TwoStreamPoseNet) -> dict[str, Any]:
    if isinstance(pose, TwoStreamPoseNet):
        return {"kind": "two_stream"}
    return {"kind": "single_stream", "neighbours": pose.neighbours}


def cpu_weights(network: nn.Module) -> dict[str, Tensor]:
    """Detached CPU copy of the weights of a network."""
    return {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint; tensors arrive on the CPU.

    Raises:
        ModelContractError: no such file, not our format, or a schema version this package does not know.
    """
    what = ""
    try:
        what = placeholder(Path(path))
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle makes torch fail in many ways; all of them mean "not a checkpoint"
        first_line = what or str(error).strip().split("\n")[0]
        raise ModelContractError(
            f"checkpoint {path}: cannot be read ({first_line}); expected a file written by `mono-depth train` or "
            "`mono-depth import-checkpoint`"
        ) from error
    if not isinstance(contents, dict) or contents.get("schema_version") != SCHEMA_VERSION:
        version = contents.get("schema_version") if isinstance(contents, dict) else None
        raise ModelContractError(
            f"checkpoint {path}: expected schema version {SCHEMA_VERSION}, got {version}; files of the original "
            "PackNet release are read by `mono-depth import-checkpoint`"
        )
    try:
        return Checkpoint(
            metadata=read_metadata(contents["metadata"]),
            depth=None if contents["depth"] is None else NetworkState(**contents["depth"]),
            pose=None if contents["pose"] is None else NetworkState(**contents["pose"]),
            training_state=contents["training_state"],
        )
    except (KeyError, TypeError, ConfigError) as error:
        raise ModelContractError(f"checkpoint {path}: damaged or incomplete ({error})") from error


def read_metadata(values: dict[str, Any]) -> ModelMetadata:
    """Metadata from a plain dictionary. Raises ConfigError for unknown or missing entries."""
    names = {entry.name for entry in fields(ModelMetadata)}
    if set(values) != names:
        raise ConfigError(f"metadata: expected {sorted(names)}, got {sorted(values)}")
    return ModelMetadata(**values)
