# SPDX-License-Identifier: Apache-2.0
"""Messages arrive in any order and late; an image asks what was known at its stamp.

message_filters is not used: its synchroniser stops when one topic stops, and a topic that stops is our normal case.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid
from mono_depth_ros.perception.lidar_memory import Float64, LidarScan, MemoryPolicy, merge_scans
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack
from mono_depth_ros.perception.point_memory import POINT_SOURCES, POINTS, PointMemory
from mono_depth_ros.perception.sensor_log import SensorLog
from mono_depth_ros.perception.snapshot import NoSnapshot, RgbImage, SensorReport, SensorSnapshot, SensorState
from mono_depth_ros.perception.twist_track import TwistTrack

# Cameras change their size or zoom seldom; images are at most some messages late.
_MAX_CAMERAS = 4


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


class SnapshotBuffer:
    """Short stamp-indexed memories of every input, safe to fill from one thread and read from another.

    Args:
        policy: bounds and age limits.
    """

    def __init__(self, policy: BufferPolicy = BufferPolicy()) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        # (stamp, intrinsics) in the order of arrival, one entry per change: an image may be older than the newest.
        self._cameras: list[tuple[int, PinholeCamera]] = []
        self._points = PointMemory(
            policy.max_points_age_s, policy.jump_back_s, policy.max_scans, policy.max_points, policy.memory
        )
        self._odometry = OdometryTrack(
            policy.odometry_history_s, policy.max_odometry_gap_s, max_extrapolation_s=policy.max_extrapolation_s
        )
        self._twists = TwistTrack(policy.odometry_history_s, policy.max_odometry_gap_s, policy.max_extrapolation_s)
        self._T_base_camera: RigidTransform | None = None
        self._last_image_ns: int | None = None
        self._logs = {name: SensorLog(name) for name in ("camera_info", "odometry", "twist")}

    def set_memory(self, memory: MemoryPolicy | None) -> None:
        """Replaces how earlier scans are carried to an image, from the next image on."""
        with self._lock:
            self._points.memory = memory

    def add_camera(self, stamp_ns: int, camera: PinholeCamera) -> None:
        """Keeps the intrinsics that hold from this stamp on."""
        with self._lock:
            if not self._cameras or self._cameras[-1][1] != camera:
                self._cameras.append((stamp_ns, camera))
                del self._cameras[:-_MAX_CAMERAS]
            self._logs["camera_info"].receive(stamp_ns)

    def add_points(
        self,
        stamp_ns: int,
        points_lidar_m: Points,
        lidar_frame: str,
        time_offset_s: Float64 | None = None,
        source: str = POINTS,
    ) -> None:
        """Keeps a scan.

        Args:
            stamp_ns: of the message.
            points_lidar_m: float32 [N, 3] in ``lidar_frame``.
            lidar_frame: name of that frame.
            time_offset_s: float64 [N], time of each point after the stamp; None when the driver tells none.
            source: which input it came from, one of POINT_SOURCES.

        Raises:
            DataError: if a shape is another, an offset no time within a scan, or there are more than ``max_points``.
        """
        scan = LidarScan(stamp_ns, points_lidar_m, lidar_frame, time_offset_s)
        with self._lock:
            self._points.add(source, scan)

    def add_odometry(self, stamp_ns: int, T_odom_base: RigidTransform, speed_mps: float) -> None:
        """Keeps a pose of the base and its speed."""
        with self._lock:
            if self._jumped_back(stamp_ns, self._odometry.newest_stamp_ns):
                self._odometry.clear()
            self._odometry.add(OdometrySample(stamp_ns, T_odom_base, speed_mps))
            self._logs["odometry"].receive(stamp_ns)

    def add_twist(self, stamp_ns: int, linear_mps: Float64, angular_radps: Float64) -> None:
        """Keeps a twist of the base, float64 [3] and [3] in its own axes; used where there is no odometry."""
        with self._lock:
            if self._jumped_back(stamp_ns, self._twists.track.newest_stamp_ns):
                self._twists.clear()
            self._twists.add(stamp_ns, linear_mps, angular_radps)
            self._logs["twist"].receive(stamp_ns)

    def set_T_camera_lidar(self, lidar_frame: str, T_camera_lidar: RigidTransform) -> None:
        """Says where a LiDAR sits. Points of a frame without this are not used."""
        with self._lock:
            self._points.place(lidar_frame, T_camera_lidar)

    def place_scans(self, lidar_frame: str, T_camera_lidar: Mapping[int, RigidTransform]) -> None:
        """Says where single scans of a LiDAR that moves were measured; see `PointMemory.place_scans`."""
        with self._lock:
            self._points.place_scans(lidar_frame, T_camera_lidar)

    def scan_stamps(self, lidar_frame: str) -> list[int]:
        """Stamps (ns) of the scans of a frame that are kept."""
        with self._lock:
            return self._points.stamps_ns(lidar_frame)

    def set_T_base_camera(self, T_base_camera: RigidTransform) -> None:
        """Says where the camera sits; without it, points and motion cannot be carried by odometry."""
        with self._lock:
            self._T_base_camera = T_base_camera

    def set_extrinsics_error(self, error: str) -> None:
        """Why the place of the LiDAR is not known, for the report."""
        with self._lock:
            self._points.extrinsics_error = error

    def has_T_camera_lidar(self, lidar_frame: str) -> bool:
        """Whether points of this frame can be used."""
        with self._lock:
            return self._points.is_placed(lidar_frame)

    def has_points_near(self, stamp_ns: int, tolerance_s: float, sources: Sequence[str] = (POINTS,)) -> bool:
        """Whether an image need not wait for these sources: of each, a scan of its stamp or later is there.

        Less the tolerance; and a source whose next scan is not due by its rate is not waited for.
        """
        with self._lock:
            return self._points.has_near(stamp_ns, tolerance_s, sources)

    def has_camera_for(self, width_px: int, height_px: int) -> bool:
        """Whether the newest intrinsics are those of images of this size."""
        with self._lock:
            newest = self._cameras[-1][1] if self._cameras else None
            return newest is not None and (newest.width_px, newest.height_px) == (width_px, height_px)

    def camera(self) -> PinholeCamera | None:
        """The newest intrinsics."""
        with self._lock:
            return self._cameras[-1][1] if self._cameras else None

    def T_odom_camera_at(self, stamp_ns: int) -> RigidTransform | None:
        """Pose of the camera in the odometry frame; None where odometry or the camera's place does not tell it."""
        with self._lock:
            T_odom_base = self._odometry.pose_at(stamp_ns)
            return None if T_odom_base is None or self._T_base_camera is None else T_odom_base @ self._T_base_camera

    def scan_count(self) -> int:
        """Scans that are kept, of all sources."""
        with self._lock:
            return self._points.count()

    def reject(self, sensor: str, error: str) -> None:
        """Counts a message that could not be read."""
        with self._lock:
            log = self._points.log(sensor) if sensor in POINT_SOURCES else self._logs[sensor]
            log.reject(error)

    def reset(self) -> None:
        """Forgets scans, odometry and rates, for a clock that jumped; calibration and counters stay."""
        with self._lock:
            self._points.clear()
            self._odometry.clear()
            self._twists.clear()
            self._last_image_ns = None
            for log in self._logs.values():
                log.forget_stamps()

    def restart_at(self, now_ns: int) -> None:
        """Forgets what is of a time to come, for a clock that jumped back to ``now_ns``.

        What came of the new time already stays: a clock may be told later than the first scan after the jump.
        """
        with self._lock:
            self._forget_time_after(now_ns)

    def snapshot(self, stamp_ns: int, camera_frame: str, image_rgb: RgbImage) -> SensorSnapshot | NoSnapshot:
        """What was known at the stamp of an image, with points carried to that stamp."""
        with self._lock:
            if self._jumped_back(stamp_ns, self._last_image_ns):
                self._forget_time_after(stamp_ns)
            camera = self._camera_at(stamp_ns, image_rgb)
            problem = _camera_problem(camera, image_rgb)
            camera_state = SensorState.OK if problem is None else SensorState.INVALID if camera else SensorState.ABSENT
            camera_report = self._logs["camera_info"].report(
                camera_state, None, problem is None, "in_use" if problem is None else problem[0]
            )
            track = self._track_at(stamp_ns)
            found, points_reports = self._points.at(stamp_ns, self._T_base_camera, track)
            motion, speed_mps, motion_reports = self._motion_at(stamp_ns, track, points_reports)
            sensors = (camera_report, *points_reports, *motion_reports)
            if problem is not None or camera is None:
                reason, message = problem or ("no_camera_info", "")
                return NoSnapshot(stamp_ns, reason, message, sensors)
            self._last_image_ns = stamp_ns
            T_base_camera, memory = self._T_base_camera, self._points.memory or MemoryPolicy()
        nearest = found.scans[0] if found.scans else None
        points = None if nearest is None else nearest.points_camera_m
        from_memory = 0
        if len(found.scans) > 1:
            # Outside the lock: callbacks need not wait for this.
            merged = merge_scans(found.scans, camera, memory)
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
            T_camera_lidar=None if nearest is None else nearest.T_camera_lidar,
        )

    def _jumped_back(self, stamp_ns: int, newest_ns: int | None) -> bool:
        return newest_ns is not None and stamp_ns < newest_ns - int(self._policy.jump_back_s * 1e9)

    def _forget_time_after(self, stamp_ns: int) -> None:
        """Time began anew here: what was measured before that is now in the future, and no history of it."""
        limit_ns = stamp_ns + int(self._policy.jump_back_s * 1e9)
        self._last_image_ns = None
        self._points.forget_after(limit_ns)
        if (self._odometry.newest_stamp_ns or 0) > limit_ns:
            self._odometry.clear()
        if (self._twists.track.newest_stamp_ns or 0) > limit_ns:
            self._twists.clear()

    def _camera_at(self, stamp_ns: int, image_rgb: RgbImage) -> PinholeCamera | None:
        """The newest intrinsics of the image's size, those that hold since its stamp before those of later."""
        height, width = image_rgb.shape[:2]
        fitting = [
            (since_ns, camera)
            for since_ns, camera in reversed(self._cameras)
            if (camera.height_px, camera.width_px) == (height, width)
        ]
        before = [camera for since_ns, camera in fitting if since_ns <= stamp_ns]
        newest = self._cameras[-1][1] if self._cameras else None
        return before[0] if before else fitting[0][1] if fitting else newest

    def _track_at(self, stamp_ns: int) -> OdometryTrack:
        """Odometry, or the sum of twists where only that knows where the base was at a stamp."""
        if self._odometry.gap_at(stamp_ns) is not None and self._twists.track.gap_at(stamp_ns) is None:
            return self._twists.track
        return self._odometry

    def _camera_motion(self, stamp_to_ns: int, stamp_from_ns: int, track: OdometryTrack) -> RigidTransform | None:
        """T_to_from of the camera between two stamps; None when odometry or the camera's place is unknown."""
        if stamp_to_ns == stamp_from_ns or self._T_base_camera is None:
            return None
        T_odom_to, T_odom_from = track.pose_at(stamp_to_ns), track.pose_at(stamp_from_ns)
        if T_odom_to is None or T_odom_from is None:
            return None
        T_to_from_base = invert_rigid(T_odom_to) @ T_odom_from
        T_to_from: RigidTransform = invert_rigid(self._T_base_camera) @ T_to_from_base @ self._T_base_camera
        return T_to_from

    def _motion_at(
        self, stamp_ns: int, track: OdometryTrack, points_reports: Sequence[SensorReport]
    ) -> tuple[RigidTransform | None, float | None, tuple[SensorReport, ...]]:
        """Motion since the image before, speed, and the reports of odometry and, where there is one, of the twist."""
        carries = any(report.reason.startswith("motion_compensated") for report in points_reports)
        twisted = track is self._twists.track
        reports = [self._motion_report("odometry", self._odometry, stamp_ns, carries and not twisted)]
        if self._logs["twist"].received:
            twist_report = self._motion_report("twist", self._twists.track, stamp_ns, carries and twisted)
            if twist_report.state is SensorState.OK and not twisted:
                twist_report = replace(twist_report, reason="odometry_is_better")
            reports.append(twist_report)
        if track.gap_at(stamp_ns) is not None:
            return None, None, tuple(reports)
        motion = None if self._last_image_ns is None else self._camera_motion(self._last_image_ns, stamp_ns, track)
        return motion, track.speed_at(stamp_ns), tuple(reports)

    def _motion_report(self, name: str, track: OdometryTrack, stamp_ns: int, carries: bool) -> SensorReport:
        log, newest_ns = self._logs[name], track.newest_stamp_ns
        if newest_ns is None:
            return log.report(SensorState.ABSENT, None, False, f"no_{name}")
        age_s = (stamp_ns - newest_ns) * 1e-9
        gap = track.gap_at(stamp_ns)
        if gap is not None:
            return log.report(SensorState.STALE, age_s, False, f"no_{name}_at_image: {gap.value}")
        reason = "carries_points" if carries else "nothing_to_carry"
        if self._T_base_camera is None:
            reason = "no_extrinsics: no transform from the camera to the base"
        return log.report(SensorState.OK, age_s, carries, reason)


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
