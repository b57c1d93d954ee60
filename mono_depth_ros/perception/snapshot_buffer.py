# SPDX-License-Identifier: Apache-2.0
"""Messages arrive in any order and late; an image asks what was known at its stamp.

message_filters is not used: its synchroniser stops when one topic stops, and a topic that stops is our normal case.
"""

import threading
from dataclasses import dataclass

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, transform_points
from mono_depth_ros.perception.lidar_memory import (
    CarriedScan,
    Float64,
    LidarScan,
    MemoryPolicy,
    ScanUnroller,
    carry,
    merge_scans,
)
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack
from mono_depth_ros.perception.sensor_log import SensorLog
from mono_depth_ros.perception.snapshot import NoSnapshot, RgbImage, SensorReport, SensorSnapshot, SensorState


@dataclass(frozen=True, slots=True)
class BufferPolicy:
    """How much is remembered, and when it is too old to be the world of an image.

    Attributes:
        max_points_age_s: a scan farther than this from the image is not used (the dial may be stricter).
        odometry_history_s: odometry kept, seconds before its newest sample.
        max_odometry_gap_s: longest time that odometry is interpolated over.
        max_extrapolation_s: longest time that odometry is carried on beyond its last sample, at constant twist.
        jump_back_s: a stamp this much before the newest one of its input means that time began anew (a looped bag).
        max_scans: scans kept while images are late, and for the memory.
        max_points: of one scan, a larger one is refused; and of all scans that are kept.
        memory: how earlier scans are carried to an image; None uses the nearest scan only.
    """

    max_points_age_s: float = 2.0
    odometry_history_s: float = 5.0
    max_odometry_gap_s: float = 0.3
    max_extrapolation_s: float = 0.15
    jump_back_s: float = 1.0
    max_scans: int = 32
    max_points: int = 5_000_000
    memory: MemoryPolicy | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Scans for an image, the nearest first, its age, and whether the memory answers for them."""

    scans: tuple[CarriedScan, ...] = ()
    age_s: float | None = None
    remembered: bool = False


class SnapshotBuffer:
    """Short stamp-indexed memories of every input, safe to fill from one thread and read from another.

    Args:
        policy: bounds and age limits.
    """

    def __init__(self, policy: BufferPolicy = BufferPolicy()) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._camera: PinholeCamera | None = None
        self._scans: list[ScanUnroller] = []  # in the order of arrival
        self._odometry = OdometryTrack(
            policy.odometry_history_s, policy.max_odometry_gap_s, max_extrapolation_s=policy.max_extrapolation_s
        )
        self._T_camera_lidar: dict[str, RigidTransform] = {}
        self._T_base_camera: RigidTransform | None = None
        self._extrinsics_error = ""
        self._last_image_ns: int | None = None
        self._logs = {name: SensorLog(name) for name in ("camera_info", "points", "odometry")}

    def add_camera(self, stamp_ns: int, camera: PinholeCamera) -> None:
        """Keeps the newest intrinsics."""
        with self._lock:
            self._camera = camera
            self._logs["camera_info"].receive(stamp_ns)

    def add_points(
        self, stamp_ns: int, points_lidar_m: Points, lidar_frame: str, time_offset_s: Float64 | None = None
    ) -> None:
        """Keeps a scan.

        Args:
            stamp_ns: of the message.
            points_lidar_m: float32 [N, 3] in ``lidar_frame``.
            lidar_frame: name of that frame.
            time_offset_s: float64 [N], time of each point after the stamp; None when the driver tells none.

        Raises:
            DataError: if a shape is another, an offset no time within a scan, or there are more than ``max_points``.
        """
        scan = LidarScan(stamp_ns, points_lidar_m, lidar_frame, time_offset_s)
        if len(points_lidar_m) > self._policy.max_points:
            raise DataError(
                f"points: expected shape [N, 3] with N <= {self._policy.max_points}, got {list(points_lidar_m.shape)}"
            )
        with self._lock:
            newest_ns = max((kept.scan.stamp_ns for kept in self._scans), default=None)
            if self._jumped_back(stamp_ns, newest_ns):
                self._scans.clear()
            self._scans.append(ScanUnroller(scan))
            del self._scans[: -self._policy.max_scans]
            while sum(len(kept.scan.points_lidar_m) for kept in self._scans) > self._policy.max_points:
                del self._scans[0]
            self._logs["points"].receive(stamp_ns)

    def add_odometry(self, stamp_ns: int, T_odom_base: RigidTransform, speed_mps: float) -> None:
        """Keeps a pose of the base and its speed."""
        with self._lock:
            if self._jumped_back(stamp_ns, self._odometry.newest_stamp_ns):
                self._odometry.clear()
            self._odometry.add(OdometrySample(stamp_ns, T_odom_base, speed_mps))
            self._logs["odometry"].receive(stamp_ns)

    def set_T_camera_lidar(self, lidar_frame: str, T_camera_lidar: RigidTransform) -> None:
        """Says where a LiDAR sits. Points of a frame without this are not used."""
        with self._lock:
            self._T_camera_lidar[lidar_frame] = T_camera_lidar
            self._extrinsics_error = ""

    def set_T_base_camera(self, T_base_camera: RigidTransform) -> None:
        """Says where the camera sits; without it, points and motion cannot be carried by odometry."""
        with self._lock:
            self._T_base_camera = T_base_camera

    def set_extrinsics_error(self, error: str) -> None:
        """Why the place of the LiDAR is not known, for the report."""
        with self._lock:
            self._extrinsics_error = error

    def has_T_camera_lidar(self, lidar_frame: str) -> bool:
        """Whether points of this frame can be used."""
        with self._lock:
            return lidar_frame in self._T_camera_lidar

    def has_points_near(self, stamp_ns: int, tolerance_s: float) -> bool:
        """Whether a scan of this stamp or later (less the tolerance) is there: an image need not wait any more."""
        with self._lock:
            return any(kept.scan.stamp_ns >= stamp_ns - int(tolerance_s * 1e9) for kept in self._scans)

    def reject(self, sensor: str, error: str) -> None:
        """Counts a message that could not be read."""
        with self._lock:
            self._logs[sensor].reject(error)

    def reset(self) -> None:
        """Forgets scans, odometry and rates, for a clock that jumped; calibration and counters stay."""
        with self._lock:
            self._scans.clear()
            self._odometry.clear()
            self._last_image_ns = None
            for log in self._logs.values():
                log.forget_stamps()

    def snapshot(self, stamp_ns: int, camera_frame: str, image_rgb: RgbImage) -> SensorSnapshot | NoSnapshot:
        """What was known at the stamp of an image, with points carried to that stamp."""
        with self._lock:
            if self._jumped_back(stamp_ns, self._last_image_ns):
                self._last_image_ns = None
            camera = self._camera
            problem = _camera_problem(camera, image_rgb)
            camera_state = SensorState.OK if problem is None else SensorState.INVALID if camera else SensorState.ABSENT
            camera_report = self._logs["camera_info"].report(
                camera_state, None, problem is None, "in_use" if problem is None else problem[0]
            )
            found, points_report = self._points_at(stamp_ns)
            motion, speed_mps, odometry_report = self._motion_at(stamp_ns, points_report)
            sensors = (camera_report, points_report, odometry_report)
            if problem is not None or camera is None:
                reason, message = problem or ("no_camera_info", "")
                return NoSnapshot(stamp_ns, reason, message, sensors)
            self._last_image_ns = stamp_ns
            T_base_camera = self._T_base_camera
        nearest = found.scans[0] if found.scans else None
        points = None if nearest is None else nearest.points_camera_m
        from_memory = 0
        if len(found.scans) > 1 and self._policy.memory is not None:
            # Outside the lock: callbacks need not wait for this.
            merged = merge_scans(found.scans, camera, self._policy.memory)
            points, from_memory = merged.points_camera_m, merged.from_memory
        return SensorSnapshot(
            stamp_ns,
            camera_frame,
            image_rgb,
            camera,
            points,
            found.age_s,
            motion,
            speed_mps,
            sensors,
            points_remembered=found.remembered,
            points_from_memory=from_memory,
            T_base_camera=T_base_camera,
        )

    def _jumped_back(self, stamp_ns: int, newest_ns: int | None) -> bool:
        return newest_ns is not None and stamp_ns < newest_ns - int(self._policy.jump_back_s * 1e9)

    def _points_at(self, stamp_ns: int) -> tuple[_Found, SensorReport]:
        """The scans for an image, in the camera frame at ``stamp_ns``, the nearest in time first."""
        log = self._logs["points"]
        if not self._scans:
            return _Found(), log.report(SensorState.ABSENT, None, False, "no_points")
        # With several LiDARs, a scan of a known frame is worth more than a nearer one that cannot be placed.
        known = [kept for kept in self._scans if kept.scan.lidar_frame in self._T_camera_lidar]
        if not known:
            frames = sorted({kept.scan.lidar_frame for kept in self._scans})
            reason = self._extrinsics_error or f"no_extrinsics: no transform from {frames} to the camera"
            return _Found(), log.report(SensorState.INVALID, None, False, reason)
        known.sort(key=lambda kept: abs(kept.scan.stamp_ns - stamp_ns))
        nearest = known[0].scan
        age_s = (stamp_ns - nearest.stamp_ns) * 1e-9
        if abs(age_s) > self._policy.max_points_age_s:
            return _Found(age_s=age_s), log.report(SensorState.STALE, age_s, False, "points_stale")
        carried = self._carry(known[0], stamp_ns)
        if carried is None:
            points = transform_points(self._T_camera_lidar[nearest.lidar_frame], nearest.points_lidar_m)
            how = (
                "at_image_stamp"
                if age_s == 0
                else f"not_motion_compensated: {self._why_not_carried(known[0], stamp_ns)}"
            )
            return _Found((CarriedScan(age_s, points),), age_s), log.report(SensorState.OK, age_s, True, how)
        scans = [CarriedScan(age_s, carried[0]), *self._remembered(known[1:], abs(age_s), stamp_ns)]
        how = "motion_compensated_per_point" if carried[1] else "motion_compensated"
        how += f", lidar_memory of {len(scans)} scans" if len(scans) > 1 else ""
        memory = self._policy.memory
        remembered = memory is not None and abs(age_s) <= memory.memory_s
        return _Found(tuple(scans), age_s, remembered), log.report(SensorState.OK, age_s, True, how)

    def _remembered(self, scans: list[ScanUnroller], nearest_s: float, stamp_ns: int) -> list[CarriedScan]:
        """Scans within the memory, in the given order, that odometry carries to ``stamp_ns``."""
        memory = self._policy.memory
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
            found = self._carry(kept, stamp_ns)
            if found is not None:
                carried.append(CarriedScan(age_s, found[0]))
                in_memory += len(found[0])
        return carried

    def _carry(self, kept: ScanUnroller, stamp_ns: int) -> tuple[Points, bool] | None:
        if self._T_base_camera is None:
            return None
        T_camera_lidar = self._T_camera_lidar[kept.scan.lidar_frame]
        return carry(kept, T_camera_lidar, self._T_base_camera, self._odometry, stamp_ns)

    def _why_not_carried(self, kept: ScanUnroller, stamp_ns: int) -> str:
        if self._T_base_camera is None:
            return "no_extrinsics of the base"
        gap = self._odometry.gap_at(stamp_ns) or self._odometry.gap_at(kept.scan.stamp_ns)
        return "" if gap is None else gap.value

    def _camera_motion(self, stamp_to_ns: int, stamp_from_ns: int) -> RigidTransform | None:
        """T_to_from of the camera between two stamps; None when odometry or the camera's place is unknown."""
        if stamp_to_ns == stamp_from_ns or self._T_base_camera is None:
            return None
        T_odom_to = self._odometry.pose_at(stamp_to_ns)
        T_odom_from = self._odometry.pose_at(stamp_from_ns)
        if T_odom_to is None or T_odom_from is None:
            return None
        T_to_from_base = invert_rigid(T_odom_to) @ T_odom_from
        T_to_from: RigidTransform = invert_rigid(self._T_base_camera) @ T_to_from_base @ self._T_base_camera
        return T_to_from

    def _motion_at(
        self, stamp_ns: int, points_report: SensorReport
    ) -> tuple[RigidTransform | None, float | None, SensorReport]:
        log = self._logs["odometry"]
        newest_ns = self._odometry.newest_stamp_ns
        if newest_ns is None:
            return None, None, log.report(SensorState.ABSENT, None, False, "no_odometry")
        age_s = (stamp_ns - newest_ns) * 1e-9
        gap = self._odometry.gap_at(stamp_ns)
        if gap is not None:
            return None, None, log.report(SensorState.STALE, age_s, False, f"no_odometry_at_image: {gap.value}")
        motion = None if self._last_image_ns is None else self._camera_motion(self._last_image_ns, stamp_ns)
        speed_mps = self._odometry.speed_at(stamp_ns)
        used = points_report.reason.startswith("motion_compensated")
        reason = "carries_points" if used else "nothing_to_carry"
        if self._T_base_camera is None:
            reason = "no_extrinsics: no transform from the camera to the base"
        return motion, speed_mps, log.report(SensorState.OK, age_s, used, reason)


def _camera_problem(camera: PinholeCamera | None, image_rgb: RgbImage) -> tuple[str, str] | None:
    """A searchable reason and a sentence, if the camera is unknown or not this image's."""
    if camera is None:
        return "no_camera_info", "image arrived, but no usable camera_info yet; is the camera calibrated?"
    height, width = image_rgb.shape[:2]
    if (camera.height_px, camera.width_px) != (height, width):
        return (
            "image_size_differs",
            f"image: expected {camera.width_px}x{camera.height_px} from camera_info, got {width}x{height}; "
            "do both topics belong to the same camera?",
        )
    return None
