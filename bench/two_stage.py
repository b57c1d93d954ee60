#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two-stage training against infinite depth, on simulated drives: train, audit, train again without what was found.

    python bench/two_stage.py --seeds 0 1 2 --jobs 2        hours on two cores; what is done is not done again
    python bench/two_stage.py --table                       from what there is

Of the drives that a network learns from, some follow a car at exactly their own speed (`--following` of `--drives`).
Both stages are the same recipe with the same seed; the second leaves out what the audit of the first has found. They
are scored on drives that neither has seen. "Planted" are frames with such a car in view, "clean" all others.
Without the auto-mask (`--automask` keeps it) nothing but the audit stands between a network and infinite depth.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mono_depth_ros.datasets.open_dataset import open_dataset
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.evaluation.audit import audit_image
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.synthetic.render.labels import Label
from mono_depth_ros.synthetic.street.scene import random_street
from mono_depth_ros.whole_file import write_whole

ROOT = Path(__file__).resolve().parents[1]
FIRST_SEED, SECONDS, MOST_M = 301, 20.0, 80.0
LEAD_BESIDE_M, LEAD_AHEAD_M = 1.3, 40.0  # the car ahead in our lane
PLANTED_SHARE = 0.002  # of the image: fewer pixels of it could not be found


@dataclass(frozen=True)
class Drives:
    """Bags by whether they follow a car."""

    learned: tuple[Path, ...]
    unseen_following: tuple[Path, ...]
    unseen_free: tuple[Path, ...]


def cli(*arguments: str, log: Path) -> None:
    """Runs `mono-depth`; raises CalledProcessError."""
    with log.open("a", encoding="utf-8") as told:
        command = [sys.executable, "-m", "mono_depth_ros.cli.main", *arguments]
        subprocess.run(command, cwd=ROOT, stdout=told, stderr=told, check=True)


def street_length_m(seed: int) -> float:
    """As `mono-depth simulate` furnishes it."""
    return max(140.0, 1.2 * float(np.random.default_rng([seed, 3]).uniform(5.0, 8.0)) * SECONDS + 60.0)


def simulated(args: argparse.Namespace) -> Drives:
    """The drives, simulated where they are missing."""
    follows: dict[bool, list[Path]] = {True: [], False: []}
    wanted = {True: args.following + args.unseen, False: args.drives - args.following + args.unseen}
    seed = FIRST_SEED
    while any(len(follows[kind]) < wanted[kind] for kind in follows):
        kind = random_street(seed, street_length_m(seed)).lead >= 0
        if len(follows[kind]) < wanted[kind]:
            bag = args.out / "bags" / f"{'following' if kind else 'free'}_{seed}"
            if not (bag / "metadata.yaml").exists():
                size = ("--size", "192x64", "--sensors", "odom", "--seconds", str(SECONDS), "--workers", str(args.jobs))
                cli("simulate", "--out", str(bag), "--seed", str(seed), *size, log=args.out / "simulate.txt")
            follows[kind].append(bag)
        seed += 1
    learned = follows[True][: args.following] + follows[False][: args.drives - args.following]
    return Drives(
        tuple(learned),
        tuple(follows[True][args.following :]),
        tuple(follows[False][args.drives - args.following :]),
    )


def stages(seed: int, drives: Drives, args: argparse.Namespace) -> dict[str, Any]:
    """Both stages of one seed, and what they come to."""
    out = args.out / f"seed{seed}"
    done = out / "result.json"
    if done.exists():
        return dict(json.loads(done.read_text(encoding="utf-8")))
    out.mkdir(parents=True, exist_ok=True)
    log, exclude = out / "log.txt", out / "audit" / "exclude.json"
    data = "data=[" + ", ".join(f"bag:{bag}" for bag in drives.learned) + "]"
    common = [
        f"seed={seed}",
        f"max_steps={args.steps}",
        "precision=32-true",
        "threads=1",
        "channels_last=true",
        *args.set,
    ]
    common += [] if args.automask else ["video.appearance.automask=false"]
    result: dict[str, Any] = {"seed": seed, "steps": args.steps, "automask": args.automask}
    for stage, without in (("first", ()), ("second", (f"exclude={exclude}",))):
        run = ["config/train/velocity.yaml", data, "drive.held_out=0.02", *common, *without]
        cli("train", *run, "--out", str(out / stage), "--data", str(args.out / "cache"), "--resume", log=log)
        model = out / f"{stage}_model"
        cli("export", str(out / stage / "last.ckpt"), "--out", str(model), log=log)
        if stage == "first":
            bags = [part for bag in drives.learned for part in ("--data", str(bag))]
            cli("audit", "--model", str(model), *bags, "--out", str(exclude.parent), log=log)
        result[stage] = {
            name: scored(model, bags)
            for name, bags in (
                ("learned", drives.learned),
                ("following", drives.unseen_following),
                ("free", drives.unseen_free),
            )
        }
    write_whole(done, json.dumps(result, indent=1))
    return result


