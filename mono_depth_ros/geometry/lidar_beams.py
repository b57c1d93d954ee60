# SPDX-License-Identifier: Apache-2.0
"""What a beam is, wherever a scan is thinned to fewer of them: bins of elevation of the LiDAR.

64 equal bins between the lowest and the highest elevation of the whole scan, asin(z / |p|) in the LiDAR frame; of these
every (64 / beams)-th is kept. A cloud's `ring` field is not asked: few data sets have one, and drivers count in orders
of their own.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, transform_points
from mono_depth_ros.geometry.sparse_depth import points_in_view

ELEVATION_BINS = 64
BEAM_COUNTS = (0, 1, 2, 4, 8, 16, 32, 64)
# The frame of a LiDAR in the camera's place that looks ahead: x forward, y left, z up.
T_CAMERA_LIDAR_AHEAD: RigidTransform = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float64)
# cos 45 degrees: a sensor whose z axis points more than this where the camera looks has an optical frame.
_OPTICAL = 0.7
# Elevations closer together than this are one: a scanner of one plane, seen through rounded transforms.
_ONE_ELEVATION_RAD = 1e-3


def require_beams(beams: int) -> None:
    """Raises ConfigError where no scan can have so many beams."""
    if beams not in BEAM_COUNTS:
        raise ConfigError(f"beams: expected one of {', '.join(map(str, BEAM_COUNTS))}, got {beams}")


def elevation_places(points_lidar_m: Points) -> NDArray[np.float64]:
    """Where between the lowest (0) and the highest (64) elevation of the scan a point lies.

    Args:
        points_lidar_m: float [N, 3] in the LiDAR frame (z up).

    Returns:
        float64 [N]; the middle, 32, for all of a scan of one elevation; NaN for a point that is not finite or lies in
        the origin.
    """
    points = points_lidar_m.astype(np.float64)
    distance = np.linalg.norm(points, axis=1)
    known = np.isfinite(distance) & (distance > 0)
    places = np.full(len(points), np.nan)
    if known.any():
        elevation_rad = np.arcsin(points[known, 2] / distance[known])
        low, high = elevation_rad.min(), elevation_rad.max()
        share = (elevation_rad - low) / (high - low) if high - low > _ONE_ELEVATION_RAD else 0.5
        places[known] = share * ELEVATION_BINS
    return places


def elevation_bins(points_lidar_m: Points) -> NDArray[np.int8]:
    """Which of 64 equal bins between the lowest and the highest elevation of the scan a point lies in.

    Args:
        points_lidar_m: float [N, 3] in the LiDAR frame (z up).

    Returns:
        int8 [N], 0 (lowest) to 63; -1 for a point without an elevation.

    >>> elevation_bins(np.array([[1, 0, -1], [1, 0, 0], [1, 0, 1], [0, 0, 0]], np.float32)).tolist()
    [0, 32, 63, -1]
    """
    places = np.nan_to_num(elevation_places(points_lidar_m), nan=-1.0)
    return np.minimum(places, ELEVATION_BINS - 1).astype(np.int8)


def in_beams(bins: NDArray[np.integer[Any]], beams: int) -> NDArray[np.bool_]:
    """The points that a LiDAR of fewer beams would have given: those of every (64 / beams)-th bin.

    From the lowest bin on; one beam is the middle bin, since cameras seldom see the lowest. So the points of fewer
    beams are a part of those of more.

    Args:
        bins: [N], as from ``elevation_bins``.
        beams: one of BEAM_COUNTS.

    Raises:
        ConfigError: another number of beams.

    >>> np.flatnonzero(in_beams(np.arange(64), 4)).tolist(), np.flatnonzero(in_beams(np.arange(64), 1)).tolist()
    ([0, 16, 32, 48], [32])
    """
    require_beams(beams)
    if beams == 0:
        return np.zeros(len(bins), bool)
    step = ELEVATION_BINS // beams
    kept: NDArray[np.bool_] = (bins >= 0) & (bins % step == (ELEVATION_BINS // 2) % step)
    return kept


def scan_of_points(
    points_camera_m: Points, camera: PinholeCamera, T_camera_lidar: RigidTransform | None
) -> tuple[Points, RigidTransform]:
    """Points as the scan of a LiDAR, and where it sits.

    Of points that were measured nobody knows where, as those of a depth map or of several merged LiDARs, and of those
    in an optical frame, as a depth camera's, the ones in view are the scan of a LiDAR in the camera's place.

    Args:
        points_camera_m: float32 [N, 3] in the camera frame.
        camera: of the image.
        T_camera_lidar: where they were measured; None if that is not known.

    Returns:
        float32 [M, 3], still in the camera frame, and T_camera_lidar.
    """
    if T_camera_lidar is None or T_camera_lidar[2, 2] > _OPTICAL:
        return points_in_view(points_camera_m, camera), T_CAMERA_LIDAR_AHEAD
    return points_camera_m, T_camera_lidar


def beam_bins(points_camera_m: Points, T_camera_lidar: RigidTransform) -> NDArray[np.int8]:
    """``elevation_bins`` of points float32 [N, 3] in the camera frame."""
    return elevation_bins(transform_points(invert_rigid(T_camera_lidar), points_camera_m))
