# SPDX-License-Identifier: Apache-2.0
"""`mono-depth dropout-curve`: how the depth of one model degrades as its LiDAR fades."""

import argparse
import datetime
import operator
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mono_depth_ros.cli.data_url import data_path, is_url
from mono_depth_ros.errors import ConfigError

if TYPE_CHECKING:
    from mono_depth_ros.evaluation.dropout.curve import CurveFinding, CurvePoint, DropoutCurve
    from mono_depth_ros.evaluation.dropout.fading_sweeps import FadingPlan
    from mono_depth_ros.evaluation.dropout.kept_lines import KeptLines
    from mono_depth_ros.evaluation.dropout.sample_history import FadingInput
    from mono_depth_ros.inference.engine import OnnxEngine
    from mono_depth_ros.inference.network_image import Engine

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
The dense scan of an image is made worse: fewer beams, random points, old scans with and without motion compensation,
lost packets, wrong calibration. A part of its pixels is scored and never an input, the same for every value. Writes
dropout_curve.json, dropout_curve.csv and dropout_curve.png, and warns where completion is worse than prediction, or
where added points make it worse by more than 2 %. An interrupted measurement goes on where it stopped when the same
command runs again. See docs/evaluation.md.

A bag is given by its path and --points-dense. Any other data set is given by its URL (docs/datasets.md): the points of
a sample are its scan, the truth is what is scored; samples without points, or all with --scan truth, get 64 beams drawn
from their truth. Old scans need samples that follow each other within 0.3 s, carried ones also poses.

examples:
  mono-depth dropout-curve --data drive --camera /camera_02 --points-dense /lidar/points --out out/curve
  mono-depth dropout-curve --model models/mine --data drive --points-dense /lidar/points --out out/curve --limit 5
  mono-depth dropout-curve --data 'nyu:/data/nyudepthv2?split=val' --max-depth-m 10 --out out/curve
  mono-depth dropout-curve --data 'synthetic:street?seed=7&lidar_beams=64' --out out/curve \\
      --data 'synthetic:street?seed=8&lidar_beams=64'
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command."""
    parser = subparsers.add_parser(
        "dropout-curve",
        help="how the depth of a model degrades as its LiDAR fades",
        description="Measures one model, and methods without learning, while the LiDAR of a data set fades.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="street", help="folder or name of a model (default: %(default)s)")
    parser.add_argument(
        "--data",
        required=True,
        action="append",
        metavar="URL",
        help="data set, or path of a bag (folder, .mcap, .db3); a URL again for a further drive",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where the curve is written")
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
    bag = parser.add_argument_group("for a plain path of a bag")
    bag.add_argument("--points-dense", metavar="TOPIC", help="dense scan (PointCloud2)")
    bag.add_argument("--camera", metavar="NS", help="namespace of the camera; default: the only one in the bag")
    bag.add_argument("--odom", metavar="TOPIC", help="carries old scans to the image stamp; default: the only one")
    bag.add_argument("--truth-scale", type=float, help="size of the truth's grid relative to the image (default: 0.5)")
    url = parser.add_argument_group("for a URL")
    url.add_argument(
        "--scan", choices=("points", "truth"), help="what fades (default: points, and truth where there are none)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measures, writes the files, prints the table and the warnings; returns the exit code."""
    from mono_depth_ros.evaluation.dropout.curve import where_completion_stops_helping
    from mono_depth_ros.evaluation.dropout.curve_report import write_dropout_curve
    from mono_depth_ros.inference.engine import OnnxEngine
    from mono_depth_ros.share import model_path

    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit: expected at least 1, got {args.limit}")
    _refuse_mixed(args)
    engine = OnnxEngine(model_path(args.model), args.provider or ("CPUExecutionProvider",))
    measure = _measure_samples if is_url(args.data[0]) else _measure_bag
    kept = _kept(args, engine)
    try:
        measured = measure(args, engine, kept)
    except KeyboardInterrupt:
        print(f"what is scored is kept in {kept.path}; the same command goes on from there", file=sys.stderr)
        raise
    finally:
        kept.close()
    findings = where_completion_stops_helping(measured.curve)
    protocol = _protocol(args, measured)
    written = write_dropout_curve(args.out, measured.curve, findings, protocol)
    kept.remove()
    _print_table(measured.curve, protocol["title"])
    for sweep, reason in measured.left_out.items():
        print(f"no sweep of {sweep}: {reason}")
    _print_findings(findings)
    print("\n".join(str(path) for path in written))
    return 0


