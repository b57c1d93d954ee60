# SPDX-License-Identifier: Apache-2.0
"""A dense scan made worse on purpose: few points, lost packets, a bumped mount. Pure functions; beams: lidar_beams.py.

With the same random order, less is always a part of more: the points of 4 beams are among those of 8, the first 5
random points among the first 50, and what is left at 60 % loss among what is left at 50 %. So a difference along a
sweep is what the added points did.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform, rigid_from_quaternion
from mono_depth_ros.geometry.sparse_depth import cells_of_points, project_points, sparse_to_dense

# Sectors of two degrees, about what one packet of a spinning LiDAR covers.
AZIMUTH_SECTORS = 180


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """The cells that are scored and never an input.

    Attributes:
        cells: bool [h, w].
        truth_m: float32 [sum(cells)], metres, their depth in row-major order.
    """

    cells: NDArray[np.bool_]
    truth_m: NDArray[np.float32]


def without_lost_packets(points_lidar_m: Points, lost_share: float, order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The points that are left when a share of the azimuth sectors is lost.

    Args:
        points_lidar_m: float32 [N, 3] in the LiDAR frame (z up).
        lost_share: of the sectors, 0 to 1.
        order: int64 [180], a permutation of the sectors; the first of it are lost first.

    Returns:
        bool [N].

    Raises:
        ConfigError: the share is not in [0, 1] or the order is no permutation of the sectors.
    """
    if not 0.0 <= lost_share <= 1.0 or sorted(order.tolist()) != list(range(AZIMUTH_SECTORS)):
        raise ConfigError(
            f"lost packets: expected a share in [0, 1] and a permutation of {AZIMUTH_SECTORS} sectors, "
            f"got {lost_share} and {len(order)} sectors"
        )
    lost = np.zeros(AZIMUTH_SECTORS, bool)
    lost[order[: round(lost_share * AZIMUTH_SECTORS)]] = True
    return ~lost[azimuth_sectors(points_lidar_m)]


def azimuth_sectors(points_lidar_m: Points) -> NDArray[np.int64]:
    """Sector of two degrees, counted from straight back against the clock; int64 [N], 0 for what is not finite.

    >>> azimuth_sectors(np.array([[1, 0.01, 0], [0.01, 1, 0], [-1, -0.01, 0]], np.float32)).tolist()
    [90, 134, 0]
    """
    azimuth = np.arctan2(points_lidar_m[:, 1].astype(np.float64), points_lidar_m[:, 0].astype(np.float64))
    turn = np.nan_to_num((azimuth + np.pi) / (2.0 * np.pi))
    return np.minimum((turn * AZIMUTH_SECTORS).astype(np.int64), AZIMUTH_SECTORS - 1)


def mount_error(
    rotation_deg: float, translation_m: float, axis: NDArray[np.float64], direction: NDArray[np.float64]
) -> RigidTransform:
    """T_lidar_bumped: where a bumped LiDAR really sits, seen from where its calibration says.

    ``T_camera_lidar @ mount_error(...)`` is the wrong calibration.

    Args:
        rotation_deg: about `axis`, through the LiDAR's origin.
        translation_m: along `direction`.
        axis, direction: float64 [3], of any length but 0, in the LiDAR frame.

    >>> turned = mount_error(90.0, 2.0, np.array([0.0, 0.0, 1.0]), np.array([3.0, 0.0, 0.0]))
    >>> (turned @ [1.0, 0.0, 0.0, 1.0]).round(6).tolist()
    [2.0, 1.0, 0.0, 1.0]
    """
    half_rad = 0.5 * np.deg2rad(rotation_deg)
    x, y, z = axis / np.linalg.norm(axis) * np.sin(half_rad)
    return rigid_from_quaternion(translation_m * direction / np.linalg.norm(direction), [x, y, z, np.cos(half_rad)])


def hold_out(
    points_camera_m: Points,
    bins: NDArray[np.integer[Any]],
    camera: PinholeCamera,
    max_depth_m: float,
    random: np.random.Generator,
    truth_m: DepthMap | None = None,
) -> HeldOut:
    """Chooses the cells that are scored: a random half of those in which a point of an odd elevation bin falls.

    Up to 32 beams use even bins only, so that scored cells lie between the beams; the other half is what 64 beams add.

    Args:
        points_camera_m: float32 [N, 3], the whole scan in the camera frame at the image stamp.
        bins: [N], of elevation, of the same points.
        camera: of the grid of truth.
        max_depth_m: cells whose truth is farther are not scored.
        random: draws the half.
        truth_m: float32 [h, w], on the camera's grid; None where the scan itself is the truth. Cells without truth are
            not scored.
    """
    nearest_m = truth_m if truth_m is not None else sparse_to_dense(project_points(points_camera_m, camera))
    between = project_points(points_camera_m[bins % 2 == 1], camera)  # -1 % 2 is 1, but such a point is never in view
    chosen = random.permutation(len(between))[: (len(between) + 1) // 2]
    cells = np.zeros(nearest_m.shape, bool)
    cells[between.rows[chosen], between.cols[chosen]] = True
    with np.errstate(invalid="ignore"):
        cells &= (nearest_m > 0) & (nearest_m <= max_depth_m)
    return HeldOut(cells, nearest_m[cells])


def outside_cells(points_camera_m: Points, camera: PinholeCamera, cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which points do not fall into any of these cells of the camera's grid; bool [N]."""
    index, rows, cols = cells_of_points(points_camera_m, camera)
    outside = np.ones(len(points_camera_m), bool)
    outside[index[cells[rows, cols]]] = False
    return outside
