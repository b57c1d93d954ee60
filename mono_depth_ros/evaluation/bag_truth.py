# SPDX-License-Identifier: Apache-2.0
"""Do the topics of a bag with truth agree with each other? LiDAR with true depth, images with true depth and motion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.bag_topics import COMPRESSED_IMAGE, find_topics
from mono_depth_ros.datasets.rosbag2 import Rosbag2Reader
from mono_depth_ros.datasets.simulation_bag import TRUTH_DEPTH_TOPIC, TRUTH_ODOMETRY_TOPIC
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, transform_points
from mono_depth_ros.messages.camera_info import camera_from_info
from mono_depth_ros.messages.images import decode_compressed_image, decode_depth_image, decode_image
from mono_depth_ros.messages.odometry import decode_odometry
from mono_depth_ros.messages.point_clouds import decode_xyz
from mono_depth_ros.messages.stamps import stamp_ns_of

_SAME_SURFACE = 0.03  # relative difference of depths that are taken for one surface


@dataclass(frozen=True, slots=True)
class LidarAgreement:
    """LiDAR points projected by /tf_static against the true depth at their pixels.

    Attributes:
        scans, points: how many were compared.
        median_rel_error: median of |z - truth| / truth.
        share_beyond_10_percent: at borders, where LiDAR and camera see past each other, or with a wrong calibration.
    """

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
    """The messages of one stamp, decoded; what is absent is None."""

    stamp_ns: int
    camera: PinholeCamera
    image_rgb: npt.NDArray[np.uint8]
    depth_m: DepthMap
    T_world_camera: RigidTransform
    points_camera_m: npt.NDArray[np.float32] | None


def lidar_agreement(bag: Rosbag2Reader) -> LidarAgreement:
    """How well scans land on /truth/depth at their own stamps.

    Raises:
        DataError: the bag lacks a topic, or has no scan with truth.
        FrameError: /tf_static does not connect camera and LiDAR.
    """
    errors, scans = [], 0
    for instant in _instants(bag):
        if instant.points_camera_m is None:
            continue
        error = _relative_error(instant.points_camera_m, instant)
        errors.append(error[np.isfinite(error)])
        scans += 1
    every = np.concatenate(errors) if errors else np.zeros(0)
    if not every.size:
        raise DataError(f"bag {bag.path}: expected a scan with points on true depth, got none")
    return LidarAgreement(scans, every.size, float(np.median(every)), float(np.mean(every > 0.1)))


def photometric_agreement(bag: Rosbag2Reader, max_depth_m: float = 60.0) -> PhotometricAgreement:
    """How alike consecutive images are after warping by /truth/depth and /truth/odom.

    Pixels that the next image does not see, or sees another surface at (something moved), do not count.

    Raises:
        DataError: the bag lacks a topic, or has no two images with truth.
        FrameError: /tf_static does not connect camera and base.
    """
    residuals, unwarped = [], []
    previous: _Instant | None = None
    for instant in _instants(bag):
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
    camera = instant.camera
    x, y, z = points_camera_m[points_camera_m[:, 2] > 0.1].T
    u, v = camera.fx_px * x / z + camera.cx_px, camera.fy_px * y / z + camera.cy_px
    seen = (u >= 0) & (u <= camera.width_px - 1) & (v >= 0) & (v <= camera.height_px - 1)
    if not seen.any():
        return np.zeros(0, np.float32)
    where = u[seen].astype(np.float32)[None], v[seen].astype(np.float32)[None]
    inv_depth = cv2.remap(1.0 / instant.depth_m, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    return np.asarray(np.abs(z[seen] * inv_depth - 1.0), np.float32)


def _difference(now: _Instant, following: _Instant, max_depth_m: float) -> tuple[float, float]:
    """Mean grey levels between two images with and without warping; NaN where they share nothing."""
    camera, shape = now.camera, now.depth_m.shape
    T_following_now = invert_rigid(following.T_world_camera) @ now.T_world_camera
    moved = transform_points(T_following_now, camera.unproject(now.depth_m).reshape(-1, 3)).reshape(*shape, 3)
    z = moved[:, :, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        u = camera.fx_px * moved[:, :, 0] / z + camera.cx_px
        v = camera.fy_px * moved[:, :, 1] / z + camera.cy_px
        good = (z > 0.1) & (z < max_depth_m) & (u > 0) & (u < shape[1] - 1) & (v > 0) & (v < shape[0] - 1)
        u, v = (np.where(good, axis, -9.0).astype(np.float32) for axis in (u, v))
        seen_m = cv2.remap(following.depth_m, u, v, cv2.INTER_NEAREST)
        good &= np.abs(seen_m / z - 1.0) < _SAME_SURFACE
    if not good.any():
        return float("nan"), float("nan")
    image, other = now.image_rgb.astype(np.float32), following.image_rgb.astype(np.float32)
    warped = cv2.remap(other, u, v, cv2.INTER_LINEAR)
    return float(np.abs(image - warped)[good].mean()), float(np.abs(image - other)[good].mean())


def _instants(bag: Rosbag2Reader) -> Iterator[_Instant]:
    """Every image with depth, pose and camera_info of the same stamp."""
    topics = find_topics(bag.types)
    transforms = bag.static_transforms()
    names = {*topics.names(), TRUTH_DEPTH_TOPIC, TRUTH_ODOMETRY_TOPIC} - {topics.odometry}
    compressed = bag.types[topics.image] == COMPRESSED_IMAGE
    newest: dict[str, Any] = {}
    for message in bag.messages([name for name in names if name is not None], last_topic=topics.image):
        newest[message.topic] = decoded = bag.decode(message)
        if message.topic != topics.image:
            continue
        same = {name for name, other in newest.items() if other.header.stamp == decoded.header.stamp}
        if not {topics.camera_info, TRUTH_DEPTH_TOPIC, TRUTH_ODOMETRY_TOPIC} <= same:
            continue
        truth, frame = newest[TRUTH_ODOMETRY_TOPIC], decoded.header.frame_id
        T_base_camera = transforms.lookup(truth.child_frame_id, frame)
        points = None
        if topics.points in same:
            scan = newest[topics.points]
            points = transform_points(transforms.lookup(frame, scan.header.frame_id), decode_xyz(scan))
        yield _Instant(
            stamp_ns=stamp_ns_of(decoded.header.stamp),
            camera=camera_from_info(newest[topics.camera_info], topics.rectified),
            image_rgb=decode_compressed_image(decoded) if compressed else decode_image(decoded),
            depth_m=decode_depth_image(newest[TRUTH_DEPTH_TOPIC]),
            T_world_camera=decode_odometry(truth).T_odom_base @ T_base_camera,
            points_camera_m=points,
        )
