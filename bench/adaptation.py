#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A shipped model goes on learning on the first images of a recorded drive, and is scored on the rest of it.

    python bench/adaptation.py --recorded FOLDER [--steps 400]

Runs `mono-depth train config/train/adaptation.yaml` on the first 30 images of kitti_stereo_drive (grey, 12 m/s, no
LiDAR) with the motions of its odometry, exports, and runs `mono-depth evaluate` before and after on the 21 images that
follow, against depth from stereo matching to 40 m, and on kitti_drive, another drive with another camera, for what was
forgotten. Writes OUT/adaptation.png (curves), OUT/before and OUT/after with report.html (pictures of the recorded
drive, for the eye only), and prints a Markdown table.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mono_depth_ros.training.curves import read_history
from mono_depth_ros.whole_file import whole_file

ROOT = Path(__file__).resolve().parents[1]
LEARNED = 30  # images of the drive, from its beginning
Scores = Mapping[str, Mapping[str, float]]


def command(arguments: Sequence[str], out: Path) -> None:
    """Run `mono-depth`, its output into OUT/log.txt."""
    shown = shlex.join(["mono-depth", *arguments])
    print(shown, file=sys.stderr, flush=True)
    with open(out / "log.txt", "a", encoding="utf-8") as log:
        log.write(f"$ {shown}\n")
        log.flush()
        call = [sys.executable, "-m", "mono_depth_ros.cli.main", *arguments]
        subprocess.run(call, cwd=ROOT, stdout=log, stderr=log, check=True)


def scored(model: str, name: str, args: argparse.Namespace) -> dict[str, Scores]:
    """What a model reaches on the rest of the drive, as it is and scaled by truth, and on the other drive."""
    beams = "points=/lidar/points_4beam&gt_points=/lidar/points&truth_scale=0.5"
    rest = ("--data", f"{drive(args.recorded)}&skip={LEARNED}", "--max-depth-m", "40")
    trials = {
        "rest": rest,
        "rest_scaled": (*rest, "--scaling", "median"),
        "other": ("--data", f"bag:{args.recorded / 'kitti_drive'}?camera=/camera_02&{beams}"),
    }
    found = {}
    for trial, arguments in trials.items():
        folder = args.out / name / trial
        command(["evaluate", "--network-only", "--model", model, *arguments, "--out", str(folder)], args.out)
        found[trial] = json.loads((folder / "results.json").read_text(encoding="utf-8"))["scores"]
    return found


def drive(recorded: Path) -> str:
    """URL of the drive with its truth."""
    return f"bag:{recorded / 'kitti_stereo_drive'}?camera=/camera_00&truth_npz={recorded / 'gt' / 'kitti_stereo_drive'}"


def table(before: dict[str, Scores], after: dict[str, Scores], history: Sequence[dict[str, Any]]) -> str:
    """Before and after, as Markdown."""
    columns = (
        ("rest of the drive: AbsRel / RMSE m", "rest", "prediction"),
        ("scaled by truth", "rest_scaled", "prediction"),
        ("other drive: prediction", "other", "prediction"),
        ("other drive: 4 beams", "other", "completion"),
    )
    ratios = [line["scores"]["ratio"] for line in (history[0], history[-1])]
    lines = [f"| | {' | '.join(title for title, _, _ in columns)} | ratio |", "|---|" + "---|" * (len(columns) + 1)]
    for name, scores, ratio in (("before", before, ratios[0]), ("after", after, ratios[1])):
        cells = [scores[trial][method] for _, trial, method in columns]
        shown = " | ".join(f"{cell['abs_rel']:.3f} / {cell['rmse']:.2f}" for cell in cells)
        lines.append(f"| {name} | {shown} | {ratio:.2f} |")
    return "\n".join(lines)


def draw(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Photometric error in training, AbsRel and ratio on the images that follow, over the steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(10.0, 3.0), layout="constrained")
    learning = [line for line in history if "photometric" in line["losses"]]
    axes[0].plot([line["step"] for line in learning], [line["losses"]["photometric"] for line in learning])
    axes[0].set(xlabel="step", ylabel="photometric error, training", ylim=(0.0, None))
    steps = [line["step"] for line in history]
    for score, label in (("abs_rel", "metric"), ("abs_rel_scaled", "median-scaled")):
        axes[1].plot(steps, [line["scores"][score] for line in history], label=label)
    axes[1].set(xlabel="step", ylabel="AbsRel, to 80 m", ylim=(0.0, None))
    axes[1].legend(frameon=False, fontsize=8)
    axes[2].plot(steps, [line["scores"]["ratio"] for line in history])
    axes[2].axhline(1.0, color="0.6", linewidth=0.8)
    axes[2].set(xlabel="step", ylabel="median of prediction / truth")
    with whole_file(path) as beside:
        figure.savefig(beside, dpi=110)


def main() -> int:
    """Adapt, score, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(os.environ.get("MONO_DEPTH_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--model", default="models/street", help="to start from (default: %(default)s)")
    parser.add_argument("--recorded", type=Path, default=shared / "data", help="default: %(default)s")
    parser.add_argument("--steps", type=int, help="default: those of the recipe")
    parser.add_argument("--set", nargs="+", default=[], metavar="key=value", help="more overrides of the recipe")
    parser.add_argument("--out", type=Path, default=Path("out/adaptation"), help="default: %(default)s")
    args = parser.parse_args()
    args.out, args.recorded = args.out.absolute(), args.recorded.absolute()
    args.out.mkdir(parents=True, exist_ok=True)
    url, run = drive(args.recorded), args.out / "run"
    steps = [f"max_steps={args.steps}"] if args.steps else []
    data = [f"data={url}&limit={LEARNED}", f"validation={url}&skip={LEARNED}", f"init={args.model}"]
    where = ["--out", str(run), "--data", str(args.out / "cache")]
    began = time.monotonic()
    command(["train", "config/train/adaptation.yaml", *data, *steps, *args.set, *where], args.out)
    minutes = (time.monotonic() - began) / 60.0
    command(["export", str(run / "last.ckpt"), "--out", str(args.out / "model")], args.out)
    before, after = scored(args.model, "before", args), scored(str(args.out / "model"), "after", args)
    history = read_history(run)
    draw(history, args.out / "adaptation.png")
    print(table(before, after, history))
    print(f"\ntraining: {minutes:.1f} minutes, {history[-1]['step']} steps; {args.out / 'adaptation.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
