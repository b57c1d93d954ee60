#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every number of a model card: runs the commands, prints the tables, and on demand writes them where they are shown.

    python bench/model_card.py                                     prints all tables
    python bench/model_card.py --only targets recorded             some tables, with the runs that they need
    python bench/model_card.py --limit 2                           a quick look; numbers of two images each
    python bench/model_card.py --write                             tables and curves into models/, docs/ and README.md

A run is `mono-depth evaluate` or `mono-depth dropout-curve`. What was run with the same weights and options is not run
again, and what was interrupted goes on where it stopped. The recorded drives are those that the tests use; where they
are absent, tables that need them are left out.

Other numbers that rest on the shipped weights, each with its command beside it: docs/perception.md (lidar_memory.py,
scale_sources.py, scale_watch.py), docs/other_networks.md (stand_in_network.py), docs/depth_node.md (node_load.py,
node_on_drive.py), docs/rig.md (rig_batch.py, rig_on_drive.py), README.md (`make demo`).
"""

import argparse
import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_card_tables import SHAPES, TABLES

from mono_depth_ros.datasets.rendered.rendered_cache import GENERATOR_VERSION
from mono_depth_ros.errors import ConfigError, MonoDepthError
from mono_depth_ros.evaluation.dropout.kept_lines import VERSION
from mono_depth_ros.inference.contract import load_contract
from mono_depth_ros.whole_file import write_whole

ROOT = Path(__file__).resolve().parents[1]
# Seeds of drives that no recipe renders: training draws its worlds from seeds of its own.
STREETS = (901, 903, 904, 905)
KITTI = ("--data", "kitti_drive", "--camera", "/camera_02")
SPARSE, DENSE = ("--points", "/lidar/points_4beam"), ("--gt-points", "/lidar/points")
HALF_GRID = ("--truth-scale", "0.5")
EIGEN = (*KITTI, "--points", "none", *DENSE, "--protocol", "kitti_eigen")
STEREO = "bag:kitti_stereo_drive?camera=/camera_00&"
FILES = {  # what a run writes -> where it is shown
    ("curve_street", "dropout_curve.csv"): "docs/curves/street_rendered.csv",
    ("curve_street", "dropout_curve.png"): "docs/images/dropout_curve_street.png",
    ("curve_kitti", "dropout_curve.csv"): "docs/curves/street_kitti.csv",
    ("curve_kitti", "dropout_curve.png"): "docs/images/dropout_curve_kitti.png",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One command: its options besides model, output and limit; whether it reads a recorded drive; its own limit."""

    options: tuple[str, ...]
    recorded: bool = True
    limit: int | None = None
    command: str = "evaluate"


def _streets(beams: int) -> tuple[str, ...]:
    return tuple(
        part for seed in STREETS for part in ("--data", f"synthetic:street?seed={seed}&seconds=3&lidar_beams={beams}")
    )


def _ddad(*options: str) -> Run:
    url = "bag:ddad_parked?camera=/camera_{}&points=/lidar/points_4beam&gt_points=/lidar/points&truth_scale=0.5"
    data = tuple(part for camera in ("01", "05", "06") for part in ("--data", url.format(camera)))
    return Run(("--protocol", "ddad", *options, *data))


def _shape(size: str) -> Run:
    data = tuple(
        part for seed in STREETS[:2] for part in ("--data", f"synthetic:street?seed={seed}&seconds=2&size={size}")
    )
    return Run(("--protocol", "synthetic", *data), recorded=False, limit=20)


OF_32_BEAMS = "points=/lidar/points&beams=32&gt_points=/lidar/points&truth_scale=0.5"
RUNS: Mapping[str, Run] = {
    "kitti": Run((*KITTI, *SPARSE, *DENSE, *HALF_GRID)),
    "kitti_half": Run(("--data", f"bag:kitti_drive?camera=/camera_02&{OF_32_BEAMS}")),
    "ddad": _ddad(),
    "street_4": Run(("--protocol", "synthetic", *_streets(4)), recorded=False),
    "street_64": Run(("--protocol", "synthetic", *_streets(64)), recorded=False),
    "kitti_full": Run((*KITTI, *SPARSE, *DENSE)),
    "curve_kitti": Run((*KITTI, "--points-dense", "/lidar/points"), limit=8, command="dropout-curve"),
    "curve_street": Run(_streets(64), recorded=False, command="dropout-curve"),
    "kitti_eigen": Run(EIGEN),
    "kitti_eigen_median": Run((*EIGEN, "--scaling", "median")),
    "kitti_eigen_flip": Run((*EIGEN, "--scaling", "median", "--flip-average")),
    "stereo_files": Run(("--data", STEREO + "truth_npz=gt/kitti_stereo_drive", "--max-depth-m", "40")),
    "stereo_matched": Run(("--data", STEREO + "truth=stereo&right=/camera_01", "--max-depth-m", "40"), limit=10),
    "ddad_shared": _ddad("--scaling", "shared_median"),
    "street": Run(("--data", "synthetic:street?seed=901&seconds=2", "--protocol", "synthetic"), recorded=False),
    **{f"shape_{size}": _shape(size) for size in SHAPES},
    "rooms": Run(("--data", "synthetic:indoor?seed=902&seconds=2", "--protocol", "synthetic_indoor"), recorded=False),
}


