# SPDX-License-Identifier: Apache-2.0
"""Do the topics of a bag with truth agree? Points with true depth, images with true depth and motion."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.bags.simulation_bag import TRUTH_ODOMETRY_TOPIC, truth_topic
from mono_depth_ros.datasets.bags.topics import (
    COMPRESSED_IMAGE,
    LASER_SCAN,
    NO_TOPIC,
    POINT_CLOUD,
    BagTopics,
    find_topics,
)
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.distortion import Distortion, distort, distorted_rays
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, transform_points
from mono_depth_ros.intake.transform_tree import TransformTree
from mono_depth_ros.messages.camera_info import CameraInfoMessage, camera_from_info, has_distortion
from mono_depth_ros.messages.images import decode_compressed_image, decode_depth_image, decode_image
from mono_depth_ros.messages.laser_scans import decode_laser_scan
from mono_depth_ros.messages.odometry import decode_odometry
from mono_depth_ros.messages.point_clouds import decode_timed_points
from mono_depth_ros.messages.ranges import decode_range
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack
from mono_depth_ros.perception.scan_motion import points_at_stamp

_SAME_SURFACE = 0.03  # relative difference of depths that are taken for one surface
_MAX_GAP_S = 1.0  # between true poses, for points between them
_MAX_POSES = 1_000_000


@dataclass(frozen=True, slots=True)
class PointsAgreement:
    """Points of a ranging sensor, projected by /tf_static, against the true depth at their pixels.

    Attributes:
        topic: of the points.
        scans, points: how many were compared.
        median_rel_error: median of |z - truth| / truth.
        share_beyond_10_percent: at borders, where sensor and camera see past each other; where something moved during a
            scan; or with a wrong calibration.
    """

    topic: str
    scans: int
    points: int
    median_rel_error: float
    share_beyond_10_percent: float


@dataclass(frozen=True, slots=True)
class PhotometricAgreement:
    """Each image against the next one, warped into it by true depth and motion.

    Attributes:
        pairs: how many were compared.
        residual: mean absolute difference in grey levels of 255, where both see one surface.
        unwarped: the same pixels without warping, for comparison.
    """

    pairs: int
    residual: float
    unwarped: float


@dataclass(frozen=True, slots=True, eq=False)
class _Instant:
    """The messages of one stamp, decoded; what is absent is None. Image and depth lie in one, maybe distorted, grid."""

    stamp_ns: int
    camera: PinholeCamera
    distortion: Distortion | None
    image_rgb: npt.NDArray[np.uint8]
    depth_m: DepthMap
    T_world_camera: RigidTransform
    points_camera_m: npt.NDArray[np.float32] | None

    def surface(self) -> npt.NDArray[np.float32]:
        """The truth as points float32 [H, W, 3] in the camera frame."""
        if self.distortion is None:
            return self.camera.unproject(self.depth_m)
        return distorted_rays(self.camera, self.distortion) * self.depth_m[..., None]

    def pixels(self, points_camera_m: npt.NDArray[np.float32]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Columns and rows of points float32 [..., 3] in the raw image."""
        slopes = points_camera_m[..., :2].astype(np.float64) / points_camera_m[..., 2:]
        if self.distortion is not None:
            slopes = distort(slopes, self.distortion)
        camera = self.camera
        return camera.fx_px * slopes[..., 0] + camera.cx_px, camera.fy_px * slopes[..., 1] + camera.cy_px


