# SPDX-License-Identifier: Apache-2.0
"""Messages arrive in any order and late; an image asks what was known at its stamp.

message_filters is not used: its synchroniser stops when one topic stops, and a topic that stops is our normal case.
"""

import threading
from collections import deque
from dataclasses import dataclass

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, transform_points
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack
from mono_depth_ros.perception.sensor_log import SensorLog
from mono_depth_ros.perception.snapshot import NoSnapshot, RgbImage, SensorReport, SensorSnapshot, SensorState


@dataclass(frozen=True, slots=True)
class BufferPolicy:
    """How much is remembered, and when it is too old to be the world of an image.

    Attributes:
        max_points_age_s: a scan farther than this from the image is not used (the dial may be stricter).
        odometry_history_s: odometry kept, seconds before its newest sample.
        max_odometry_gap_s: longest time that odometry is interpolated or extrapolated over.
        jump_back_s: a stamp this much before the newest one of its input means that time began anew (a looped bag).
        max_scans: scans kept while images are late.
        max_points: of one scan; a larger one is refused.
    """

    max_points_age_s: float = 2.0
    odometry_history_s: float = 5.0
    max_odometry_gap_s: float = 0.3
    jump_back_s: float = 1.0
    max_scans: int = 8
    max_points: int = 5_000_000


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    stamp_ns: int
    points_lidar_m: Points
    lidar_frame: str


class SnapshotBuffer:
    """Short stamp-indexed memories of every input, safe to fill from one thread and read from another.

    Args:
        policy: bounds and age limits.
    """

    def __init__(self, policy: BufferPolicy = BufferPolicy()) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._camera: PinholeCamera | None = None
        self._scans: deque[_Scan] = deque(maxlen=policy.max_scans)
        self._odometry = OdometryTrack(policy.odometry_history_s, policy.max_odometry_gap_s)
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

    def add_points(self, stamp_ns: int, points_lidar_m: Points, lidar_frame: str) -> None:
        """Keeps a scan, float32 [N, 3] in ``lidar_frame``.

        Raises:
            DataError: if the shape is another or there are more than ``max_points``.
        """
        if points_lidar_m.ndim != 2 or points_lidar_m.shape[1] != 3 or len(points_lidar_m) > self._policy.max_points:
            raise DataError(
                f"points: expected shape [N, 3] with N <= {self._policy.max_points}, got {list(points_lidar_m.shape)}"
            )
        with self._lock:
            newest_ns = max((scan.stamp_ns for scan in self._scans), default=None)
            if self._jumped_back(stamp_ns, newest_ns):
                self._scans.clear()
            self._scans.append(_Scan(stamp_ns, points_lidar_m, lidar_frame))
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
            return any(scan.stamp_ns >= stamp_ns - int(tolerance_s * 1e9) for scan in self._scans)

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
            points, age_s, points_report = self._points_at(stamp_ns)
            motion, speed_mps, odometry_report = self._motion_at(stamp_ns, points_report)
            sensors = (camera_report, points_report, odometry_report)
            if problem is not None or camera is None:
                reason, message = problem or ("no_camera_info", "")
                return NoSnapshot(stamp_ns, reason, message, sensors)
            self._last_image_ns = stamp_ns
        return SensorSnapshot(stamp_ns, camera_frame, image_rgb, camera, points, age_s, motion, speed_mps, sensors)

    def _jumped_back(self, stamp_ns: int, newest_ns: int | None) -> bool:
        return newest_ns is not None and stamp_ns < newest_ns - int(self._policy.jump_back_s * 1e9)

    def _points_at(self, stamp_ns: int) -> tuple[Points | None, float | None, SensorReport]:
        """The scan nearest in time, in the camera frame at ``stamp_ns``."""
        log = self._logs["points"]
        if not self._scans:
            return None, None, log.report(SensorState.ABSENT, None, False, "no_points")
        # With several LiDARs, a scan of a known frame is worth more than a nearer one that cannot be placed.
        known = [scan for scan in self._scans if scan.lidar_frame in self._T_camera_lidar]
        if not known:
            frames = sorted({scan.lidar_frame for scan in self._scans})
            reason = self._extrinsics_error or f"no_extrinsics: no transform from {frames} to the camera"
            return None, None, log.report(SensorState.INVALID, None, False, reason)
        scan = min(known, key=lambda kept: abs(kept.stamp_ns - stamp_ns))
        age_s = (stamp_ns - scan.stamp_ns) * 1e-9
        if abs(age_s) > self._policy.max_points_age_s:
            return None, age_s, log.report(SensorState.STALE, age_s, False, "points_stale")
        points_scan_time = transform_points(self._T_camera_lidar[scan.lidar_frame], scan.points_lidar_m)
        T_image_scan = self._camera_motion(stamp_ns, scan.stamp_ns)
        if T_image_scan is None:
            how = "at_image_stamp" if age_s == 0 else "not_motion_compensated"
            return points_scan_time, age_s, log.report(SensorState.OK, age_s, True, how)
        points = transform_points(T_image_scan, points_scan_time)
        return points, age_s, log.report(SensorState.OK, age_s, True, "motion_compensated")

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
        if self._odometry.pose_at(stamp_ns) is None:
            return None, None, log.report(SensorState.STALE, age_s, False, "no_odometry_at_image")
        motion = None if self._last_image_ns is None else self._camera_motion(self._last_image_ns, stamp_ns)
        speed_mps = self._odometry.speed_at(stamp_ns)
        used = points_report.reason == "motion_compensated"
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
