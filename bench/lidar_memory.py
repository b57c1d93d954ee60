# SPDX-License-Identifier: Apache-2.0
"""What the lidar memory gains while a LiDAR loses scans, and what it costs.

    python bench/lidar_memory.py BAG --points /lidar/points_4beam --truth /lidar/points [--lost 0.5]
    python bench/lidar_memory.py BAG --points /lidar/points_4beam --truth /lidar/points --ages 0 0.2 0.4 0.8 1.2

Scans are lost at random, the same for all ways. Each image is scored on the dense scan at its stamp, without the
pixels of the points that the image would have had without any loss. With --ages, every scan comes late by each age in
turn.
"""

import argparse
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.snapshot_feed import SnapshotFeed
from mono_depth_ros.datasets.bags.topics import find_topics
from mono_depth_ros.evaluation.metrics import DepthMetrics, depth_metrics, mean_metrics
from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pipeline import DepthPipeline
from mono_depth_ros.perception.lidar_memory import MemoryPolicy
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer
from mono_depth_ros.share import model_path

MAX_DEPTH_M = 80.0


def snapshots(
    bag: Rosbag2Reader, points: str, lost: float, policy: BufferPolicy, took_s: list[float], late_s: float = 0.0
) -> Iterator[SensorSnapshot]:
    """Every image with what the robot would know; `lost` of the scans do not arrive, the others late."""
    topics = find_topics(bag.types, None, points, None)
    buffer = SnapshotBuffer(policy)
    feed = SnapshotFeed(bag, topics, buffer)
    random = np.random.default_rng(1)
    held: deque[BagMessage] = deque()
    for message in bag.messages(topics.names()):
        while held and held[0].log_stamp_ns + late_s * 1e9 <= message.log_stamp_ns:
            feed.put(held.popleft())
        if message.topic == topics.points:
            if random.random() >= lost:
                held.append(message)
            if late_s > 0 or not held:
                continue
            message = held.popleft()
        image = feed.put(message)
        if image is None:
            continue
        started_s = time.perf_counter()
        found = buffer.snapshot(image.stamp_ns, image.camera_frame, image.image_rgb)
        took_s.append(time.perf_counter() - started_s)
        if isinstance(found, SensorSnapshot):
            yield found


def dense_truth(bag: Rosbag2Reader, truth: str, points: str) -> dict[int, DepthMap]:
    """Stamp -> depth of the dense scan, without the pixels of the sparse points, NaN unknown or too far."""
    policy = BufferPolicy(max_points_age_s=0.06)
    given = {found.stamp_ns: found for found in snapshots(bag, points, 0.0, policy, [])}
    truths = {}
    for found in snapshots(bag, truth, 0.0, policy, []):
        sparse = given.get(found.stamp_ns)
        if found.points_camera_m is None or sparse is None or sparse.points_camera_m is None:
            continue
        depth_m = sparse_to_dense(project_points(found.points_camera_m, found.camera))
        inputs = project_points(sparse.points_camera_m, found.camera)
        depth_m[inputs.rows, inputs.cols] = np.nan
        depth_m[np.nan_to_num(depth_m) > MAX_DEPTH_M] = np.nan
        truths[found.stamp_ns] = depth_m
    return truths


@dataclass(frozen=True)
class Scored:
    """One way over the whole drive."""

    metrics: DepthMetrics
    images: int
    completed: int
    points: float
    snapshot_ms: float

    def line(self, name: str) -> str:
        """For the table."""
        return (
            f"{name:28} {self.metrics.abs_rel:.3f}   {self.metrics.rmse:5.2f}   {self.images:4d}    "
            f"{self.completed:4d}      {self.points:6.0f}    {self.snapshot_ms:.1f}"
        )


def score(
    engine: OnnxEngine, truth: dict[int, DepthMap], known: Iterator[SensorSnapshot], took_s: list[float]
) -> Scored:
    """The pipeline on every image that has truth."""
    pipeline, found = DepthPipeline(engine), []
    completed = points = 0
    for snapshot in known:
        result = pipeline.step(snapshot)
        if snapshot.stamp_ns not in truth or isinstance(result, NoSnapshot):
            continue
        truth_m = truth[snapshot.stamp_ns]
        scored = np.isfinite(truth_m)
        size = (truth_m.shape[1], truth_m.shape[0])
        depth_m = cv2.resize(np.nan_to_num(result.depth_m, nan=MAX_DEPTH_M), size)
        found.append(depth_metrics(np.clip(depth_m[scored], 0.5, MAX_DEPTH_M), truth_m[scored]))
        completed += result.mode.name == "COMPLETION"
        points += result.points_used
    return Scored(mean_metrics(found), len(found), completed, points / len(found), 1e3 * float(np.median(took_s)))


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--points", required=True)
    parser.add_argument("--truth", required=True)
    parser.add_argument("--lost", type=float, default=0.5)
    parser.add_argument("--ages", type=float, nargs="+", default=[])
    parser.add_argument("--model", default="street")
    parser.add_argument("--memory-s", type=float, default=MemoryPolicy().memory_s)
    args = parser.parse_args()
    engine, memory = OnnxEngine(model_path(args.model)), MemoryPolicy(memory_s=args.memory_s)
    ways: list[tuple[str, float, float, MemoryPolicy | None]] = [("prediction", 1.0, 0.0, None)]
    for age_s in args.ages:
        ways += [(f"{age_s:g} s late, no memory", 0.0, age_s, None), (f"{age_s:g} s late, memory", 0.0, age_s, memory)]
    for lost in () if args.ages else (0.0, args.lost):
        ways += [(f"{lost:.0%} lost, no memory", lost, 0.0, None), (f"{lost:.0%} lost, memory", lost, 0.0, memory)]
    with Rosbag2Reader(args.bag) as bag:
        truth = dense_truth(bag, args.truth, args.points)
        # Every age is scored on the same images: those that the latest scan has had time to come to.
        first_ns = min(truth) + round(max(args.ages, default=0.0) * 1e9)
        truth = {stamp_ns: depth_m for stamp_ns, depth_m in truth.items() if stamp_ns >= first_ns}
        print(f"{'way':28} AbsRel  RMSE m  images  completed  points  snapshot ms")
        for name, lost, late_s, kept in ways:
            took_s: list[float] = []
            known = snapshots(bag, args.points, lost, BufferPolicy(memory=kept), took_s, late_s)
            print(score(engine, truth, known, took_s).line(name), flush=True)


if __name__ == "__main__":
    main()
