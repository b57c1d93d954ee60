#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The training experiments of docs/training.md on simulated drives: runs, results.json and figures.

    python bench/training_proofs.py                      everything (hours on two cores)
    python bench/training_proofs.py --only a e --steps 800 --validate-steps 50
    python bench/training_proofs.py --figures            from what has been run already

    a  self-supervised with and without velocity: where the metres come from
    b  64, 16, 8, 4, 2 beams: reprojected distance against plain L1 against no points
    c  one joint network against a prediction-only and a completion-only one of equal cost
    d  two-stream against single-stream pose network
    e  camera height alone

Every run is `mono-depth train` in a process of its own, in a folder of its own below --out; its command is in
results.json. A run that is finished is not run again, one that was interrupted goes on from its last checkpoint. Drives
are simulated first, unless --bags names some (with /truth/depth). Validation is on the last 15 % of every drive, which
no run sees, as for a robot that learns its own surroundings; --validate-on street keeps the whole last drive for it,
another street.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mono_depth_ros.errors import MonoDepthError
from mono_depth_ros.training.checkpoint import Checkpoint, load_checkpoint
from mono_depth_ros.training.config import TrainConfig
from mono_depth_ros.training.curves import read_history
from mono_depth_ros.training.model import TrainedModel
from mono_depth_ros.training.recipe_file import read_recipe
from mono_depth_ros.training.sources import drive_clips, drive_source
from mono_depth_ros.whole_file import write_whole

ROOT = Path(__file__).resolve().parents[1]
TRUTH = "?gt_points=/truth/depth"
BEAMS = (64, 16, 8, 4, 2)
STREET_SEEDS = (11, 12, 13, 21)
SHAPE = "a/without_velocity"
CAMERA_HEIGHT_M = 1.55  # of the simulated robot
DIRECTION_CLIPS = 40
STEPS = {"a": 2400, "b": 800, "c": 400, "d": 2000, "e": 2400}  # as far as two cores come in two hours


@dataclass(frozen=True)
class Run:
    """One training: `steps` relative to those of its experiment (for equal cost), `start` a run to go on from."""

    experiment: str
    name: str
    recipe: str
    overrides: tuple[str, ...] = ()
    steps: float = 1.0
    start: str = ""


def runs() -> list[Run]:
    """All of them, the quickest to read first. Those of e go on from the run without velocity of a."""
    found = [
        Run("a", "without_velocity", "self_supervised"),
        Run("a", "with_velocity", "velocity"),
        Run("e", "camera_height", "camera_height", (f"video.camera_height_m={CAMERA_HEIGHT_M}",), start=SHAPE),
        Run("e", "without_camera_height", "camera_height", ("video.camera_height=0",), start=SHAPE),
        Run("d", "pair", "two_stream", ("pose.source=pair",)),
        Run("d", "two_stream", "two_stream"),
        Run("d", "single_stream", "two_stream", ("pose.source=single_stream",)),
        Run("d", "two_stream_sparsified", "two_stream", ("pose.sparsify=0.5",)),
        Run("d", "pair_velocity_at_once", "velocity", ("pose.source=pair",), 0.5),
    ]  # fmt: skip
    found.append(Run("b", "no_points", "self_supervised"))
    for beams in BEAMS:
        few = f"drive.beams={beams if beams < 64 else 0}"
        found.append(Run("b", f"reprojected_{beams}", "semi_supervised", (few,)))
        found.append(Run("b", f"l1_{beams}", "semi_supervised", (few, "video.reprojected=0", "video.supervised=1")))
    # a joint step costs as much as 1.9 of prediction or 1.5 of completion (bench/training_speed.py)
    found += [
        Run("c", "joint", "joint"),
        Run("c", "prediction_only", "joint", ("modes=prediction",), 1.9),
        Run("c", "completion_only", "joint", ("modes=completion",), 1.5),
    ]
    return found


def simulated(folder: Path, seconds: float, workers: int) -> list[Path]:
    """The drives, simulated where they are missing."""
    bags = []
    for seed in STREET_SEEDS:
        bag = folder / f"street_{seed}"
        if not (bag / "metadata.yaml").exists():
            size = ("--size", "192x64", "--lidar-beams", "64")
            drive = ("--seed", str(seed), "--seconds", str(seconds), "--workers", str(workers))
            subprocess.run([*_cli(), "simulate", "--out", str(bag), *size, *drive], check=True, cwd=ROOT)
        bags.append(bag)
    return bags


