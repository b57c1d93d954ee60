# SPDX-License-Identifier: Apache-2.0
"""Samples with truth from a bag: a LiDAR that is dense enough, or depth images."""

from collections.abc import Iterator
from typing import Any

from mono_depth_ros.datasets.bag_topics import IMAGE, POINT_CLOUD, BagTopics, require_topic
from mono_depth_ros.datasets.rosbag2 import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.datasets.snapshot_feed import BagImage, SnapshotFeed
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense
from mono_depth_ros.messages.images import decode_depth_image
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer


def read_samples(
    bag: Rosbag2Reader,
    topics: BagTopics,
    truth_topic: str,
    truth_scale: float = 1.0,
    max_scan_age_s: float = 0.06,
    limit: int | None = None,
) -> Iterator[DepthSample]:
    """Every image of a drive that has truth, and a scan near enough in time.

    Scans are carried to the image stamp by odometry where the bag has it, as on the robot.

    Args:
        topics: of the camera; `topics.points` is the sparse input and has to be there.
        truth_topic: of a dense cloud (PointCloud2), or of depth images with the stamps of the images (Image).
        truth_scale: size of the truth's grid relative to the image; 0.5 halves both sides. Only for clouds.
        max_scan_age_s: an image is left out unless its scans are at most this far from it.
        limit: at most this many samples.

    Raises:
        ConfigError: `truth_scale` is not in (0, 1], or not 1 for depth images.
        DataError, FrameError: a topic or transform is missing, or the bag is broken.
    """
    if not 0.0 < truth_scale <= 1.0:
        raise ConfigError(f"truth_scale: expected more than 0 and at most 1, got {truth_scale}")
    if topics.points is None:
        raise DataError("points: expected a topic with the sparse input, got none")
    policy = BufferPolicy(max_points_age_s=max_scan_age_s)
    truth = _truth(bag, topics, truth_topic, policy, truth_scale)
    buffer = SnapshotBuffer(policy)
    feed = SnapshotFeed(bag, topics, buffer)
    given = 0
    for message in bag.messages({*topics.names(), truth_topic}, last_topic=topics.image):
        image = feed.put(message) if message.topic in topics.names() else None
        truth.put(message)
        if image is None:
            continue
        known = buffer.snapshot(image.stamp_ns, image.camera_frame, image.image_rgb)
        if isinstance(known, NoSnapshot):
            raise DataError(f"image at {known.stamp_ns} ns: {known.message}")
        found = truth.at(image, known.camera)
        if found is None or known.points_camera_m is None:
            continue
        yield DepthSample(
            name=f"{topics.camera.strip('/')}_{image.stamp_ns}",
            stamp_ns=image.stamp_ns,
            camera_name=topics.camera.strip("/"),
            image_rgb=image.image_rgb,
            camera=known.camera,
            points_camera_m=known.points_camera_m,
            truth_depth_m=found[0],
            truth_camera=found[1],
        )
        given += 1
        if limit is not None and given >= limit:
            return


def _truth(
    bag: Rosbag2Reader, topics: BagTopics, truth_topic: str, policy: BufferPolicy, truth_scale: float
) -> "_CloudTruth | _DepthImageTruth":
    if bag.types.get(truth_topic) == IMAGE:
        return _DepthImageTruth(bag, truth_topic, truth_scale)
    require_topic(bag.types, truth_topic, POINT_CLOUD, "truth")
    return _CloudTruth(bag, topics, truth_topic, policy, truth_scale)


class _CloudTruth:
    """Truth from a dense cloud, by the extrinsics and odometry of the bag."""

    def __init__(
        self, bag: Rosbag2Reader, topics: BagTopics, truth_topic: str, policy: BufferPolicy, truth_scale: float
    ) -> None:
        self._topics = BagTopics(
            topics.camera, topics.image, topics.camera_info, truth_topic, topics.odometry, topics.rectified
        )
        self._scale = truth_scale
        self._buffer = SnapshotBuffer(policy)
        self._feed = SnapshotFeed(bag, self._topics, self._buffer)

    def put(self, message: BagMessage) -> None:
        """Takes any message of the bag in."""
        if message.topic in self._topics.names():
            self._feed.put(message)

    def at(self, image: BagImage, camera: PinholeCamera) -> tuple[DepthMap, PinholeCamera] | None:
        """Depth and its camera at an image that was just put in; None without a cloud."""
        truth = self._buffer.snapshot(image.stamp_ns, image.camera_frame, image.image_rgb)
        if isinstance(truth, NoSnapshot) or truth.points_camera_m is None:
            return None
        truth_camera = scaled_camera(camera, self._scale)
        return sparse_to_dense(project_points(truth.points_camera_m, truth_camera)), truth_camera


class _DepthImageTruth:
    """Truth from depth images of the camera itself."""

    def __init__(self, bag: Rosbag2Reader, truth_topic: str, truth_scale: float) -> None:
        if truth_scale != 1.0:
            raise ConfigError(f"truth_scale: expected 1 for truth in depth images, got {truth_scale}")
        self._bag, self._topic = bag, truth_topic
        self._newest: Any = None

    def put(self, message: BagMessage) -> None:
        """Takes any message of the bag in."""
        if message.topic == self._topic:
            self._newest = self._bag.decode(message)

    def at(self, image: BagImage, camera: PinholeCamera) -> tuple[DepthMap, PinholeCamera] | None:
        """Depth and its camera at an image; None unless the newest depth image has its stamp.

        Raises:
            DataError: it belongs to another camera, or is no depth image.
        """
        message = self._newest
        if message is None or stamp_ns_of(message.header.stamp) != image.stamp_ns:
            return None
        got = (message.header.frame_id, int(message.width), int(message.height))
        if got != (image.camera_frame, camera.width_px, camera.height_px):
            raise DataError(
                f"{self._topic}: expected frame {image.camera_frame} and {camera.width_px}x{camera.height_px} pixels, "
                f"as the image, got frame {got[0]} and {got[1]}x{got[2]}"
            )
        return decode_depth_image(message), camera


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
