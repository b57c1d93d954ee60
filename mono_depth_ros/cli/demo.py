# SPDX-License-Identifier: Apache-2.0
"""`mono-depth demo`: a synthetic robot drives, the real ROS 2 node makes depth, a report shows both."""

import argparse
import os
import platform
import shlex
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mono_depth_ros.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mono_depth_ros.evaluation.demo_report import DemoFrame, DemoPicture, DemoSummary
    from mono_depth_ros.ros.robot.demo_drive import Driven
    from mono_depth_ros.synthetic.robot import DriveFrame

_EPILOG = """\
example:
  mono-depth demo --out out/demo --seconds 12 --lidar-gap 4-8

Needs ROS 2 and the built package (`make build && . install/setup.bash`); `make demo` does all of it.
"""


@dataclass(frozen=True, slots=True)
class DrivePlan:
    """What the robot does.

    Attributes:
        seed: which street.
        seconds, rate_hz: length of the drive, images per second.
        width_px, height_px: of the camera.
        lidar_beams: of the LiDAR.
        gap_s: from when to when the LiDAR is silent.
    """

    seed: int
    seconds: float
    rate_hz: float
    width_px: int
    height_px: int
    lidar_beams: int
    gap_s: tuple[float, float]

    @property
    def frames(self) -> int:
        """Number of images."""
        return max(1, round(self.seconds * self.rate_hz))

    def time_s(self, index: int) -> float:
        """Of a frame, from the start."""
        return index / self.rate_hz

    def has_lidar(self, index: int) -> bool:
        """Whether the LiDAR is alive at a frame."""
        return not self.gap_s[0] <= self.time_s(index) < self.gap_s[1]


