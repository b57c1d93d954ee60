# SPDX-License-Identifier: Apache-2.0
"""`mono-depth replay`: a bag in, a bag with depth out, by what runs in the node but without ROS."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mono_depth_ros.cli.node_options import NODE_EPILOG, add_node_options, chosen_topics, node_config
from mono_depth_ros.errors import ConfigError

if TYPE_CHECKING:
    from mono_depth_ros.replay.replay import Replay

_EPILOG = f"""\
Every image is processed, however slow the machine; the same bag gives the same depth each time. Messages count from
when they were recorded, as on the robot, and an image waits for its points as long as the node would. The result holds
depth/image_rect, depth/camera_info, points_dense and depth_node/status, with the stamps and frames of the images, and
the bag's /tf_static; rviz2 and Foxglove open it.

{NODE_EPILOG}
examples:
  mono-depth replay drive --out out/drive_depth --points /lidar/points_4beam
  mono-depth replay drive --out out/as_robot --params depth_node.yaml --remap image:=/front/image_raw
  mono-depth replay drive --out out/dropout --points /lidar/points_4beam --drop /lidar/points_4beam:1.0-2.0
  mono-depth replay drive --out out/both --points /lidar/points --points /scan
  mono-depth replay drive --out out/camera_only --points none --odom none
  mono-depth replay drive --out out/scaled --mode prediction --param 'scale.order:=[points,camera_height]'
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command."""
    parser = subparsers.add_parser(
        "replay",
        help="depth and clouds for a recorded drive, without ROS",
        description="Runs what the depth node runs over a rosbag2 and writes its results to a new mcap bag.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 folder, or .mcap or .db3 file")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT_BAG", help="folder to write; must not exist")
    add_node_options(parser)
    parser.add_argument(
        "--drop",
        action="append",
        default=[],
        metavar="TOPIC:T0-T1",
        help="leave out a topic from T0 to T1 seconds after the start of the bag; may be repeated",
    )
    parser.add_argument("--with-inputs", action="store_true", help="copy the inputs that were used into the result too")
    parser.add_argument("--namespace", default="", metavar="NS", help="of the results; default: the root")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N images")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replays, prints the summary; returns the exit code: 1 where no depth came out at all."""
    from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
    from mono_depth_ros.inference.engine import OnnxEngine
    from mono_depth_ros.inference.pose_engine import open_pose_model
    from mono_depth_ros.replay.replay import Replay, parse_drop
    from mono_depth_ros.replay.result_bag import OutputTopics, ResultBag
    from mono_depth_ros.share import model_path

    drops = [parse_drop(text) for text in args.drop]
    if args.limit is not None and args.limit < 1:
        raise ConfigError(f"--limit: expected at least 1, got {args.limit}")
    with Rosbag2Reader(args.bag) as bag:
        topics = chosen_topics(args, bag.types)
        config = node_config(args, topics)
        for drop in drops:
            if drop.topic not in topics.names():
                raise ConfigError(
                    f"--drop {drop.topic}: expected one of {', '.join(topics.names())}, got another topic"
                )
        engine = OnnxEngine(model_path(config.model), config.providers, config.intra_op_threads, config.precision)
        pose_folder = model_path(config.pose_model) if config.pose_model else None
        pose = open_pose_model(pose_folder, engine, config.providers, config.intra_op_threads)
        with ResultBag(args.out, OutputTopics.under(args.namespace)) as result_bag:
            replay = Replay(bag, topics, config, engine, pose, result_bag, drops, args.with_inputs)
            _with_progress(replay, min(bag.counts[topics.image], args.limit or bag.counts[topics.image]))
    _print_summary(replay, args.out)
    return 0 if replay.tally.depths else 1


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
    for problem, count in tally.problems.most_common(10):
        console.print(f"{count} x {problem}", style="yellow", markup=False)
    for reason in tally.suspicions:
        console.print(f"calibration_suspect: {reason}", style="yellow", markup=False)
    if replay.stream.intake.lens.applied:
        console.print("the raw images have lens distortion; they were rectified with D")
    if not tally.depths:
        console.print("no depth came out of any image; the lines above say why", style="bold red", markup=False)
