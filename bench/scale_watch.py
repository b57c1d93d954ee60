# SPDX-License-Identifier: Apache-2.0
"""Whether the calibration is suspected in a long drive, clean and bumped.

    python bench/scale_watch.py [--drives 6] [--seconds 12] [--hours 1]

An hour at 10 Hz is 36,000 images to render, so an hour is put together: once per second, two images 0.1 s apart are
rendered of some short drives on different streets; these drives are then driven again and again in random order, their
stamps going on. The scaler sees one unbroken drive: rendered images with noise, LiDAR points, odometry. It looks once
per second, as it does beside a completing network. The network is the true depth times 0.6, or a model's prediction.

Bumps come after a third of the time: the LiDAR's points are turned about its place, or the camera in TF is turned.
"""

import argparse
from dataclasses import replace

import numpy as np
from scale_sources import synthetic_images, truth_as_network

from mono_depth_ros.datasets.rendered.simulation import SimulationPlan
from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.network_image import fit_to_network, infer_depth
from mono_depth_ros.inference.scaling import MetricScaler
from mono_depth_ros.perception.scale import MEASURED, ScalePolicy
from mono_depth_ros.perception.snapshot import SensorSnapshot
from mono_depth_ros.share import model_path

Look = tuple[SensorSnapshot, SensorSnapshot, dict[str, DepthMap]]  # 0.1 s before; at the look; what networks say


def rendered(args: argparse.Namespace) -> list[list[Look]]:
    """The looks of each drive."""
    engine = OnnxEngine(model_path(args.model))
    drives = []
    for seed in range(args.seed, args.seed + args.drives):
        plan = SimulationPlan(seed, seconds=args.seconds, width_px=320, height_px=96, samples=1, rolling=False)
        indices = [index for index in range(plan.frames) if index % 10 in (8, 9)]
        looks, before = [], None
        for snapshot, depth_m in synthetic_images(plan, indices):
            if before is not None and snapshot.stamp_ns - before.stamp_ns < 2e8:
                fit = fit_to_network(snapshot.image_rgb, snapshot.camera, engine.contract)
                says = {"truth": truth_as_network(depth_m), args.model: infer_depth(engine, fit, None)}
                looks.append((before, snapshot, says))
            before = snapshot
        drives.append(looks)
    return drives


def turned(about: str, degrees: float) -> RigidTransform:
    """A rotation about the y or z axis of a body."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    rotation = np.eye(4)
    if about == "y":
        rotation[:3, :3] = [[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]
    else:
        rotation[:3, :3] = [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]
    return rotation


def bumped(snapshot: SensorSnapshot, bump: str) -> SensorSnapshot:
    """What the robot would know with a mount turned by three degrees and a calibration that does not know it."""
    mount, points, motion = snapshot.T_base_camera, snapshot.points_camera_m, snapshot.T_previous_current
    if mount is None or bump == "none":
        return snapshot
    rotation = turned("z" if bump.endswith("yaw") else "y", 3.0)
    if bump.startswith("lidar") and points is not None:
        # About a place beside the camera: the lever arm of a turned LiDAR is too short to matter.
        in_camera = invert_rigid(mount) @ rotation @ mount
        in_camera[:3, 3] = 0.0
        return replace(snapshot, points_camera_m=(points @ in_camera[:3, :3].T.astype(np.float32)))
    if bump.startswith("camera") and motion is not None:
        wrong = mount.copy()
        wrong[:3, :3] = rotation[:3, :3] @ mount[:3, :3]
        in_camera = invert_rigid(wrong) @ mount
        moved = in_camera @ motion @ invert_rigid(in_camera)
        moved_points = None if points is None else (points @ in_camera[:3, :3].T.astype(np.float32))
        return replace(snapshot, T_previous_current=moved, T_base_camera=wrong, points_camera_m=moved_points)
    return snapshot


def watch(drives: list[list[Look]], network: str, bump: str, slip: float, args: argparse.Namespace) -> None:
    """One long drive; prints when the verdict changes, and how often it was suspect."""
    scaler = MetricScaler(ScalePolicy(order=MEASURED, combine="fuse"), model_is_metric=False)
    random, second, suspected, before = np.random.default_rng(args.seed), 0, 0, False
    seconds = round(3600 * args.hours)
    starts, told, motions = seconds // 3, [], 0
    while second < seconds:
        for earlier, look, says in drives[random.integers(len(drives))]:
            second += 1
            wrong = bump if second > starts else "none"
            for taken, said_m, since_s in ((earlier, None, -0.1), (look, says[network], 0.0)):
                if second == 1 and said_m is None:
                    continue  # The first image sets the beat of the looks.
                snapshot = replace(bumped(taken, wrong), stamp_ns=round((second + since_s) * 1e9))
                if snapshot.T_previous_current is not None and second > starts:
                    motion = snapshot.T_previous_current.copy()
                    motion[:3, 3] *= slip
                    snapshot = replace(snapshot, T_previous_current=motion)
                points = snapshot.points_camera_m
                sparse = None if points is None else project_points(points, snapshot.camera)
                scaler.update(snapshot, snapshot.camera, said_m, sparse)
            motions += not scaler.motion_refused
            suspected += scaler.verdict.suspect
            if scaler.verdict.suspect != before:
                before = scaler.verdict.suspect
                told.append(f"  {second} s: suspect {before} {scaler.verdict.reason}")
    print(f"{network}, {bump}, slip {slip:g}: suspected in {suspected} of {second} looks, motion seen in {motions}")
    print("\n".join(told[:6] + ([f"  ... {len(told) - 6} more changes"] if len(told) > 6 else [])), flush=True)


def main() -> None:
    """Prints the verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drives", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--model", default="street")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    drives = rendered(args)
    print(f"{len(drives)} drives, {sum(map(len, drives))} different looks", flush=True)
    for network in ("truth", args.model):
        watch(drives, network, "none", 1.0, args)
    short = argparse.Namespace(**{**vars(args), "hours": min(args.hours, 0.05)})
    for bump in ("lidar_pitch", "lidar_yaw", "camera_yaw", "camera_pitch"):
        watch(drives, args.model, bump, 1.0, short)
    watch(drives, args.model, "none", 1.5, short)


if __name__ == "__main__":
    main()
