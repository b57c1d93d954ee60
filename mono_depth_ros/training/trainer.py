# SPDX-License-Identifier: Apache-2.0
"""The training loop, top to bottom: both modes of the network in every step, supervised by rendered truth.

It may be killed at any time: checkpoints are written whole or not at all, and hold everything a resumed run needs.
"""

import copy
import math
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from mono_depth_ros.datasets.synthetic_dataset import SyntheticDataset, cache_folder
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.networks.packnet_san import PackNetSan, SparsePoints
from mono_depth_ros.objectives.feature_consistency import feature_consistency
from mono_depth_ros.objectives.supervised import depth_at_points, supervised_depth
from mono_depth_ros.training.batches import Batch, BatchRecipe, ImageSource, batches
from mono_depth_ros.training.checkpoint import ModelMetadata, load_checkpoint, load_weights, save_checkpoint
from mono_depth_ros.training.config import Objectives, Optimiser, TrainConfig
from mono_depth_ros.training.validation import Scores, validate

LAST = "last.ckpt"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    Attributes:
        step, max_steps: steps done and planned.
        share: of the run that is done, 0..1; by steps or minutes, whichever is nearer the end.
        elapsed_s, left_s: time spent in training, time left as far as can be told.
        losses: each term, mean over the last steps.
        rate: learning rate.
        scores: of the last validation, None before the first.
    """

    step: int
    max_steps: int
    share: float
    elapsed_s: float
    left_s: float
    losses: dict[str, float]
    rate: float
    scores: Scores | None


class BothModes(nn.Module):
    """Prediction and completion of the same images: one encoder pass, two decoder passes."""

    def __init__(self, network: PackNetSan) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, rgb: Tensor, bvu: Tensor, depth_m: Tensor
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Inverse depths of prediction and of completion, skips of the image and of image and points."""
        features = self.network.encode(rgb)
        fused = self.network.fuse(features, SparsePoints(bvu, depth_m))
        return self.network.decode(features), self.network.decode(fused), features.skips, fused.skips


def objective(outputs: tuple[tuple[Tensor, ...], ...], batch: Batch, weights: Objectives) -> dict[str, Tensor]:
    """The loss and its terms.

    Args:
        outputs: of BothModes.
        batch: what they were made from.
        weights: of the terms.

    Returns:
        Scalars "prediction", "completion", "points", "consistency", and "loss", their weighted sum.
    """
    predicted, completed, skips, fused = outputs
    trust = batch.predict_weight
    terms = {
        "prediction": (supervised_depth(predicted, batch.truth_depth_m, weights.prediction) * trust).mean(),
        "completion": supervised_depth(completed, batch.truth_depth_m, weights.completion).mean(),
        "points": depth_at_points(completed[0], batch.bvu, batch.trusted_depth_m, len(trust)).mean(),
        "consistency": (feature_consistency(skips, fused) * trust).mean(),
    }
    loss = (
        weights.prediction_weight * terms["prediction"]
        + weights.completion_weight * terms["completion"]
        + weights.points_weight * terms["points"]
        + weights.consistency_weight * terms["consistency"]
    )
    return {**terms, "loss": loss}


def learning_rate(optimiser: Optimiser, step: int, share: float) -> float:
    """Warm-up by steps, then a cosine over the share of the run that is done."""
    rise = min(1.0, (step + 1) / max(1, optimiser.warm_up_steps))
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
    return rise * (optimiser.final_rate + (optimiser.rate - optimiser.final_rate) * cosine)


@dataclass(slots=True)
class RunState:
    """What changes during a run (and is therefore saved)."""

    network: PackNetSan
    averaged: PackNetSan
    optimiser: torch.optim.Optimizer
    step: int = 0
    elapsed_s: float = 0.0

    def training_state(self) -> dict[str, Any]:
        """For the checkpoint: tensors and plain values."""
        return {
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "weights": {key: value.detach().cpu().clone() for key, value in self.network.state_dict().items()},
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
        }

    def save(self, out: Path, config: TrainConfig, scores: Scores | None = None) -> None:
        """Write the checkpoint: the averaged network for use, everything else for going on."""
        save_checkpoint(out / LAST, _metadata(config, scores), self.averaged, training_state=self.training_state())

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of a run with the same network.

        Raises:
            ConfigError: it was made with another network.
            ModelContractError: it cannot be read.
        """
        checkpoint = load_checkpoint(path)
        if checkpoint.depth is None or checkpoint.depth.config != self.network.config.to_dict():
            raise ConfigError(f"{path}: made with another network; train into another folder, or without --resume")
        load_weights(self.averaged, checkpoint.depth.weights, str(path))
        state = checkpoint.training_state
        load_weights(self.network, state["weights"], str(path))
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed_s = int(state["step"]), float(state["elapsed_s"])
        torch.set_rng_state(state["random"])


@torch.no_grad()
def average_weights(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of weights; running statistics (an average already) are copied."""
    for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
        mean.lerp_(value.to(mean.device), 1.0 - decay)
    for mean, value in zip(averaged.buffers(), network.buffers(), strict=True):
        mean.copy_(value)


