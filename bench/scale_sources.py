# SPDX-License-Identifier: Apache-2.0
"""What each source of scale makes of a network whose metres are wrong by a factor.

    python bench/scale_sources.py [--drives 3] [--seconds 6] [--bag BAG --camera NS --points TOPIC --truth TOPIC]

On synthetic drives the network says the true depth times 0.6 (the factor to recover is 1.667), then a model's own
prediction times 0.6. On a bag it is the prediction, as it is and times 0.6. What a prediction's factor should be, the
true depth tells, or a dense scan: the median of its ratio to the prediction. Odometry is used without a pose network.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mono_depth_ros.datasets.bags.drive import BagDrive, BagOptions
from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.bags.topics import find_topics
from mono_depth_ros.datasets.rendered.simulation import SimulationPlan
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.network_image import fit_to_network, infer_depth
from mono_depth_ros.inference.scaling import MetricScaler
from mono_depth_ros.inference.visual_motion import estimate_motion
from mono_depth_ros.perception.scale import MEASURED, ScaleEstimate, ScalePolicy, ScaleSource
from mono_depth_ros.perception.snapshot import SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer
from mono_depth_ros.share import model_path

WRONG = 0.6
SKY_M, FAR_M = 100.0, 80.0
WAYS = (*MEASURED, ScaleSource.FUSED)


def synthetic_images(
    plan: SimulationPlan, indices: Sequence[int] | None = None
) -> Iterator[tuple[SensorSnapshot, DepthMap]]:
    """What the robot knows, and the true depth (NaN in the sky), image after image; only some if they are named."""
    drive = plan.drive()
    camera = drive.sensors.cameras[0].name
    buffer = SnapshotBuffer(BufferPolicy(max_odometry_gap_s=max(0.3, 1.5 / plan.rate_hz) if indices is None else 1.5))
    for index in range(plan.frames) if indices is None else indices:
        frame = drive.frame(index)
        view = frame.views[0]
        buffer.add_camera(frame.stamp_ns, view.camera)
        buffer.set_T_base_camera(view.T_base_camera)
        buffer.add_odometry(frame.stamp_ns, frame.T_odom_base, frame.speed_mps)
        if frame.lidar is not None:
            buffer.set_T_camera_lidar("lidar", invert_rigid(view.T_base_camera) @ frame.lidar.T_base_lidar)
            offset_s = frame.lidar.time_s.astype(np.float64)
            buffer.add_points(frame.stamp_ns, frame.lidar.points_lidar, "lidar", offset_s)
        snapshot = buffer.snapshot(frame.stamp_ns, camera, view.image_rgb)
        if isinstance(snapshot, SensorSnapshot):
            yield snapshot, view.truth_depth_m


def bag_images(args: argparse.Namespace, factor: float) -> Iterator[tuple[SensorSnapshot, DepthMap, PinholeCamera]]:
    """What the robot knows, and a model's prediction times the factor, image after image."""
    engine = OnnxEngine(model_path(args.model))
    with Rosbag2Reader(args.bag) as bag:
        topics = find_topics(bag.types, args.camera, args.points, None)
        tree = bag.static_transforms()
        intake = BagOptions().intake(SnapshotBuffer(), topics, tree)
        for image in BagDrive(bag, topics, intake, tree).images():
            snapshot = intake.snapshot(image)
            if isinstance(snapshot, SensorSnapshot):
                fit = fit_to_network(snapshot.image_rgb, snapshot.camera, engine.contract)
                yield snapshot, infer_depth(engine, fit, None) * np.float32(factor), fit.camera


def follow(scaler: MetricScaler, snapshot: SensorSnapshot, said_m: DepthMap, camera: PinholeCamera) -> ScaleEstimate:
    """One image for a scaler."""
    points = None if snapshot.points_camera_m is None else project_points(snapshot.points_camera_m, camera)
    return scaler.update(snapshot, camera, said_m, points)


def scalers() -> dict[ScaleSource, MetricScaler]:
    """One for each source alone, and one for all together; each looks at every image."""
    every = ScalePolicy(refresh_s=0.05)
    made = {}
    for source in WAYS:
        fused = replace(every, order=MEASURED, combine="fuse")
        policy = fused if source is ScaleSource.FUSED else replace(every, order=(source,))
        made[source] = MetricScaler(policy, model_is_metric=False)
    return made