def measured(name: str, model: Path, out: Path, recorded: Path, limit: int | None) -> Any:
    """Runs a command if need be; gives its results.json, or the rows of its dropout_curve.csv.

    Raises:
        ConfigError: the command failed.
    """
    run = RUNS[name]
    least = [number for number in (limit, run.limit) if number is not None]
    # By name where it is shipped: figures show what the model was called.
    shown = model.name if model.parent == ROOT / "models" else str(model)
    # The tables are of the network, its way of using points, and the baselines, on each image by itself.
    how = ["evaluate", "--network-only"] if run.command == "evaluate" else [run.command]
    arguments = [*how, "--model", shown, *run.options, *(["--limit", str(min(least))] if least else [])]
    key = {"arguments": arguments, "sha256": load_contract(model).onnx_sha256}
    key |= {"worlds": GENERATOR_VERSION, "rules": VERSION}
    done, folder = out / f"{name}.done.json", out / name
    if not (done.is_file() and folder.is_dir() and json.loads(done.read_text(encoding="utf-8")) == key):
        done.unlink(missing_ok=True)
        print(f"{name}: mono-depth {shlex.join(arguments)}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "mono_depth_ros.cli.main", *arguments, "--out", str(folder)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
        at = recorded if run.recorded else ROOT  # relative paths, so that figures show nothing of this machine
        with (out / f"{name}.txt").open("w", encoding="utf-8") as told:
            code = subprocess.run(command, cwd=at, env=environment, stdout=told, stderr=told, check=False).returncode
        if code != 0:
            raise ConfigError(f"{name}: expected mono-depth to end well, got exit code {code}; see {told.name}")
        write_whole(done, json.dumps(key))
    if run.command == "evaluate":
        return json.loads((folder / "results.json").read_text(encoding="utf-8"))
    with (folder / "dropout_curve.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def with_table(text: str, name: str, table: str) -> str:
    """The text with a table in place of what is between its two marks.

    Raises:
        ConfigError: a mark is missing.
    """
    begin, end = f"<!-- model_card.py: {name} -->", "\n<!-- model_card.py: end -->"
    before, found, rest = text.partition(begin)  # rest begins with a line's end, so that a place may be empty
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ConfigError(
            f"table {name}: expected {begin.strip()} and {end.strip()} around its place, got neither or one"
        )
    return f"{before}{begin}\n{table}{end}{after}"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = Path(os.environ.get("MONO_DEPTH_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "street", help="default: %(default)s")
    parser.add_argument("--recorded", type=Path, default=shared / "data", help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "model_card", help="default: %(default)s")
    parser.add_argument("--only", nargs="+", choices=tuple(TABLES), default=tuple(TABLES), help="tables")
    parser.add_argument("--limit", type=int, metavar="N", help="images of each run")
    parser.add_argument("--write", action="store_true", help="put tables and curves where they are shown")
    return parser.parse_args()


def main() -> int:
    """Runs, prints and writes; returns the exit code."""
    options = arguments()
    model, out, recorded = options.model.resolve(), options.out.resolve(), options.recorded.resolve()
    try:
        if options.write and (options.limit is not None or model != ROOT / "models" / "street"):
            raise ConfigError("--write: expected models/street and all images, got another model or a --limit")
        out.mkdir(parents=True, exist_ok=True)
        for name in options.only:
            table = TABLES[name]
            if any(RUNS[run].recorded for run in table.runs) and not (recorded / "kitti_drive").is_dir():
                print(f"{name}: left out, no recorded drives in {options.recorded}", file=sys.stderr)
                continue
            made = table.make({run: measured(run, model, out, recorded, options.limit) for run in table.runs})
            print(f"\n{name} ({table.shown_in}):\n\n{made}", flush=True)
            if options.write:
                shown = ROOT / table.shown_in
                write_whole(shown, with_table(shown.read_text(encoding="utf-8"), name, made))
                for (run, file), place in FILES.items():
                    if run in table.runs:
                        shutil.copyfile(out / run / file, ROOT / place)
    except MonoDepthError as error:
        print(f"model_card.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
