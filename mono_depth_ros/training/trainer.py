# SPDX-License-Identifier: Apache-2.0
"""The training loop, top to bottom, on one device or many.

It may be killed at any time: checkpoints are written whole or not at all, and hold everything a resumed run needs.
"""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies import DDPStrategy
from torch import Tensor, nn

from mono_depth_ros.errors import DataError
from mono_depth_ros.training.batches import Batch, positions_of, stream
from mono_depth_ros.training.config import Optimiser, TrainConfig
from mono_depth_ros.training.curves import Curves, Progress
from mono_depth_ros.training.losses import objective, ratio_at_points
from mono_depth_ros.training.model import Outputs, compile_passes
from mono_depth_ros.training.run_state import (
    LAST,
    RunState,
    average_weights,
    keeps_statistics,
    new_models,
    parameter_groups,
)
from mono_depth_ros.training.sources import Source, without_sparse_branch
from mono_depth_ros.training.validation import DriveScores, Scores

REPORT_STEPS = 10
WINDOW_STEPS = 50


def train(
    config: TrainConfig,
    source: Source,
    out: Path,
    resume: bool,
    report: Callable[[Progress], None],
    stop_after: int | None = None,
) -> Path:
    """Train a model.

    Args:
        config: the recipe, see `run_state.initialised`.
        source: what it learns from.
        out: folder for checkpoints and curves.
        resume: go on from the last checkpoint in `out`, if there is one.
        report: called every few steps by the first process.
        stop_after: ends the run at a step, after a checkpoint, as if it had been interrupted there.

    Returns:
        The last checkpoint, whose networks are averages of the weights.

    Raises:
        ConfigError, ModelContractError: see their messages.
        DataError: loss or gradient are not numbers; the batch is kept.
    """
    run = _start(config, source, out, resume)
    fabric, state, pace = run.fabric, run.state, run.pace
    batches = stream(run.batch_of, state.step)
    try:
        if config.init and state.step == 0:
            run.scores = run.validate()  # what there was before
            run.tell(0.0, report)
        while (share := run.share()) < 1.0 and state.step != stop_after:
            rate = learning_rate(config.optimiser, state.step, share)
            if keeps_statistics(run.config, share):
                state.model.depth.sparse_branch.eval()
            batch = next(batches).to(fabric.device)
            terms, outputs = _step(run, batch, rate, share)
            pace.add(terms, ratio_at_points(outputs, batch))
            state.elapsed_s = time.monotonic() - run.began
            if pace.due("validate", state, config.validate_minutes, config.validate_steps):
                run.scores = run.validate()
                run.show(batch, outputs)
            if pace.due("checkpoint", state, config.checkpoint_minutes, config.checkpoint_steps):
                run.save()
            if state.step % REPORT_STEPS == 0 or state.step == config.max_steps:
                run.tell(rate, report)
        if state.step != stop_after:
            run.scores = run.validate()
            run.tell(learning_rate(config.optimiser, state.step, 1.0), report)
    finally:
        batches.close()
        if state.step and state.healthy():
            run.save()
        run.close()
    return out / LAST


def _step(run: "_Run", batch: Batch, rate: float, share: float) -> tuple[dict[str, Tensor], Outputs]:
    """One step: forward, backward, update, average. Raises DataError when a loss or gradient is not a number."""
    config, state, fabric = run.config, run.state, run.fabric
    for group in state.optimiser.param_groups:
        group["lr"] = rate * group["share"]
    clips = batch.clips
    seen = (None, None) if clips is None else (clips.pose_target_rgb, clips.pose_context_rgb)
    points = batch.bvu, batch.points_depth_m
    outputs: Outputs = run.model(run.layout(batch.rgb), *points, *seen, batch.kept, batch.ground)
    terms = objective(outputs, batch, config, share)
    state.optimiser.zero_grad()
    fabric.backward(terms["loss"])
    norm = fabric.clip_gradients(
        run.model, state.optimiser, max_norm=config.optimiser.clip_norm, error_if_nonfinite=False
    )
    terms["gradient"] = torch.as_tensor(norm)  # after DDP's mean: not a number anywhere is not a number everywhere
    if not torch.isfinite(terms["gradient"]):
        raise DataError(_keep_bad_batch(run.out, fabric.global_rank, state.step, batch, terms))
    state.optimiser.step()
    decay = min(config.optimiser.average_decay, (1 + state.step) / (10 + state.step))
    average_weights(state.averaged, state.model, decay)
    state.step += 1
    return terms, outputs


def learning_rate(optimiser: Optimiser, step: int, share: float) -> float:
    """Warm-up by steps, then a cosine over the share of the run that is done."""
    rise = min(1.0, (step + 1) / max(1, optimiser.warm_up_steps))
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
    return rise * (optimiser.final_rate + (optimiser.rate - optimiser.final_rate) * cosine)


