# SPDX-License-Identifier: Apache-2.0
"""The node's loop over a bag: every image, in the order of stamps, with sensors taken away where asked."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.result_bag import ImageStatus, ResultBag
from mono_depth_ros.datasets.bags.snapshot_feed import BagImage, FeedOptions, SnapshotFeed
from mono_depth_ros.datasets.bags.topics import TRANSFORMS, BagTopics
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.inference.pipeline import DepthPipeline
from mono_depth_ros.perception.dial import Mode
from mono_depth_ros.perception.lidar_memory import MemoryPolicy
from mono_depth_ros.perception.result import DepthResult
from mono_depth_ros.perception.sensor_log import SensorLog, UsedShares
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorState
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer

# As in the node: an image stamp so much before the one before means that time began anew.
_JUMP_BACK_NS = 1_000_000_000


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
        rejections: "topic: error" -> messages.
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
    rejections: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    changes: list[tuple[int, float, str, str]] = field(default_factory=list)
    scales: list[str] = field(default_factory=list)
    suspicions: list[str] = field(default_factory=list)


class Replay:
    """One camera's drive through the pipeline, into a result bag.

    Args:
        bag, topics: the drive.
        pipeline: makes the depth.
        result_bag: takes it.
        drops: what to leave out.
        with_inputs: copy the inputs that were used, and /tf, into the result; /tf_static is copied in any case.
        memory: how earlier scans are carried to an image; None uses the nearest only.

    Attributes:
        tally: what happened so far.
        feed: tells whether the images are distorted.
    """

    def __init__(
        self,
        bag: Rosbag2Reader,
        topics: BagTopics,
        pipeline: DepthPipeline,
        result_bag: ResultBag,
        drops: Sequence[Drop] = (),
        with_inputs: bool = False,
        memory: MemoryPolicy | None = None,
    ) -> None:
        self._bag, self._topics, self._pipeline, self._result_bag = bag, topics, pipeline, result_bag
        self._drops = drops
        transforms = {topic for topic, kind in bag.types.items() if kind == TRANSFORMS}
        static = {topic for topic in transforms if topic.endswith("/tf_static")}
        self._copied = {*topics.names(), *transforms} if with_inputs else static
        self._buffer = SnapshotBuffer(BufferPolicy(memory=memory))
        self.feed = SnapshotFeed(bag, topics, self._buffer, FeedOptions(rectify=True))
        self._shares = UsedShares()
        self._stamp_ns: int | None = None
        self.tally = Tally()
        self._image_log = SensorLog("image")
        self._mode = ""

    def images(self) -> Iterator[None]:
        """Does the work; yields after each image, so that a progress bar can follow and the caller can stop."""
        for message in self._bag.messages({*self._topics.names(), *self._copied}):
            if any(drop.covers(message, self._bag.start_ns) for drop in self._drops):
                self.tally.dropped_messages += 1
                continue
            if message.topic in self._copied:
                self._result_bag.copy(message, self._bag.quality_of_service(message.topic))
            if message.topic in self._topics.names():
                self._take(message)
            if message.topic == self._topics.image:
                yield

    def _take(self, message: BagMessage) -> None:
        received_s = time.perf_counter()
        self.tally.images += message.topic == self._topics.image
        try:
            image = self.feed.put(message)
        except DataError as error:
            self.tally.rejections[f"{message.topic}: {error}"] += 1
            if message.topic == self._topics.image:
                self._image_log.reject(str(error))
            else:
                self._buffer.reject(self.feed.sensor_of(message.topic), str(error))
            return
        if image is not None:
            self._image_log.receive(image.stamp_ns)
            self._process(image, message.log_stamp_ns, received_s)

    def _process(self, image: BagImage, log_stamp_ns: int, received_s: float) -> None:
        if self._stamp_ns is not None and image.stamp_ns < self._stamp_ns - _JUMP_BACK_NS:
            self._pipeline.reset()
        self._stamp_ns = image.stamp_ns
        snapshot = self._buffer.snapshot(image.stamp_ns, image.camera_frame, image.image_rgb)
        outcome = snapshot if isinstance(snapshot, NoSnapshot) else self._pipeline.step(snapshot)
        latency_s = time.perf_counter() - received_s
        if isinstance(outcome, NoSnapshot):
            report = self._image_log.report(SensorState.INVALID, 0.0, False, "image_unusable")
            self._note("NONE", outcome.reason, image.stamp_ns)
        else:
            report = self._image_log.report(SensorState.OK, 0.0, True, "in_use")
            self._note(outcome.mode.name, str(outcome.reason.value), image.stamp_ns)
            self.tally.depths += 1
            self._note_scale(outcome)
            self.tally.latencies_s.append(latency_s)
        tally = self.tally
        report, *sensors = self._shares.counted((report, *outcome.sensors))
        outcome = replace(outcome, sensors=tuple(sensors))
        status = ImageStatus(tally.images, tally.depths, 0, tally.images - tally.depths, report)
        self._result_bag.write(outcome, image.camera_frame, log_stamp_ns, latency_s, status)

    def _note_scale(self, result: DepthResult) -> None:
        scale, suspicion = result.scale, result.calibration.reason.split(":", 1)[0]
        if result.mode is Mode.PREDICTION:
            self.tally.scales.append(f"{scale.value:.3f} +- {scale.sigma:.3f} by {scale.source.value}")
        if suspicion and not any(known.startswith(suspicion) for known in self.tally.suspicions):
            self.tally.suspicions.append(result.calibration.reason)

    def _note(self, mode: str, reason: str, stamp_ns: int) -> None:
        self.tally.reasons[f"{mode}: {reason}"] += 1
        if mode != self._mode:
            since_start_s = (stamp_ns - self._bag.start_ns) * 1e-9
            self.tally.changes.append((self.tally.images, since_start_s, mode, reason))
        self._mode = mode