def train(run: Run, seed: int, bags: Sequence[Path], args: argparse.Namespace) -> dict[str, Any]:
    """Run one training to its end and return its result; resumes, or only reads what is finished."""
    out = args.out / run.experiment / f"{run.name}_seed{seed}"
    result_file = out / "result.json"
    if result_file.exists():
        return dict(json.loads(result_file.read_text(encoding="utf-8")))
    other_street = args.validate_on == "street"
    overrides = [
        "data=[" + ", ".join(f"bag:{bag}{TRUTH}" for bag in (bags[:-1] if other_street else bags)) + "]",
        *([f"validation=bag:{bags[-1]}{TRUTH}"] if other_street else []),
        f"seed={seed}",
        f"max_steps={round((args.steps or STEPS[run.experiment]) * run.steps)}",
        f"max_minutes={args.minutes or 'null'}",
        f"threads={args.threads}",
        f"precision={args.precision}",
        f"validate_steps={args.validate_steps}",
        *([f"init={args.out / f'{run.start}_seed{seed}' / 'last.ckpt'}"] if run.start else []),
        *run.overrides,
        *args.set,
    ]
    recipe = f"config/train/{run.recipe}.yaml"
    config = read_recipe(ROOT / recipe, overrides)
    command = ["train", recipe, *overrides, "--out", str(out), "--data", str(args.out / "cache"), "--resume"]
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "log.txt", "a", encoding="utf-8") as log:
        subprocess.run([*_cli(), *command], check=True, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    result = {
        **asdict(run),
        "seed": seed,
        "command": "mono-depth " + " ".join(command),
        **outcome(out, config, args.out / "cache"),
    }
    write_whole(result_file, json.dumps(result, indent=1))
    return result


def outcome(out: Path, config: TrainConfig, data_root: Path) -> dict[str, Any]:
    """What a finished run came to: its last scores, and the curve of its validations."""
    checkpoint = load_checkpoint(out / "last.ckpt")
    curve: list[dict[str, float]] = []
    for line in read_history(out):
        if line["scores"] and (not curve or any(curve[-1][k] != v for k, v in line["scores"].items() if v == v)):
            curve.append({"step": line["step"], **line["scores"]})
    state = checkpoint.training_state
    return {
        "steps_done": int(state["step"]),
        "minutes": round(float(state["elapsed_s"]) / 60.0, 2),
        "scores": checkpoint.metadata.accuracy["drive_val"],
        "curve": curve,
        "direction": direction(config, checkpoint, data_root) if checkpoint.pose is not None else None,
    }


@torch.no_grad()
def direction(config: TrainConfig, checkpoint: Checkpoint, data_root: Path) -> float:
    """Mean cosine between predicted and recorded translations of some clips: 1 the right way, -1 backwards."""
    clips, held_out = drive_clips(config, data_root, lambda _done, _total: None)
    source = drive_source(config, clips, held_out)
    model = TrainedModel(checkpoint.depth_network(), checkpoint.pose_network(), "prediction").eval()
    cosines = []
    for first in range(0, DIRECTION_CLIPS, config.batch_size):
        batch = source.batch(range(first, first + config.batch_size))
        assert batch.clips is not None
        seen = (batch.clips.pose_target_rgb, batch.clips.pose_context_rgb)
        predicted = model(batch.rgb, batch.bvu, batch.points_depth_m, *seen).poses[:, :, :3, 3]
        cosines.append(torch.cosine_similarity(predicted, batch.clips.T_context_target[:, :, :3, 3], dim=2))
    return round(float(torch.cat(cosines).mean()), 3)


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results as a Markdown table, means over seeds."""
    lines = [
        "| | run | seeds | steps | minutes | ratio | AbsRel metric | median-scaled | completion AbsRel | direction |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    names = list(dict.fromkeys((result["experiment"], result["name"]) for result in results))
    for experiment, name in names:
        same = [r for r in results if (r["experiment"], r["name"]) == (experiment, name)]
        columns = ("ratio", "abs_rel", "abs_rel_scaled", "completion_abs_rel")
        means = [float(np.mean([r["scores"][column] for r in same])) for column in columns]
        cells = " | ".join("" if np.isnan(mean) else f"{mean:.3f}" for mean in means)
        steps, minutes = (np.mean([r[key] for r in same]) for key in ("steps_done", "minutes"))
        ways = [r["direction"] for r in same if r.get("direction") is not None]
        way = f"{np.mean(ways):.2f}" if ways else ""
        lines.append(f"| {experiment} | {name} | {len(same)} | {steps:.0f} | {minutes:.1f} | {cells} | {way} |")
    return "\n".join(lines)


def draw(results: Sequence[dict[str, Any]], out: Path) -> list[Path]:
    """Figures: curves over iterations per experiment, and AbsRel over beams."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    drawn = []
    for experiment in sorted({result["experiment"] for result in results} - {"b"}):
        figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.4), layout="constrained")
        same = [result for result in results if result["experiment"] == experiment]
        colours = {name: f"C{i}" for i, name in enumerate(dict.fromkeys(result["name"] for result in same))}
        for result in same:
            steps = [point["step"] for point in result["curve"]]
            label = result["name"].replace("_", " ") if result["seed"] == same[0]["seed"] else None
            colour = colours[result["name"]]
            axes[0].plot(steps, [point["ratio"] for point in result["curve"]], color=colour, label=label)
            axes[1].plot(steps, [point["abs_rel"] for point in result["curve"]], color=colour, label=label)
            axes[1].plot(steps, [point["abs_rel_scaled"] for point in result["curve"]], color=colour, linestyle=":")
        axes[0].axhline(1.0, color="0.6", linewidth=0.8)
        axes[0].set(xlabel="iteration", ylabel="median of prediction / truth", ylim=(0.0, None))
        axes[1].set(xlabel="iteration", ylabel="AbsRel (dotted: median-scaled)", ylim=(0.0, 1.0))
        axes[0].legend(frameon=False, fontsize=8)
        drawn.append(_saved(figure, out / f"training_{experiment}.png"))
    beams = [result for result in results if result["experiment"] == "b"]
    if beams:
        figure, axis = plt.subplots(figsize=(5.0, 3.4), layout="constrained")
        for kind, label in (("reprojected", "reprojected distance"), ("l1", "L1 of inverse depth")):
            counts = [n for n in BEAMS if any(r["name"] == f"{kind}_{n}" for r in beams)]
            means = [np.mean([r["scores"]["abs_rel"] for r in beams if r["name"] == f"{kind}_{n}"]) for n in counts]
            axis.plot(counts, means, marker="o", label=label)
        alone = [r["scores"]["abs_rel_scaled"] for r in beams if r["name"] == "no_points"]
        if alone:
            axis.axhline(float(np.mean(alone)), color="0.5", linestyle=":", label="no points, scaled by truth")
        axis.set_xscale("log")
        axis.set_xticks(BEAMS, labels=[str(count) for count in BEAMS])
        axis.set_xticks([], minor=True)
        axis.set(xlabel="beams", ylabel="AbsRel, metric")
        axis.set_ylim(bottom=0.0)
        axis.legend(frameon=False, fontsize=8)
        drawn.append(_saved(figure, out / "training_b.png"))
    return drawn


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=120)
    return path