def _start(config: TrainConfig, source: Source, out: Path, resume: bool) -> "_Run":
    """Devices, networks and optimiser; from the last checkpoint when resuming."""
    config = without_sparse_branch(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    many = config.devices * config.nodes > 1
    fabric = Fabric(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.nodes,
        # a batch without points leaves the sparse branch without gradient
        strategy=DDPStrategy(find_unused_parameters=True) if many else "auto",
        precision=config.precision,  # type: ignore[arg-type]
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*launching multiple processes.*")
        fabric.launch()
    trained, averaged = new_models(config)
    if config.channels_last:
        trained = trained.to(memory_format=torch.channels_last)
    adam = torch.optim.AdamW(
        parameter_groups(trained, config), lr=config.optimiser.rate, weight_decay=config.optimiser.weight_decay
    )
    model, optimiser = fabric.setup(trained, adam)
    if config.compile:
        compile_passes(trained)
    state = RunState(trained, averaged.to(fabric.device), optimiser)
    out.mkdir(parents=True, exist_ok=True)
    if resume and (out / LAST).exists():
        state.restore(out / LAST)
    fabric.barrier()  # nobody writes before everybody has read
    model.train()
    curves = Curves(out, state.step) if fabric.is_global_zero else None
    return _Run(config, source, out, fabric, model, state, curves)


@dataclass(slots=True)
class _Pace:
    """Loss terms of the last steps, and when something was last done."""

    terms: list[dict[str, Tensor]] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    last: dict[str, tuple[int, float]] = field(default_factory=dict)

    def add(self, terms: dict[str, Tensor], ratio: float) -> None:
        self.terms = [*self.terms[1 - WINDOW_STEPS :], {name: value.detach() for name, value in terms.items()}]
        self.ratios = [*self.ratios[1 - WINDOW_STEPS :], ratio]

    def means(self) -> dict[str, float]:
        names = self.terms[-1] if self.terms else {}
        return {name: float(np.mean([float(terms[name]) for terms in self.terms])) for name in names}

    def ratio(self) -> float:
        known = [ratio for ratio in self.ratios if math.isfinite(ratio)]
        return float(np.median(known)) if known else float("nan")

    def due(self, what: str, state: RunState, minutes: float, steps: int) -> bool:
        """Whether it is time; by steps alone where a number of steps is given, so that a run can be repeated."""
        _, then_s = self.last.setdefault(what, (0, state.elapsed_s))
        due = state.step % steps == 0 if steps else state.elapsed_s - then_s > 60 * minutes
        if due:
            self.last[what] = state.step, state.elapsed_s
        return due


class _Run:
    """A run's parts, and what only its first process does."""

    def __init__(
        self,
        config: TrainConfig,
        source: Source,
        out: Path,
        fabric: Fabric,
        model: nn.Module,
        state: RunState,
        curves: Curves | None,
    ) -> None:
        self.config, self.source, self.out = config, source, out
        self.fabric, self.model, self.state = fabric, model, state
        self.pace = _Pace()
        self.scores: Scores | DriveScores | None = None
        self.began = time.monotonic() - state.elapsed_s
        self._curves = curves
        self._told = (state.step, state.elapsed_s)

    def batch_of(self, step: int) -> Batch:
        """This process's part of a step's batch."""
        return self.source.batch(
            positions_of(step, self.config.batch_size, self.fabric.global_rank, self.fabric.world_size)
        )

    def layout(self, rgb: Tensor) -> Tensor:
        """Images in the memory layout of the weights."""
        return rgb.to(memory_format=torch.channels_last) if self.config.channels_last else rgb

    def share(self) -> float:
        """Of the run that is done; the first process's clock counts for all."""
        steps = self.state.step / self.config.max_steps
        if self.config.max_minutes is None:
            return steps
        share = max(steps, self.state.elapsed_s / 60.0 / self.config.max_minutes)
        return float(self.fabric.broadcast(share)) if self.fabric.world_size > 1 else share

    def validate(self) -> Scores | DriveScores | None:
        """Scores of the averaged network, by the first process."""
        return self.source.validate(self.state.averaged.depth) if self.fabric.is_global_zero else None

    def save(self) -> None:
        """Write the checkpoint, by the first process."""
        if self.fabric.is_global_zero:
            self.state.save(self.out, self.config, self.source, self.scores)

    def show(self, batch: Batch, outputs: Outputs) -> None:
        """Write pictures, by the first process."""
        if self._curves is not None:
            self._curves.show(batch, outputs, self.state.step)

    def tell(self, rate: float, report: Callable[[Progress], None]) -> None:
        """Report and log; losses are means over all processes."""
        losses = self.pace.means()
        if self.fabric.world_size > 1 and losses:
            values = torch.tensor(list(losses.values()), dtype=torch.float64, device=self.fabric.device)
            losses = dict(zip(losses, self.fabric.all_reduce(values, reduce_op="mean").tolist(), strict=True))
        state, share = self.state, min(1.0, self.share())
        if self._curves is None:
            return
        before_step, before_s = self._told
        self._told = (state.step, state.elapsed_s)
        progress = Progress(
            step=state.step,
            max_steps=self.config.max_steps,
            share=share,
            elapsed_s=state.elapsed_s,
            left_s=state.elapsed_s * (1.0 - share) / max(share, 1e-9),
            steps_per_s=(state.step - before_step) / max(state.elapsed_s - before_s, 1e-9),
            losses=losses,
            ratio=self.pace.ratio(),
            rate=rate,
            scores=self.scores,
        )
        self._curves.log(progress)
        report(progress)

    def close(self) -> None:
        """Finish the files."""
        if self._curves is not None:
            self._curves.close()


def _keep_bad_batch(out: Path, rank: int, step: int, batch: Batch, terms: dict[str, Tensor]) -> str:
    """Keep the batch that broke the run, and say where and what to do."""
    path = out / f"bad_batch_{step}{f'_{rank}' if rank else ''}.npz"
    np.savez_compressed(path, **batch.arrays())  # type: ignore[arg-type]
    values = ", ".join(f"{name} {float(value.detach()):.4g}" for name, value in terms.items())
    return (
        f"loss at step {step}: expected finite numbers, got {values}; the batch is in {path}, the last checkpoint is "
        "from before it: look at the batch (is its depth or motion sound?), or go on with --resume and a lower "
        "optimiser.rate, or precision=32-true"
    )
