#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What helps on real images: small networks, each trained with one idea changed, scored on drives never trained on.

    python bench/experiments.py                          every row (hours on two cores)
    python bench/experiments.py --only baseline chaos_only --steps 600
    python bench/experiments.py --table                  from what has been run already

Every row is `mono-depth train` from nothing on small rendered images, `mono-depth export`, and `mono-depth evaluate`
on recorded drives (--recorded; rows without them say so) and on rendered streets that no row has seen. The baseline
runs with two seeds: their spread is the noise that a difference has to beat. A row that is finished is not run again,
one that was interrupted goes on where it was, one that fails says why and the others go on. Two of these commands with
different rows may share an --out. The commands of a row are in its result.json, all rows in results.json, the table in
table.md.

Whether points should scale the prediction before completion needs no row of its own: compare in every row the network
alone with the completion, which goes through its points.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mono_depth_ros.errors import ConfigError, MonoDepthError
from mono_depth_ros.training.checkpoint import load_checkpoint
from mono_depth_ros.whole_file import write_whole

ROOT = Path(__file__).resolve().parents[1]
RECIPE = "config/train/street.yaml"
SMALL = (
    "rendered.width_px=192", "rendered.height_px=64", "trained_fx_px=111", "rendered.train_images=2400",
    "rendered.val_images=80", "validate_images=80", "network.widths=[16, 16, 24, 32, 48, 64]", "render_workers=1",
    # whatever the recipe has
    "network.prior=false", "network.image_input=rgb", "network.sparse_encoding=inverse", "network.norm_groups=1",
)  # fmt: skip
STREET_SEEDS = (901, 903, 904, 905, 907, 908)  # of rendered streets to score on; training draws seeds of 62 bits
BASELINE = "baseline"
COLOURS = (
    "channel_shuffle", "grey", "gain_sigma", "gamma_sigma", "contrast_sigma", "channel_gain_sigma", "blur",
    "noise_sigma",
)  # fmt: skip

Result = dict[str, Any]
Scores = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Row:
    """One idea: what it changes in the recipe, and the seeds it runs with unless --seeds says otherwise."""

    name: str
    overrides: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)


def rows() -> list[Row]:
    """All of them."""
    return [
        Row(BASELINE, seeds=(0, 1)),
        Row("narrow_cameras", ("rendered.driver_share=1", "rendered.chaos_share=0", "rendered.indoor_share=0")),
        Row("no_chaos", ("rendered.chaos_share=0",)),
        Row("chaos_only", ("rendered.chaos_share=1", "rendered.indoor_share=0")),
        Row("no_photometric_augmentation", tuple(f"augmentation.{name}=0" for name in COLOURS)),
        Row("local_contrast_input", ("network.image_input=local_contrast",)),
        Row("norm_groups_4", ("network.norm_groups=4",)),
        Row("norm_groups_16", ("network.norm_groups=16",)),
        Row("no_focal_normalisation", ("focal_normalisation=false",)),
        Row("depth_encoding", ("network.sparse_encoding=depth",)),
        Row("log_encoding", ("network.sparse_encoding=log",)),
        Row("densified_prior", ("network.prior=true",)),
        Row("no_masked_images", ("augmentation.empty=0", "augmentation.rescale=0")),
        Row("more_masked_images", ("augmentation.empty=0.35", "augmentation.rescale=0.35")),
        Row("beams_only", ("points.scattered=0", "points.single_row=0", "points.few=0", "points.none=0")),
        Row("sparsity_consistency", ("objectives.sparsity_weight=0.3",)),
    ]


@dataclass(frozen=True)
class Trial:
    """What a model is scored on: a name, and the arguments of `mono-depth evaluate`."""

    name: str
    arguments: tuple[str, ...]


def trials(recorded: Path, cache: Path) -> list[Trial]:
    """The drives that are there, and the rendered streets.

    Args:
        recorded: folder with `kitti_drive` and `ddad_parked`.
        cache: folder for the frames of the streets.
    """
    found = []
    kitti, ddad = recorded / "kitti_drive", recorded / "ddad_parked"
    beams = "points=/lidar/points_4beam&gt_points=/lidar/points&truth_scale=0.5"
    if kitti.exists():
        half = f"bag:{kitti}?camera=/camera_02&points=/lidar/points&gt_points=/lidar/points&truth_scale=0.5&beams=32"
        found += [
            Trial("kitti", ("--data", f"bag:{kitti}?camera=/camera_02&{beams}")),
            Trial("kitti_half", ("--data", half)),
        ]
    if ddad.exists():
        cameras = [("--data", f"bag:{ddad}?camera=/camera_{number}&{beams}") for number in ("05", "06")]
        found.append(Trial("ddad", (*cameras[0], *cameras[1], "--max-depth-m", "200")))
    streets = [f"synthetic:street?seed={seed}&seconds=0.2&lidar_beams=4&cache={cache}" for seed in STREET_SEEDS]
    found.append(Trial("street", (*(part for url in streets for part in ("--data", url)), "--protocol", "synthetic")))
    return found


