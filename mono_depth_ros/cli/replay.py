# SPDX-License-Identifier: Apache-2.0
"""`mono-depth replay`: a bag in, a bag with depth out, by the pipeline of the node but without ROS."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mono_depth_ros.errors import ConfigError

if TYPE_CHECKING:
    from mono_depth_ros.cli.replay_loop import Replay

_EPILOG = """\
Every image is processed, in the order of the header stamps, however slow the machine; the same bag gives the same
depth each time. The result holds depth/image_rect (32FC1, metres), depth/camera_info, points_dense, depth_node/status,
with the stamps and frames of the images, and the bag's /tf_static; rviz2 and Foxglove open it.

examples:
  mono-depth replay drive --out out/drive_depth --points /lidar/points_4beam
  mono-depth replay drive --out out/drive_depth --camera /camera_02 --points /lidar/points_4beam --with-inputs
  mono-depth replay drive --out out/dropout --points /lidar/points_4beam --drop /lidar/points_4beam:1.0-2.0
  mono-depth replay drive --out out/both --points /lidar/points --points /scan
  mono-depth replay drive --out out/camera_only --points none --odom none
  mono-depth replay drive --out out/scaled --mode prediction --scale fuse:points,camera_height --base-height 0.3
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command."""
    parser = subparsers.add_parser(
        "replay",
        help="depth and clouds for a recorded drive, without ROS",
        description="Runs the depth pipeline over a rosbag2 and writes its results to a new mcap bag.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 folder, or .mcap or .db3 file")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT_BAG", help="folder to write; must not exist")
    parser.add_argument("--model", default="street", help="folder or name of a model (default: %(default)s)")
    parser.add_argument("--camera", metavar="NS", help="namespace of the camera; default: the only one in the bag")
    parser.add_argument(
        "--points",
        action="append",
        metavar="TOPIC",
        help="points, or 'none'; default: the only ones, if any; repeated with topics of other types: they are merged",
    )
    parser.add_argument("--odom", metavar="TOPIC", help="odometry, or 'none'; default: the only one, if any")
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="TOPIC:T0-T1",
        help="leave out a topic from T0 to T1 seconds after the start of the bag; may be repeated",
    )
    parser.add_argument("--with-inputs", action="store_true", help="copy the inputs that were used into the result too")
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="every N-th row and column in the cloud")
    parser.add_argument("--namespace", default="", metavar="NS", help="of the results; default: the root")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N images")
    parser.add_argument("--no-fill", action="store_true", help="do not mix completed depth with the spread points")
    parser.add_argument("--no-anchor", action="store_true", help="do not lead completed depth through its points")
    parser.add_argument(
        "--mode",
        choices=("auto", "prediction", "completion"),
        default="auto",
        help="prediction: points are not completed; completion: no depth without a point (default: %(default)s)",
    )
    parser.add_argument(
        "--memory-s",
        type=float,
        default=1.0,
        metavar="S",
        help="scans up to this far from an image are carried to it by odometry; 0: the nearest only (default: 1)",
    )
    parser.add_argument(
        "--scale",
        metavar="SOURCES",
        help="who vouches for the metres of predictions, the best first: some of model,points,odometry,camera_height; "
        "'fuse:' before them combines all (default: model,points,odometry,camera_height)",
    )
    parser.add_argument("--base-height", type=float, default=0.0, metavar="M", help="of the odometry's base frame")
    parser.add_argument("--pose-model", metavar="FOLDER", help="pose network of the model, for the scale by odometry")
    parser.add_argument("--provider", action="append", help="ONNX Runtime execution provider; may be repeated")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replays, prints the summary; returns the exit code."""
    from mono_depth_ros.cli.replay_loop import Replay, parse_drop
    from mono_depth_ros.cli.replay_options import dial_policy, memory_policy, scale_policy
    from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
    from mono_depth_ros.datasets.bags.result_bag import OutputTopics, ResultBag
    from mono_depth_ros.datasets.bags.topics import find_topics, with_more_points
    from mono_depth_ros.inference.anchoring import DEFAULT_ANCHOR_POLICY
    from mono_depth_ros.inference.completion import CompletionPolicy
    from mono_depth_ros.inference.engine import OnnxEngine
    from mono_depth_ros.inference.guided_fill import DEFAULT_FILL_POLICY
    from mono_depth_ros.inference.pipeline import DepthPipeline
    from mono_depth_ros.inference.pose_engine import PoseEngine
    from mono_depth_ros.share import model_path

    memory = memory_policy(args.memory_s)
    dial, scale = dial_policy(args.mode, memory), scale_policy(args.scale, args.base_height)
    drops = [parse_drop(text) for text in args.drop]
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit: expected at least 1, got {args.limit}")
    with Rosbag2Reader(args.bag) as bag:
        first, *more = args.points or [None]
        topics = with_more_points(find_topics(bag.types, args.camera, first, args.odom), bag.types, more)
        for drop in drops:
            if drop.topic not in topics.names():
                raise ConfigError(
                    f"--drop {drop.topic}: expected one of {', '.join(topics.names())}, got another topic"
                )
        providers = args.provider or ("CPUExecutionProvider",)
        engine = OnnxEngine(model_path(args.model), providers)
        pose = None if args.pose_model is None else PoseEngine(model_path(args.pose_model), providers)
        outputs = OutputTopics.under(args.namespace)
        with ResultBag(args.out, outputs, engine.contract.name, engine.provider, args.stride) as result_bag:
            completion = CompletionPolicy(
                None if args.no_anchor else DEFAULT_ANCHOR_POLICY, None if args.no_fill else DEFAULT_FILL_POLICY
            )
            pipeline = DepthPipeline(engine, dial, completion, scale, pose)
            replay = Replay(bag, topics, pipeline, result_bag, drops, args.with_inputs, memory)
            _with_progress(replay, min(bag.counts[topics.image], args.limit or bag.counts[topics.image]))
    _print_summary(replay, args.out)
    return 0


def _with_progress(replay: "Replay", expected: int) -> None:
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()) as progress:
        task = progress.add_task("images", total=expected)
        for number, _ in enumerate(replay.images(), start=1):
            progress.advance(task)
            if number >= expected:
                return


def _print_summary(replay: "Replay", out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    tally = replay.tally
    table = Table(title=f"{out}", show_header=False)
    table.add_row("images in", str(tally.images))
    table.add_row("depth images out", str(tally.depths))
    for reason, count in sorted(tally.reasons.items()):
        table.add_row(reason, str(count))
    if tally.dropped_messages:
        table.add_row("messages left out (--drop)", str(tally.dropped_messages))
    if tally.latencies_s:
        mean_ms = 1e3 * sum(tally.latencies_s) / len(tally.latencies_s)
        table.add_row("latency, mean and worst", f"{mean_ms:.1f} ms, {1e3 * max(tally.latencies_s):.1f} ms")
    if tally.scales:
        table.add_row("factor of predictions, first and last", f"{tally.scales[0]}, {tally.scales[-1]}")
    for number, since_start_s, mode, reason in tally.changes:
        table.add_row(f"from image {number} (stamp {since_start_s:.3f} s)", f"{mode}: {reason}")
    console = Console()
    console.print(table)
    for error, count in tally.rejections.most_common(10):
        console.print(f"refused {count} x {error}", style="yellow", markup=False)
    for reason in tally.suspicions:
        console.print(f"calibration_suspect: {reason}", style="yellow", markup=False)
    if replay.feed.distorted:
        console.print("the raw images have lens distortion; they were rectified with D")
