# SPDX-License-Identifier: Apache-2.0
"""Where the truth of a bag's images comes from."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.bags.drive import BagOptions, bag_sensors
from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.recent import RecentMessages
from mono_depth_ros.datasets.bags.stereo_truth import StereoTruth
from mono_depth_ros.datasets.bags.topics import COMPRESSED_IMAGE, IMAGE, POINT_CLOUD, BagTopics, require_topic
from mono_depth_ros.datasets.bags.truth_npz import NpzTruth
from mono_depth_ros.errors import ConfigError, DataError, FrameError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense
from mono_depth_ros.intake.sensor_intake import CameraImage, frame_name
from mono_depth_ros.intake.transform_tree import TransformTree
from mono_depth_ros.messages.compressed_depth import decode_compressed_depth
from mono_depth_ros.messages.images import ImageMessage, decode_depth_image, decode_image
from mono_depth_ros.messages.lens import Lens
from mono_depth_ros.perception.point_memory import POINTS
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
    """Truth of the images of one camera, fed with the messages of a bag before the image of their time is asked for."""

    def topics(self) -> tuple[str, ...]: ...

    def put(self, message: BagMessage, decoded: Any) -> None: ...

    def at(self, image: CameraImage, camera: PinholeCamera) -> tuple[DepthMap, PinholeCamera] | None: ...


def open_truth(
    bag: Rosbag2Reader, topics: BagTopics, choice: TruthChoice, lens: Lens, options: BagOptions, tree: TransformTree
) -> TruthSource | None:
    """The source that was chosen; None without any.

    Args:
        bag: where the messages come from.
        topics: of the camera.
        choice: what the user says.
        lens: of the camera; depth images are rectified as its images are.
        options: extrinsics and the like.
        tree: the transforms of the bag.

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
        return _CloudTruth(bag, topics, choice, options, tree)
    if choice.scale != 1.0:
        raise ConfigError(f"truth_scale: expected 1 for truth in depth images, got {choice.scale}")
    return _DepthImageTruth(choice.topic, lens)


class _CloudTruth:
    """Truth from the dense cloud nearest in time, by the extrinsics and odometry of the bag."""

    def __init__(
        self, bag: Rosbag2Reader, topics: BagTopics, choice: TruthChoice, options: BagOptions, tree: TransformTree
    ) -> None:
        own = dataclasses.replace(topics, points=choice.topic, points_info=None, more_points=())
        self._sensors = {topic: name for topic, name in bag_sensors(bag.types, own).items() if topic != topics.image}
        self._scale = choice.scale
        # A given place of the sparse sensor says nothing about where the dense one sits, unless they are one.
        same = choice.topic == topics.points
        options = options if same else dataclasses.replace(options, T_camera_lidar=None)
        buffer = SnapshotBuffer(BufferPolicy(max_points_age_s=MAX_SCAN_AGE_S))
        self._intake = options.intake(buffer, own, tree)

    def topics(self) -> tuple[str, ...]:
        """What `put` wants to see."""
        return tuple(self._sensors)

    def put(self, message: BagMessage, decoded: Any) -> None:
        """Takes a message in.

        Raises:
            DataError: it is broken.
        """
        sensor = self._sensors.get(message.topic)
        problem = "" if sensor is None else self._intake.put(sensor, decoded)
        if problem and sensor == POINTS:
            raise DataError(problem)

    def at(self, image: CameraImage, camera: PinholeCamera) -> tuple[DepthMap, PinholeCamera] | None:
        """Depth and its camera at an image; None without a cloud near enough.

        Raises:
            FrameError: nobody says where the cloud was measured.
        """
        truth = self._intake.snapshot(image)
        if isinstance(truth, NoSnapshot) or truth.points_camera_m is None:
            reason = next((report.reason for report in truth.sensors if report.name == POINTS), "")
            if reason.startswith("no_extrinsics"):
                raise FrameError(reason)
            return None
        truth_camera = scaled_camera(camera, self._scale)
        return sparse_to_dense(project_points(truth.points_camera_m, truth_camera)), truth_camera


class _DepthImageTruth:
    """Truth from depth images of the camera itself, rectified as its images are."""

    def __init__(self, topic: str, lens: Lens) -> None:
        self._topic, self._lens = topic, lens
        self._recent = RecentMessages()

    def topics(self) -> tuple[str, ...]:
        """What `put` wants to see."""
        return (self._topic,)

    def put(self, message: BagMessage, decoded: Any) -> None:
        """Takes a message in."""
        if message.topic == self._topic:
            self._recent.put(message.stamp_ns, decoded)

    def at(self, image: CameraImage, camera: PinholeCamera) -> tuple[DepthMap, PinholeCamera] | None:
        """Depth and its camera at an image; None unless a depth image has its stamp.

        Raises:
            DataError: it belongs to another camera, or is no depth image.
        """
        decoded = self._recent.at(image.stamp_ns)
        if decoded is None:
            return None
        depth_m = decode_compressed_depth(decoded) if hasattr(decoded, "format") else decode_depth_image(decoded)
        _require_same_camera(self._topic, frame_name(decoded.header.frame_id), depth_m.shape, image, camera)
        rectifier = self._lens.rectifier
        return (depth_m if rectifier is None else rectifier.depth(depth_m)), camera


class LabelTruth:
    """Class numbers per pixel from mono8 images with the stamps of the images.

    Args:
        bag: where the messages come from.
        topic: of the labels.
        named: whether the user named it: then labels of another camera are an error, else there are none.
        lens: of the camera.
    """

    def __init__(self, bag: Rosbag2Reader, topic: str, named: bool, lens: Lens) -> None:
        self.topic = require_topic(bag.types, topic, (IMAGE,), "labels")
        self._named, self._lens = named, lens
        self._recent = RecentMessages()

    def put(self, message: BagMessage, decoded: Any) -> None:
        """Takes a message in."""
        if message.topic == self.topic:
            self._recent.put(message.stamp_ns, decoded)

    def at(self, image: CameraImage, camera: PinholeCamera) -> NDArray[np.uint8] | None:
        """uint8 [H,W] at an image; None unless labels have its stamp.

        Raises:
            DataError: they belong to another camera, or are no class numbers.
        """
        decoded = self._recent.at(image.stamp_ns)
        if decoded is None:
            return None
        frame = frame_name(decoded.header.frame_id)
        if not self._named and frame != image.camera_frame:
            return None
        labels = _decode_labels(decoded, self.topic)
        _require_same_camera(self.topic, frame, labels.shape, image, camera)
        rectifier = self._lens.rectifier
        return labels if rectifier is None else rectifier.labels(labels)


def _decode_labels(decoded: ImageMessage, topic: str) -> NDArray[np.uint8]:
    if str(decoded.encoding) not in LABEL_ENCODINGS:
        raise DataError(f"{topic}: expected encoding {' or '.join(LABEL_ENCODINGS)}, got {decoded.encoding!r}")
    return np.ascontiguousarray(decode_image(decoded)[:, :, 0])


def _require_same_camera(
    topic: str, frame: str, shape: tuple[int, ...], image: CameraImage, camera: PinholeCamera
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
