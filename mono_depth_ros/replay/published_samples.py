# SPDX-License-Identifier: Apache-2.0
"""Samples of a bag with what the node would have published for each image, to be scored."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mono_depth_ros.datasets.bags.bag_samples import BagSamples
from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.bags.topics import NO_TOPIC
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.geometry.rigid import quaternion_from_rigid
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.network_image import Engine
from mono_depth_ros.inference.pose_engine import PoseEstimator
from mono_depth_ros.intake.problem_counts import ProblemCounts
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.replay.bag_stream import BagStream
from mono_depth_ros.stream.cloud import cloud_depth
from mono_depth_ros.stream.config import DepthNodeConfig
from mono_depth_ros.stream.depth_stream import StreamOutput


def node_parameters(samples: BagSamples) -> dict[str, Any]:
    """The parameters that make the node read a bag as these samples do."""
    options = samples.query.options
    values: dict[str, Any] = {"rectified": samples.topics.rectified, "lidar.time_field": options.time_field or ""}
    for name, T_a_b in (("T_camera_lidar", options.T_camera_lidar), ("T_base_camera", options.T_base_camera)):
        if T_a_b is not None:
            values[f"extrinsics.{name}"] = [*T_a_b[:3, 3].tolist(), *quaternion_from_rigid(T_a_b).tolist()]
    return values


class PublishedSamples:
    """The images of a bag that have truth, with the node's depth and the points that it had for each.

    The node sees the drive from its beginning and in the order of recording; the truth is that nearest in time.

    Args:
        samples: of the bag; its points are not asked for, the node's are.
        config: the node's parameters.
        engine: the open model.
        pose: the pose network of the model, if one is named.

    Attributes:
        outcomes: "MODE: reason" -> images of the latest pass.
        problems: what the node refused, missed or warned of -> how often, in the latest pass.
    """

    def __init__(
        self, samples: BagSamples, config: DepthNodeConfig, engine: OnnxEngine | Engine, pose: PoseEstimator | None
    ) -> None:
        self._samples = samples
        self._config, self._engine, self._pose = config, engine, pose
        names = dataclasses.replace(samples.query.names, points=NO_TOPIC, points_info=None)
        self._with_truth = BagSamples(samples.path, dataclasses.replace(samples.query, names=names))
        self.outcomes: Counter[str] = Counter()
        self.problems = ProblemCounts()

    @property
    def left_out(self) -> Counter[str]:
        """Images without truth in the latest pass, and why."""
        return self._with_truth.left_out

    def __length_hint__(self) -> int:
        return self._with_truth.__length_hint__()

    def __iter__(self) -> Iterator[DepthSample]:
        self.outcomes, self.problems = Counter(), ProblemCounts()
        ahead: list[StreamOutput] = []
        with Rosbag2Reader(self._samples.path) as bag:
            stream = BagStream(bag, self._samples.topics, self._config, self._engine, self._pose, self.problems.note)
            published = stream.outputs()
            for sample in self._with_truth:
                ahead = [output for output in ahead if output.outcome.stamp_ns >= sample.stamp_ns]
                yield self._scored(sample, _take(sample.stamp_ns, ahead, published))

    def _scored(self, sample: DepthSample, output: StreamOutput | None) -> DepthSample:
        if output is None or isinstance(output.outcome, NoSnapshot):
            reason = "image_unreadable" if output is None else str(output.outcome.reason)
            self.outcomes[f"NONE: {reason}"] += 1
            return dataclasses.replace(sample, truth_depth_m=None, truth_camera=None)
        if output.view is None:
            self.outcomes[f"{output.outcome.mode.name}: withheld"] += 1
            return dataclasses.replace(sample, truth_depth_m=None, truth_camera=None)
        outcome: DepthResult = output.outcome
        self.outcomes[f"{outcome.mode.name}: {outcome.reason.value}"] += 1
        snapshot = output.prepared.snapshot
        # The points that the dial let through are inputs; others are none, and are scored like any pixel.
        points_m = None if isinstance(snapshot, NoSnapshot) or not outcome.points_used else snapshot.points_camera_m
        policy = output.prepared.config.cloud_policy()
        T_base_camera = None if isinstance(snapshot, NoSnapshot) else snapshot.T_base_camera
        cloud_m = cloud_depth(outcome, policy, T_base_camera)
        return dataclasses.replace(sample, points_camera_m=points_m, published=outcome, cloud_m=cloud_m)


def _take(
    stamp_ns: int, ahead: list[StreamOutput], following: Iterator[tuple[int, StreamOutput | None]]
) -> StreamOutput | None:
    """The first output of a stamp; those of other stamps that are met on the way to it are put with those ahead."""
    for index, output in enumerate(ahead):
        if output.outcome.stamp_ns == stamp_ns:
            return ahead.pop(index)
    for _, made in following:
        if made is not None and made.outcome.stamp_ns == stamp_ns:
            return made
        if made is not None:
            ahead.append(made)
    return None
