# SPDX-License-Identifier: Apache-2.0
"""The last scans, carried by odometry to the image: a lost packet or a slow LiDAR dials down gradually.

The world is taken to stand still for the short time that a scan is remembered. What moved, or came out of sight, is
taken out where newer data say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, transform_points
from mono_depth_ros.geometry.sparse_depth import cells_of_points
from mono_depth_ros.perception.odometry_track import OdometryTrack
from mono_depth_ros.perception.scan_motion import points_at_stamp

Float32: TypeAlias = npt.NDArray[np.float32]
Float64: TypeAlias = npt.NDArray[np.float64]
# No LiDAR takes longer for one scan; an offset beyond is a wrong unit or clock.
MAX_TIME_OFFSET_S = 1.0


@dataclass(frozen=True, slots=True)
class MemoryPolicy:
    """How much of the past is shown to an image.

    Attributes:
        memory_s: scans up to this far from the image are carried to it; 0 keeps the nearest scan only.
        span_s: of those, the ones that are at most this much farther from the image than the nearest. While scans come,
            those of a second ago bring more errors (a quarter of their points on moving traffic) than they fill gaps.
        max_points: in view, all scans together; a dense scan needs no memory, and then none is spent on it.
        cell_rad: side of a cell in which depths are compared, as an angle in the middle of the image.
        tolerance, tolerance_m: part of the depth, and metres, by which an older point may differ from the newer ones
            around it: by more in front of all of them, it has moved away; by more behind them, it is hidden.

    Raises:
        ConfigError: if a value is out of range.
    """

    memory_s: float = 1.0
    span_s: float = 0.25
    max_points: int = 20_000
    cell_rad: float = 0.008
    tolerance: float = 0.05
    tolerance_m: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.memory_s <= 5 or not 0 <= self.span_s <= 5 or self.max_points < 1:
            raise ConfigError(
                f"lidar: expected memory_s and span_s in 0..5 and max_points >= 1, got {self.memory_s}, {self.span_s} "
                f"and {self.max_points}"
            )
        if not self.cell_rad > 0 or self.tolerance < 0 or self.tolerance_m < 0:
            raise ConfigError(f"lidar: expected cell_rad > 0 and tolerances >= 0, got {self}")


@dataclass(frozen=True, slots=True, eq=False)
class LidarScan:
    """One scan as it came.

    Attributes:
        stamp_ns: of the message.
        points_lidar_m: float32 [N, 3] in ``lidar_frame``.
        lidar_frame: name of the frame.
        time_offset_s: float64 [N], time of each point after ``stamp_ns``, seconds; None when the driver tells none.

    Raises:
        DataError: if the shapes differ from these, or an offset is not within a second.
    """

    stamp_ns: int
    points_lidar_m: Points
    lidar_frame: str
    time_offset_s: Float64 | None = None

    def __post_init__(self) -> None:
        if self.points_lidar_m.ndim != 2 or self.points_lidar_m.shape[1] != 3:
            raise DataError(f"points: expected shape [N, 3], got {list(self.points_lidar_m.shape)}")
        offset_s = self.time_offset_s
        if offset_s is None:
            return
        if offset_s.shape != (len(self.points_lidar_m),):
            raise DataError(
                f"time_offset_s: expected shape [{len(self.points_lidar_m)}], one per point, got {list(offset_s.shape)}"
            )
        # NaN compares false.
        if len(offset_s) and not float(np.abs(offset_s).max()) <= MAX_TIME_OFFSET_S:
            raise DataError(
                f"time_offset_s: expected seconds within {MAX_TIME_OFFSET_S:g} of the scan's stamp, got "
                f"{float(offset_s.min()):g} to {float(offset_s.max()):g}; are they nanoseconds, or absolute times?"
            )


class ScanUnroller:
    """One scan with every point where it was at the stamp of the scan, computed once the odometry is known for good.

    Args:
        scan: as it came.
    """

    def __init__(self, scan: LidarScan) -> None:
        self.scan = scan
        self._unrolled: Points | None = None
        self._mount: RigidTransform | None = None

    def points_at_stamp(self, T_base_lidar: RigidTransform, odometry: OdometryTrack) -> tuple[Points, bool]:
        """The points as if all had been measured at the stamp of the scan.

        Args:
            T_base_lidar: where the LiDAR sits.
            odometry: has to reach over the whole scan, else the points stay as they came.

        Returns:
            float32 [N, 3] in the LiDAR frame, and whether each point was carried from its own time.
        """
        offset_s = self.scan.time_offset_s
        if offset_s is None or not len(offset_s):
            return self.scan.points_lidar_m, False
        if self._unrolled is not None and self._mount is not None and np.array_equal(self._mount, T_base_lidar):
            return self._unrolled, True
        points = points_at_stamp(self.scan.points_lidar_m, offset_s, self.scan.stamp_ns, odometry, T_base_lidar)
        if points is None:
            return self.scan.points_lidar_m, False
        last_ns = self.scan.stamp_ns + int(max(0.0, float(offset_s.max())) * 1e9)
        newest_ns = odometry.newest_stamp_ns
        if newest_ns is not None and newest_ns > last_ns:
            # Nothing was extrapolated: later odometry will not change it.
            self._unrolled, self._mount = points, T_base_lidar.copy()
        return points, True


@dataclass(frozen=True, slots=True, eq=False)
class CarriedScan:
    """A scan in the camera frame at the image stamp.

    Attributes:
        age_s: image stamp minus scan stamp.
        points_camera_m: float32 [N, 3].
        T_camera_lidar: the sensor at its scan, seen from the camera at the image stamp.
        per_point: whether each point was carried from its own time.
    """

    age_s: float
    points_camera_m: Points
    T_camera_lidar: RigidTransform
    per_point: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RememberedPoints:
    """What several scans together say.

    Attributes:
        points_camera_m: float32 [N, 3]: all points of the nearest scan, and those of the others that are in view and
            not contradicted.
        from_memory: how many are not of the nearest scan.
        scans: that gave points.
        contradicted: points of older scans, in view, that newer ones took out.
        oldest_age_s: largest distance in time between the image and a scan that gave points.
    """

    points_camera_m: Points
    from_memory: int
    scans: int
    contradicted: int
    oldest_age_s: float


def merge_scans(scans: Sequence[CarriedScan], camera: PinholeCamera, policy: MemoryPolicy) -> RememberedPoints:
    """Puts scans together, nearer in time being right where they disagree.

    The rule: an image is divided into cells of ``cell_rad``. Scans are taken in order of their distance in time. A
    point is compared with the points taken before in its own and the eight neighbouring cells. Without any it stays.
    Else it stays if it lies between the nearest and the farthest of them, give or take the tolerances. In front of all
    of them it would hide what was seen later, so it has moved away; behind all of them it is hidden.

    Args:
        scans: the nearest in time first; at least one.
        camera: of the image.
        policy: tolerances and bounds.
    """
    first = scans[0]
    kept, contradicted, used = [first.points_camera_m], 0, 1
    grid = _DepthRange(camera, policy)
    in_view = grid.add(first.points_camera_m, *cells_of_points(first.points_camera_m, camera))
    oldest_s = abs(first.age_s)
    for scan in scans[1:]:
        if in_view >= policy.max_points:
            break
        index, rows, cols = cells_of_points(scan.points_camera_m, camera)
        agrees = grid.agrees(scan.points_camera_m[index, 2], rows, cols)
        contradicted += len(index) - int(agrees.sum())
        chosen = np.flatnonzero(agrees)
        room = policy.max_points - in_view
        if len(chosen) > room:
            # Evenly over the scan, so that no part of the view is lost.
            chosen = chosen[np.linspace(0, len(chosen) - 1, room).astype(np.int64)]
        if not len(chosen):
            continue
        kept.append(scan.points_camera_m[index[chosen]])
        in_view += grid.add(scan.points_camera_m, index[chosen], rows[chosen], cols[chosen])
        used += 1
        oldest_s = max(oldest_s, abs(scan.age_s))
    points = np.concatenate(kept)
    return RememberedPoints(points, len(points) - len(kept[0]), used, contradicted, oldest_s)


class _DepthRange:
    """Nearest and farthest depth that was seen in each cell of the image and its neighbours."""

    def __init__(self, camera: PinholeCamera, policy: MemoryPolicy) -> None:
        self._cell_px = max(1.0, policy.cell_rad * camera.fx_px)
        self._policy = policy
        # A margin of one cell around the image makes every cell have eight neighbours.
        self._shape = (int(camera.height_px / self._cell_px) + 3, int(camera.width_px / self._cell_px) + 3)
        self._near = np.full(self._shape, np.inf, np.float32)
        self._far = np.full(self._shape, -np.inf, np.float32)

    def add(
        self, points_m: Points, index: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]
    ) -> int:
        """Notes the points of these indices, at these pixels; returns how many."""
        depth_m = points_m[index, 2].astype(np.float32)
        cells = self._cells(rows, cols)
        np.minimum.at(self._near.reshape(-1), cells, depth_m)
        np.maximum.at(self._far.reshape(-1), cells, depth_m)
        return len(index)

    def agrees(
        self, depth_m: Float32, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Whether points of these depths fit to what was noted, bool [N]."""
        cells = self._cells(rows, cols)
        near = _around(self._near, np.minimum).reshape(-1)[cells]
        far = _around(self._far, np.maximum).reshape(-1)[cells]
        slack, slack_m = self._policy.tolerance, self._policy.tolerance_m
        # Nothing noted: near is +inf and far is -inf.
        fits: npt.NDArray[np.bool_] = (depth_m >= near * (1.0 - slack) - slack_m) & (
            depth_m <= far * (1.0 + slack) + slack_m
        )
        return fits | np.isinf(near)

    def _cells(self, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        row = (rows / self._cell_px).astype(np.int64) + 1
        col = (cols / self._cell_px).astype(np.int64) + 1
        return row * self._shape[1] + col


def _around(grid: Float32, reduce: np.ufunc) -> Float32:
    """Each cell with its eight neighbours reduced to one value; the margin stays as it is."""
    across = grid.copy()
    reduce(across[:, 1:], grid[:, :-1], out=across[:, 1:])
    reduce(across[:, :-1], grid[:, 1:], out=across[:, :-1])
    around = across.copy()
    reduce(around[1:], across[:-1], out=around[1:])
    reduce(around[:-1], across[1:], out=around[:-1])
    return around


def carry(
    scan: ScanUnroller,
    T_camera_lidar: RigidTransform,
    T_base_camera: RigidTransform,
    odometry: OdometryTrack,
    stamp_ns: int,
) -> CarriedScan | None:
    """A scan in the camera frame at another stamp, each point from its own time where that is known.

    Args:
        scan: with its cache.
        T_camera_lidar, T_base_camera: mounts.
        odometry: of the base.
        stamp_ns: of the image.

    Returns:
        None where odometry tells no motion.
    """
    T_odom_image, T_odom_scan = odometry.pose_at(stamp_ns), odometry.pose_at(scan.scan.stamp_ns)
    if T_odom_image is None or T_odom_scan is None:
        return None
    points, per_point = scan.points_at_stamp(T_base_camera @ T_camera_lidar, odometry)
    T_image_scan = invert_rigid(T_odom_image @ T_base_camera) @ T_odom_scan @ T_base_camera
    T_image_lidar = T_image_scan @ T_camera_lidar
    age_s = (stamp_ns - scan.scan.stamp_ns) * 1e-9
    return CarriedScan(age_s, transform_points(T_image_lidar, points), T_image_lidar, per_point)
