# SPDX-License-Identifier: Apache-2.0
"""Samples from a bag: images with what the robot knew at their stamps, and with truth where there is some."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from mono_depth_ros.datasets.bags.drive import BagDrive, BagOptions
from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.topics import NO_TOPIC, BagTopics, TopicNames, choose_topics
from mono_depth_ros.datasets.bags.truth import (
    MAX_SCAN_AGE_S,
    LabelTruth,
    TruthChoice,
    TruthSource,
    open_truth,
)
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import DataError, FrameError
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.intake.sensor_intake import BASE_FRAME, CameraImage
from mono_depth_ros.perception.point_memory import POINT_SOURCES
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer

_NO_TRUTH = TruthChoice()
_RECTIFIED = BagOptions()


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
    options: BagOptions = _RECTIFIED
    limit: int | None = None
    skip: int = 0
    partial: bool = False


class BagSamples:
    """The samples of a bag, from its beginning each time they are asked for.

    The scan nearest in time counts, also one that comes after the image, and is carried to the image's stamp by
    odometry where the bag has it; pose and speed are there where odometry tells them (a TwistStamped tells the speed
    only). A bag has no places to jump to: `operator.length_hint` tells how many samples there are at most.

    Args:
        path: of the bag.
        query: which samples.

    Attributes:
        path, query: as given.
        topics: of the camera.
        left_out: what could not be used in the latest pass, and why -> how many.
        problems: what was used but looks wrong, or is not placed -> at how many images.

    Raises:
        DataError: the bag cannot be read, or a topic is missing.
    """

    def __init__(self, path: Path, query: BagQuery) -> None:
        self.path = path
        self.query = query
        with Rosbag2Reader(path) as bag:
            self.topics = choose_topics(bag.types, query.names)
            images = bag.counts[self.topics.image]
        self.left_out: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        after = max(0, images - query.skip)
        self._most = after if query.limit is None else min(after, query.limit)

    def __length_hint__(self) -> int:
        return self._most

    def __iter__(self) -> Iterator[DepthSample]:
        query = self.query
        stop = None if query.limit is None else query.skip + query.limit
        with Rosbag2Reader(self.path) as bag:
            reading = _Reading(bag, self.topics, query)
            self.left_out, self.problems = reading.left_out, reading.problems
            yield from islice(reading.samples(), query.skip, stop)


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
    What is not there for an image, for a moment or at all, is None. Only an image that cannot be read, or has no
    camera_info, is left out, and counted in `left_out`. The bag is read anew each time the samples are asked for.

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


class _Reading:
    """One pass over a bag; what cannot be used is left out and counted."""

    def __init__(self, bag: Rosbag2Reader, topics: BagTopics, query: BagQuery) -> None:
        self._bag, self._topics = bag, topics
        self._partial = query.partial
        truth, options = query.truth, query.options
        self._buffer = SnapshotBuffer(BufferPolicy(max_points_age_s=MAX_SCAN_AGE_S))
        tree = bag.static_transforms()
        self._intake, self._tree = options.intake(self._buffer, topics, tree), tree
        self._drive = BagDrive(bag, topics, self._intake, tree)
        lens = self._intake.lens
        self._truth: TruthSource | None = open_truth(bag, topics, truth, lens, options, tree)
        self._labels: LabelTruth | None = None
        if truth.labels is not None and truth.labels != NO_TOPIC:
            self._labels = LabelTruth(bag, truth.labels, True, lens)
        elif truth.labels is None:
            own = [topic for topic in (f"/truth{topics.camera}/labels", "/truth/labels") if topic in bag.types]
            self._labels = LabelTruth(bag, own[0], False, lens) if own else None
        self.left_out, self.problems = self._drive.left_out, self._drive.problems

    def samples(self) -> Iterator[DepthSample]:
        """Every image that has what was asked for, by stamp: those that follow each other are each other's context.

        Raises:
            DataError: the bag is broken, or no image could be used; the message says why.
        """
        given = 0
        labels = () if self._labels is None else (self._labels.topic,)
        for image in self._drive.images((*(() if self._truth is None else self._truth.topics()), *labels), self._hear):
            try:
                sample = self._sample(image)
            except (DataError, FrameError) as error:
                self._leave_out(str(error))
                continue
            if sample is not None:
                given += 1
                yield sample
        if not given:
            found = [*self.left_out.most_common(4), *self.problems.most_common(2)]
            reasons = "; ".join(f"{why} ({count} x)" for why, count in found) or "no image at all"
            raise DataError(f"bag {self._bag.path}: expected images that can be used, got none: {reasons}")

    def _hear(self, message: BagMessage, decoded: Any) -> None:
        if self._truth is not None:
            self._truth.put(message, decoded)
        if self._labels is not None:
            self._labels.put(message, decoded)

    def _sample(self, image: CameraImage) -> DepthSample | None:
        """None if it lacks points or truth that were asked for."""
        known = self._intake.snapshot(image)
        if isinstance(known, NoSnapshot):
            self._leave_out(f"{self._topics.image}: {known.reason}: {known.message}")
            return None
        if known.points_camera_m is None and self._topics.points is not None and not self._partial:
            reasons = {report.name: report.reason for report in known.sensors if report.name in POINT_SOURCES}
            why = next(iter(reasons.values()), "no points")
            self._leave_out(f"{self._topics.points}: no scan within {MAX_SCAN_AGE_S:g} s of the image ({why})")
            return None
        truth = None if self._truth is None else self._truth.at(image, known.camera)
        if truth is None and self._truth is not None and not self._partial:
            topics = " or ".join(self._truth.topics()[:2]) or "files"
            self._leave_out(f"truth: none at the stamp of the image in {topics}")
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
            speed_mps=known.speed_mps,
            T_world_camera=self._buffer.T_odom_camera_at(image.stamp_ns),
            labels=None if self._labels is None else self._labels.at(image, known.camera),
            T_camera_lidar=known.T_camera_lidar,
            T_base_camera=known.T_base_camera if known.T_base_camera is not None else self._mount(image.camera_frame),
        )

    def _mount(self, camera_frame: str) -> RigidTransform | None:
        """Where transforms say that the camera sits in base_link."""
        try:
            return self._tree.lookup(BASE_FRAME, camera_frame)
        except FrameError:
            return None

    def _leave_out(self, why: str) -> None:
        self.left_out[why] += 1
