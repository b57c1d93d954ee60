# SPDX-License-Identifier: Apache-2.0
"""Sparse points from whatever message a ranging sensor sends."""

from typing import Any

import numpy as np

from mono_depth_ros.datasets.bags.topics import COMPRESSED_IMAGE, IMAGE, LASER_SCAN, POINT_CLOUD, RANGE
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.messages.compressed_depth import decode_compressed_depth
from mono_depth_ros.messages.images import decode_depth_image
from mono_depth_ros.messages.laser_scans import decode_laser_scan
from mono_depth_ros.messages.point_clouds import decode_timed_points
from mono_depth_ros.messages.ranges import decode_range
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.messages.timed_points import TimedPoints


def decode_points(
    decoded: Any, message_type: str, depth_camera: PinholeCamera | None = None, time_field: str | None = None
) -> TimedPoints:
    """The points of a PointCloud2, LaserScan, Range or depth image, in the frame of the message's header.

    Args:
        decoded: the message.
        message_type: its ROS type.
        depth_camera: intrinsics of a depth image.
        time_field: see `decode_timed_points`; for clouds only.

    Raises:
        DataError: the message is broken, of another type, or a depth image without intrinsics or of another size.
    """
    if message_type == POINT_CLOUD:
        return decode_timed_points(decoded, stamp_ns_of(decoded.header.stamp), time_field)
    if message_type == LASER_SCAN:
        return decode_laser_scan(decoded)
    if message_type == RANGE:
        return decode_range(decoded)
    depth_m = decode_depth(decoded, message_type)
    if depth_camera is None or (depth_camera.height_px, depth_camera.width_px) != depth_m.shape:
        got = "none" if depth_camera is None else f"{depth_camera.width_px}x{depth_camera.height_px}"
        size = f"{depth_m.shape[1]}x{depth_m.shape[0]}"
        raise DataError(f"depth image as points: expected a camera_info for {size} before it, got {got}")
    return TimedPoints(depth_camera.unproject(depth_m)[np.isfinite(depth_m)])


def decode_depth(decoded: Any, message_type: str) -> DepthMap:
    """Depth float32 [H,W], metres, NaN unknown, of an Image (32FC1, 16UC1) or a CompressedImage (compressedDepth).

    Raises:
        DataError: the message is broken or of another type.
    """
    if message_type == IMAGE:
        return decode_depth_image(decoded)
    if message_type == COMPRESSED_IMAGE:
        return decode_compressed_depth(decoded)
    raise DataError(f"depth: expected {IMAGE} or {COMPRESSED_IMAGE}, got {message_type}")
