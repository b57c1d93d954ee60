# SPDX-License-Identifier: Apache-2.0
"""`mono-depth dropout-curve`: how the depth of one model degrades as its LiDAR fades."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mono_depth_ros.errors import ConfigError

if TYPE_CHECKING:
    from mono_depth_ros.datasets.scan_history import ImageWithScans
    from mono_depth_ros.evaluation.dropout_curve import CurvePoint, DropoutCurve, Finding
    from mono_depth_ros.evaluation.fading_sweeps import FadingPlan
    from mono_depth_ros.inference.pipeline import Engine

_HEADINGS = {
    "prediction": "prediction",
    "prediction_median_scaled": "prediction, scaled",
    "completion": "completion",
    "completion_network": "network alone",
    "nearest": "nearest",
    "classical": "classical",
}
_FILE_WIDTH = 140

_EPILOG = """\
The dense scan of an image is its truth, and, made worse, its input: fewer beams, random points, old scans with and
without motion compensation, lost packets, wrong calibration. A part of its pixels is scored and never an input, the
same for every value. Writes dropout_curve.json, dropout_curve.csv and dropout_curve.png, and warns where completion is
worse than prediction, or where added points make it worse by more than 2 %. See docs/evaluation.md.

examples:
  mono-depth dropout-curve --data drive --camera /camera_02 --points-dense /lidar/points --out out/curve
  mono-depth dropout-curve --model models/mine --data drive --points-dense /lidar/points --out out/curve --limit 5
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command."""
    parser = subparsers.add_parser(
        "dropout-curve",
        help="how the depth of a model degrades as its LiDAR fades",
        description="Measures one model, and methods without learning, while the LiDAR of a drive fades.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="street_tiny", help="folder or name of a model (default: %(default)s)")
    parser.add_argument("--data", required=True, type=Path, metavar="BAG", help="rosbag2 folder, or .mcap or .db3 file")
    parser.add_argument("--camera", metavar="NS", help="namespace of the camera; default: the only one in the bag")
    parser.add_argument("--points-dense", required=True, metavar="TOPIC", help="dense scan (PointCloud2)")
    parser.add_argument("--odom", metavar="TOPIC", help="carries old scans to the image stamp; default: the only one")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the curve is written")
    parser.add_argument(
        "--truth-scale", type=float, default=0.5, help="size of the truth's grid relative to the image (default: 0.5)"
    )
    parser.add_argument("--max-depth-m", type=float, default=80.0, help="farthest truth that counts (default: 80)")
    parser.add_argument(
        "--reference-beams", type=int, default=16, help="beams in the sweeps of age, loss, calibration (default: 16)"
    )
    parser.add_argument(
        "--max-age-s", type=float, default=2.0, help="oldest scan; images without one are left out (default: 2)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="the first N images with old enough scans only")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--provider", action="append", help="ONNX Runtime execution provider; may be repeated")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measures, writes the files, prints the table and the warnings; returns the exit code."""
    from mono_depth_ros.datasets.bag_topics import find_topics
    from mono_depth_ros.datasets.rosbag2 import Rosbag2Reader
    from mono_depth_ros.datasets.scan_history import ImagesWithScans
    from mono_depth_ros.evaluation.dropout_curve import where_completion_stops_helping
    from mono_depth_ros.evaluation.dropout_curve_report import write_dropout_curve
    from mono_depth_ros.evaluation.fading_sweeps import FadingPlan
    from mono_depth_ros.inference.engine import OnnxEngine
    from mono_depth_ros.share import model_path

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit: expected at least 1, got {args.limit}")
    engine = OnnxEngine(model_path(args.model), args.provider or ("CPUExecutionProvider",))
    with Rosbag2Reader(args.data) as bag:
        topics = find_topics(bag.types, args.camera, args.points_dense, args.odom)
        plan = FadingPlan(
            max_depth_m=args.max_depth_m,
            truth_scale=args.truth_scale,
            seed=args.seed,
            reference_beams=args.reference_beams,
            max_age_s=args.max_age_s,
            carries=topics.odometry is not None,
        )
        images = ImagesWithScans(bag, topics, plan.ages_s(), limit=args.limit)
        expected = min(bag.counts[topics.image], args.limit or bag.counts[topics.image])
        curve = _with_progress(images, engine, plan, expected)
    findings = where_completion_stops_helping(curve)
    protocol = _protocol(args, topics.camera, plan, curve, images.skipped)
    written = write_dropout_curve(args.out, curve, findings, protocol)
    _print_table(curve, protocol["title"])
    _print_findings(findings)
    print("\n".join(str(path) for path in written))
    return 0


def _with_progress(
    images: "Iterable[ImageWithScans]", engine: "Engine", plan: "FadingPlan", expected: int
) -> "DropoutCurve":
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from mono_depth_ros.evaluation.dropout_curve import measure_dropout_curve

    values = sum(len(sweep.values) for sweep in plan.sweeps())
    with Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        # At most so many: the first images of a drive have no old scans.
        task = progress.add_task("scoring", total=expected * values)
        return measure_dropout_curve(images, engine, plan, lambda: progress.advance(task))


def _protocol(
    args: argparse.Namespace, camera: str, plan: "FadingPlan", curve: "DropoutCurve", skipped: int
) -> dict[str, Any]:
    from mono_depth_ros.evaluation.evaluate import ScoringPolicy

    return {
        "title": f"{args.model} on {args.data.name} {camera}: {curve.images} images, {curve.truth_pixels} pixels",
        "model": args.model,
        "data": args.data.name,
        "camera": camera,
        "points_dense": args.points_dense,
        "truth_scale": plan.truth_scale,
        "max_depth_m": plan.max_depth_m,
        "clipped_to_m": [ScoringPolicy(max_depth_m=plan.max_depth_m).min_depth_m, plan.max_depth_m],
        "scored": "a random half of the cells with a point of an odd elevation bin; the same for every sweep and value",
        "input": "no input point falls into a scored cell",
        "beams": "64 equal bins between the lowest and highest elevation of each scan, evenly spaced bins kept",
        "reference_beams": plan.reference_beams,
        "sectors": 180,
        "seed": plan.seed,
        "average": "per image, then over images",
        "images_skipped": skipped,
        "limit": args.limit,
    }


def _print_table(curve: "DropoutCurve", title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{title}\nAbsRel / RMSE (m), lower is better")
    for heading in ("sweep", "value", "points", "dial", *_HEADINGS.values()):
        table.add_column(heading, justify="left" if heading == "sweep" else "right")
    for sweep, points in curve.sweeps:
        table.add_section()
        for at, point in enumerate(points):
            table.add_row(
                sweep.name if at == 0 else "",
                f"{point.value:g}",
                f"{point.points_in_view:.0f}",
                f"{point.dial_completes:.0%}",
                *(_cell(point, method) for method in _HEADINGS),
            )
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)  # a file is as wide as the table needs
    console.print(table)
    console.print("points: network pixels with a point; dial: images that the node would complete", style="dim")


def _cell(point: "CurvePoint", method: str) -> str:
    metrics = point.metrics[method]
    return "-" if metrics is None else f"{metrics.abs_rel:.3f} / {metrics.rmse:.2f}"


def _print_findings(findings: "list[Finding]") -> None:
    if not findings:
        print("completion helps at every value")
        return
    print(f"WARNING: completion does not help at {len(findings)} places:")
    for finding in findings:
        print(f"  {finding.text()}")