@dataclass(frozen=True, slots=True)
class _Measured:
    """A curve and how it came about."""

    curve: "DropoutCurve"
    plan: "FadingPlan"
    source: dict[str, Any]
    skipped: int
    left_out: dict[str, str]


def _refuse_mixed(args: argparse.Namespace) -> None:
    bag_only = {"--points-dense": args.points_dense, "--camera": args.camera, "--odom": args.odom}
    bag_only["--truth-scale"] = args.truth_scale
    where = ", ".join(args.data)
    if all(is_url(text) for text in args.data):
        if given := [name for name, value in bag_only.items() if value is not None]:
            raise ConfigError(f"--data {where}: expected keys in the URL, got the option(s) {', '.join(given)}")
    elif len(args.data) > 1:
        raise ConfigError(f"--data: expected one path of a bag, or URLs only, got {where}")
    elif args.scan is not None:
        raise ConfigError(f"--scan: expected it with a URL only, got the path {where}")
    elif args.points_dense is None:
        raise ConfigError(f"--points-dense: expected the topic of the dense scan in {where}, got none")


def _kept(args: argparse.Namespace, engine: "OnnxEngine") -> "KeptLines":
    """What an earlier run of the same command has scored, beside the folder of the curve."""
    from mono_depth_ros.datasets.rendered.rendered_cache import GENERATOR_VERSION
    from mono_depth_ros.evaluation.dropout.kept_lines import KeptLines, fingerprint

    options = ("max_depth_m", "reference_beams", "max_age_s", "seed", "limit", "truth_scale", "scan")
    topics = ("points_dense", "camera", "odom")
    key = {
        "data": [{"url": text, "files": fingerprint(_path_of(text))} for text in args.data],
        "worlds": GENERATOR_VERSION,
        "model": engine.contract.onnx_sha256,
        "provider": engine.provider,
        **{name: getattr(args, name) for name in (*options, *topics)},
    }
    try:
        kept = KeptLines(args.out.with_name(args.out.name + ".partial.jsonl"), key)
    except OSError as error:
        raise ConfigError(f"--out {args.out}: expected a folder to write to, got {error}") from error
    if kept.done:
        print(f"goes on after {len(kept.done)} images that an earlier run has scored ({kept.path})", file=sys.stderr)
    return kept


def _path_of(text: str) -> Path:
    return data_path(text) if is_url(text) else Path(text)


def _measure_bag(args: argparse.Namespace, engine: "Engine", kept: "KeptLines") -> _Measured:
    """The scans of a bag, each at its own stamp, carried by its odometry."""
    from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
    from mono_depth_ros.datasets.bags.scan_history import ImagesWithScans
    from mono_depth_ros.datasets.bags.topics import NO_TOPIC, TWIST, find_topics
    from mono_depth_ros.evaluation.dropout.sample_history import FadingInput

    path = Path(args.data[0])
    with Rosbag2Reader(path) as bag:
        topics = find_topics(bag.types, args.camera, args.points_dense, args.odom)
        if topics.odometry is not None and bag.types[topics.odometry] == TWIST:  # a speed is no pose
            topics = find_topics(bag.types, args.camera, args.points_dense, NO_TOPIC)
        carries = topics.odometry is not None
        plan = _plan(args, args.max_age_s, carries)
        images = ImagesWithScans(bag, topics, plan.ages_s(), limit=args.limit)
        expected = min(bag.counts[topics.image], args.limit or bag.counts[topics.image])
        curve = _with_progress((FadingInput(image) for image in images), engine, plan, expected, kept)
    left_out = {} if carries else {"age_carried": "the bag has no odometry"}
    if plan.max_age_s == 0:
        left_out = {"age_carried, age_as_is": "--max-age-s 0"}
    source = {"data": path.name, "camera": topics.camera, "points_dense": args.points_dense}
    return _Measured(curve, plan, source, images.skipped, left_out)


