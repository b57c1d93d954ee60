# SPDX-License-Identifier: Apache-2.0
"""Where a camera was and how fast, from odometry or from speeds alone."""

from collections import deque

from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack

_HISTORY_S = 5.0
_MAX_GAP_S = 0.3
_JUMP_BACK_NS = 1_000_000_000
_MAX_SPEEDS = 2000


class CameraMotion:
    """Poses and speeds of the newest seconds.

    Attributes:
        track: poses of the base.
        T_base_camera: where the camera sits; None until it is known.
        newest_stamp_ns: of what was added last; None at the beginning.
    """

    def __init__(self) -> None:
        self.track = OdometryTrack(_HISTORY_S, _MAX_GAP_S)
        self.T_base_camera: RigidTransform | None = None
        self.newest_stamp_ns: int | None = None
        self._speeds: deque[tuple[int, float]] = deque(maxlen=_MAX_SPEEDS)

    def add_odometry(self, stamp_ns: int, T_odom_base: RigidTransform, speed_mps: float) -> None:
        """Keeps a pose and its speed."""
        self.add_speed(stamp_ns, speed_mps)
        self.track.add(OdometrySample(stamp_ns, T_odom_base, speed_mps))

    def add_speed(self, stamp_ns: int, speed_mps: float) -> None:
        """Keeps a speed. A stamp long before the newest one means that time began anew (a looped bag)."""
        if self.newest_stamp_ns is not None and stamp_ns < self.newest_stamp_ns - _JUMP_BACK_NS:
            self.track.clear()
            self._speeds.clear()
        self.newest_stamp_ns = stamp_ns
        self._speeds.append((stamp_ns, speed_mps))

    def speed_at(self, stamp_ns: int) -> float | None:
        """Speed in m/s of the reading nearest in time; None if it is farther than 0.3 s."""
        nearest = min(self._speeds, key=lambda kept: abs(kept[0] - stamp_ns), default=None)
        if nearest is None or abs(nearest[0] - stamp_ns) > _MAX_GAP_S * 1e9:
            return None
        return nearest[1]

    def T_world_camera(self, stamp_ns: int) -> RigidTransform | None:
        """Pose of the camera in the odometry frame; None where it would be a guess."""
        T_odom_base = self.track.pose_at(stamp_ns)
        if T_odom_base is None or self.T_base_camera is None:
            return None
        T_odom_camera: RigidTransform = T_odom_base @ self.T_base_camera
        return T_odom_camera