def train(config: TrainConfig, data_root: Path, out: Path, resume: bool, report: Callable[[Progress], None]) -> Path:
    """Train a model from rendered images (see `datasets.synthetic_dataset.prepare`).

    Args:
        config: the recipe.
        data_root: folder of image caches.
        out: folder for checkpoints and curves.
        resume: go on from the last checkpoint in `out`, if there is one.
        report: called every few steps.

    Returns:
        The last checkpoint, whose network is the average of the weights.

    Raises:
        ConfigError, DataError, ModelContractError: see their messages; DataError also when the loss is not a number.
    """
    folder = cache_folder(config.data, data_root)
    images = SyntheticDataset(config.data, folder, "train")
    held_out = SyntheticDataset(config.data, folder, "val")
    return train_on(config, images, held_out, out, resume, report)


def train_on(
    config: TrainConfig,
    images: ImageSource,
    held_out: ImageSource,
    out: Path,
    resume: bool,
    report: Callable[[Progress], None],
    stop_after: int | None = None,
) -> Path:
    """`train` on any source of images. `stop_after` ends it at a step as if killed after a checkpoint there."""
    fabric, model, state = _set_up(config, out, resume)
    stream = batches(images, _batch_recipe(config), state.step)
    curves = _curves(out)
    window = _Window()
    scores: Scores | None = None
    rate = 0.0
    started = time.monotonic() - state.elapsed_s
    saved = validated = state.elapsed_s
    try:
        while (share := _share(config, state)) < 1.0 and state.step != stop_after:
            rate = learning_rate(config.optimiser, state.step, share)
            if share >= config.optimiser.freeze_norm_at:
                state.network.sparse_branch.eval()
            batch = next(stream).to(fabric.device)
            window.add(_step(fabric, model, state, batch, rate, config, out))
            state.elapsed_s = time.monotonic() - started
            if state.elapsed_s - validated > 60 * config.validate_minutes:
                scores = validate(state.averaged, held_out, config)
                validated = state.elapsed_s
            if state.elapsed_s - saved > 60 * config.checkpoint_minutes:
                state.save(out, config)
                saved = state.elapsed_s
            if state.step % 10 == 0 or state.step == config.max_steps:
                progress = _progress(config, state, window.means(), rate, scores)
                _log(curves, progress)
                report(progress)
    finally:
        stream.close()
        if state.step and not _has_bad(state.network):
            state.save(out, config)
        if curves is not None:
            curves.close()
    if state.step != stop_after:
        scores = validate(state.averaged, held_out, config)
        report(_progress(config, state, window.means(), rate, scores))
        state.save(out, config, scores)
    return out / LAST


def _set_up(config: TrainConfig, out: Path, resume: bool) -> tuple[Fabric, nn.Module, RunState]:
    """Device, networks and optimiser; from the last checkpoint when resuming."""
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    fabric = Fabric(accelerator=config.accelerator, devices=1, precision=config.precision)  # type: ignore[arg-type]
    fabric.launch()
    network = PackNetSan(config.network)
    averaged = copy.deepcopy(network).eval().to(fabric.device)
    adam = torch.optim.AdamW(network.parameters(), lr=config.optimiser.rate, weight_decay=config.optimiser.weight_decay)
    model, optimiser = fabric.setup(BothModes(network), adam)
    state = RunState(network, averaged, optimiser)
    out.mkdir(parents=True, exist_ok=True)
    if resume and (out / LAST).exists():
        state.restore(out / LAST)
    model.train()
    return fabric, model, state


