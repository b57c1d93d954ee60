#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Samples per second of a training step, variant beside variant: where the time goes and what makes it shorter.

    python bench/training_speed.py config/train/joint.yaml [--threads 1] [--rounds 5]

Variants take turns, round by round, so that other work on the machine slows all of them alike; the fastest round of
each counts, after a first one to warm up (in which the compiled variant compiles, for minutes). `conv3d` computes the
packing's 3-D convolution as nn.Conv3d does, as the original writes it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mono_depth_ros.networks.packnet_san import ChannelConv3d
from mono_depth_ros.training.batches import Batch, ClipTensors
from mono_depth_ros.training.config import TrainConfig
from mono_depth_ros.training.losses import objective
from mono_depth_ros.training.model import TrainedModel, compile_passes
from mono_depth_ros.training.recipe_file import read_recipe
from mono_depth_ros.training.run_state import new_models
from mono_depth_ros.training.sources import without_sparse_branch


class PlainConv3d(nn.Module):
    """The same function with the same weights by nn.Conv3d's own kernel."""

    def __init__(self, packed: ChannelConv3d) -> None:
        super().__init__()
        self.weight, self.bias = packed.weight, packed.bias

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, D, H, W]."""
        return functional.conv3d(x.unsqueeze(1), self.weight.unsqueeze(1), self.bias, padding=1).transpose(1, 2)


def with_plain_conv3d(model: TrainedModel) -> TrainedModel:
    """Replace every ChannelConv3d, in place."""
    for module in list(model.modules()):
        if isinstance(getattr(module, "conv3d", None), ChannelConv3d):
            module.conv3d = PlainConv3d(module.conv3d)
    return model


def random_batch(config: TrainConfig, points: int) -> Batch:
    """A batch of noise with the shapes of a real one; its content changes no time."""
    torch.manual_seed(0)
    b, h, w = config.batch_size, config.height_px, config.width_px
    rgb, contexts = torch.rand(b, 3, h, w), torch.rand(b, 2, 3, h, w)
    cells = np.concatenate([np.random.default_rng(i).choice(h * w, points, replace=False) for i in range(b)])
    bvu = torch.from_numpy(np.stack([np.repeat(np.arange(b), points), cells // w, cells % w], axis=1))
    depth = 5.0 + 20.0 * torch.rand(len(cells))
    truth = torch.full((b, 1, h, w), float("nan"))
    truth[bvu[:, 0], 0, bvu[:, 1], bvu[:, 2]] = depth
    K = torch.tensor([[0.6 * w, 0.0, w / 2], [0.0, 0.6 * w, h / 2], [0.0, 0.0, 1.0]]).repeat(b, 1, 1)
    motion = torch.eye(4).repeat(b, 2, 1, 1)
    motion[:, :, 2, 3] = torch.tensor([0.5, -0.5])
    distance, time_s = torch.full((b, 2), 0.5), torch.full((b, 2), 0.1)
    clips = ClipTensors(rgb, contexts, rgb, contexts, K, motion, distance, time_s, torch.ones(b))
    return Batch(rgb, truth, bvu, depth, depth, torch.ones(b), clips)


def step_of(config: TrainConfig, conv3d: bool = False) -> Callable[[], dict[str, float]]:
    """One training step as a function that returns the seconds of its parts."""
    model, _ = new_models(config)
    model = with_plain_conv3d(model) if conv3d else model
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if config.compile:
        compile_passes(model)
    adam = torch.optim.AdamW(model.parameters(), lr=1e-5)
    batch = random_batch(config, 300)
    rgb = batch.rgb.to(memory_format=torch.channels_last) if config.channels_last else batch.rgb
    clips = batch.clips

    def step() -> dict[str, float]:
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16-mixed"):
            poses = () if clips is None else (clips.pose_target_rgb, clips.pose_context_rgb)
            outputs = model(rgb, batch.bvu, batch.points_depth_m, *poses)
        forward = time.perf_counter()
        loss = objective(outputs, batch, config, 0.5)["loss"]
        losses = time.perf_counter()
        adam.zero_grad()
        loss.backward()
        backward = time.perf_counter()
        adam.step()
        done = time.perf_counter()
        return {
            "network": forward - began,
            "loss": losses - forward,
            "backward": backward - losses,
            "update": done - backward,
        }

    return step


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    config = read_recipe(args.recipe, ["data=none", *args.overrides])
    bf16 = replace(config, precision="bf16-mixed")
    variants = {
        "nn.Conv3d, float32": step_of(config, conv3d=True),
        "float32": step_of(config),
        "float32, channels_last": step_of(replace(config, channels_last=True)),
        "bf16": step_of(bf16),
        "bf16, channels_last": step_of(replace(bf16, channels_last=True)),
        "bf16, compiled": step_of(replace(bf16, compile=True)),
        "bf16, prediction only": step_of(without_sparse_branch(replace(bf16, modes="prediction"))),
        "bf16, completion only": step_of(replace(bf16, modes="completion")),
    }
    best: dict[str, dict[str, float]] = {}
    for round_number in range(args.rounds + 1):
        for name, step in variants.items():
            parts = step()
            if round_number and (name not in best or sum(parts.values()) < sum(best[name].values())):
                best[name] = parts  # the first round warms up
    print(f"{args.recipe}, batch {config.batch_size}, {config.width_px}x{config.height_px}, {args.threads} thread(s)")
    print("| variant | samples/s | network ms | loss ms | backward ms | update ms |\n|---|---|---|---|---|---|")
    for name, parts in best.items():
        rate = config.batch_size / sum(parts.values())
        print(f"| {name} | {rate:.1f} | " + " | ".join(f"{1e3 * value:.0f}" for value in parts.values()) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
