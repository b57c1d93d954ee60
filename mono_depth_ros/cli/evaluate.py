# SPDX-License-Identifier: Apache-2.0
"""`mono-depth evaluate`: how good the depth of a model is on a recorded drive with truth."""

import argparse
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from mono_depth_ros.errors import ConfigError

# What to say in place of a model to score the baselines only.
NO_MODEL = "none"

_HEADINGS = {"prediction_median_scaled": "prediction, median scaled", "completion_network": "completion, network alone"}
_FILE_WIDTH = 110
_UNITS = {"sq_rel": " (m)", "rmse": " (m)", "mae": " (m)", "irmse": " (1/km)", "imae": " (1/km)"}

_EPILOG = """\
The dense cloud (--gt-points), or depth images with the stamps of the images, are the truth; the sparse cloud (--points)
is what the model completes. Pixels where a sparse point falls are not scored. The same drive, the same pixels and the
same limits for every method:

  prediction                the model from the image alone, metres as they come
  prediction_median_scaled  the same, times the median ratio to the sparse points
  completion                the model with the sparse points
  nearest                   every pixel takes the depth of the nearest sparse point
  classical                 image morphology, no learning

examples:
  mono-depth evaluate --data drive --camera /camera_02 --points /lidar/points_4beam --gt-points /lidar/points
  mono-depth evaluate --model models/mine --data drive --camera /camera_02 --points /lidar/points_4beam \\
      --gt-points /lidar/points --truth-scale 0.5 --json out/scores.json
  mono-depth evaluate --data out/street --points /lidar/points --gt-points /truth/depth      a simulated drive
  mono-depth evaluate --model none ...      the baselines only
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score a model's prediction and completion on a drive",
        description="Scores prediction and completion of a model, and two baselines, against a dense LiDAR.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="street_tiny", help=f"folder, name or {NO_MODEL!r} (default: %(default)s)")
    parser.add_argument("--data", required=True, type=Path, metavar="BAG", help="rosbag2 folder, or .mcap or .db3 file")
    parser.add_argument("--camera", metavar="NS", help="namespace of the camera; default: the only one in the bag")
    parser.add_argument("--points", required=True, metavar="TOPIC", help="sparse input cloud (PointCloud2)")
    parser.add_argument("--gt-points", required=True, metavar="TOPIC", help="truth: a dense cloud, or depth images")
    parser.add_argument("--odom", metavar="TOPIC", help="carries scans to the image stamp; default: the only one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores here as JSON")
    parser.add_argument(
        "--truth-scale", type=float, default=1.0, help="size of the truth's grid relative to the image (default: 1)"
    )
    parser.add_argument("--max-depth-m", type=float, default=80.0, help="farthest truth that counts (default: 80)")
    parser.add_argument("--limit", type=int, metavar="N", help="score the first N images only")
    parser.add_argument("--provider", action="append", help="ONNX Runtime execution provider; may be repeated")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Scores, prints the table, writes the JSON; returns the exit code."""
    from mono_depth_ros.datasets.bag_samples import read_samples
    from mono_depth_ros.datasets.bag_topics import find_topics
    from mono_depth_ros.datasets.rosbag2 import Rosbag2Reader
    from mono_depth_ros.evaluation.evaluate import ScoringPolicy, evaluate
    from mono_depth_ros.inference.engine import OnnxEngine
    from mono_depth_ros.share import model_path

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit: expected at least 1, got {args.limit}")
    policy = ScoringPolicy(max_depth_m=args.max_depth_m)
    engine = None
    if args.model != NO_MODEL:
        engine = OnnxEngine(model_path(args.model), args.provider or ("CPUExecutionProvider",))
    with Rosbag2Reader(args.data) as bag:
        topics = find_topics(bag.types, args.camera, args.points, args.odom)
        samples = read_samples(bag, topics, args.gt_points, args.truth_scale, limit=args.limit)
        expected = min(bag.counts[topics.image], args.limit or bag.counts[topics.image])
        evaluation = _with_progress(evaluate, samples, engine, policy, expected)
    protocol = {
        "model": args.model,
        "data": args.data.name,
        "camera": topics.camera,
        "points": topics.points,
        "gt_points": args.gt_points,
        "truth_scale": args.truth_scale,
        "max_depth_m": policy.max_depth_m,
        "clipped_to_m": [policy.min_depth_m, policy.max_depth_m],
        "input_pixels_scored": False,
        "resampling": "bilinear in depth",
        "average": "per image, then over images",
        "images_skipped": evaluation.skipped,
    }
    _print_table(evaluation.scores, protocol)
    if args.json is not None:
        _write_json(args.json, evaluation.scores, protocol)
    return 0


def _with_progress(evaluate: Any, samples: Any, engine: Any, policy: Any, expected: int) -> Any:
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("scoring images", total=expected)
        return evaluate(samples, engine, policy, lambda _sample: progress.advance(task))


def _print_table(scores: dict[str, Any], protocol: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    score = next(iter(scores.values()))
    table = Table(
        title=f"{protocol['data']} {protocol['camera']}: {score.images} images, {score.pixels} pixels "
        f"of truth up to {protocol['max_depth_m']:g} m"
    )
    table.add_column("metric")
    for method in scores:
        table.add_column(_HEADINGS.get(method, method), justify="right")
    for field in dataclasses.fields(score.metrics):
        values = (_rounded(getattr(found.metrics, field.name)) for found in scores.values())
        table.add_row(field.name + _UNITS.get(field.name, ""), *values)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)  # a file is as wide as the table needs
    console.print(table)
    console.print("deltas: higher is better; all others: lower is better", style="dim")


def _rounded(value: float) -> str:
    """Three to four significant digits, without an exponent."""
    return f"{value:.4f}" if abs(value) < 1 else f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def _write_json(path: Path, scores: dict[str, Any], protocol: dict[str, Any]) -> None:
    """An object of methods, written whole or not at all."""
    content = {
        method: {
            **dataclasses.asdict(score.metrics),
            "images": score.images,
            "pixels": score.pixels,
            "protocol": protocol,
        }
        for method, score in scores.items()
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".partial")
        beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise ConfigError(f"--json {path}: expected a place to write to, got {error}") from error