def run_row(row: Row, seed: int, args: argparse.Namespace) -> Result:
    """Train, export and score one row; goes on where it was, or only reads what is finished.

    Raises:
        ConfigError: the folder holds a run with other settings.
        RuntimeError: a command failed; with the end of its output.
    """
    out = args.out / f"{row.name}_seed{seed}"
    log, result_file = out / "log.txt", out / "result.json"
    wanted = [
        *SMALL,
        f"seed={seed}",
        f"max_steps={args.steps}",
        f"validate_steps={args.steps + 1}",  # at the end alone
        f"max_minutes={args.minutes or 'null'}",
        f"threads={args.threads}",
        f"precision={args.precision}",
        *row.overrides,
        *args.set,
    ]
    out.mkdir(parents=True, exist_ok=True)
    settings_file = out / "overrides.json"
    if (out / "last.ckpt").exists() and json.loads(settings_file.read_text(encoding="utf-8")) != wanted:
        raise ConfigError(f"{out}: holds a run with other settings ({settings_file.name}); choose another --out")
    write_whole(settings_file, json.dumps(wanted, indent=1))
    if result_file.exists():
        result: Result = json.loads(result_file.read_text(encoding="utf-8"))
    else:
        train = ["train", RECIPE, *wanted, "--out", str(out), "--data", str(args.out / "cache"), "--resume"]
        export = ["export", str(out / "last.ckpt"), "--out", str(out / "model")]
        for command in (train, export):
            _command(command, log)
        result = {
            "name": row.name, "seed": seed, "overrides": list(row.overrides), **_cost(out),
            "commands": [_shown(train), _shown(export)], "scores": {},
        }  # fmt: skip
        write_whole(result_file, json.dumps(result, indent=1))
    for trial in trials(args.recorded, args.out / "cache"):
        if trial.name not in result["scores"]:
            folder = out / trial.name
            command = ["evaluate", "--network-only", "--model", str(out / "model")]
            command += [*trial.arguments, "--out", str(folder)]
            _command(command, log)
            result["commands"].append(_shown(command))
            result["scores"][trial.name] = json.loads((folder / "results.json").read_text(encoding="utf-8"))["scores"]
            write_whole(result_file, json.dumps(result, indent=1))
    return result


def _cost(out: Path) -> dict[str, float]:
    """Length and speed of a finished training."""
    state = load_checkpoint(out / "last.ckpt").training_state
    return {"steps": int(state["step"]), "minutes": round(float(state["elapsed_s"]) / 60.0, 2)}


def _command(arguments: Sequence[str], log: Path) -> None:
    """Run `mono-depth`; its output goes to the end of the log. Raises RuntimeError with the last line of it."""
    with open(log, "a", encoding="utf-8") as file:
        file.write(f"$ {_shown(arguments)}\n")
        file.flush()
        done = subprocess.run(
            [sys.executable, "-m", "mono_depth_ros.cli.main", *arguments], cwd=ROOT, stdout=file, stderr=file
        )
    if done.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RuntimeError(f"{arguments[0]}: {lines[-1] if lines else done.returncode} ({log})")


def _shown(arguments: Sequence[str]) -> str:
    return shlex.join(["mono-depth", *arguments])


@dataclass(frozen=True)
class Column:
    """A column of the table: one metric of one method in one trial."""

    title: str
    trial: str
    method: str
    metric: str = "abs_rel"

    def value(self, scores: Scores, method: str = "") -> float:
        """The metric of the column's method, or of another one; NaN where there is none."""
        return scores.get(self.trial, {}).get(method or self.method, {}).get(self.metric, float("nan"))


COLUMNS = (
    Column("KITTI prediction", "kitti", "prediction"),
    Column("scaled by points", "kitti", "prediction_median_scaled"),
    Column("4 beams, network", "kitti", "completion_network"),
    Column("RMSE", "kitti", "completion_network", "rmse"),
    Column("4 beams, completion", "kitti", "completion"),
    Column("RMSE", "kitti", "completion", "rmse"),
    Column("half the lines", "kitti_half", "completion"),
    Column("DDAD 4 beams", "ddad", "completion"),
    Column("street prediction", "street", "prediction"),
    Column("street 4 beams", "street", "completion"),
)
UNLEARNED = ("nearest", "classical")


