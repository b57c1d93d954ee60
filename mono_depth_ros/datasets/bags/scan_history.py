# SPDX-License-Identifier: Apache-2.0
"""Images of a drive, each with the scans that were made some time before it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.bags.drive import BagDrive, BagOptions
from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.bags.topics import BagTopics
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid
from mono_depth_ros.perception.lidar_memory import LidarScan, ScanUnroller
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack
from mono_depth_ros.perception.point_memory import POINTS
from mono_depth_ros.perception.snapshot import NoSnapshot, SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer

# Bound on memory, whatever the rate of the LiDAR: 60 scans of 120,000 points are 86 MB, with a time per point 230 MB.
_MAX_SCANS = 60
_MAX_ODOMETRY_GAP_S = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class AgedScan:
    """A scan, seen from an image that was taken later.

    Attributes:
        stamp_ns: of the scan.
        points_lidar_m: float32 [N, 3] in the LiDAR frame at the stamp of the scan.
        T_camera_lidar: from the calibration.
        T_image_scan: motion of the camera, from its place at the scan to its place at the image; None in a drive
            without odometry.
    """

    stamp_ns: int
    points_lidar_m: Points
    T_camera_lidar: RigidTransform
    T_image_scan: RigidTransform | None


@dataclass(frozen=True, slots=True, eq=False)
class ImageWithScans:
    """One image and the scans of some ages before it.

    Attributes:
        image_rgb: uint8 [H, W, 3].
        camera: of the image.
        scans: one per age that was asked for, in that order.
    """

    stamp_ns: int
    image_rgb: NDArray[np.uint8]
    camera: PinholeCamera
    scans: tuple[AgedScan, ...]

    def carried(self) -> bool:
        """Whether odometry tells the motion since every scan."""
        return all(scan.T_image_scan is not None for scan in self.scans)


class ImagesWithScans:
    """The images of a drive that have a scan of every age; iterate over it once.

    Args:
        bag: where the messages come from.
        topics: of the camera; `topics.points` has to be there.
        ages_s: the ages, seconds; each image gets the scan nearest to its stamp less the age.
        tolerance_s: an image is left out, and counted, if that scan is farther than this from the age, or if the bag
            has odometry that does not reach from the scan to the image.
        limit: at most this many images.

    Attributes:
        skipped: images left out so far.

    Raises:
        ConfigError: an age is negative or too long ago.
        DataError: no topic with points.
    """

    def __init__(
        self,
        bag: Rosbag2Reader,
        topics: BagTopics,
        ages_s: tuple[float, ...],
        tolerance_s: float = 0.06,
        limit: int | None = None,
    ) -> None:
        if not ages_s or not 0.0 <= min(ages_s) <= max(ages_s) <= 10.0:
            raise ConfigError(f"ages_s: expected ages from 0 to 10 s, got {ages_s}")
        if topics.points is None:
            raise DataError("points: expected a topic with the dense scan, got none")
        self._bag = bag
        self._topics = topics
        self._ages_s = ages_s
        self._tolerance_ns = int(tolerance_s * 1e9)
        self._limit = limit
        self.skipped = 0

    def __iter__(self) -> Iterator[ImageWithScans]:
        memory, tree = _Memory(max(self._ages_s) + 1.0), self._bag.static_transforms()
        intake = BagOptions().intake(memory, self._topics, tree)
        drive = BagDrive(self._bag, self._topics, intake, tree)
        given = 0
        for image in drive.images():
            found = memory.at(intake.snapshot(image), self._ages_s, self._tolerance_ns)
            if found is None or (self._topics.odometry is not None and not found.carried()):
                self.skipped += 1
                continue
            yield found
            given += 1
            if self._limit is not None and given >= self._limit:
                return
        if not given and drive.left_out:
            reasons = "; ".join(f"{why} ({count} x)" for why, count in drive.left_out.most_common(4))
            raise DataError(f"bag {self._bag.path}: expected images that can be used, got none: {reasons}")


class _Memory(SnapshotBuffer):
    """A buffer that also gives scans of any age, as they were measured.

    Args:
        history_s: how far back.
    """

    def __init__(self, history_s: float) -> None:
        super().__init__()
        self._history_ns = int(history_s * 1e9)
        self._past: deque[ScanUnroller] = deque(maxlen=_MAX_SCANS)
        self._track = OdometryTrack(history_s + 1.0, _MAX_ODOMETRY_GAP_S)
        self._place_of: dict[str, RigidTransform] = {}

    def add_points(
        self,
        stamp_ns: int,
        points_lidar_m: Points,
        lidar_frame: str,
        time_offset_s: NDArray[np.float64] | None = None,
        source: str = POINTS,
    ) -> None:
        """Keeps a scan."""
        super().add_points(stamp_ns, points_lidar_m, lidar_frame, time_offset_s, source)
        self._past.append(ScanUnroller(LidarScan(stamp_ns, points_lidar_m, lidar_frame, time_offset_s)))
        while self._past[0].scan.stamp_ns < stamp_ns - self._history_ns:
            self._past.popleft()

    def add_odometry(self, stamp_ns: int, T_odom_base: RigidTransform, speed_mps: float) -> None:
        """Keeps a pose of the base and its speed."""
        super().add_odometry(stamp_ns, T_odom_base, speed_mps)
        self._track.add(OdometrySample(stamp_ns, T_odom_base, speed_mps))

    def set_T_camera_lidar(self, lidar_frame: str, T_camera_lidar: RigidTransform) -> None:
        """Says where a LiDAR sits."""
        super().set_T_camera_lidar(lidar_frame, T_camera_lidar)
        self._place_of[lidar_frame] = T_camera_lidar

    def at(
        self, known: SensorSnapshot | NoSnapshot, ages_s: tuple[float, ...], tolerance_ns: int
    ) -> ImageWithScans | None:
        """The image with a scan of every age; None if one is missing or not placed, or the camera is not known."""
        if isinstance(known, NoSnapshot):
            return None
        scans = []
        for age_s in ages_s:
            wanted_ns = known.stamp_ns - round(age_s * 1e9)
            kept = min(self._past, key=lambda scan: abs(scan.scan.stamp_ns - wanted_ns), default=None)
            if kept is None or abs(kept.scan.stamp_ns - wanted_ns) > tolerance_ns:
                return None
            T_camera_lidar = self._place_of.get(kept.scan.lidar_frame)
            if T_camera_lidar is None:
                return None
            points_m = kept.scan.points_lidar_m
            if known.T_base_camera is not None:
                points_m, _ = kept.points_at_stamp(known.T_base_camera @ T_camera_lidar, self._track)
            motion = self._T_image_scan(known, kept.scan.stamp_ns)
            scans.append(AgedScan(kept.scan.stamp_ns, points_m, T_camera_lidar, motion))
        return ImageWithScans(known.stamp_ns, known.image_rgb, known.camera, tuple(scans))

    def _T_image_scan(self, known: SensorSnapshot, scan_ns: int) -> RigidTransform | None:
        """Motion of the camera; None where odometry or the camera's place is unknown."""
        T_odom_image, T_odom_scan = self._track.pose_at(known.stamp_ns), self._track.pose_at(scan_ns)
        if known.T_base_camera is None or T_odom_image is None or T_odom_scan is None:
            return None
        T_image_scan_base = invert_rigid(T_odom_image) @ T_odom_scan
        T_image_scan: RigidTransform = invert_rigid(known.T_base_camera) @ T_image_scan_base @ known.T_base_camera
        return T_image_scan