def add_parser(subparsers: Any) -> None:
    """Adds the command to `mono-depth`."""
    parser = subparsers.add_parser(
        "demo",
        help="a synthetic robot, the ROS 2 node, a report with pictures",
        description="Drives a synthetic robot down a street that the network has never seen, publishes its camera, "
        "odometry and LiDAR at real speed, runs depth_node on them, and writes report.html and report.png. "
        "In the middle the LiDAR falls silent; no image may be lost.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="folder of the report (default: %(default)s)"
    )
    parser.add_argument("--model", default="street", help="shipped model or a folder (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="which street (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=9.0, help="length of the drive (default: %(default)s)")
    parser.add_argument("--rate-hz", type=float, default=10.0, help="images per second (default: %(default)s)")
    parser.add_argument("--size", default="640x192", metavar="WxH", help="of the camera (default: %(default)s)")
    parser.add_argument("--lidar-beams", type=int, default=4, help="of the LiDAR (default: %(default)s)")
    parser.add_argument(
        "--lidar-gap",
        default="3-6",
        metavar="T0-T1",
        help="seconds in which the LiDAR is silent (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Renders, drives, writes the report; 0 when the dial turned both ways."""
    from rich.console import Console
    from rich.progress import Progress

    from mono_depth_ros.evaluation.demo_report import write_report
    from mono_depth_ros.ros.robot.demo_drive import Drive, drive_with_node, installed_node
    from mono_depth_ros.share import model_path, share_path

    console = Console()
    plan = _plan(args)
    model_dir = model_path(args.model)
    installed_node()  # Asked before anything that takes time.
    frames = _render(plan, console)
    with Progress(console=console) as progress:
        task = progress.add_task("driving", total=plan.frames)
        has_lidar = [plan.has_lidar(index) for index in range(plan.frames)]
        driven = drive_with_node(
            Drive(frames, plan.rate_hz, has_lidar),
            model_dir,
            share_path("config/fastdds_large_messages.xml"),
            lambda: progress.advance(task),
        )
    scored = _score(plan, frames, driven)
    summary = _summary(plan, scored, driven)
    pictures = [_picture(frame, frames[frame.index], driven) for frame in _moments(plan, scored)]
    page, picture = write_report(args.out, summary, scored, pictures)
    _print(console, plan, scored, summary)
    console.print(f"wrote {page} and {picture}")
    turned = summary.first_frame_without_lidar is not None and summary.first_frame_with_lidar_again is not None
    return 0 if turned else 1


def _plan(args: argparse.Namespace) -> DrivePlan:
    try:
        width_px, height_px = (int(side) for side in args.size.split("x"))
        start_s, end_s = (float(bound) for bound in args.lidar_gap.split("-"))
    except ValueError:
        raise ConfigError(
            f"--size and --lidar-gap: expected for example 640x192 and 3-6, got {args.size!r} and {args.lidar_gap!r}"
        ) from None
    if not 0 < start_s < end_s < args.seconds:
        raise ConfigError(f"--lidar-gap: expected 0 < T0 < T1 < --seconds {args.seconds:g}, got {args.lidar_gap!r}")
    if not (0 < args.rate_hz <= 100 and min(width_px, height_px) >= 32 and max(width_px, height_px) <= 4096):
        raise ConfigError("--rate-hz and --size: expected up to 100 Hz and sides of 32 to 4096 pixels")
    return DrivePlan(args.seed, args.seconds, args.rate_hz, width_px, height_px, args.lidar_beams, (start_s, end_s))


def _render(plan: DrivePlan, console: Any) -> list["DriveFrame"]:
    from rich.progress import Progress

    from mono_depth_ros.datasets.rendered.simulation import SimulationPlan, rendered_frames

    drive = SimulationPlan(
        seed=plan.seed,
        seconds=plan.seconds,
        rate_hz=plan.rate_hz,
        width_px=plan.width_px,
        height_px=plan.height_px,
        lidar_beams=plan.lidar_beams,
        rolling=False,  # the node takes a scan for one instant, and a message leaves here at its stamp
    )
    with Progress(console=console) as progress:
        frames = rendered_frames(drive, os.cpu_count() or 1)
        return list(progress.track(frames, drive.frames, description="rendering the drive"))


def _score(plan: DrivePlan, frames: list["DriveFrame"], driven: "Driven") -> list["DemoFrame"]:
    from mono_depth_ros.evaluation.demo_score import score_frame
    from mono_depth_ros.perception.dial import Mode

    heard, scored = driven.heard, []
    for index, (stamp_ns, sent_s) in enumerate(zip(driven.stamps_ns, driven.sent_s, strict=True)):
        if stamp_ns in heard.depth_m and stamp_ns in heard.statuses and stamp_ns in heard.cameras:
            status = heard.statuses[stamp_ns]
            scored.append(
                score_frame(
                    index,
                    plan.time_s(index),
                    heard.depth_m[stamp_ns],
                    frames[index].views[0].truth_depth_m,
                    mode=Mode(status.mode),
                    reason=status.reason,
                    lidar_sent=plan.has_lidar(index),
                    latency_s=heard.arrived_s[stamp_ns] - sent_s,
                )
            )
    if not scored:
        raise DataError("depth_node: expected depth images, got none; see its lines above")
    return scored


def _moments(plan: DrivePlan, scored: list["DemoFrame"]) -> list["DemoFrame"]:
    """Three frames to look at: before, in and after the gap."""
    moments_s = (plan.gap_s[0] / 2, sum(plan.gap_s) / 2, (plan.gap_s[1] + plan.seconds) / 2)
    return [min((abs(frame.time_s - at_s), frame.index, frame) for frame in scored)[2] for at_s in moments_s]


def _picture(scored: "DemoFrame", frame: "DriveFrame", driven: "Driven") -> "DemoPicture":
    import cv2
    import numpy as np

    from mono_depth_ros.evaluation.demo_report import DemoPicture
    from mono_depth_ros.evaluation.demo_score import sample_nearest
    from mono_depth_ros.geometry.rigid import invert_rigid, transform_points
    from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense

    stamp_ns = driven.stamps_ns[scored.index]
    depth_m, camera = driven.heard.depth_m[stamp_ns], driven.heard.cameras[stamp_ns]
    height, width = depth_m.shape
    no_points = np.zeros((0, 3), np.float32)
    view, points = frame.views[0], no_points
    if scored.lidar_sent and frame.lidar is not None:
        T_camera_lidar = invert_rigid(view.T_base_camera) @ frame.lidar.T_base_lidar
        points = transform_points(T_camera_lidar, frame.lidar.points_lidar)
    return DemoPicture(
        frame=scored,
        image_rgb=np.asarray(cv2.resize(view.image_rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8),
        points_depth_m=sparse_to_dense(project_points(points, camera)),
        depth_m=depth_m,
        truth_m=sample_nearest(view.truth_depth_m, height, width),
        cloud_camera_m=driven.heard.clouds.get(stamp_ns, no_points),
        T_base_camera=view.T_base_camera,
    )


def _summary(plan: DrivePlan, scored: list["DemoFrame"], driven: "Driven") -> "DemoSummary":
    from mono_depth_ros.evaluation.demo_report import DemoSummary
    from mono_depth_ros.perception.dial import Mode

    without = (frame.index for frame in scored if not frame.lidar_sent and frame.mode is Mode.PREDICTION)
    again = (frame.index for frame in scored if frame.time_s >= plan.gap_s[1] and frame.mode is Mode.COMPLETION)
    status = next(iter(driven.heard.statuses.values()))
    return DemoSummary(
        model_name=status.model_name,
        provider=status.provider,
        machine=f"{os.cpu_count()} cores, {platform.machine()}",
        made_on=date.today().isoformat(),
        images_sent=plan.frames,
        depths_received=len(scored),
        first_frame_without_lidar=next(without, None),
        first_frame_with_lidar_again=next(again, None),
        command=shlex.join(["mono-depth", *sys.argv[1:]]),
    )


def _print(console: Any, plan: DrivePlan, scored: list["DemoFrame"], summary: "DemoSummary") -> None:
    from rich.table import Table

    from mono_depth_ros.evaluation.demo_report import mode_table

    rows = mode_table(scored)
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    console.print(f"images sent {summary.images_sent}, depth images received {summary.depths_received}")
    silent_from, back_at = (round(bound_s * plan.rate_hz) for bound_s in plan.gap_s)
    console.print(
        f"LiDAR silent from frame {silent_from}: prediction from frame {summary.first_frame_without_lidar}; "
        f"LiDAR back at frame {back_at}: completion from frame {summary.first_frame_with_lidar_again}"
    )
    lost = summary.images_sent - summary.depths_received
    if lost:
        console.print(
            f"[yellow]{lost} images were overtaken by newer ones: this machine is too slow or too busy for "
            f"{plan.rate_hz:g} Hz; try --rate-hz {plan.rate_hz / 2:g}[/yellow]"
        )