def scored(model: Path, bags: Sequence[Path]) -> dict[str, float]:
    """What a model makes of some drives: AbsRel, that of the car ahead, and holes in planted and in clean frames."""
    engine = OnnxEngine(model)
    errors: list[float] = []
    of_lead: list[float] = []
    found: dict[bool, list[bool]] = {True: [], False: []}
    for bag in bags:
        for sample in open_dataset(f"bag:{bag}?points=none&gt_points=/truth/depth"):
            audited = audit_image(engine, sample, str(bag))
            if sample.truth_depth_m is None:
                continue
            size = (sample.camera.width_px, sample.camera.height_px)
            depth = np.minimum(cv2.resize(audited.depth_m, size, interpolation=cv2.INTER_LINEAR), MOST_M)
            with np.errstate(invalid="ignore"):
                known = sample.truth_depth_m < MOST_M
                error = np.abs(depth - sample.truth_depth_m) / sample.truth_depth_m
            lead = known & lead_pixels(sample)
            planted = bool(lead.mean() >= PLANTED_SHARE) and "following" in bag.name
            errors.append(float(error[known].mean()))
            if planted:
                of_lead.append(float(error[lead].mean()))
            found[planted].append(audited.frame.is_hole)
    return {
        "images": len(errors),
        "abs_rel": float(np.mean(errors)),
        "lead_abs_rel": float(np.mean(of_lead)) if of_lead else float("nan"),
        "planted": len(found[True]),
        "holes_planted": float(np.mean(found[True])) if found[True] else float("nan"),
        "holes_clean": float(np.mean(found[False])) if found[False] else float("nan"),
    }


def lead_pixels(sample: DepthSample) -> Any:
    """bool [H, W], the car ahead in our lane."""
    assert sample.labels is not None and sample.truth_depth_m is not None
    beside_m = np.abs(sample.camera.rays()[..., 0] * sample.truth_depth_m)
    with np.errstate(invalid="ignore"):
        ahead = (beside_m < LEAD_BESIDE_M) & (sample.truth_depth_m < LEAD_AHEAD_M)
    return ahead & (sample.labels == int(Label.CAR))


def table(results: Sequence[dict[str, Any]]) -> str:
    """Mean and half of the span over seeds."""
    lines = [
        "| drives | stage | images | AbsRel | AbsRel of the car ahead | holes: planted | clean |",
        "|---|---|---|---|---|---|---|",
    ]
    for drives in ("learned", "following", "free"):
        for stage in ("first", "second"):
            own = [result[stage][drives] for result in results]

            def cell(key: str, percent: bool = False, own: Sequence[dict[str, float]] = own) -> str:
                values = np.array([one[key] for one in own]) * (100.0 if percent else 1.0)
                if np.isnan(values).all():
                    return "-"
                mean, half = np.nanmean(values), (np.nanmax(values) - np.nanmin(values)) / 2
                return f"{mean:.1f} ± {half:.1f} %" if percent else f"{mean:.3f} ± {half:.3f}"

            cells = [cell("abs_rel"), cell("lead_abs_rel"), cell("holes_planted", True), cell("holes_clean", True)]
            lines.append(f"| {drives} | {stage} | {own[0]['images']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Simulate, train, audit, train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2000, help="of each stage (default: %(default)s)")
    parser.add_argument("--drives", type=int, default=6, help="to learn from (default: %(default)s)")
    parser.add_argument("--following", type=int, default=2, help="of them that follow a car (default: %(default)s)")
    parser.add_argument("--unseen", type=int, default=2, help="of either kind to score on (default: %(default)s)")
    parser.add_argument("--automask", action="store_true", help="train with it")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="more overrides for every run")
    parser.add_argument("--jobs", type=int, default=1, help="seeds at a time (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("out/two_stage"))
    parser.add_argument("--table", action="store_true", help="run nothing")
    args = parser.parse_args()
    args.out = args.out.absolute()
    args.out.mkdir(parents=True, exist_ok=True)
    if not args.table:
        drives = simulated(args)
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(lambda seed: stages(seed, drives, args), args.seeds))
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(args.out.glob("seed*/result.json"))]
    print(table(found))


if __name__ == "__main__":
    main()