def _measure_samples(args: argparse.Namespace, engine: "Engine", kept: "KeptLines") -> _Measured:
    """The samples of a URL, whose points or truth stand for the scan."""
    from mono_depth_ros.datasets.open_dataset import open_dataset
    from mono_depth_ros.evaluation.dropout.sample_history import SampleHistory, known_history

    drives = [open_dataset(url) for url in args.data]
    expected = min(sum(operator.length_hint(samples) for samples in drives), args.limit or sys.maxsize)
    history = known_history(chain.from_iterable(drives))
    plan = _plan(args, args.max_age_s if history.has_past else 0.0, history.has_poses)
    images = SampleHistory(history.samples, plan.ages_s(), args.scan == "truth", args.limit)
    curve = _with_progress(images, engine, plan, expected, kept)
    left_out = {}
    if plan.max_age_s == 0:
        left_out = {"age_carried, age_as_is": history.reason or "--max-age-s 0"}
    elif not history.has_poses:
        left_out = {"age_carried": history.reason}
    source = {"data": ", ".join(args.data), "camera": "", "scan": args.scan or "points, truth where there are none"}
    return _Measured(curve, plan, source, images.skipped, left_out)


def _plan(args: argparse.Namespace, max_age_s: float, carries: bool) -> "FadingPlan":
    from mono_depth_ros.evaluation.dropout.fading_sweeps import FadingPlan

    return FadingPlan(
        max_depth_m=args.max_depth_m,
        truth_scale=0.5 if args.truth_scale is None else args.truth_scale,
        seed=args.seed,
        reference_beams=args.reference_beams,
        max_age_s=max_age_s,
        carries=carries,
    )


def _with_progress(
    images: "Iterable[FadingInput]", engine: "Engine", plan: "FadingPlan", expected: int, kept: "KeptLines"
) -> "DropoutCurve":
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from mono_depth_ros.evaluation.dropout.curve import image_curve_from_dict, measure_dropout_curve

    done = tuple(image_curve_from_dict(image) for image in kept.done)
    values = sum(len(sweep.values) for sweep in plan.sweeps())
    with Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        # At most so many: the first images of a drive have no old scans.
        task = progress.add_task("scoring", total=expected * values or None, completed=len(done) * values)
        return measure_dropout_curve(
            islice(images, len(done), None),
            engine,
            plan,
            lambda: progress.advance(task),
            done=done,
            on_image=lambda image: kept.add(image.to_dict()),
        )


def _protocol(args: argparse.Namespace, measured: _Measured) -> dict[str, Any]:
    from mono_depth_ros.evaluation.dropout.curve import scoring_protocol

    plan, curve, source = measured.plan, measured.curve, measured.source
    # The figure has room for one drive; the files name all.
    where = f"{args.data[0]} {source['camera']}".strip()
    where += f" and {len(args.data) - 1} more" if len(args.data) > 1 else ""
    return {
        "title": f"{args.model} on {where}: {curve.images} images, {curve.truth_pixels} pixels",
        "model": args.model,
        **source,
        "truth_scale": plan.truth_scale,
        "max_depth_m": plan.max_depth_m,
        "scoring": scoring_protocol(plan).to_dict(),
        "scored": "a random half of the cells with a point of an odd elevation bin; the same for every sweep and value",
        "input": "no input point falls into a scored cell",
        "beams": "64 equal bins of elevation from the lowest to the highest of each scan, every (64 / n)-th kept",
        "reference_beams": plan.reference_beams,
        "sectors": 180,
        "seed": plan.seed,
        "average": "per image, then over images",
        "images_skipped": measured.skipped,
        "sweeps_left_out": measured.left_out,
        "limit": args.limit,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "command": shlex.join(["mono-depth", *sys.argv[1:]]),
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


def _print_findings(findings: "list[CurveFinding]") -> None:
    if not findings:
        print("completion helps at every value")
        return
    from mono_depth_ros.evaluation.dropout.curve import summaries

    print(f"WARNING: completion does not help at {len(findings)} places:")
    for sentence in summaries(findings):
        print(f"  {sentence}")