def _batch_recipe(config: TrainConfig) -> BatchRecipe:
    return BatchRecipe(
        batch_size=config.batch_size,
        seed=config.seed,
        trained_fx_px=config.trained_fx_px,
        max_depth_m=config.max_depth_m,
        augmentation=config.augmentation,
        patterns=config.points,
        chaos_prediction=config.objectives.chaos_prediction,
    )


def _step(
    fabric: Fabric, model: nn.Module, state: RunState, batch: Batch, rate: float, config: TrainConfig, out: Path
) -> dict[str, Tensor]:
    """One step: forward, backward, update, average. Returns the terms; DataError when the loss is not a number."""
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    terms = objective(model(batch.rgb, batch.bvu, batch.points_depth_m), batch, config.objectives)
    if not torch.isfinite(terms["loss"]):
        raise DataError(_save_bad_batch(out, state.step, batch, terms))
    state.optimiser.zero_grad()
    fabric.backward(terms["loss"])
    # gradients that are not finite are left to the check of the next loss, which keeps the batch
    fabric.clip_gradients(model, state.optimiser, max_norm=config.optimiser.clip_norm, error_if_nonfinite=False)
    state.optimiser.step()
    decay = min(config.optimiser.average_decay, (1 + state.step) / (10 + state.step))
    average_weights(state.averaged, state.network, decay)
    state.step += 1
    return terms


class _Window:
    """Means of the loss terms over the last fifty steps."""

    def __init__(self) -> None:
        self._terms: list[dict[str, float]] = []

    def add(self, terms: dict[str, Tensor]) -> None:
        self._terms = [*self._terms[-49:], {name: float(value.detach()) for name, value in terms.items()}]

    def means(self) -> dict[str, float]:
        names = self._terms[-1] if self._terms else {}
        return {name: float(np.mean([terms[name] for terms in self._terms])) for name in names}


def _share(config: TrainConfig, state: RunState) -> float:
    minutes = 0.0 if config.max_minutes is None else state.elapsed_s / 60.0 / config.max_minutes
    return max(state.step / config.max_steps, minutes)


def _progress(
    config: TrainConfig, state: RunState, losses: dict[str, float], rate: float, scores: Scores | None
) -> Progress:
    share = min(1.0, _share(config, state))
    left = state.elapsed_s * (1.0 - share) / max(share, 1e-9)
    return Progress(state.step, config.max_steps, share, state.elapsed_s, left, losses, rate, scores)


def _has_bad(network: nn.Module) -> bool:
    return any(not bool(torch.isfinite(value).all()) for value in network.parameters())


def _save_bad_batch(out: Path, step: int, batch: Batch, terms: dict[str, Tensor]) -> str:
    """Keep the batch that broke the run, and say where."""
    path = out / f"bad_batch_{step}.npz"
    names = ("rgb", "truth_depth_m", "bvu", "points_depth_m", "trusted_depth_m", "predict_weight")
    np.savez_compressed(path, **{name: getattr(batch, name).cpu().numpy() for name in names})
    values = ", ".join(f"{name} {float(value.detach()):.4g}" for name, value in terms.items())
    return f"loss at step {step}: expected finite numbers, got {values}; the batch is in {path}; lower optimiser.rate?"


def _metadata(config: TrainConfig, scores: Scores | None = None) -> ModelMetadata:
    accuracy: dict[str, Any] = {} if scores is None else {"synthetic_val": scores.to_dict()}
    return ModelMetadata(
        name=config.name,
        height_px=config.data.height_px,
        width_px=config.data.width_px,
        min_depth_m=config.network.min_depth_m,
        max_depth_m=config.max_depth_m,
        metric=True,
        trained_fx_px=config.trained_fx_px,
        training_data=f"{config.data.train_images} rendered images (streets, chaos), cache {config.data.fingerprint()}",
        recipe=f"config/train/{config.name}.yaml",
        git_commit=_git_commit(),
        licence="Apache-2.0",
        accuracy=accuracy,
    )


def _git_commit() -> str:
    """The commit of the source tree, or "unknown" for an installed package."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _curves(out: Path) -> Any:
    """A TensorBoard writer, or None where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out / "curves"))


def _log(curves: Any, progress: Progress) -> None:
    if curves is None:
        return
    values = {**progress.losses, "rate": progress.rate}
    if progress.scores is not None:
        values |= {f"val_{name}": value for name, value in progress.scores.to_dict().items()}
    for name, value in values.items():
        curves.add_scalar(name, value, progress.step)
