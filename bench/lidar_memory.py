# SPDX-License-Identifier: Apache-2.0
"""What the lidar memory gains while a LiDAR loses scans, and what it costs.

    python bench/lidar_memory.py BAG --points /lidar/points_4beam --truth /lidar/points [--lost 0.5]
    python bench/lidar_memory.py BAG --points /lidar/points_4beam --truth /lidar/points --ages 0 0.2 0.4 0.8 1.2

The node runs over the bag. Scans are lost at random, the same for all ways. Each image is scored on the dense scan at
its stamp, without the pixels of the points that the image would have had without any loss. With --ages, every scan
comes late by each age in turn.
"""

import argparse
from collections.abc import Collection, Iterator
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mono_depth_ros.datasets.bags.bag_samples import read_bag
from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.topics import find_topics
from mono_depth_ros.evaluation.metrics import DepthMetrics, depth_metrics, mean_metrics
from mono_depth_ros.geometry.camera import DepthMap
from mono_depth_ros.geometry.sparse_depth import project_points
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.replay.bag_stream import BagStream
from mono_depth_ros.share import model_path
from mono_depth_ros.stream.config import DepthNodeConfig
from mono_depth_ros.stream.depth_stream import StreamOutput
from mono_depth_ros.stream.parameter_file import config_from

MAX_DEPTH_M = 80.0


class WorseBag(Rosbag2Reader):
    """A bag of which `lost` of the scans did not arrive, and the others late."""

    def __init__(self, path: Path, points: str, lost: float = 0.0, late_s: float = 0.0) -> None:
        super().__init__(path)
        self._points, self._lost, self._late_ns = points, lost, round(late_s * 1e9)

    def messages_as_recorded(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """The messages in their new order."""
        random, arrived = np.random.default_rng(1), []
        for message in super().messages_as_recorded(topics):
            if message.topic != self._points:
                arrived.append(message)
            elif random.random() >= self._lost:
                arrived.append(replace(message, log_stamp_ns=message.log_stamp_ns + self._late_ns))
        return iter(sorted(arrived, key=attrgetter("log_stamp_ns")))


def published(bag: WorseBag, points: str, engine: OnnxEngine, parameters: dict[str, Any]) -> Iterator[StreamOutput]:
    """What the node with these parameters would publish, image after image."""
    topics = find_topics(bag.types, None, points, None)
    config = config_from({"rectified": topics.rectified} | parameters)
    for _, output in BagStream(bag, topics, config, engine, None, lambda *_: None).outputs():
        if output is not None:
            yield output


def dense_truth(bag: Path, truth: str, points: str) -> dict[int, DepthMap]:
    """Stamp -> depth of the dense scan, without the pixels of the sparse points, NaN unknown or too far."""
    truths = {}
    for sample in read_bag(bag, points=points, truth=truth):
        if sample.truth_depth_m is None or sample.truth_camera is None or sample.points_camera_m is None:
            continue
        depth_m = np.where(sample.truth_depth_m > MAX_DEPTH_M, np.nan, sample.truth_depth_m)
        given = project_points(sample.points_camera_m, sample.truth_camera)
        depth_m[given.rows, given.cols] = np.nan
        truths[sample.stamp_ns] = depth_m
    return truths


def scored(depth_m: DepthMap, truth_m: DepthMap) -> DepthMetrics:
    """Depth against the truth of another size."""
    known = np.isfinite(truth_m)
    depth_m = cv2.resize(np.nan_to_num(depth_m, nan=MAX_DEPTH_M), (truth_m.shape[1], truth_m.shape[0]))
    return depth_metrics(np.clip(depth_m[known], 0.5, MAX_DEPTH_M), truth_m[known])


def line(name: str, truth: dict[int, DepthMap], outputs: Iterator[StreamOutput]) -> str:
    """One way over the whole drive, for the table."""
    found, completed, points, prepare_ms = [], 0, [], []
    for output in outputs:
        result = output.outcome
        prepare_ms.append(1e3 * dict(output.prepared.stage_s)["decode"])
        if isinstance(result, DepthResult) and result.stamp_ns in truth:
            found.append(scored(result.depth_m, truth[result.stamp_ns]))
            completed += result.mode.name == "COMPLETION"
            points.append(result.points_used)
    mean = mean_metrics(found)
    return (
        f"{name:28} {mean.abs_rel:.3f}   {mean.rmse:5.2f}   {len(found):4d}    {completed:4d}      "
        f"{np.mean(points):6.0f}    {np.median(prepare_ms):.1f}"
    )


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--points", required=True)
    parser.add_argument("--truth", required=True)
    parser.add_argument("--lost", type=float, default=0.5)
    parser.add_argument("--ages", type=float, nargs="+", default=[])
    parser.add_argument("--model", default="street")
    parser.add_argument("--memory-s", type=float, default=DepthNodeConfig().memory_s)
    args = parser.parse_args()
    ways: list[tuple[str, float, float, float]] = [("prediction", 1.0, 0.0, 0.0)]
    for name, lost, late_s in [(f"{age_s:g} s late", 0.0, age_s) for age_s in args.ages] or [
        (f"{lost:.0%} lost", lost, 0.0) for lost in (0.0, args.lost)
    ]:
        ways += [(f"{name}, no memory", lost, late_s, 0.0), (f"{name}, memory", lost, late_s, args.memory_s)]
    engine, truth = OnnxEngine(model_path(args.model)), dense_truth(args.bag, args.truth, args.points)
    # Every age is scored on the same images: those that the latest scan has had time to come to.
    first_ns = min(truth) + round(max(args.ages, default=0.0) * 1e9)
    truth = {stamp_ns: depth_m for stamp_ns, depth_m in truth.items() if stamp_ns >= first_ns}
    print(f"{'way':28} AbsRel  RMSE m  images  completed  points  decode and snapshot ms")
    for name, lost, late_s, memory_s in ways:
        with WorseBag(args.bag, args.points, lost, late_s) as bag:
            outputs = published(bag, args.points, engine, {"lidar.memory_s": memory_s})
            print(line(name, truth, outputs), flush=True)


if __name__ == "__main__":
    main()
