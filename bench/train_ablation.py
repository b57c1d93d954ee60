#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an idea for training is worth: a recipe with and without it, several seeds each, scored as the model card is.

    python bench/train_ablation.py config/train/street.yaml --seeds 0 1 2 --jobs 2 \\
        --all max_minutes=14 threads=1 'shapes=[[320, 96]]' \\
        --arm tuned \\
        --arm frozen optimiser.encoder_rate=0.0 \\
        --arm 'from nothing' encoder_weights= network.folded_norms=false optimiser.encoder_rate=1.0

Every run is `mono-depth train`, `mono-depth export`, and runs of model_card.py (`--runs`). What is done is not done
again, and what was interrupted goes on. An arm's numbers are the mean over its seeds, with half of what lies
between the best and the worst. With more than one job give each its own thread, and nothing else to this machine:
where a recipe ends by the minute, an arm that trains faster sees more images, which is what one wants to know.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from model_card import ROOT, RUNS, measured
from tqdm import tqdm

METHODS = ("prediction", "prediction_median_scaled", "completion_network", "completion")


def trained_model(recipe: Path, name: str, seed: int, overrides: Sequence[str], out: Path, data: Path) -> Path:
    """The folder of the exported model of one arm and seed; trains and exports it where that is not done.

    Raises:
        subprocess.CalledProcessError: a command failed; what it printed is in OUT/NAME-SEED.txt.
    """
    folder = out / f"{re.sub('[^a-z0-9]+', '_', name.lower())}-{seed}"
    model = folder / "model"
    if (model / "model.json").is_file():
        return model
    command = [sys.executable, "-m", "mono_depth_ros.cli.main"]
    train = ["train", str(recipe), *overrides, f"seed={seed}", "--out", str(folder), "--data", str(data), "--resume"]
    export = ["export", str(folder / "last.ckpt"), "--out", str(model)]
    with folder.with_suffix(".txt").open("a", encoding="utf-8") as told:
        for arguments in (train, export):
            subprocess.run([*command, *arguments], cwd=ROOT, stdout=told, stderr=told, check=True)
    return model


def table(scores: Mapping[str, Sequence[Mapping[str, Any]]], runs: Sequence[str]) -> str:
    """AbsRel of every arm (its results.json by run, one mapping per seed): mean and half of the span of its seeds."""
    first = next(iter(scores.values()))[0]
    columns = [(run, method) for run in runs for method in METHODS if method in first[run]["scores"]]
    lines = ["| AbsRel | " + " | ".join(f"{run}: {method.replace('_', ' ')}" for run, method in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name, seeds in scores.items():
        cells = []
        for run, method in columns:
            found = [seed[run]["scores"][method]["abs_rel"] for seed in seeds]
            cells.append(f"{sum(found) / len(found):.3f} ± {(max(found) - min(found)) / 2:.3f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--arm", nargs="+", action="append", required=True, metavar=("NAME", "KEY=VALUE"))
    parser.add_argument("--all", nargs="+", default=[], metavar="KEY=VALUE", help="of every arm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", nargs="+", choices=tuple(RUNS), default=["kitti", "ddad"], help="of model_card.py")
    parser.add_argument("--limit", type=int, default=12, help="images of each (default: %(default)s)")
    parser.add_argument("--recorded", type=Path, default=ROOT.parent / "shared" / "data", help="recorded drives")
    parser.add_argument("--data", type=Path, default=ROOT / "out" / "train" / "data", help="rendered images")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "ablation")
    parser.add_argument("--jobs", type=int, default=1, help="at a time (default: %(default)s)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [(arm, seed) for seed in args.seeds for arm in args.arm]

    def scored(job: tuple[Sequence[str], int]) -> dict[str, Any]:
        (name, *own), seed = job
        model = trained_model(args.recipe.resolve(), name, seed, [*args.all, *own], args.out, args.data)
        scores = model.parent / "scores"
        scores.mkdir(exist_ok=True)
        return {run: measured(run, model.resolve(), scores, args.recorded, args.limit) for run in args.runs}

    with ThreadPoolExecutor(args.jobs) as pool:
        found = list(tqdm(pool.map(scored, jobs), total=len(jobs), desc="train and score", unit="run"))
    arms = {arm[0]: [one for (other, _), one in zip(jobs, found, strict=True) if other is arm] for arm in args.arm}
    print(table(arms, args.runs))


if __name__ == "__main__":
    main()
