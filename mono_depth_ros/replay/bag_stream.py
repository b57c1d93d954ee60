# SPDX-License-Identifier: Apache-2.0
"""The depth node over a recorded drive: its messages in the order of recording, and no image lost to a slow machine."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mono_depth_ros.datasets.bags.drive import bag_sensors, is_static, tells_motion, transform_topics
from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader, arrival_order
from mono_depth_ros.datasets.bags.topics import BagTopics
from mono_depth_ros.errors import DataError
from mono_depth_ros.inference.engine import OnnxEngine
from mono_depth_ros.inference.network_image import Engine
from mono_depth_ros.inference.pose_engine import PoseEstimator
from mono_depth_ros.intake.extrinsics import CameraExtrinsics, TransformSource, given_transform
from mono_depth_ros.intake.sensor_intake import IMAGE
from mono_depth_ros.intake.transform_tree import TransformTree
from mono_depth_ros.messages.images import decode_any_image
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.perception.point_memory import POINT_SOURCES, POINTS, RANGE, SCAN
from mono_depth_ros.stream.config import DepthNodeConfig
from mono_depth_ros.stream.depth_stream import DepthStream, StreamOutput
from mono_depth_ros.stream.image_worker import ReceivedImage


@dataclass(frozen=True, slots=True, eq=False)
class _HeldImage:
    received: ReceivedImage
    log_stamp_ns: int


class BagStream:
    """What the node would publish of one camera's drive, image by image.

    As on the robot, messages count when they were recorded, whatever their stamps, and an image is held for its points
    for at most `sync.max_wait_s`. Unlike there, time stands still while an image is worked on.

    Args:
        bag: the drive.
        topics: which topic is which.
        config: the node's parameters.
        engine: the open model.
        pose: the pose network of the model, if one is named.
        report: is told (source, problem) of what cannot be used, each time.
    """

    def __init__(
        self,
        bag: Rosbag2Reader,
        topics: BagTopics,
        config: DepthNodeConfig,
        engine: OnnxEngine | Engine,
        pose: PoseEstimator | None,
        report: Callable[[str, str], object],
    ) -> None:
        self._bag, self._config, self._report = bag, config, report
        self._sensors = {
            topic: sensor
            for topic, sensor in bag_sensors(bag.types, topics).items()
            if topic in bag.types and (sensor not in POINT_SOURCES or sensor in config.point_sources)
        }
        self._sources = [sensor for sensor in self._sensors.values() if sensor in POINT_SOURCES]
        self._topics = frozenset({*self._sensors, *transform_topics(bag.types)})
        self._tree = TransformTree()
        self._moves_by_transforms = not tells_motion(bag.types)
        self._now_ns = bag.start_ns
        self._held: _HeldImage | None = None
        places = {
            POINTS: self._place(config.T_camera_lidar),
            SCAN: self._place(config.T_camera_scan),
            RANGE: self._place(config.T_camera_range),
        }
        extrinsics = CameraExtrinsics(places, self._place(config.T_base_camera), clock=lambda: self._now_ns * 1e-9)
        self.stream = DepthStream(engine, config, extrinsics, pose, decode_any_image, report, image_topic=topics.image)

    def outputs(
        self,
        more: Collection[str] = (),
        passes: Callable[[BagMessage], bool] = lambda message: True,  # noqa: ARG005
    ) -> Iterator[tuple[int, StreamOutput | None]]:
        """What became of each image, in order, with its time of recording (ns); None for one that could not be read.

        Args:
            more: further topics that `passes` is to see.
            passes: whether a message gets through to the node.
        """
        for topic, what in self._bag.skipped.items():
            self._report("bag", f"{topic}: {what}, which are no ROS 2 messages")
        recorded = self._bag.messages_as_recorded(self._topics | set(more))
        # Converted bags have many messages of one time of recording, in any order.
        for _, together in groupby(recorded, key=lambda message: message.log_stamp_ns):
            for message in sorted(together, key=lambda message: arrival_order(message.message_type)):
                self._now_ns = message.log_stamp_ns
                held = self._held
                if held is not None and self._now_ns - held.log_stamp_ns > self._config.max_wait_s * 1e9:
                    yield from self._process()
                if passes(message) and message.topic in self._topics:
                    yield from self._take(message)
        yield from self._process()

    def _take(self, message: BagMessage) -> Iterator[tuple[int, StreamOutput | None]]:
        sensor = self._sensors.get(message.topic, "transforms")
        try:
            decoded = self._bag.decode(message)
            if sensor == "transforms":
                self._tree.put(decoded, is_static(message.topic))
                if self._moves_by_transforms:
                    self.stream.intake.hear_motion(self._tree)
        except DataError as error:
            self._report(sensor, str(error))
            if sensor == IMAGE:
                yield message.log_stamp_ns, None
            elif sensor != "transforms":
                self.stream.buffer.reject(sensor, str(error))
            return
        if sensor == IMAGE:
            yield from self._process()
            self._hold(decoded, message.log_stamp_ns)
        elif sensor != "transforms":
            self.stream.receive(sensor, decoded)
        if self._held is not None and self.stream.ready(self._held.received, self._sources):
            yield from self._process()

    def _hold(self, decoded: Any, log_stamp_ns: int) -> None:
        stamp_ns = stamp_ns_of(decoded.header.stamp)
        self.stream.image_arrived(stamp_ns)
        self._held = _HeldImage(ReceivedImage(decoded, stamp_ns, time.monotonic()), log_stamp_ns)

    def _process(self) -> Iterator[tuple[int, StreamOutput]]:
        held, self._held = self._held, None
        if held is not None:
            yield held.log_stamp_ns, self.stream.process(held.received)

    def _place(self, numbers: tuple[float, ...]) -> TransformSource:
        return given_transform(numbers) if numbers else self._tree
