# SPDX-License-Identifier: Apache-2.0
"""The scans of every source of points, and which of them an image gets.

Sources are merged: each gives its scan nearest to the image, and the earlier ones that the lidar memory carries there.
Where two disagree, the one nearer in time is right (lidar_memory.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.rigid import RigidTransform, transform_points
from mono_depth_ros.perception.lidar_memory import CarriedScan, LidarScan, MemoryPolicy, ScanUnroller, carry
from mono_depth_ros.perception.odometry_track import OdometryTrack
from mono_depth_ros.perception.sensor_log import SensorLog
from mono_depth_ros.perception.snapshot import SensorReport, SensorState

POINTS, SCAN, SPARSE_DEPTH, RANGE = "points", "scan", "sparse_depth", "range"
POINT_SOURCES = (POINTS, SCAN, SPARSE_DEPTH, RANGE)
# A scan that odometry does not carry joins those of other sources if it is at most so much farther from the image.
_JOIN_S = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class FoundPoints:
    """Scans for an image, the nearest first, its age, and whether the memory answers for them."""

    scans: tuple[CarriedScan, ...] = ()
    age_s: float | None = None
    remembered: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _OneSource:
    """What one source has for an image; ``scans`` is empty where nothing of it can be used."""

    found: FoundPoints
    state: SensorState
    how: str


class PointMemory:
    """Not safe for threads; SnapshotBuffer locks.

    Args:
        max_age_s: a scan farther than this from the image is not used.
        jump_back_s: a stamp this much before the newest one of its source means that time began anew.
        max_scans: kept per source.
        max_points: of one scan, a larger one is refused; and of all scans of a source that are kept.
        memory: how earlier scans are carried to an image; None uses the nearest scan of each source only.

    Attributes:
        memory: may be replaced at any time.
        extrinsics_error: why the place of a sensor is not known, for the report.
    """

    def __init__(
        self, max_age_s: float, jump_back_s: float, max_scans: int, max_points: int, memory: MemoryPolicy | None
    ) -> None:
        self.memory = memory
        self.extrinsics_error = ""
        self._max_age_s = max_age_s
        self._jump_back_ns = int(jump_back_s * 1e9)
        self._max_scans, self._max_points = max_scans, max_points
        self._scans: dict[str, list[ScanUnroller]] = {}
        self._T_camera_lidar: dict[str, RigidTransform] = {}
        self._T_camera_scan: dict[str, Mapping[int, RigidTransform]] = {}
        self._logs = {POINTS: SensorLog(POINTS)}

    def add(self, source: str, scan: LidarScan) -> None:
        """Keeps a scan.

        Raises:
            DataError: if there are more than ``max_points``, or the source is another than those of POINT_SOURCES.
        """
        if len(scan.points_lidar_m) > self._max_points:
            raise DataError(
                f"points: expected shape [N, 3] with N <= {self._max_points}, got {list(scan.points_lidar_m.shape)}"
            )
        log = self.log(source)
        scans = self._scans.setdefault(source, [])
        newest_ns = max((kept.scan.stamp_ns for kept in scans), default=None)
        if newest_ns is not None and scan.stamp_ns < newest_ns - self._jump_back_ns:
            scans.clear()
        scans.append(ScanUnroller(scan))
        del scans[: -self._max_scans]
        while sum(len(kept.scan.points_lidar_m) for kept in scans) > self._max_points:
            del scans[0]
        log.receive(scan.stamp_ns)

    def log(self, source: str) -> SensorLog:
        """Statistics of a source.

        Raises:
            DataError: if the source is another than those of POINT_SOURCES.
        """
        if source not in POINT_SOURCES:
            raise DataError(f"source of points: expected one of {', '.join(POINT_SOURCES)}, got {source!r}")
        return self._logs.setdefault(source, SensorLog(source))

    def place(self, lidar_frame: str, T_camera_lidar: RigidTransform) -> None:
        """Says where the points of a frame are measured. Points of a frame without this are not used."""
        self._T_camera_lidar[lidar_frame] = T_camera_lidar
        self.extrinsics_error = ""

    def place_scans(self, lidar_frame: str, T_camera_lidar: Mapping[int, RigidTransform]) -> None:
        """Says for scans of a frame that moves where they were measured, T_base_camera^-1 T_base_lidar by their stamps.

        T_base_camera is that of the image, T_base_lidar that of the scan. Other scans of the frame are where `place`
        says.
        """
        self._T_camera_scan[lidar_frame] = T_camera_lidar

    def stamps_ns(self, lidar_frame: str) -> list[int]:
        """Stamps of the scans of a frame that are kept."""
        kept = (each.scan for scans in self._scans.values() for each in scans)
        return [scan.stamp_ns for scan in kept if scan.lidar_frame == lidar_frame]

    def _place_of(self, scan: LidarScan) -> RigidTransform:
        moved = self._T_camera_scan.get(scan.lidar_frame, {})
        return moved.get(scan.stamp_ns, self._T_camera_lidar[scan.lidar_frame])

    def is_placed(self, lidar_frame: str) -> bool:
        """Whether points of this frame can be used."""
        return lidar_frame in self._T_camera_lidar

    def clear(self) -> None:
        """Forgets scans and rates; the places and the counters stay."""
        self._scans.clear()
        for log in self._logs.values():
            log.forget_stamps()

    def forget_after(self, stamp_ns: int) -> None:
        """Forgets scans with later stamps."""
        for scans in self._scans.values():
            scans[:] = [kept for kept in scans if kept.scan.stamp_ns <= stamp_ns]

    def count(self) -> int:
        """Scans that are kept."""
        return sum(len(scans) for scans in self._scans.values())

    def has_near(self, stamp_ns: int, tolerance_s: float, sources: Sequence[str]) -> bool:
        """Whether nothing of these sources is to be waited for: of each, a scan of this stamp or later is there.

        Less the tolerance; and a source whose next scan is not due by its rate is not waited for.
        """
        return all(self._has_near(stamp_ns, int(tolerance_s * 1e9), source) for source in sources)

    def _has_near(self, stamp_ns: int, tolerance_ns: int, source: str) -> bool:
        # What is far ahead is of the time before a jump back, and nothing for this image.
        latest_ns = stamp_ns + self._jump_back_ns
        stamps_ns = (kept.scan.stamp_ns for kept in self._scans.get(source, ()))
        newest_ns = max((each_ns for each_ns in stamps_ns if each_ns <= latest_ns), default=None)
        if newest_ns is None:
            return False
        rate_hz = self._logs[source].rate_hz()
        period_ns = int(1e9 / rate_hz) if rate_hz > 0 else 0
        return stamp_ns - newest_ns <= tolerance_ns or stamp_ns - newest_ns < period_ns - tolerance_ns

    def at(
        self, stamp_ns: int, T_base_camera: RigidTransform | None, odometry: OdometryTrack
    ) -> tuple[FoundPoints, tuple[SensorReport, ...]]:
        """The scans for an image, in the camera frame at ``stamp_ns``, the nearest in time first; and the reports."""
        ones = {source: self._of_source(source, stamp_ns, T_base_camera, odometry) for source in self._logs}
        usable = [one for one in ones.values() if one.found.scans]
        if not usable:
            ages = [one.found.age_s for one in ones.values() if one.found.age_s is not None]
            reports = [self._report(source, one, joins=False) for source, one in ones.items()]
            return FoundPoints(age_s=min(ages, key=abs, default=None)), tuple(reports)
        best = min(usable, key=_distance)
        joined = {
            source: bool(one.found.scans)
            and (one is best or one.found.remembered or _distance(one) <= _distance(best) + _JOIN_S)
            for source, one in ones.items()
        }
        scans = [scan for source, one in ones.items() if joined[source] for scan in one.found.scans]
        scans.sort(key=lambda scan: abs(scan.age_s))
        reports = [self._report(source, one, joined[source]) for source, one in ones.items()]
        return FoundPoints(tuple(scans), best.found.age_s, best.found.remembered), tuple(reports)

    def _report(self, source: str, one: _OneSource, joins: bool) -> SensorReport:
        how = one.how if joins or not one.found.scans else "older_than_other_points"
        return self._logs[source].report(one.state, one.found.age_s, joins, how)

    def _of_source(
        self, source: str, stamp_ns: int, T_base_camera: RigidTransform | None, odometry: OdometryTrack
    ) -> _OneSource:
        scans = self._scans.get(source, [])
        if not scans:
            return _OneSource(FoundPoints(), SensorState.ABSENT, f"no_{source}")
        # With several LiDARs, a scan of a known frame is worth more than a nearer one that cannot be placed.
        known = [kept for kept in scans if kept.scan.lidar_frame in self._T_camera_lidar]
        if not known:
            frames = sorted({kept.scan.lidar_frame for kept in scans})
            reason = self.extrinsics_error or f"no_extrinsics: no transform from {frames} to the camera"
            return _OneSource(FoundPoints(), SensorState.INVALID, reason)
        known.sort(key=lambda kept: abs(kept.scan.stamp_ns - stamp_ns))
        nearest = known[0].scan
        age_s = (stamp_ns - nearest.stamp_ns) * 1e-9
        if abs(age_s) > self._max_age_s:
            return _OneSource(FoundPoints(age_s=age_s), SensorState.STALE, "points_stale")
        carried = self._carry(known[0], stamp_ns, T_base_camera, odometry)
        if carried is None:
            T_camera_lidar = self._place_of(nearest)
            still = CarriedScan(age_s, transform_points(T_camera_lidar, nearest.points_lidar_m), T_camera_lidar)
            why_not = _why_not_carried(known[0], stamp_ns, T_base_camera, odometry)
            how = "at_image_stamp" if age_s == 0 else f"not_motion_compensated: {why_not}"
            return _OneSource(FoundPoints((still,), age_s), SensorState.OK, how)
        remembered = self._remembered(known[1:], abs(age_s), stamp_ns, T_base_camera, odometry)
        how = "motion_compensated_per_point" if carried.per_point else "motion_compensated"
        how += f", lidar_memory of {1 + len(remembered)} scans" if remembered else ""
        found = FoundPoints((carried, *remembered), age_s, self._reaches(age_s))
        return _OneSource(found, SensorState.OK, how)

    def _reaches(self, age_s: float) -> bool:
        return self.memory is not None and abs(age_s) <= self.memory.memory_s

    def _remembered(
        self,
        scans: list[ScanUnroller],
        nearest_s: float,
        stamp_ns: int,
        T_base_camera: RigidTransform | None,
        odometry: OdometryTrack,
    ) -> list[CarriedScan]:
        """Scans within the memory, in the given order, that odometry carries to ``stamp_ns``."""
        memory = self.memory
        if memory is None:
            return []
        carried = []
        in_memory = 0
        reach_s = min(memory.memory_s, nearest_s + memory.span_s)
        for kept in scans:
            age_s = (stamp_ns - kept.scan.stamp_ns) * 1e-9
            # Points out of view count too: a scan of so many needs no help from before.
            if abs(age_s) > reach_s or in_memory > 10 * memory.max_points:
                break
            found = self._carry(kept, stamp_ns, T_base_camera, odometry)
            if found is not None:
                carried.append(found)
                in_memory += len(found.points_camera_m)
        return carried

    def _carry(
        self, kept: ScanUnroller, stamp_ns: int, T_base_camera: RigidTransform | None, odometry: OdometryTrack
    ) -> CarriedScan | None:
        if T_base_camera is None:
            return None
        return carry(kept, self._place_of(kept.scan), T_base_camera, odometry, stamp_ns)


def _distance(one: _OneSource) -> float:
    """Between the image and the nearest scan of a source, in seconds."""
    return abs(one.found.age_s) if one.found.age_s is not None else float("inf")


def _why_not_carried(
    kept: ScanUnroller, stamp_ns: int, T_base_camera: RigidTransform | None, odometry: OdometryTrack
) -> str:
    if T_base_camera is None:
        return "no_extrinsics of the base"
    gap = odometry.gap_at(stamp_ns) or odometry.gap_at(kept.scan.stamp_ns)
    return "" if gap is None else gap.value
