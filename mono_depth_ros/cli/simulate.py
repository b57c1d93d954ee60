# SPDX-License-Identifier: Apache-2.0
"""`mono-depth simulate`: a bag of a synthetic drive with perfect truth, and sensors that fail as you say."""

import argparse
import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mono_depth_ros.errors import ConfigError

if TYPE_CHECKING:
    from mono_depth_ros.datasets.rendered.simulation import SimulationPlan
    from mono_depth_ros.synthetic.failures import FailurePlan

_EPILOG = """\
worlds and the sensors that their robots carry beside the camera:
  street   a car in traffic                   lidar, odom
  indoor   a low, slow robot among rooms      scan, tof, range, odom
  chaos    a flight among random solids       lidar, odom

sensors for --sensors, and their topics:
  lidar  /lidar/points  spinning, x y z intensity ring time     odom   /odom   wheel odometry that drifts and slips
  scan   /scan          planar LaserScan                        twist  /twist  its speeds alone (TwistStamped)
  tof    /tof/points    8x8 time of flight                      range  /range  single-point time of flight

Each camera has /NAME/image_raw and /NAME/camera_info; NAME is `camera` when there is one. The truth is /truth/odom
(exact poses), and per camera /truth/depth (32FC1, metres, NaN in the sky) and /truth/labels (mono8), or
/truth/NAME/depth and /truth/NAME/labels. /tf_static connects base_link with every sensor.

The same arguments give the same messages, whatever the number of workers. After an interrupt, frames that are done lie
in BAG.partial-frames; the same command goes on from there, and removes the folder when the bag is complete.

docs/simulation.md tells what a file of failures or of cameras may say, for example:

  outages: [{sensor: lidar, from_s: 3, to_s: 6}]
  sector_losses: [{probability: 0.3}]

examples:
  mono-depth simulate --seed 7 --seconds 20 --out out/street
  mono-depth simulate --world indoor --seed 7 --seconds 20 --out out/indoor
  mono-depth simulate --rig rig6 --lidar-beams 32 --failures failures.yaml --out out/street_failing
  mono-depth replay out/street --out out/street_depth
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds this command."""
    parser = subparsers.add_parser(
        "simulate",
        help="a rosbag2 of a synthetic drive with perfect truth",
        description="Drives a synthetic robot through a world and records what its sensors say, with exact depth, "
        "labels and poses beside it, to a new mcap bag. ROS is not needed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", required=True, type=Path, metavar="BAG", help="folder to write; must not exist")
    parser.add_argument(
        "--world", choices=("street", "indoor", "chaos"), default="street", help="kind of world (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=7, help="which world of its kind (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the drive (default: %(default)s)")
    parser.add_argument("--rate-hz", type=float, default=10.0, help="frames per second (default: %(default)s)")
    parser.add_argument("--size", default="640x192", metavar="WxH", help="of every camera (default: %(default)s)")
    parser.add_argument(
        "--rig",
        default="single",
        metavar="NAME|FILE",
        help="cameras: single, stereo, front3, rig6 (six all around), or a YAML file (default: %(default)s)",
    )
    parser.add_argument("--sensors", metavar="A,B", help="beside the cameras, see below; default: those of the world")
    parser.add_argument(
        "--lidar-beams", type=int, default=4, metavar="N", help="1, 4, 8, 16, 32 or 64 (default: %(default)s)"
    )
    parser.add_argument(
        "--elevations-deg", metavar="A,B", help="of the LiDAR's beams, from the top; in place of --lidar-beams"
    )
    parser.add_argument(
        "--instant-scan", action="store_true", help="LiDAR and scanner turn in an instant, not in a frame's period"
    )
    parser.add_argument("--failures", type=Path, metavar="FILE", help="YAML: what goes wrong; default: nothing")
    parser.add_argument("--compressed", action="store_true", help="PNG on /NAME/image_raw/compressed, not raw images")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that render; default: one per core")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Renders and writes; returns the exit code."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn
    from rich.table import Table

    from mono_depth_ros.datasets.bags.simulation_bag import write_simulation
    from mono_depth_ros.datasets.rendered.frame_store import FrameStore
    from mono_depth_ros.datasets.rendered.simulation import rendered_frames
    from mono_depth_ros.synthetic.failures import FailurePlan

    plan = _plan(args)
    failures = FailurePlan() if args.failures is None else _read_failures(args.failures, plan)
    plan = dataclasses.replace(plan, bumps=failures.bumps)
    plan.drive()  # what cannot be is refused before any process starts
    workers = (os.cpu_count() or 1) if args.workers is None else args.workers
    folder = args.out.with_name(f"{args.out.name}.partial-frames")
    store = FrameStore(folder, plan.robot())
    kept = store.claim(plan.description()) if folder.exists() else 0
    console, began_s = Console(), time.monotonic()
    if kept:
        console.print(f"going on with {kept} frames from {folder}", markup=False, soft_wrap=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as progress:
            frames = progress.track(rendered_frames(plan, workers, folder), plan.frames, description="frames")
            counts = write_simulation(plan, failures, frames, args.out, args.compressed)
    except KeyboardInterrupt:
        if folder.exists():
            told = f"{len(store)} of {plan.frames} frames are kept in {folder}; the same command goes on from there"
            print(told, file=sys.stderr)
        raise
    elapsed_s = time.monotonic() - began_s
    store.remove()
    table = Table(show_header=False)
    for topic, count in sorted(counts.items()):
        table.add_row(topic, str(count))
    console.print(table)
    made = plan.frames - min(kept, plan.frames)
    rate = f"{made / elapsed_s:.1f} frames a second" if made else "nothing to render"
    cameras, processes = _count(len(plan.rigged()), "camera"), _count(workers, "process", "es")
    summary = f"wrote {args.out}: {_count(plan.frames, 'frame')} of {cameras}; {rate} with {processes}"
    console.print(summary, markup=False, soft_wrap=True)
    return 0


def _count(number: int, what: str, plural: str = "s") -> str:
    return f"{number} {what}{'' if number == 1 else plural}"


def _plan(args: argparse.Namespace) -> "SimulationPlan":
    from mono_depth_ros.datasets.rendered.simulation import SimulationPlan
    from mono_depth_ros.synthetic.sensors.camera_rig import RIG_NAMES, CameraMount
    from mono_depth_ros.synthetic.sensors.rig_file import rig_from_values

    try:
        width_px, height_px = (int(side) for side in args.size.split("x"))
    except ValueError:
        raise ConfigError(f"--size: expected for example 640x192, got {args.size!r}") from None
    try:
        elevations_deg = tuple(float(e) for e in args.elevations_deg.split(",")) if args.elevations_deg else ()
    except ValueError:
        raise ConfigError(f"--elevations-deg: expected for example 2,0,-4.5, got {args.elevations_deg!r}") from None
    cameras: tuple[CameraMount, ...] = ()
    if args.rig not in RIG_NAMES:
        what = f"--rig {args.rig}"
        if not Path(args.rig).is_file():
            raise ConfigError(f"{what}: expected one of {', '.join(RIG_NAMES)} or a YAML file, got neither")
        try:
            cameras = rig_from_values(_read_yaml(Path(args.rig), what))
        except ConfigError as error:
            raise error if str(error).startswith(what) else ConfigError(f"{what}: {error}") from error
    return SimulationPlan(
        seed=args.seed,
        seconds=args.seconds,
        rate_hz=args.rate_hz,
        width_px=width_px,
        height_px=height_px,
        lidar_beams=args.lidar_beams,
        world=args.world,
        rig="single" if cameras else args.rig,
        cameras=cameras,
        sensors=tuple(args.sensors.split(",")) if args.sensors else (),
        elevations_deg=elevations_deg,
        rolling=not args.instant_scan,
    )


def _read_failures(path: Path, plan: "SimulationPlan") -> "FailurePlan":
    """The plan in a YAML file, for the sensors of a robot.

    Raises:
        ConfigError: the file cannot be read, or all that is wrong in it.
    """
    from mono_depth_ros.synthetic.failure_file import failure_plan

    values = _read_yaml(path, f"--failures {path}")
    sensors = (*(mount.name for mount in plan.rigged()), *plan.equipped())
    try:
        return failure_plan(values, sensors)
    except ConfigError as error:
        raise ConfigError(f"--failures {path}: {error}") from error


def _read_yaml(path: Path, what: str) -> dict[Any, Any]:
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{what}: expected a readable YAML file, got: {error}") from error
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{what}: expected a mapping, got {type(values).__name__}")
    return values