def points_agreement(bag: Rosbag2Reader, camera: str | None = None, points: str | None = None) -> PointsAgreement:
    """How well points land on the true depth of their stamp, carried there from their own times by the true motion.

    Args:
        bag: with truth, as `write_simulation` makes it.
        camera: namespace; None takes the only one.
        points: topic of a cloud, planar scan or range; None takes the only one.

    Raises:
        DataError: the bag lacks a topic, or has no points with truth.
        FrameError: /tf_static does not connect camera and sensor.
    """
    topics = find_topics(bag.types, camera, points, NO_TOPIC)
    if topics.points is None:
        raise DataError(f"bag {bag.path}: expected points, got none")
    errors, scans = [], 0
    for instant in _instants(bag, topics):
        if instant.points_camera_m is None:
            continue
        error = _relative_error(instant.points_camera_m, instant)
        errors.append(error[np.isfinite(error)])
        scans += 1
    every = np.concatenate(errors) if errors else np.zeros(0)
    if not every.size:
        raise DataError(f"bag {bag.path}: expected {topics.points} with points on true depth, got none")
    median, beyond = float(np.median(every)), float(np.mean(every > 0.1))
    return PointsAgreement(topics.points, scans, every.size, median, beyond)


def photometric_agreement(
    bag: Rosbag2Reader, camera: str | None = None, max_depth_m: float = 60.0
) -> PhotometricAgreement:
    """How alike consecutive images are after warping by true depth and /truth/odom.

    Pixels that the next image does not see, or sees another surface at (something moved), do not count.

    Args:
        bag: with truth, as `write_simulation` makes it.
        camera: namespace; None takes the only one.
        max_depth_m: surfaces beyond do not count.

    Raises:
        DataError: the bag lacks a topic, or has no two images with truth.
        FrameError: /tf_static does not connect camera and base.
    """
    residuals, unwarped = [], []
    previous: _Instant | None = None
    for instant in _instants(bag, find_topics(bag.types, camera, NO_TOPIC, NO_TOPIC)):
        if previous is not None:
            after, before = _difference(previous, instant, max_depth_m)
            residuals.append(after)
            unwarped.append(before)
        previous = instant
    known = np.isfinite(residuals)
    if not known.any():
        raise DataError(f"bag {bag.path}: expected two images of the same surfaces, with truth, got none")
    return PhotometricAgreement(
        int(known.sum()), float(np.mean(np.array(residuals)[known])), float(np.mean(np.array(unwarped)[known]))
    )


