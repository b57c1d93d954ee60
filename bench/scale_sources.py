# SPDX-License-Identifier: Apache-2.0
"""What each source of scale makes of a network whose metres are wrong by a factor, and whether a bump is noticed.

    python bench/scale_sources.py [--drives 3] [--seconds 6] [--bag BAG --camera NS --points TOPIC --truth TOPIC]
    python bench/scale_sources.py --watch-s 60 [--bump-deg 3]

On synthetic drives the network says the true depth times 0.6, its pose network the true motion times 0.6: the factor
to recover is 1.667. On a bag the network is a model's own prediction times 0.6; what its factor should be, a dense scan
tells. With --watch-s, a long drive is watched: when is its calibration suspected?
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from mono_depth_ros.datasets.bag_topics import find_topics
from mono_depth_ros.datasets.rosbag2 import Rosbag2Reader
from mono_depth_ros.datasets.simulation import SimulationPlan
from mono_depth_ros.datasets.snapshot_feed import SnapshotFeed
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pipeline import fit_to_network, infer_depth
from mono_depth_ros.inference.pose_engine import PoseContract
from mono_depth_ros.inference.scaling import MetricScaler
from mono_depth_ros.perception.scale import MEASURED, ScaleEstimate, ScalePolicy, ScaleSource
from mono_depth_ros.perception.snapshot import SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer
from mono_depth_ros.share import model_path
from mono_depth_ros.synthetic.failures import CalibrationBump

WRONG = 0.6
SKY_M = 100.0
WAYS = (*MEASURED, ScaleSource.FUSED)


class TruePose:
    """The true motion times 0.6, in place of a pose network."""

    contract = PoseContract("truth", 8, 8, "truth", "0" * 64, "Apache-2.0")

    def __init__(self) -> None:
        self.T_previous_current: RigidTransform = np.eye(4)

    def infer(self, rgb_previous: object, rgb_current: object) -> RigidTransform:  # noqa: ARG002
        motion = self.T_previous_current.copy()
        motion[:3, 3] *= WRONG
        return motion


def synthetic_images(plan: SimulationPlan, pose: TruePose) -> Iterator[tuple[SensorSnapshot, DepthMap]]:
    """What the robot knows, and what the network says, image after image."""
    drive = plan.drive()
    camera = drive.sensors.cameras[0].name
    gap_s = max(0.3, 1.5 / plan.rate_hz)
    buffer = SnapshotBuffer(BufferPolicy(max_odometry_gap_s=gap_s))
    for index in range(plan.frames):
        frame = drive.frame(index)
        view = frame.views[0]
        buffer.add_camera(frame.stamp_ns, view.camera)
        buffer.set_T_base_camera(view.T_base_camera)
        buffer.add_odometry(frame.stamp_ns, frame.T_odom_base, frame.speed_mps)
        if frame.lidar is not None:
            buffer.set_T_camera_lidar("lidar", invert_rigid(view.T_base_camera) @ frame.lidar.T_base_lidar)
            offset_s = frame.lidar.time_s.astype(np.float64)
            buffer.add_points(frame.stamp_ns, frame.lidar.points_lidar, "lidar", offset_s)
        time_s = index / plan.rate_hz
        before, now = (drive.T_world_sensor(camera, max(0.0, at)) for at in (time_s - 1 / plan.rate_hz, time_s))
        pose.T_previous_current = invert_rigid(before) @ now
        snapshot = buffer.snapshot(frame.stamp_ns, camera, view.image_rgb)
        if isinstance(snapshot, SensorSnapshot):
            yield snapshot, np.nan_to_num(WRONG * view.truth_depth_m, nan=WRONG * SKY_M).astype(np.float32)


def bag_images(args: argparse.Namespace, factor: float) -> Iterator[tuple[SensorSnapshot, DepthMap, PinholeCamera]]:
    """What the robot knows, and a model's prediction times the factor, image after image."""
    engine = OnnxEngine(model_path(args.model))
    with Rosbag2Reader(args.bag) as bag:
        topics = find_topics(bag.types, args.camera, args.points, None)
        buffer = SnapshotBuffer()
        feed = SnapshotFeed(bag, topics, buffer)
        for message in bag.messages(topics.names()):
            image = feed.put(message)
            if image is None:
                continue
            snapshot = buffer.snapshot(image.stamp_ns, image.camera_frame, image.image_rgb)
            if isinstance(snapshot, SensorSnapshot):
                fit = fit_to_network(snapshot.image_rgb, snapshot.camera, engine.contract)
                yield snapshot, infer_depth(engine, fit, None) * np.float32(factor), fit.camera


def follow(scaler: MetricScaler, snapshot: SensorSnapshot, said_m: DepthMap, camera: PinholeCamera) -> ScaleEstimate:
    """One image for a scaler."""
    points = None if snapshot.points_camera_m is None else project_points(snapshot.points_camera_m, camera)
    return scaler.update(snapshot, camera, said_m, points)