class Table:
    """The sources on one drive: follows each, then prints a line."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._scalers = scalers()
        self._found: dict[ScaleSource, list[ScaleEstimate]] = {source: [] for source in WAYS}
        self._refused: list[str] = []
        self.wanted: list[float] = []

    def put(self, snapshot: SensorSnapshot, said_m: DepthMap, camera: PinholeCamera) -> None:
        for source, scaler in self._scalers.items():
            self._found[source].append(follow(scaler, snapshot, said_m, camera))
        self._refused.append(self._scalers[ScaleSource.ODOMETRY].motion_refused)

    def line(self) -> None:
        """Factor and sigma at the end of the drive, what it should be, and how many images told no motion."""
        cells = []
        for source in WAYS:
            known = [estimate for estimate in self._found[source] if estimate.metric]
            cells.append(f"{known[-1].value:5.3f} +- {known[-1].sigma:5.3f}" if known else "     -       ")
        wanted = f"{np.median(self.wanted):5.3f}" if self.wanted else "  -  "
        told = sum(not word for word in self._refused)
        print(
            f"{self._name:30} {wanted}  " + "  ".join(f"{cell:14}" for cell in cells)
            + f" motion told by {told} of {len(self._refused)}",
            flush=True,
        )  # fmt: skip


def on_synthetic_drives(args: argparse.Namespace) -> None:
    """Two lines per drive: the true depth as the network, and a model."""
    engine = OnnxEngine(model_path(args.model))
    for seed in range(args.drives):
        plan = SimulationPlan(seed, seconds=args.seconds, width_px=320, height_px=96, samples=1)
        truth, model = Table(f"synthetic {seed}, truth x {WRONG}"), Table(f"synthetic {seed}, {args.model} x {WRONG}")
        for snapshot, depth_m in synthetic_images(plan):
            truth.put(snapshot, truth_as_network(depth_m), snapshot.camera)
            fit = fit_to_network(snapshot.image_rgb, snapshot.camera, engine.contract)
            said_m = infer_depth(engine, fit, None) * np.float32(WRONG)
            known = depth_m < FAR_M
            truth.wanted.append(1 / WRONG)
            model.wanted.append(float(np.median(depth_m[known] / said_m[known])))
            model.put(snapshot, said_m, fit.camera)
        truth.line()
        model.line()


def truth_as_network(depth_m: DepthMap) -> DepthMap:
    """The true depth times 0.6; a network says something of the sky, too."""
    return np.nan_to_num(WRONG * depth_m, nan=WRONG * SKY_M).astype(np.float32)


def on_bag(args: argparse.Namespace) -> None:
    """Two lines, for the prediction as it is and times 0.6."""
    for factor in (1.0, WRONG):
        table = Table(f"{args.bag.name}, {args.model} x {factor:g}")
        if args.truth is not None:
            dense = argparse.Namespace(**{**vars(args), "points": args.truth})
            for snapshot, said_m, camera in bag_images(dense, factor):
                if snapshot.points_camera_m is not None:
                    points = project_points(snapshot.points_camera_m, camera)
                    table.wanted.append(float(np.median(points.depth_m / said_m[points.rows, points.cols])))
            print(f"  dense scan, image by image: {min(table.wanted):.3f} to {max(table.wanted):.3f}")
        for snapshot, said_m, camera in bag_images(args, factor):
            table.put(snapshot, said_m, camera)
        table.line()


def time_of_motion(args: argparse.Namespace) -> None:
    """What the motion costs beside the network, ms per image."""
    engine = OnnxEngine(model_path(args.model))
    for width, height in ((320, 96), (640, 192)):
        plan = SimulationPlan(0, seconds=1.0, width_px=width, height_px=height, samples=1)
        before, motions, networks = None, [], []
        for snapshot, depth_m in synthetic_images(plan):
            if before is not None and snapshot.T_previous_current is not None:
                start_s = time.perf_counter()
                estimate_motion(
                    before, snapshot.image_rgb, snapshot.camera, truth_as_network(depth_m), snapshot.T_previous_current
                )
                motions.append(1e3 * (time.perf_counter() - start_s))
            before = snapshot.image_rgb
            start_s = time.perf_counter()
            infer_depth(engine, fit_to_network(snapshot.image_rgb, snapshot.camera, engine.contract), None)
            networks.append(1e3 * (time.perf_counter() - start_s))
        print(
            f"motion at {width}x{height}: {np.median(motions):.1f} ms (fastest {min(motions):.1f}); "
            f"{args.model}: {np.median(networks):.1f} ms (fastest {min(networks):.1f})"
        )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drives", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--bag", type=Path)
    parser.add_argument("--camera")
    parser.add_argument("--points")
    parser.add_argument("--truth")
    parser.add_argument("--model", default="street")
    args = parser.parse_args()
    time_of_motion(args)
    print(f"{'':30} {'truth':5}  " + "  ".join(f"{source.value:14}" for source in WAYS))
    on_synthetic_drives(args)
    if args.bag is not None:
        on_bag(args)


if __name__ == "__main__":
    main()
