# SPDX-License-Identifier: Apache-2.0
"""One camera's drive in a bag, read offline: messages go into the intake of the node, images come out of it.

Offline, time runs both ways: an image is given once what was measured shortly after it is known too, so that the scan
nearest in time counts, also one that comes later, and motion is interpolated rather than carried on.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.topics import (
    COMPRESSED_IMAGE,
    IMAGE,
    LASER_SCAN,
    MOTION_TYPES,
    RANGE,
    TRANSFORMS,
    TWIST,
    BagTopics,
)
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.intake.extrinsics import CameraExtrinsics, FixedTransform, TransformSource
from mono_depth_ros.intake.problem_counts import ProblemCounts
from mono_depth_ros.intake.sensor_intake import (
    CAMERA_INFO,
    DEPTH_INFO,
    ODOMETRY,
    CameraImage,
    IntakePolicy,
    SensorIntake,
)
from mono_depth_ros.intake.sensor_intake import IMAGE as IMAGE_SENSOR
from mono_depth_ros.intake.sensor_intake import TWIST as TWIST_SENSOR
from mono_depth_ros.intake.transform_tree import TransformTree
from mono_depth_ros.perception.point_memory import POINTS, SCAN, SPARSE_DEPTH
from mono_depth_ros.perception.point_memory import RANGE as RANGE_FINDER
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer

# So long an image waits for what comes after it: three scans of 10 Hz, and odometry to be placed between.
_WAIT_NS = 300_000_000
# Whatever the stamps say: a clock that jumps back must not fill the memory with images.
_MAX_WAITING = 32
# A place that is found later in the recording is not looked for by the clock.
_ALWAYS = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class BagOptions:
    """What the bag does not say, or is not asked for.

    Attributes:
        T_camera_lidar: where the sparse sensor sits, in place of the bag's transforms.
        T_base_camera: where the camera sits, in place of the bag's transforms.
        time_field: field of a cloud with the time of each point; None finds it, "none" takes all for simultaneous.
    """

    T_camera_lidar: RigidTransform | None = None
    T_base_camera: RigidTransform | None = None
    time_field: str | None = None

    def intake(self, buffer: SnapshotBuffer, topics: BagTopics, tree: TransformTree) -> SensorIntake:
        """An intake for a drive of these topics."""
        points = _place(self.T_camera_lidar, tree)
        extrinsics = CameraExtrinsics({POINTS: points}, _place(self.T_base_camera, tree), recheck_s=_ALWAYS)
        policy = IntakePolicy(topics.rectified, self.time_field, image_topic=topics.image)
        return SensorIntake(buffer, extrinsics, policy)


def _place(given: RigidTransform | None, tree: TransformTree) -> TransformSource:
    return tree if given is None else FixedTransform(given)


def bag_sensors(types: dict[str, str], topics: BagTopics) -> dict[str, str]:
    """Topic -> the sensor that the intake knows it as."""
    by_type = {LASER_SCAN: SCAN, RANGE: RANGE_FINDER, IMAGE: SPARSE_DEPTH, COMPRESSED_IMAGE: SPARSE_DEPTH}
    sensors = {}
    if topics.points_info is not None:
        sensors[topics.points_info] = DEPTH_INFO
    for topic in (topics.points, *topics.more_points):
        if topic is not None:
            sensors[topic] = by_type.get(types[topic], POINTS)
    if topics.odometry is not None:
        sensors[topics.odometry] = TWIST_SENSOR if types[topics.odometry] == TWIST else ODOMETRY
    # Depth images with the camera's own camera_info are aligned to it.
    sensors[topics.camera_info] = CAMERA_INFO
    sensors[topics.image] = IMAGE_SENSOR
    return sensors


def transform_topics(types: dict[str, str]) -> tuple[str, ...]:
    """Topics of transforms: /tf_static and /tf, whatever their namespaces."""
    return tuple(topic for topic, kind in types.items() if kind == TRANSFORMS)


def is_static(topic: str) -> bool:
    """Whether transforms of a topic hold at all times."""
    return topic.endswith("tf_static")


def tells_motion(types: dict[str, str]) -> bool:
    """Whether a bag has odometry or a twist, used or not; where it has none, transforms tell the motion."""
    return not set(MOTION_TYPES).isdisjoint(types.values())


class BagDrive:
    """The messages of one camera's drive, once through.

    Args:
        bag: where they come from.
        topics: which topic is which.
        intake: takes them.
        tree: takes the transforms; has those of /tf_static from the start.

    Attributes:
        left_out: why messages and images were left out -> how many, beginning with the topic.
        problems: what is used but looks wrong, or is not placed -> at how many images.
    """

    def __init__(self, bag: Rosbag2Reader, topics: BagTopics, intake: SensorIntake, tree: TransformTree) -> None:
        self._bag, self._topics, self._intake, self._tree = bag, topics, intake, tree
        self._sensors = bag_sensors(bag.types, topics)
        self._waiting: deque[tuple[int, Any]] = deque()
        self.left_out: Counter[str] = Counter()
        self.problems = ProblemCounts()

    def images(
        self, more: Collection[str] = (), hear: Callable[[BagMessage, Any], None] | None = None
    ) -> Iterator[CameraImage]:
        """The images that can be decoded, by stamp; ask the intake for the snapshot of each at once.

        Args:
            more: further topics to be read.
            hear: is told every message with its decoded form, a while before the image of its stamp is given.

        Raises:
            DataError: the bag is broken.
        """
        transforms = transform_topics(self._bag.types)
        topics = {*self._sensors, *transforms, *more}
        for topic, what in self._bag.skipped.items():
            self.left_out[f"{topic}: {what}, which are no ROS 2 messages"] += 1
        for message in self._bag.messages(topics, last_topic=self._topics.image):
            try:
                decoded = self._bag.decode(message)
                if hear is not None:
                    hear(message, decoded)
                if message.topic in transforms:
                    self._tree.put(decoded, is_static(message.topic))
                    if not tells_motion(self._bag.types):
                        self._intake.hear_motion(self._tree)
            except DataError as error:
                self.left_out[_of(message.topic, str(error))] += 1
                continue
            sensor = self._sensors.get(message.topic)
            if sensor == IMAGE_SENSOR:
                self._intake.image_arrived(message.stamp_ns)
                self._waiting.append((message.stamp_ns, decoded))
            elif sensor is not None:
                problem = self._intake.put(sensor, decoded)
                if problem:
                    self.left_out[_of(message.topic, problem)] += 1
            yield from self._given(message.stamp_ns)
        yield from self._given(None)

    def _given(self, now_ns: int | None) -> Iterator[CameraImage]:
        """The images that have waited long enough; all of them at the end."""
        while self._waiting and (now_ns is None or self._is_due(now_ns)):
            _, decoded = self._waiting.popleft()
            try:
                image = self._intake.image(decoded)
            except DataError as error:
                self.left_out[_of(self._topics.image, str(error))] += 1
                continue
            yield image
            # By now the image was asked for what is known at its stamp.
            for problem in self._intake.transform_problems:
                self.problems.note("extrinsics", problem)
            for sensor, warning in self._intake.warnings():
                self.problems.note(sensor, warning)

    def _is_due(self, now_ns: int) -> bool:
        return len(self._waiting) > _MAX_WAITING or abs(now_ns - self._waiting[0][0]) > _WAIT_NS


def _of(topic: str, problem: str) -> str:
    return problem if problem.startswith(topic) else f"{topic}: {problem}"
