# SPDX-License-Identifier: Apache-2.0
"""Samples from a bag: images with what the robot knew at their stamps, and with truth where there is some."""

import dataclasses
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.snapshot_feed import BagImage, FeedOptions, SnapshotFeed
from mono_depth_ros.datasets.bags.topics import NO_TOPIC, BagTopics, TopicNames, choose_topics
from mono_depth_ros.datasets.bags.truth import (
    MAX_SCAN_AGE_S,
    LabelTruth,
    TruthChoice,
    TruthSource,
    open_truth,
)
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer

# So long an image waits for the odometry behind it, to be placed between two readings rather than ahead of one.
_WAIT_FOR_MOTION_NS = 300_000_000
# Whatever the stamps say: a clock that jumps back must not fill the memory with images.
_MAX_WAITING = 32
_NO_TRUTH = TruthChoice()
_RECTIFIED = FeedOptions(rectify=True)


@dataclass(frozen=True, slots=True)
class BagQuery:
    """Which samples of a bag are wanted.

    Attributes:
        names: the topics.
        truth: where the truth comes from.
        options: extrinsics and the like.
        limit: at most this many samples.
        skip: so many at the beginning are left out.
        partial: whether images without points or truth near their stamps are wanted too, with None in that place.
    """

    names: TopicNames = field(default_factory=TopicNames)
    truth: TruthChoice = _NO_TRUTH
    options: FeedOptions = _RECTIFIED
    limit: int | None = None
    skip: int = 0
    partial: bool = False


class BagSamples:
    """The samples of a bag, from its beginning each time they are asked for.

    A bag has no places to jump to: `operator.length_hint` tells how many samples there are at most.

    Args:
        path: of the bag.
        query: which samples.

    Raises:
        DataError: the bag cannot be read, or a topic is missing.
    """

    def __init__(self, path: Path, query: BagQuery) -> None:
        self._path = path
        self._query = query
        with Rosbag2Reader(path) as bag:
            self.topics = choose_topics(bag.types, query.names)
            images = bag.counts[self.topics.image]
        after = max(0, images - query.skip)
        self._most = after if query.limit is None else min(after, query.limit)

    def __length_hint__(self) -> int:
        return self._most

    def __iter__(self) -> Iterator[DepthSample]:
        query = self._query
        stop = None if query.limit is None else query.skip + query.limit
        with Rosbag2Reader(self._path) as bag:
            samples = read_samples(bag, self.topics, query.truth, query.options, query.partial)
            yield from islice(samples, query.skip, stop)


def read_bag(
    path: str | Path,
    *,
    camera: str | None = None,
    image: str | None = None,
    camera_info: str | None = None,
    points: str | None = None,
    odometry: str | None = None,
    rectified: bool | None = None,
    truth: str | None = None,
    T_camera_lidar: RigidTransform | None = None,
    T_base_camera: RigidTransform | None = None,
    skip: int = 0,
    limit: int | None = None,
) -> BagSamples:
    """The images of one camera in a rosbag2, with the points, pose, speed and truth that belong to each.

    Images are rectified. Points are those of the scan nearest in time, carried to the stamp of the image by odometry.
    What is not there for an image, for a moment or at all, is None: no image is left out. The bag is read anew each
    time the samples are asked for.

    Args:
        path: folder of the bag, or its .mcap or .db3 file.
        camera: namespace of the camera; None: the only one.
        image, camera_info: topics, where they have none of the usual names.
        points, odometry: topics; None: the only ones, if any; "none" goes without.
        rectified: whether the images are rectified in the bag; None: as their topic's name says.
        truth: topic of a dense cloud or of depth images, for ``truth_depth_m``.
        T_camera_lidar, T_base_camera: float64 [4, 4], in place of what the bag's transforms say.
        skip: so many images at the beginning are left out.
        limit: at most this many images.

    Raises:
        DataError: the bag cannot be read, or a topic is missing or not to be told from another.
    """
    query = BagQuery(
        TopicNames(camera, image, camera_info, points, odometry, rectified=rectified),
        TruthChoice(topic=truth),
        dataclasses.replace(_RECTIFIED, T_camera_lidar=T_camera_lidar, T_base_camera=T_base_camera),
        limit,
        skip,
        partial=True,
    )
    return BagSamples(Path(path), query)


