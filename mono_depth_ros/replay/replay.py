# SPDX-License-Identifier: Apache-2.0
"""A drive through the node into a bag of results, with sensors taken away where asked, and a tally of what happened."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mono_depth_ros.datasets.bags.drive import transform_topics
from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.topics import BagTopics
from mono_depth_ros.errors import ConfigError
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.pose_engine import PoseEstimator
from mono_depth_ros.intake.problem_counts import ProblemCounts
from mono_depth_ros.messages.outputs import ImageCounts
from mono_depth_ros.perception.dial import Mode
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.replay.bag_stream import BagStream
from mono_depth_ros.replay.result_bag import ResultBag
from mono_depth_ros.stream.config import DepthNodeConfig
from mono_depth_ros.stream.depth_stream import StreamOutput


@dataclass(frozen=True, slots=True)
class Drop:
    """Messages of a topic recorded in [start_s, end_s) after the start of the bag are left out."""

    topic: str
    start_s: float
    end_s: float

    def covers(self, message: BagMessage, bag_start_ns: int) -> bool:
        """Whether this message is left out."""
        since_start_s = (message.log_stamp_ns - bag_start_ns) * 1e-9
        return message.topic == self.topic and self.start_s <= since_start_s < self.end_s


def parse_drop(text: str) -> Drop:
    """Reads TOPIC:T0-T1.

    Raises:
        ConfigError: it is something else.

    >>> parse_drop("/lidar/points:1.5-3")
    Drop(topic='/lidar/points', start_s=1.5, end_s=3.0)
    """
    topic, _, span = text.rpartition(":")
    start, _, end = span.partition("-")
    try:
        drop = Drop(topic, float(start), float(end))
    except ValueError:
        drop = Drop("", 0.0, 0.0)
    if not topic or not 0.0 <= drop.start_s < drop.end_s:
        raise ConfigError(f"--drop: expected TOPIC:T0-T1 in seconds with 0 <= T0 < T1, got {text!r}")
    return drop


@dataclass(slots=True)
class Tally:
    """What happened so far.

    Attributes:
        images: taken from the bag.
        depths: made.
        dropped_messages: left out on purpose.
        reasons: "MODE: reason" -> images.
        problems: "sensor: problem" -> how often; what was refused, missing or looked wrong.
        latencies_s: per depth, from the stored message to the result.
        changes: where the mode changed: number of the image (from 1), its stamp in seconds after the start,
            mode, reason.
        scales: factor, sigma and source of every prediction.
        suspicions: what was wrong with the calibration, each once.
    """

    images: int = 0
    depths: int = 0
    dropped_messages: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    problems: ProblemCounts = field(default_factory=ProblemCounts)
    latencies_s: list[float] = field(default_factory=list)
    changes: list[tuple[int, float, str, str]] = field(default_factory=list)
    scales: list[str] = field(default_factory=list)
    suspicions: list[str] = field(default_factory=list)

    def note(self, output: StreamOutput, since_start_s: float, latency_s: float) -> None:
        """Counts what became of an image."""
        outcome = output.outcome
        made = isinstance(outcome, DepthResult)
        mode = outcome.mode.name if isinstance(outcome, DepthResult) else "NONE"
        reason = outcome.reason.value if isinstance(outcome, DepthResult) else outcome.reason
        self.images += 1
        self.depths += made
        if mode != (self._latest_mode()):
            self.changes.append((self.images, since_start_s, mode, reason))
        self.reasons[f"{mode}: {reason}"] += 1
        if not isinstance(outcome, DepthResult):
            return
        self.latencies_s.append(latency_s)
        scale, suspicion = outcome.scale, outcome.calibration.reason.split(":", 1)[0]
        if outcome.mode is Mode.PREDICTION:
            self.scales.append(f"{scale.value:.3f} +- {scale.sigma:.3f} by {scale.source.value}")
        if suspicion and not any(known.startswith(suspicion) for known in self.suspicions):
            self.suspicions.append(outcome.calibration.reason)

    def _latest_mode(self) -> str:
        return self.changes[-1][2] if self.changes else ""


class Replay:
    """One camera's drive through the node, into a result bag.

    Args:
        bag, topics: the drive.
        config: the node's parameters.
        engine: the open model.
        pose: the pose network of the model, if one is named.
        result_bag: takes the results.
        drops: what to leave out.
        with_inputs: copy the inputs that were used, and /tf, into the result; /tf_static is copied in any case.

    Attributes:
        tally: what happened so far.
        stream: of the camera.
    """

    def __init__(
        self,
        bag: Rosbag2Reader,
        topics: BagTopics,
        config: DepthNodeConfig,
        engine: OnnxEngine,
        pose: PoseEstimator | None,
        result_bag: ResultBag,
        drops: Sequence[Drop] = (),
        with_inputs: bool = False,
    ) -> None:
        self._bag, self._engine, self._result_bag, self._drops = bag, engine, result_bag, drops
        transforms = transform_topics(bag.types)
        static = {topic for topic in transforms if topic.endswith("/tf_static")}
        self._copied = {*topics.names(), *transforms} if with_inputs else static
        self.tally = Tally()
        self._bag_stream = BagStream(bag, topics, config, engine, pose, self.tally.problems.note)
        self.stream = self._bag_stream.stream

    def images(self) -> Iterator[None]:
        """Does the work; yields after each image, so that a progress bar can follow and the caller can stop."""
        tally = self.tally
        for log_stamp_ns, output in self._bag_stream.outputs(self._copied, self._passes):
            if output is None:
                tally.images += 1
                tally.reasons["NONE: image_unreadable"] += 1
            else:
                counts = self._counts(output)
                facts = output.facts(self._engine, counts, {})
                since_start_s = (output.outcome.stamp_ns - self._bag.start_ns) * 1e-9
                tally.note(output, since_start_s, facts.latency_s)
                self._result_bag.write(output, facts, log_stamp_ns)
            yield

    def _counts(self, output: StreamOutput) -> ImageCounts:
        images, depths = self.tally.images + 1, self.tally.depths + isinstance(output.outcome, DepthResult)
        return ImageCounts(images, depths, 0, images - depths)

    def _passes(self, message: BagMessage) -> bool:
        if any(drop.covers(message, self._bag.start_ns) for drop in self._drops):
            self.tally.dropped_messages += 1
            return False
        if message.topic in self._copied:
            self._result_bag.copy(message, self._bag.quality_of_service(message.topic))
        return True