def scalers(pose: TruePose | None) -> dict[ScaleSource, MetricScaler]:
    """One for each source alone, and one for all together; each looks at every image."""
    every = ScalePolicy(refresh_s=0.05)
    made = {}
    for source in WAYS:
        fused = replace(every, order=MEASURED, combine="fuse")
        policy = fused if source is ScaleSource.FUSED else replace(every, order=(source,))
        made[source] = MetricScaler(policy, pose=pose, model_is_metric=False)
    return made


def report(name: str, found: dict[ScaleSource, list[ScaleEstimate]]) -> None:
    """One line: factor and sigma at the end of the drive, and the mean error of the factor on the way."""
    cells = []
    for source in WAYS:
        known = [estimate for estimate in found[source] if estimate.metric]
        cells.append(f"{known[-1].value:5.3f} +- {known[-1].sigma:5.3f}" if known else "     -       ")
    print(f"{name:26} " + "  ".join(f"{cell:14}" for cell in cells), flush=True)


def on_synthetic_drives(args: argparse.Namespace) -> None:
    """A line per drive."""
    for seed in range(args.drives):
        pose = TruePose()
        plan = SimulationPlan(seed, seconds=args.seconds, width_px=320, height_px=96, samples=1)
        made = scalers(pose)
        found: dict[ScaleSource, list[ScaleEstimate]] = {source: [] for source in WAYS}
        for snapshot, said_m in synthetic_images(plan, pose):
            for source, scaler in made.items():
                found[source].append(follow(scaler, snapshot, said_m, snapshot.camera))
        report(f"synthetic, seed {seed}", found)


def on_bag(args: argparse.Namespace) -> None:
    """Two lines, for the prediction as it is and times 0.6, and what the dense scan says."""
    for factor in (1.0, WRONG):
        made = scalers(None)
        found: dict[ScaleSource, list[ScaleEstimate]] = {source: [] for source in WAYS}
        for snapshot, said_m, camera in bag_images(args, factor):
            for source, scaler in made.items():
                found[source].append(follow(scaler, snapshot, said_m, camera))
        report(f"{args.bag.name}, prediction x {factor:g}", found)
    if args.truth is not None:
        dense = argparse.Namespace(**{**vars(args), "points": args.truth})
        medians = []
        for snapshot, said_m, camera in bag_images(dense, WRONG):
            if snapshot.points_camera_m is not None:
                points = project_points(snapshot.points_camera_m, camera)
                medians.append(float(np.median(points.depth_m / said_m[points.rows, points.cols])))
        print(
            f"  dense scan: median ratio {np.median(medians):.3f}, per image {min(medians):.3f} to {max(medians):.3f}"
        )


def watch(args: argparse.Namespace, alarms: Callable[[str], None]) -> None:
    """A drive at two images per second; the LiDAR is turned down by --bump-deg at a third of it."""
    bumps = () if args.bump_deg == 0 else (CalibrationBump(args.watch_s / 3, (0.0, args.bump_deg, 0.0)),)
    plan = SimulationPlan(
        args.seed, seconds=args.watch_s, rate_hz=2.0, width_px=320, height_px=96, samples=1, rolling=False, bumps=bumps
    )
    pose, before = TruePose(), False
    scaler = MetricScaler(ScalePolicy(order=MEASURED, combine="fuse"), pose=pose, model_is_metric=False)
    suspected = looks = 0
    for snapshot, said_m in synthetic_images(plan, pose):
        follow(scaler, snapshot, said_m, snapshot.camera)
        looks += 1
        suspected += scaler.verdict.suspect
        if scaler.verdict.suspect != before:
            before = scaler.verdict.suspect
            alarms(f"{snapshot.stamp_ns * 1e-9:7.1f} s: suspect {before} {scaler.verdict.reason}")
    bump = f"a bump of {args.bump_deg:g} degrees at {args.watch_s / 3:.0f} s" if bumps else "no bump"
    alarms(f"seed {args.seed}, {args.watch_s:g} s, {bump}: suspected in {suspected} of {looks} images")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drives", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--bag", type=Path)
    parser.add_argument("--camera")
    parser.add_argument("--points")
    parser.add_argument("--truth")
    parser.add_argument("--model", default="street_tiny")
    parser.add_argument("--watch-s", type=float)
    parser.add_argument("--bump-deg", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.watch_s is not None:
        watch(args, lambda line: print(line, flush=True))
        return
    print(f"{'':26} " + "  ".join(f"{source.value:14}" for source in WAYS))
    on_synthetic_drives(args)
    if args.bag is not None:
        on_bag(args)


if __name__ == "__main__":
    main()