def read_samples(
    bag: Rosbag2Reader,
    topics: BagTopics,
    truth: TruthChoice = _NO_TRUTH,
    options: FeedOptions = _RECTIFIED,
    partial: bool = False,
) -> Iterator[DepthSample]:
    """Every image of a drive that has what was asked for: a scan near enough in time, truth of its stamp.

    Scans are carried to the image stamp by odometry where the bag has it, as on the robot. Samples come in the order of
    their stamps, with pose and speed where odometry tells them (a TwistStamped tells the speed only), so that two that
    follow each other are context of each other.

    Args:
        topics: of the camera; without `topics.points`, samples have no points.
        truth: where it comes from; without any, samples have none.
        options: extrinsics and the like.
        partial: whether images without a scan or truth are given too.

    Raises:
        ConfigError: a truth that cannot be scaled.
        DataError, FrameError: a topic or transform is missing, or the bag is broken.
    """
    reading = _Reading(bag, topics, truth, options, partial)
    for message in bag.messages(reading.topics(), last_topic=topics.image):
        yield from reading.put(message)
    yield from reading.rest()


class _Reading:
    """One pass over a bag."""

    def __init__(
        self, bag: Rosbag2Reader, topics: BagTopics, truth: TruthChoice, options: FeedOptions, partial: bool
    ) -> None:
        self._topics = topics
        self._partial = partial
        self._buffer = SnapshotBuffer(BufferPolicy(max_points_age_s=MAX_SCAN_AGE_S))
        self._feed = SnapshotFeed(bag, topics, self._buffer, options)
        self._truth: TruthSource | None = open_truth(bag, topics, truth, self._feed, options)
        self._labels: LabelTruth | None = None
        if truth.labels is not None and truth.labels != NO_TOPIC:
            self._labels = LabelTruth(bag, truth.labels, True, self._feed)
        elif truth.labels is None:
            own = [topic for topic in (f"/truth{topics.camera}/labels", "/truth/labels") if topic in bag.types]
            self._labels = LabelTruth(bag, own[0], False, self._feed) if own else None
        self._waiting: deque[DepthSample] = deque()

    def topics(self) -> set[str]:
        """All that have to be read."""
        labels = () if self._labels is None else (self._labels.topic,)
        return {*self._topics.names(), *(() if self._truth is None else self._truth.topics()), *labels}

    def put(self, message: BagMessage) -> Iterator[DepthSample]:
        """Takes a message in and gives the samples that it completes."""
        if self._truth is not None:
            self._truth.put(message)
        if self._labels is not None:
            self._labels.put(message)
        if message.topic in self._topics.names():
            image = self._feed.put(message)
            sample = None if image is None else self._sample(image)
            if sample is not None:
                self._waiting.append(sample)
        while self._waiting and (
            len(self._waiting) > _MAX_WAITING or self._motion_known(self._waiting[0].stamp_ns, message.stamp_ns)
        ):
            yield self._with_motion(self._waiting.popleft())

    def rest(self) -> Iterator[DepthSample]:
        """The samples that still wait at the end of the bag."""
        while self._waiting:
            yield self._with_motion(self._waiting.popleft())

    def _sample(self, image: BagImage) -> DepthSample | None:
        """The sample without its motion; None if it lacks points or truth that were asked for."""
        known = self._buffer.snapshot(image.stamp_ns, image.camera_frame, image.image_rgb)
        if isinstance(known, NoSnapshot):
            raise DataError(f"image at {known.stamp_ns} ns: {known.message}")
        if known.points_camera_m is None and self._topics.points is not None and not self._partial:
            return None
        truth = None if self._truth is None else self._truth.at(image, known.camera)
        if truth is None and self._truth is not None and not self._partial:
            return None
        name = self._topics.camera.strip("/")
        return DepthSample(
            name=f"{name}_{image.stamp_ns}" if name else str(image.stamp_ns),
            stamp_ns=image.stamp_ns,
            camera_name=name,
            image_rgb=image.image_rgb,
            camera=known.camera,
            points_camera_m=known.points_camera_m,
            truth_depth_m=None if truth is None else truth[0],
            truth_camera=None if truth is None else truth[1],
            labels=None if self._labels is None else self._labels.at(image, known.camera),
        )

    def _motion_known(self, stamp_ns: int, now_ns: int) -> bool:
        newest_ns = self._feed.motion.newest_stamp_ns
        without = self._topics.odometry is None or now_ns > stamp_ns + _WAIT_FOR_MOTION_NS
        return without or (newest_ns is not None and newest_ns >= stamp_ns)

    def _with_motion(self, sample: DepthSample) -> DepthSample:
        motion = self._feed.motion
        return dataclasses.replace(
            sample, speed_mps=motion.speed_at(sample.stamp_ns), T_world_camera=motion.T_world_camera(sample.stamp_ns)
        )
