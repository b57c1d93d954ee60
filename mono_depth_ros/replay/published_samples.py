# SPDX-License-Identifier: Apache-2.0
"""Samples of a bag with what the node would have published for each image, to be scored."""

import dataclasses
from collections import Counter
from collections.abc import Iterator

from mono_depth_ros.datasets.bags.bag_samples import BagSamples
from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.bags.topics import NO_TOPIC
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pipeline import Engine
from mono_depth_ros.inference.pose_engine import PoseEstimator
from mono_depth_ros.intake.problem_counts import ProblemCounts
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.replay.bag_stream import BagStream
from mono_depth_ros.stream.config import DepthNodeConfig
from mono_depth_ros.stream.depth_stream import StreamOutput


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
        left_out: images without truth, and why.
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
        self.left_out: Counter[str] = Counter()

    def __length_hint__(self) -> int:
        return self._with_truth.__length_hint__()

    def __iter__(self) -> Iterator[DepthSample]:
        self.outcomes, self.problems = Counter(), ProblemCounts()
        outputs: dict[int, StreamOutput] = {}
        with Rosbag2Reader(self._samples.path) as bag:
            stream = BagStream(bag, self._samples.topics, self._config, self._engine, self._pose, self.problems.note)
            published = stream.outputs()
            for sample in self._with_truth:
                self.left_out = self._with_truth.left_out
                while sample.stamp_ns not in outputs:
                    following = next(published, None)
                    if following is None:
                        break
                    if following[1] is not None:
                        outputs[following[1].outcome.stamp_ns] = following[1]
                found = outputs.pop(sample.stamp_ns, None)
                for stamp_ns in [kept for kept in outputs if kept < sample.stamp_ns]:
                    del outputs[stamp_ns]
                yield self._scored(sample, found)

    def _scored(self, sample: DepthSample, output: StreamOutput | None) -> DepthSample:
        if output is None or isinstance(output.outcome, NoSnapshot):
            reason = "image_unreadable" if output is None else str(output.outcome.reason)
            self.outcomes[f"NONE: {reason}"] += 1
            return dataclasses.replace(sample, truth_depth_m=None, truth_camera=None)
        outcome: DepthResult = output.outcome
        self.outcomes[f"{outcome.mode.name}: {outcome.reason.value}"] += 1
        snapshot = output.prepared.snapshot
        # The points that the dial let through are inputs; others are none, and are scored like any pixel.
        points_m = None if isinstance(snapshot, NoSnapshot) or not outcome.points_used else snapshot.points_camera_m
        return dataclasses.replace(sample, points_camera_m=points_m, published=outcome)
