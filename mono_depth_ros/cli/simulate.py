# SPDX-License-Identifier: Apache-2.0
"""`mono-depth simulate`: a bag of a synthetic drive with perfect truth, and sensors that fail as you say."""

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mono_depth_ros.errors import ConfigError

if TYPE_CHECKING:
    from mono_depth_ros.datasets.simulation import SimulationPlan
    from mono_depth_ros.synthetic.failures import FailurePlan

_EPILOG = """\
The bag has /camera/image_raw, /camera/camera_info, /lidar/points, /odom, /tf_static (frames base_link, camera, lidar),
and the truth: /truth/depth (32FC1, metres, NaN in the sky) and /truth/odom (exact poses). The same arguments give the
same messages. docs/simulation.md tells what a file of failures may say, for example:

  outages: [{sensor: lidar, from_s: 3, to_s: 6}]
  sector_losses: [{probability: 0.3}]

examples:
  mono-depth simulate --seed 7 --seconds 20 --out out/street
  mono-depth simulate --seed 7 --seconds 20 --lidar-beams 16 --failures failures.yaml --out out/street_failing
  mono-depth replay out/street --out out/street_depth
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command."""
    parser = subparsers.add_parser(
        "simulate",
        help="a rosbag2 of a synthetic drive with perfect truth",
        description="Drives a synthetic robot down a street and records its camera, LiDAR and odometry, with exact "
        "depth and poses beside them, to a new mcap bag. ROS is not needed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", required=True, type=Path, metavar="BAG", help="folder to write; must not exist")
    parser.add_argument("--world", choices=("street",), default="street", help="kind of world (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="which street (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the drive (default: %(default)s)")
    parser.add_argument("--rate-hz", type=float, default=10.0, help="frames per second (default: %(default)s)")
    parser.add_argument("--size", default="640x192", metavar="WxH", help="of the camera (default: %(default)s)")
    parser.add_argument(
        "--lidar-beams", type=int, default=4, metavar="N", help="1, 4, 8, 16, 32 or 64 (default: %(default)s)"
    )
    parser.add_argument("--failures", type=Path, metavar="FILE", help="YAML: what goes wrong; default: nothing")
    parser.add_argument("--compressed", action="store_true", help="PNG on /camera/image_raw/compressed, not raw images")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that render; default: one per core")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Renders and writes; returns the exit code."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
    from rich.table import Table

    from mono_depth_ros.datasets.simulation import rendered_frames
    from mono_depth_ros.datasets.simulation_bag import write_simulation
    from mono_depth_ros.synthetic.failures import FailurePlan

    plan = _plan(args)
    failures = FailurePlan() if args.failures is None else _read_failures(args.failures)
    workers = (os.cpu_count() or 1) if args.workers is None else args.workers
    began_s = time.monotonic()
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        frames = progress.track(rendered_frames(plan, workers), plan.frames, description="frames")
        counts = write_simulation(plan, failures, frames, args.out, args.compressed)
    rate = plan.frames / (time.monotonic() - began_s)
    table = Table(show_header=False)
    for topic, count in sorted(counts.items()):
        table.add_row(topic, str(count))
    console = Console()
    console.print(table)
    console.print(f"wrote {args.out}: {plan.frames} frames, {rate:.1f} a second", markup=False, soft_wrap=True)
    return 0


def _plan(args: argparse.Namespace) -> "SimulationPlan":
    from mono_depth_ros.datasets.simulation import SimulationPlan

    try:
        width_px, height_px = (int(side) for side in args.size.split("x"))
    except ValueError:
        raise ConfigError(f"--size: expected for example 640x192, got {args.size!r}") from None
    plan = SimulationPlan(args.seed, args.seconds, args.rate_hz, width_px, height_px, args.lidar_beams)
    plan.drive()  # what cannot be is refused before any process starts
    return plan


def _read_failures(path: Path) -> "FailurePlan":
    """The plan in a YAML file.

    Raises:
        ConfigError: the file cannot be read, or all that is wrong in it.
    """
    import yaml

    from mono_depth_ros.synthetic.failure_config import failure_plan

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--failures {path}: expected a readable YAML file, got: {error}") from error
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"--failures {path}: expected a mapping of failures, got {type(values).__name__}")
    try:
        return failure_plan(values)
    except ConfigError as error:
        raise ConfigError(f"--failures {path}: {error}") from error
