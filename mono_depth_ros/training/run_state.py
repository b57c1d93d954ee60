# SPDX-License-Identifier: Apache-2.0
"""What changes during a training run, and how it is saved and found again, bit for bit."""

import copy
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mono_depth_ros.errors import ConfigError, ModelContractError
from mono_depth_ros.networks.depth_network import config_from_dict, new_network
from mono_depth_ros.networks.lite_san import LiteSan, LiteSanConfig
from mono_depth_ros.networks.packnet_san import PackNetSan, PackNetSanConfig
from mono_depth_ros.networks.pose_net import PoseNet
from mono_depth_ros.networks.two_stream_pose_net import TwoStreamPoseNet
from mono_depth_ros.training.checkpoint import (
    Checkpoint,
    ModelMetadata,
    cpu_weights,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from mono_depth_ros.training.config import TrainConfig
from mono_depth_ros.training.grid_stride import on_packed_images
from mono_depth_ros.training.model import CONTEXTS, TrainedModel
from mono_depth_ros.training.pretrained_encoder import load_pretrained
from mono_depth_ros.training.sources import Source, without_sparse_branch
from mono_depth_ros.training.validation import DriveScores, Scores

LAST = "last.ckpt"
_OF_POINTS = (
    "sparse_branch.",
    "fusion",
    "prior.",
    "dense_view.",
)  # parameters of a depth network that only points make use of


@dataclass(slots=True)
class RunState:
    """The networks, their average, the optimiser, and how far the run is."""

    model: TrainedModel
    averaged: TrainedModel
    optimiser: torch.optim.Optimizer
    step: int = 0
    elapsed_s: float = 0.0

    def training_state(self) -> dict[str, Any]:
        """For the checkpoint: tensors and plain values."""
        state = {
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "weights": cpu_weights(self.model),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
        }
        if torch.cuda.is_available():
            state["random_cuda"] = torch.cuda.get_rng_state()
        return state

    def save(self, out: Path, config: TrainConfig, source: Source, scores: Scores | DriveScores | None = None) -> None:
        """Write the checkpoint: the averaged networks for use, everything else for going on."""
        metadata = _metadata(config, source, scores)
        averaged = self.averaged
        save_checkpoint(out / LAST, metadata, averaged.depth, averaged.pose, training_state=self.training_state())

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of a run with the same networks.

        Raises:
            ConfigError: it was made with other networks.
            ModelContractError: it cannot be read.
        """
        checkpoint = load_checkpoint(path)
        advice = "train into another folder, or without --resume"
        known = checkpoint.depth and config_from_dict(checkpoint.depth.config)
        if checkpoint.depth is None or known != self.model.depth.config:
            raise ConfigError(f"{path}: made with another network; {advice}")
        load_weights(self.averaged.depth, checkpoint.depth.weights, str(path))
        if (checkpoint.pose is None) != (self.averaged.pose is None):
            raise ConfigError(f"{path}: made with another source of poses; {advice}")
        state = checkpoint.training_state
        if checkpoint.pose is not None and self.averaged.pose is not None:
            load_weights(self.averaged.pose, checkpoint.pose.weights, str(path))
        load_weights(self.model, state["weights"], str(path))
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed_s = int(state["step"]), float(state["elapsed_s"])
        torch.set_rng_state(state["random"])
        if "random_cuda" in state and torch.cuda.is_available():
            torch.cuda.set_rng_state(state["random_cuda"])

    def healthy(self) -> bool:
        """Whether all weights are numbers."""
        return all(bool(torch.isfinite(value).all()) for value in self.model.parameters())


def initialised(config: TrainConfig) -> TrainConfig:
    """The recipe with the network and focal length of its `init` checkpoint, or with the network that it trains.

    A prior that the recipe asks for is added to a network that has none yet, and packings go on beyond the border where
    it asks for that; local contrast takes the place of colours: the first convolutions then have to learn anew. A grid
    of stride 2 makes of it a network for images of twice the size, see `grid_stride`.

    Raises:
        ConfigError: there is nothing to learn from, or the checkpoint's network cannot do what `modes` asks.
        ModelContractError: the checkpoint cannot be read or has no depth network.
    """
    if not config.on_drives and config.trained_fx_px is None:
        raise ConfigError("data: expected a drive to learn from (data=MY_BAG), or a trained_fx_px for rendered images")
    if not config.init:
        return without_sparse_branch(config)
    checkpoint = start_checkpoint(config.init)
    if checkpoint.depth is None:
        raise ModelContractError(f"{config.init}: expected a checkpoint with a depth network, got a pose network alone")
    network = config_from_dict(checkpoint.depth.config)
    if config.modes != "prediction" and not network.sparse:
        raise ConfigError(f"modes: expected prediction, as {config.init} has no sparse branch, got {config.modes!r}")
    fx_px = checkpoint.metadata.trained_fx_px
    if isinstance(network, LiteSanConfig):
        return replace(config, network=network, trained_fx_px=fx_px)  # of any size, its focal length stays
    if isinstance(config.network, PackNetSanConfig):
        network = _changed_packnet(network, config.network)
    if fx_px is not None:
        fx_px *= config.width_px / checkpoint.metadata.width_px
    return replace(config, network=network, trained_fx_px=fx_px)


def _changed_packnet(network: PackNetSanConfig, wanted: PackNetSanConfig) -> PackNetSanConfig:
    """The network of an `init` with what the recipe adds to it or changes in it."""
    if wanted.prior and network.sparse:
        network = replace(network, prior=True)  # its features start at zero: nothing is lost
    if wanted.image_input != "rgb":
        network = replace(network, image_input=wanted.image_input)
    if wanted.packing_border != "zeros":
        network = replace(network, packing_border=wanted.packing_border)
    return replace(network, grid_stride=wanted.grid_stride) if wanted.grid_stride != 1 else network


def changed_network(config: TrainConfig) -> list[str]:
    """What an initialised recipe changes in the network of its `init`: "image_input: rgb -> local_contrast"."""
    checkpoint = start_checkpoint(config.init) if config.init else None
    if checkpoint is None or checkpoint.depth is None:
        return []
    before, after = config_from_dict(checkpoint.depth.config).to_dict(), config.network.to_dict()
    return [f"{name}: {before[name]} -> {value}" for name, value in after.items() if before.get(name) != value]


def start_checkpoint(init: str) -> Checkpoint:
    """What a run starts from: a checkpoint, or the weights of an exported model. Raises ModelContractError."""
    if not Path(init).is_dir():
        return load_checkpoint(init)
    from mono_depth_ros.training.export import checkpoint_of_model  # needs onnx and ONNX Runtime

    return checkpoint_of_model(init)


def keeps_statistics(config: TrainConfig, share: float) -> bool:
    """Whether the sparse branch's running statistics stay as they are when `share` of the run is done.

    Those of an exported model may be folded into its weights: they must not move on their own.
    """
    folded = bool(config.init) and Path(config.init).is_dir()
    network = config.network
    normalises = network.sparse and (isinstance(network, PackNetSanConfig) or bool(network.sparse_widths))
    return normalises and (folded or share >= config.optimiser.freeze_norm_at)


def new_models(config: TrainConfig) -> tuple[TrainedModel, TrainedModel]:
    """The networks of a run, from `init` where it names a checkpoint, and a copy to average them in."""
    torch.manual_seed(config.seed)
    model = TrainedModel(new_network(config.network), new_pose_network(config), config.modes)
    if isinstance(model.depth, LiteSan) and config.encoder_weights and not config.init:
        load_pretrained(model.depth.encoder, model.depth.config.encoder, config.encoder_weights)
    if config.init:
        checkpoint = start_checkpoint(config.init)
        new_prior = {name: value for name, value in model.depth.state_dict().items() if name.startswith("prior.")}
        known = checkpoint.depth_network()
        weights = known.state_dict()
        if isinstance(model.depth, PackNetSan) and isinstance(known, PackNetSan):
            coarser = model.depth.config.grid_stride > known.config.grid_stride
            weights = on_packed_images(weights) if coarser else weights
        model.depth.load_state_dict({**new_prior, **weights})
        _take_pose(model, checkpoint)
    if not config.learn_dense:
        for name, parameter in model.depth.named_parameters():
            parameter.requires_grad_(name.startswith(_OF_POINTS))
    if isinstance(model.depth, LiteSan) and config.optimiser.encoder_rate == 0.0:
        model.depth.encoder.requires_grad_(False)  # no pass backwards through it either
    return model, copy.deepcopy(model).eval()


def new_pose_network(config: TrainConfig) -> PoseNet | TwoStreamPoseNet | None:
    """The pose network that the recipe asks for; None where there is nothing to ask it."""
    if not config.on_drives or config.pose.source == "odometry":
        return None
    if config.pose.source == "two_stream":
        return TwoStreamPoseNet()
    return PoseNet(1 if config.pose.source == "pair" else CONTEXTS)


def _take_pose(model: TrainedModel, checkpoint: Checkpoint) -> None:
    """A pose network of the same kind goes on where it was; any other starts anew."""
    if checkpoint.pose is None or model.pose is None:
        return
    known = checkpoint.pose_network()
    neighbours = [getattr(pose, "neighbours", None) for pose in (known, model.pose)]
    if type(known) is type(model.pose) and neighbours[0] == neighbours[1]:
        model.pose.load_state_dict(known.state_dict())


@torch.no_grad()
def average_weights(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of weights; running statistics (an average already) are copied."""
    for mean, value in zip(averaged.parameters(), model.parameters(), strict=True):
        mean.lerp_(value.to(mean.device), 1.0 - decay)
    for kept, value in zip(averaged.buffers(), model.buffers(), strict=True):
        kept.copy_(value)


def parameter_groups(model: TrainedModel, config: TrainConfig) -> list[dict[str, list[Tensor] | float]]:
    """The optimiser's groups; "share" is their learning rate relative to the schedule's."""
    encoder = list(model.depth.encoder.parameters()) if isinstance(model.depth, LiteSan) else []
    others = [value for value in model.depth.parameters() if all(value is not known for known in encoder)]
    groups: list[dict[str, list[Tensor] | float]] = [{"params": others, "share": 1.0}]
    if encoder and config.optimiser.encoder_rate > 0.0:
        groups.append({"params": encoder, "share": config.optimiser.encoder_rate})
    if model.pose is not None:
        groups.append({"params": list(model.pose.parameters()), "share": config.optimiser.pose_rate})
    return groups


def _metadata(config: TrainConfig, source: Source, scores: Scores | DriveScores | None) -> ModelMetadata:
    kind = "drive_val" if isinstance(scores, DriveScores) else "synthetic_val"
    return ModelMetadata(
        name=config.name,
        height_px=config.height_px,
        width_px=config.width_px,
        min_depth_m=config.network.min_depth_m,
        max_depth_m=config.max_depth_m,
        metric=config.metric,
        trained_fx_px=source.trained_fx_px,
        training_data=source.description,
        recipe=f"config/train/{config.name}.yaml",
        git_commit=_git_commit(),
        licence="Apache-2.0",
        accuracy={} if scores is None else {kind: scores.to_dict()},
    )


def _git_commit() -> str:
    """The commit of the source tree, or "unknown" for an installed package."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
