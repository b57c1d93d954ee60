# SPDX-License-Identifier: Apache-2.0
"""Samples with truth from a bag whose LiDAR is dense enough to be the truth."""

from collections.abc import Iterator

from mono_depth_ros.datasets.bag_topics import POINT_CLOUD, BagTopics, require_topic
from mono_depth_ros.datasets.rosbag2 import Rosbag2Reader
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.datasets.snapshot_feed import SnapshotFeed
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense
from mono_depth_ros.perception.snapshot import NoSnapshot
from mono_depth_ros.perception.snapshot_buffer import BufferPolicy, SnapshotBuffer


def read_samples(
    bag: Rosbag2Reader,
    topics: BagTopics,
    truth_points: str,
    truth_scale: float = 1.0,
    max_scan_age_s: float = 0.06,
    limit: int | None = None,
) -> Iterator[DepthSample]:
    """Every image of a drive for which both scans are near enough in time.

    Scans are carried to the image stamp by odometry where the bag has it, as on the robot.

    Args:
        topics: of the camera; `topics.points` is the sparse input and has to be there.
        truth_points: topic of the dense cloud.
        truth_scale: size of the truth's grid relative to the image; 0.5 halves both sides.
        max_scan_age_s: an image is left out unless both scans are at most this far from it.
        limit: at most this many samples.

    Raises:
        ConfigError: `truth_scale` is not in (0, 1].
        DataError, FrameError: a topic or transform is missing, or the bag is broken.
    """
    if not 0.0 < truth_scale <= 1.0:
        raise ConfigError(f"truth_scale: expected more than 0 and at most 1, got {truth_scale}")
    if topics.points is None:
        raise DataError("points: expected a topic with the sparse input, got none")
    require_topic(bag.types, truth_points, POINT_CLOUD, "truth")
    truth_topics = BagTopics(
        topics.camera, topics.image, topics.camera_info, truth_points, topics.odometry, topics.rectified
    )
    policy = BufferPolicy(max_points_age_s=max_scan_age_s)
    input_buffer, truth_buffer = SnapshotBuffer(policy), SnapshotBuffer(policy)
    input_feed, truth_feed = SnapshotFeed(bag, topics, input_buffer), SnapshotFeed(bag, truth_topics, truth_buffer)
    given = 0
    for message in bag.messages({*topics.names(), truth_points}):
        image = None
        if message.topic in topics.names():
            image = input_feed.put(message)
        if message.topic in truth_topics.names():
            truth_feed.put(message)
        if image is None:
            continue
        known = input_buffer.snapshot(image.stamp_ns, image.camera_frame, image.image_rgb)
        truth = truth_buffer.snapshot(image.stamp_ns, image.camera_frame, image.image_rgb)
        if isinstance(known, NoSnapshot):
            raise DataError(f"image at {known.stamp_ns} ns: {known.message}")
        if isinstance(truth, NoSnapshot) or known.points_camera_m is None or truth.points_camera_m is None:
            continue
        truth_camera = scaled_camera(known.camera, truth_scale)
        yield DepthSample(
            name=f"{topics.camera.strip('/')}_{image.stamp_ns}",
            stamp_ns=image.stamp_ns,
            camera_name=topics.camera.strip("/"),
            image_rgb=image.image_rgb,
            camera=known.camera,
            points_camera_m=known.points_camera_m,
            truth_depth_m=sparse_to_dense(project_points(truth.points_camera_m, truth_camera)),
            truth_camera=truth_camera,
        )
        given += 1
        if limit is not None and given >= limit:
            return


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