def _relative_error(points_camera_m: npt.NDArray[np.float32], instant: _Instant) -> npt.NDArray[np.float32]:
    """|z - truth| / truth of the points in view, float32 [M]; NaN in the sky.

    Truth is interpolated between pixels in inverse depth, in which planes are exact.
    """
    ahead = points_camera_m[points_camera_m[:, 2] > 0.1]
    if instant.distortion is not None:  # a lens model makes no sense far outside the image, and folds back there
        rays = distorted_rays(instant.camera, instant.distortion)
        reach = np.abs(rays[..., :2]).max(axis=(0, 1))
        ahead = ahead[(np.abs(ahead[:, :2] / ahead[:, 2:]) <= reach).all(axis=1)]
    u, v = instant.pixels(ahead)
    height, width = instant.depth_m.shape
    seen = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    if not seen.any():
        return np.zeros(0, np.float32)
    where = u[seen].astype(np.float32)[None], v[seen].astype(np.float32)[None]
    inv_depth = cv2.remap(1.0 / instant.depth_m, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    return np.asarray(np.abs(ahead[seen, 2] * inv_depth - 1.0), np.float32)


def _difference(now: _Instant, following: _Instant, max_depth_m: float) -> tuple[float, float]:
    """Mean grey levels between two images with and without warping; NaN where they share nothing."""
    shape = now.depth_m.shape
    T_following_now = invert_rigid(following.T_world_camera) @ now.T_world_camera
    moved = transform_points(T_following_now, now.surface().reshape(-1, 3)).reshape(*shape, 3)
    z = moved[:, :, 2]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        u, v = following.pixels(moved)
        good = (z > 0.1) & (z < max_depth_m) & (u > 0) & (u < shape[1] - 1) & (v > 0) & (v < shape[0] - 1)
        u, v = (np.where(good, axis, -9.0).astype(np.float32) for axis in (u, v))
        seen_m = cv2.remap(following.depth_m, u, v, cv2.INTER_NEAREST)
        good &= np.abs(seen_m / z - 1.0) < _SAME_SURFACE
    if not good.any():
        return float("nan"), float("nan")
    image, other = now.image_rgb.astype(np.float32), following.image_rgb.astype(np.float32)
    warped = cv2.remap(other, u, v, cv2.INTER_LINEAR)
    return float(np.abs(image - warped)[good].mean()), float(np.abs(image - other)[good].mean())


def _instants(bag: Rosbag2Reader, topics: BagTopics) -> Iterator[_Instant]:
    """Every image with depth, pose and camera_info of the same stamp, and the points of that stamp."""
    transforms, track = bag.static_transforms(), _true_motion(bag)
    depth_topic = truth_topic(topics.camera.strip("/"), "depth")
    needed = [topics.image, topics.camera_info, depth_topic, TRUTH_ODOMETRY_TOPIC]
    compressed = bag.types[topics.image] == COMPRESSED_IMAGE
    newest: dict[str, Any] = {}
    for message in bag.messages([*needed, *([topics.points] if topics.points else [])], last_topic=topics.image):
        newest[message.topic] = decoded = bag.decode(message)
        if message.topic != topics.image:
            continue
        same = {name for name, other in newest.items() if other.header.stamp == decoded.header.stamp}
        if not set(needed) <= same:
            continue
        truth, frame, info = newest[TRUTH_ODOMETRY_TOPIC], str(decoded.header.frame_id), newest[topics.camera_info]
        base = str(truth.child_frame_id)
        T_base_camera = transforms.lookup(base, frame)
        points = None
        if topics.points in same:
            scan = newest[topics.points]
            points = _points_at_its_stamp(scan, bag.types[topics.points], transforms, base, track)
            if points is not None:
                points = transform_points(invert_rigid(T_base_camera), points)
        yield _Instant(
            stamp_ns=stamp_ns_of(decoded.header.stamp),
            camera=camera_from_info(info, topics.rectified),
            distortion=None if topics.rectified else _distortion(info),
            image_rgb=decode_compressed_image(decoded) if compressed else decode_image(decoded),
            depth_m=decode_depth_image(newest[depth_topic]),
            T_world_camera=decode_odometry(truth).T_odom_base @ T_base_camera,
            points_camera_m=points,
        )


def _true_motion(bag: Rosbag2Reader) -> OdometryTrack:
    track = OdometryTrack(float(bag.end_ns - bag.start_ns) * 1e-9 + 1.0, _MAX_GAP_S, _MAX_POSES)
    for message in bag.messages([TRUTH_ODOMETRY_TOPIC]):
        reading = decode_odometry(bag.decode(message))
        track.add(OdometrySample(message.stamp_ns, reading.T_odom_base, reading.speed_mps))
    return track


def _points_at_its_stamp(
    scan: Any, message_type: str, transforms: TransformTree, base: str, track: OdometryTrack
) -> npt.NDArray[np.float32] | None:
    """Points float32 [N, 3] in the base frame at the scan's stamp; None where the true motion is not known."""
    stamp_ns, T_base_sensor = stamp_ns_of(scan.header.stamp), transforms.lookup(base, str(scan.header.frame_id))
    if message_type == POINT_CLOUD:
        timed = decode_timed_points(scan, stamp_ns)
    else:
        timed = decode_laser_scan(scan) if message_type == LASER_SCAN else decode_range(scan)
    points: npt.NDArray[np.float32] | None = timed.points_m
    if timed.offsets_s is not None:
        points = points_at_stamp(timed.points_m, timed.offsets_s, stamp_ns, track, T_base_sensor)
    return None if points is None else transform_points(T_base_sensor, points)


def _distortion(info: CameraInfoMessage) -> Distortion | None:
    """Raises DataError: a lens model other than plumb_bob."""
    if not has_distortion(info):
        return None
    if str(info.distortion_model) != "plumb_bob" or len(info.d) != 5:
        raise DataError(f"camera_info: expected plumb_bob with 5 numbers, got {info.distortion_model} {list(info.d)}")
    return Distortion(*(float(coefficient) for coefficient in info.d))