def _cli() -> list[str]:
    return [sys.executable, "-m", "mono_depth_ros.cli.main"]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=["a", "b", "c", "d", "e"], choices=["a", "b", "c", "d", "e"])
    parser.add_argument("--runs", nargs="+", help="only runs with these names, for example l1_4 reprojected_4")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    own = ", ".join(f"{experiment} {steps}" for experiment, steps in STEPS.items())
    parser.add_argument("--steps", type=int, help=f"of a run (default: {own})")
    parser.add_argument("--minutes", type=float, help="a run ends after so many, whatever its steps")
    parser.add_argument("--validate-steps", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    parser.add_argument("--precision", default="bf16-mixed", help="or 32-true (default: %(default)s)")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="more overrides for every run")
    parser.add_argument("--validate-on", choices=["tail", "street"], default="tail")
    parser.add_argument("--bags", nargs="+", type=Path, help="drives with /truth/depth")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each simulated drive (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="that render (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/proofs"))
    parser.add_argument("--figures", action="store_true", help="run nothing, draw what there is")
    args = parser.parse_args(argv)
    args.out = args.out.absolute()
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run, collect, draw; 1 if a run failed (the others go on)."""
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    failed = []
    if not args.figures:
        bags = [bag.absolute() for bag in args.bags or simulated(args.out / "bags", args.seconds, args.workers)]
        chosen = [run for run in runs() if run.experiment in args.only and (not args.runs or run.name in args.runs)]
        for seed in args.seeds:
            for run in chosen:
                began = time.monotonic()
                print(f"{run.experiment} {run.name} seed {seed} ...", end=" ", flush=True)
                try:
                    result = train(run, seed, bags, args)
                except (subprocess.CalledProcessError, MonoDepthError, OSError) as error:
                    failed.append(run.name)
                    print(f"failed: {error}; see {args.out / run.experiment / f'{run.name}_seed{seed}' / 'log.txt'}")
                    continue
                scores = ", ".join(f"{name} {value:.3f}" for name, value in result["scores"].items())
                print(f"{(time.monotonic() - began) / 60:.1f} min: {scores}", flush=True)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(args.out.glob("*/*/result.json"))]
    (args.out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(table(results))
    for path in draw(results, args.out):
        print(f"wrote {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
