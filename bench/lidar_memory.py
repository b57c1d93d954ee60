# SPDX-License-Identifier: Apache-2.0
"""What the lidar memory gains while a LiDAR loses scans, and what it costs.

    python bench/lidar_memory.py BAG --points /lidar/points_4beam --truth /lidar/points [--lost 0.5]

Scans are lost at random, the same for all ways. Each image is scored on the dense scan at its stamp, without the
pixels of the points that the image would have had without any loss.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from mono_depth_ros.datasets.bag_topics import find_topics
from mono_depth_ros.datasets.rosbag2 import Rosbag2Reader
from mono_depth_ros.datasets.snapshot_feed import SnapshotFeed
from mono_depth_ros.evaluation.metrics import depth_metrics, mean_metrics
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
    bag: Rosbag2Reader, points: str, lost: float, policy: BufferPolicy, took_s: list[float]
) -> Iterator[SensorSnapshot]:
    """Every image with what the robot would know; `lost` of the scans do not arrive."""
    topics = find_topics(bag.types, None, points, None)
    buffer = SnapshotBuffer(policy)
    feed = SnapshotFeed(bag, topics, buffer)
    random = np.random.default_rng(1)
    for message in bag.messages(topics.names()):
        if message.topic == topics.points and random.random() < lost:
            continue
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


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--points", required=True)
    parser.add_argument("--truth", required=True)
    parser.add_argument("--lost", type=float, default=0.5)
    parser.add_argument("--model", default="street_tiny")
    parser.add_argument("--memory-s", type=float, default=MemoryPolicy().memory_s)
    args = parser.parse_args()
    engine = OnnxEngine(model_path(args.model))
    with Rosbag2Reader(args.bag) as bag:
        truth = dense_truth(bag, args.truth, args.points)
        memory = MemoryPolicy(memory_s=args.memory_s)
        ways = (
            ("no loss, no memory", 0.0, None),
            ("no loss, memory", 0.0, memory),
            (f"{args.lost:.0%} lost, no memory", args.lost, None),
            (f"{args.lost:.0%} lost, memory", args.lost, memory),
            ("prediction", 1.0, None),
        )
        print(f"{'way':24} AbsRel  RMSE m  images  completed  points  snapshot ms")
        for name, lost, kept in ways:
            pipeline, found, took_s = DepthPipeline(engine), [], []
            completed = points = 0
            for snapshot in snapshots(bag, args.points, lost, BufferPolicy(memory=kept), took_s):
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
            mean = mean_metrics(found)
            print(
                f"{name:24} {mean.abs_rel:.3f}   {mean.rmse:5.2f}   {len(found):4d}    {completed:4d}      "
                f"{points / len(found):6.0f}    {1e3 * float(np.median(took_s)):.1f}"
            )


if __name__ == "__main__":
    main()
