# SPDX-License-Identifier: Apache-2.0
"""Where the truth of a bag's images comes from."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.bags.point_messages import decode_depth
from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.snapshot_feed import BagImage, FeedOptions, SnapshotFeed
from mono_depth_ros.datasets.bags.stereo_truth import StereoTruth
from mono_depth_ros.datasets.bags.topics import COMPRESSED_IMAGE, IMAGE, POINT_CLOUD, BagTopics, require_topic
from mono_depth_ros.datasets.bags.truth_npz import NpzTruth
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense
from mono_depth_ros.messages.images import ImageMessage, decode_image
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer

# Scans farther than this from an image are not of it.
MAX_SCAN_AGE_S = 0.06

LABEL_ENCODINGS = ("mono8", "8UC1")


@dataclass(frozen=True, slots=True)
class TruthChoice:
    """What a user says about the truth; at most one of topic, folder and right.

    Attributes:
        topic: of a dense cloud (PointCloud2), or of depth images with the stamps of the images.
        folder: of .npz files, see `truth_npz`.
        right: namespace of the right camera of a rectified pair whose left one the images are of.
        scale: size of the truth's grid relative to the image; 0.5 halves both sides. For clouds only.
        labels: topic of class numbers per pixel; None takes /truth/CAMERA/labels or /truth/labels if the bag has it for
            this camera, "none" takes none.

    Raises:
        ConfigError: several sources, or a scale that is not in (0, 1], or not 1 for another source than a cloud.
    """

    topic: str | None = None
    folder: Path | None = None
    right: str | None = None
    scale: float = 1.0
    labels: str | None = None

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.topic, self.folder, self.right)) > 1:
            raise ConfigError("truth: expected one of gt_points, truth_npz and truth=stereo, got several")
        if not 0.0 < self.scale <= 1.0:
            raise ConfigError(f"truth_scale: expected more than 0 and at most 1, got {self.scale}")
        if self.scale != 1.0 and self.topic is None:
            raise ConfigError(f"truth_scale: expected it with the topic of a cloud only, got {self.scale} without")

    def given(self) -> bool:
        """Whether there is any truth of depth."""
        return self.topic is not None or self.folder is not None or self.right is not None


class TruthSource(Protocol):
    """Truth of the images of one camera, fed with the messages of a bag."""

    def topics(self) -> tuple[str, ...]: ...

    def put(self, message: BagMessage) -> None: ...

    def at(self, image: BagImage, camera: PinholeCamera) -> tuple[DepthMap, PinholeCamera] | None: ...


def open_truth(
    bag: Rosbag2Reader, topics: BagTopics, choice: TruthChoice, feed: SnapshotFeed, options: FeedOptions
) -> TruthSource | None:
    """The source that was chosen; None without any.

    Raises:
        ConfigError: a scale for depth images.
        DataError: a topic, folder or camera is not there.
    """
    if choice.folder is not None:
        return NpzTruth(choice.folder, topics.camera.strip("/"))
    if choice.right is not None:
        return StereoTruth(bag, topics, choice.right)
    if choice.topic is None:
        return None
    require_topic(bag.types, choice.topic, (POINT_CLOUD, IMAGE, COMPRESSED_IMAGE), "truth")
    if bag.types[choice.topic] == POINT_CLOUD:
        return _CloudTruth(bag, topics, choice, options)
    if choice.scale != 1.0:
        raise ConfigError(f"truth_scale: expected 1 for truth in depth images, got {choice.scale}")
    return _DepthImageTruth(bag, choice.topic, feed)


class _CloudTruth:
    """Truth from a dense cloud, by the extrinsics and odometry of the bag."""

    def __init__(self, bag: Rosbag2Reader, topics: BagTopics, choice: TruthChoice, options: FeedOptions) -> None:
        self._topics = dataclasses.replace(topics, points=choice.topic, points_info=None)
        self._scale = choice.scale
        self._buffer = SnapshotBuffer(BufferPolicy(max_points_age_s=MAX_SCAN_AGE_S))
        # A given place of the sparse sensor says nothing about where the dense one sits, unless they are one.
        same = choice.topic == topics.points
        own = options if same else dataclasses.replace(options, T_camera_lidar=None)
        self._feed = SnapshotFeed(bag, self._topics, self._buffer, own)

    def topics(self) -> tuple[str, ...]:
        """What `put` wants to see."""
        return self._topics.names()

    def put(self, message: BagMessage) -> None:
        """Takes a message in; images are not decoded a second time."""
        if message.topic in self._topics.names() and message.topic != self._topics.image:
            self._feed.put(message)

    def at(self, image: BagImage, camera: PinholeCamera) -> tuple[DepthMap, PinholeCamera] | None:
        """Depth and its camera at an image; None without a cloud near enough."""
        self._feed.place(image.camera_frame)
        truth = self._buffer.snapshot(image.stamp_ns, image.camera_frame, image.image_rgb)
        if isinstance(truth, NoSnapshot) or truth.points_camera_m is None:
            return None
        truth_camera = scaled_camera(camera, self._scale)
        return sparse_to_dense(project_points(truth.points_camera_m, truth_camera)), truth_camera


class _DepthImageTruth:
    """Truth from depth images of the camera itself, rectified as its images are."""

    def __init__(self, bag: Rosbag2Reader, topic: str, feed: SnapshotFeed) -> None:
        self._bag, self._topic, self._feed = bag, topic, feed
        self._newest: BagMessage | None = None

    def topics(self) -> tuple[str, ...]:
        """What `put` wants to see."""
        return (self._topic,)

    def put(self, message: BagMessage) -> None:
        """Takes a message in."""
        if message.topic == self._topic:
            self._newest = message

    def at(self, image: BagImage, camera: PinholeCamera) -> tuple[DepthMap, PinholeCamera] | None:
        """Depth and its camera at an image; None unless the newest depth image has its stamp.

        Raises:
            DataError: it belongs to another camera, or is no depth image.
        """
        message = self._newest
        if message is None or message.stamp_ns != image.stamp_ns:
            return None
        decoded = self._bag.decode(message)
        depth_m = decode_depth(decoded, message.message_type)
        _require_same_camera(self._topic, str(decoded.header.frame_id), depth_m.shape, image, camera)
        return (depth_m if self._feed.rectifier is None else self._feed.rectifier.depth(depth_m)), camera


class LabelTruth:
    """Class numbers per pixel from mono8 images with the stamps of the images.

    Args:
        topic: of the labels.
        named: whether the user named it: then labels of another camera are an error, else there are none.
    """

    def __init__(self, bag: Rosbag2Reader, topic: str, named: bool, feed: SnapshotFeed) -> None:
        self.topic = require_topic(bag.types, topic, (IMAGE,), "labels")
        self._bag, self._named, self._feed = bag, named, feed
        self._newest: BagMessage | None = None

    def put(self, message: BagMessage) -> None:
        """Takes a message in."""
        if message.topic == self.topic:
            self._newest = message

    def at(self, image: BagImage, camera: PinholeCamera) -> NDArray[np.uint8] | None:
        """uint8 [H,W] at an image; None unless the newest labels have its stamp.

        Raises:
            DataError: they belong to another camera, or are no class numbers.
        """
        if self._newest is None or self._newest.stamp_ns != image.stamp_ns:
            return None
        decoded = self._bag.decode(self._newest)
        if not self._named and str(decoded.header.frame_id) != image.camera_frame:
            return None
        labels = _decode_labels(decoded, self.topic)
        _require_same_camera(self.topic, str(decoded.header.frame_id), labels.shape, image, camera)
        return labels if self._feed.rectifier is None else self._feed.rectifier.labels(labels)


def _decode_labels(decoded: ImageMessage, topic: str) -> NDArray[np.uint8]:
    if str(decoded.encoding) not in LABEL_ENCODINGS:
        raise DataError(f"{topic}: expected encoding {' or '.join(LABEL_ENCODINGS)}, got {decoded.encoding!r}")
    return np.ascontiguousarray(decode_image(decoded)[:, :, 0])


def _require_same_camera(
    topic: str, frame: str, shape: tuple[int, ...], image: BagImage, camera: PinholeCamera
) -> None:
    if (frame, *shape) != (image.camera_frame, camera.height_px, camera.width_px):
        raise DataError(
            f"{topic}: expected frame {image.camera_frame} and {camera.width_px}x{camera.height_px} pixels, "
            f"as the image, got frame {frame} and {shape[1]}x{shape[0]}"
        )


def scaled_camera(camera: PinholeCamera, scale: float) -> PinholeCamera:
    """The camera of the image shrunk by exactly `scale` in both directions; a last partial row or column is cut off.

    >>> scaled_camera(PinholeCamera(5, 4, 8.0, 8.0, 2.0, 1.5), 0.5)
    PinholeCamera(width_px=2, height_px=2, fx_px=4.0, fy_px=4.0, cx_px=0.75, cy_px=0.5)
    """
    return PinholeCamera(
        width_px=int(camera.width_px * scale),
        height_px=int(camera.height_px * scale),
        fx_px=camera.fx_px * scale,
        fy_px=camera.fy_px * scale,
        cx_px=(camera.cx_px + 0.5) * scale - 0.5,
        cy_px=(camera.cy_px + 0.5) * scale - 0.5,
    )