def table(results: Sequence[Result]) -> str:
    """All rows as a Markdown table: means over seeds, in brackets the difference to the mean of the baseline.

    AbsRel where a title says nothing else, RMSE in metres; "-" was not scored. Below the baseline stands by how much
    its seeds differ, at the end what methods without learning reach.
    """
    head = ["idea", "changes", "steps / min", *(column.title for column in COLUMNS)]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "---:|" * (len(COLUMNS) + 1)]
    names = dict.fromkeys(result["name"] for result in results)
    order = sorted(names, key=[row.name for row in rows()].index)
    values = {n: np.array([[c.value(r["scores"]) for c in COLUMNS] for r in results if r["name"] == n]) for n in order}
    baseline = values[BASELINE].mean(axis=0) if BASELINE in values else np.full(len(COLUMNS), np.nan)
    for name in order:
        same = [result for result in results if result["name"] == name]
        speed = sum(r["steps"] for r in same) / max(sum(r["minutes"] for r in same), 1e-9)
        facts = [
            name if len(same) == 1 else f"{name}, {len(same)} seeds",
            "<br>".join(f"`{text}`" for text in same[0]["overrides"]),
            f"{speed:.0f}",
        ]
        mean = values[name].mean(axis=0)
        lines.append(_line(facts, mean, np.full(len(COLUMNS), np.nan) if name == BASELINE else mean - baseline))
        if name == BASELINE and len(same) > 1:
            lines.append(_line([f"{name}, largest less smallest", "the seed", ""], np.ptp(values[name], axis=0)))
    for method in UNLEARNED if results else ():
        beside = [column.value(results[0]["scores"], method) if _completes(column) else np.nan for column in COLUMNS]
        lines.append(_line([method, "not learned", ""], np.array(beside)))
    return "\n".join(lines)


def _completes(column: Column) -> bool:
    return column.method.startswith("completion")


def _line(facts: Sequence[str], values: Any, differences: Any = None) -> str:
    """A line of the table; NaN is "-", and no difference."""
    cells = []
    for column, value, difference in zip(
        COLUMNS, values, np.full(len(COLUMNS), np.nan) if differences is None else differences, strict=True
    ):
        digits = 2 if column.metric == "rmse" else 3
        behind = "" if np.isnan(difference) else f" ({difference:+.{digits}f})"
        cells.append("-" if np.isnan(value) else f"{value:.{digits}f}{behind}")
    return f"| {' | '.join([*facts, *cells])} |"


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    names = [row.name for row in rows()]
    shared = Path(os.environ.get("MONO_DEPTH_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", default=names, help=", ".join(names))
    parser.add_argument("--seeds", nargs="+", type=int, help="of every row (default: 0, of the baseline 0 and 1)")
    parser.add_argument("--steps", type=int, default=1200, help="of a row (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help="a row's training ends after so many, whatever its steps")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: %(default)s)")
    parser.add_argument("--precision", default="bf16-mixed", help="or 32-true (default: %(default)s)")
    parser.add_argument("--set", nargs="+", default=[], metavar="key=value", help="more overrides for every row")
    parser.add_argument(
        "--recorded", type=Path, default=shared / "data", help="folder of the recorded drives (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("out/experiments"), help="(default: %(default)s)")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of what there is")
    args = parser.parse_args(argv)
    args.out, args.recorded = args.out.absolute(), args.recorded.absolute()
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run, collect, print; 1 if a row failed."""
    args = parse(argv)
    failed = 0 if args.table else run_all(args)
    files = sorted(args.out.glob("*/result.json"))
    results = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    args.out.mkdir(parents=True, exist_ok=True)
    write_whole(args.out / "results.json", json.dumps(results, indent=1))
    text = table(results)
    (args.out / "table.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 1 if failed else 0


def run_all(args: argparse.Namespace) -> int:
    """The chosen rows, one after another; returns how many failed."""
    there = {trial.name for trial in trials(args.recorded, args.out)}
    missing = sorted({column.trial for column in COLUMNS} - there)
    if missing:
        print(f"not scored, as there are no such drives in {args.recorded} (--recorded): {', '.join(missing)}")
    chosen = [row for row in rows() if row.name in args.only]
    runs = [(row, seed) for row in chosen for seed in args.seeds or row.seeds]
    failed = 0
    for number, (row, seed) in enumerate(runs, start=1):
        began = time.monotonic()
        print(f"{number}/{len(runs)} {row.name} seed {seed} ...", end=" ", flush=True)
        try:
            result = run_row(row, seed, args)
        except (MonoDepthError, RuntimeError, OSError) as error:
            failed += 1
            print(f"failed: {error}", flush=True)
            continue
        found = ((column, column.value(result["scores"])) for column in COLUMNS if column.metric == "abs_rel")
        scores = "; ".join(f"{column.title} {value:.3f}" for column, value in found if not np.isnan(value))
        print(f"{(time.monotonic() - began) / 60:.1f} min: {scores}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
