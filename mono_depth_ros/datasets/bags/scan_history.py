# SPDX-License-Identifier: Apache-2.0
"""Images of a drive, each with the scans that were made some time before it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.datasets.bags.snapshot_feed import BagImage, FeedOptions, SnapshotFeed
from mono_depth_ros.datasets.bags.topics import BagTopics
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid
from mono_depth_ros.perception.lidar_memory import LidarScan, ScanUnroller
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack
from mono_depth_ros.perception.point_memory import POINTS

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
        memory = _Memory(max(self._ages_s) + 1.0)
        feed = SnapshotFeed(self._bag, self._topics, memory, FeedOptions(rectify=True))
        given = 0
        for message in self._bag.messages(self._topics.names()):
            image = feed.put(message)
            if image is None:
                continue
            found = memory.at(image, self._ages_s, self._tolerance_ns)
            if found is None or (self._topics.odometry is not None and not found.carried()):
                self.skipped += 1
                continue
            yield found
            given += 1
            if self._limit is not None and given >= self._limit:
                return


class _Memory:
    """Scans and odometry of the last seconds, and the calibration."""

    def __init__(self, history_s: float) -> None:
        self._history_ns = int(history_s * 1e9)
        self._scans: deque[ScanUnroller] = deque(maxlen=_MAX_SCANS)
        self._odometry = OdometryTrack(history_s + 1.0, _MAX_ODOMETRY_GAP_S)
        self._camera: PinholeCamera | None = None
        self._T_camera_lidar: dict[str, RigidTransform] = {}
        self._T_base_camera: RigidTransform | None = None

    def add_camera(self, stamp_ns: int, camera: PinholeCamera) -> None:  # noqa: ARG002
        self._camera = camera

    def add_points(
        self,
        stamp_ns: int,
        points_lidar_m: Points,
        lidar_frame: str,
        time_offset_s: NDArray[np.float64] | None = None,
        source: str = POINTS,  # noqa: ARG002
    ) -> None:
        self._scans.append(ScanUnroller(LidarScan(stamp_ns, points_lidar_m, lidar_frame, time_offset_s)))
        while self._scans[0].scan.stamp_ns < stamp_ns - self._history_ns:
            self._scans.popleft()

    def add_odometry(self, stamp_ns: int, T_odom_base: RigidTransform, speed_mps: float) -> None:
        self._odometry.add(OdometrySample(stamp_ns, T_odom_base, speed_mps))

    def add_twist(self, stamp_ns: int, linear_mps: NDArray[np.float64], angular_radps: NDArray[np.float64]) -> None:
        """Not needed: scans are carried by odometry here."""

    def set_T_camera_lidar(self, lidar_frame: str, T_camera_lidar: RigidTransform) -> None:
        self._T_camera_lidar[lidar_frame] = T_camera_lidar

    def set_T_base_camera(self, T_base_camera: RigidTransform) -> None:
        self._T_base_camera = T_base_camera

    def at(self, image: BagImage, ages_s: tuple[float, ...], tolerance_ns: int) -> ImageWithScans | None:
        """The image with a scan of every age; None if one is missing.

        Raises:
            DataError: camera_info is missing or of another size.
        """
        camera, (height, width) = self._camera, image.image_rgb.shape[:2]
        if camera is None or (camera.height_px, camera.width_px) != (height, width):
            got = "none" if camera is None else f"{camera.width_px}x{camera.height_px}"
            raise DataError(f"image at {image.stamp_ns} ns: expected camera_info for {width}x{height}, got {got}")
        scans = []
        for age_s in ages_s:
            wanted_ns = image.stamp_ns - round(age_s * 1e9)
            kept = self._nearest(wanted_ns)
            if kept is None or abs(kept.scan.stamp_ns - wanted_ns) > tolerance_ns:
                return None
            motion = self._camera_motion(image.stamp_ns, kept.scan.stamp_ns)
            T_camera_lidar = self._T_camera_lidar[kept.scan.lidar_frame]
            points_m = kept.scan.points_lidar_m
            if self._T_base_camera is not None:
                points_m, _ = kept.points_at_stamp(self._T_base_camera @ T_camera_lidar, self._odometry)
            scans.append(AgedScan(kept.scan.stamp_ns, points_m, T_camera_lidar, motion))
        return ImageWithScans(image.stamp_ns, image.image_rgb, camera, tuple(scans))

    def _nearest(self, stamp_ns: int) -> ScanUnroller | None:
        return min(self._scans, key=lambda kept: abs(kept.scan.stamp_ns - stamp_ns), default=None)

    def _camera_motion(self, image_ns: int, scan_ns: int) -> RigidTransform | None:
        """T_image_scan of the camera; None where odometry or the camera's place is unknown."""
        if self._T_base_camera is None:
            return None
        T_odom_image, T_odom_scan = self._odometry.pose_at(image_ns), self._odometry.pose_at(scan_ns)
        if T_odom_image is None or T_odom_scan is None:
            return None
        T_image_scan_base = invert_rigid(T_odom_image) @ T_odom_scan
        T_image_scan: RigidTransform = invert_rigid(self._T_base_camera) @ T_image_scan_base @ self._T_base_camera
        return T_image_scan
