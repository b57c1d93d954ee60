# SPDX-License-Identifier: Apache-2.0
"""Messages of a robot's sensors into a memory of what they said: what the ROS callbacks do, without ROS."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.messages.camera_info import CameraInfoMessage
from mono_depth_ros.messages.compressed_depth import decode_compressed_depth, is_compressed_depth
from mono_depth_ros.messages.images import decode_depth_image
from mono_depth_ros.messages.laser_scans import decode_laser_scan
from mono_depth_ros.messages.lens import Lens
from mono_depth_ros.messages.odometry import decode_odometry, decode_twist
from mono_depth_ros.messages.point_clouds import decode_timed_points
from mono_depth_ros.messages.ranges import decode_range
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.messages.timed_points import TimedPoints

# Frames of points that are told apart; a driver that invents a new one per message must not fill the memory.
MAX_FRAMES = 16
# Stands for the frame of depth images that are aligned to the camera, whatever their header says.
ALIGNED_FRAME = "aligned to the camera"
# Where a message of the base's motion does not name its frame (REP 105).
BASE_FRAME = "base_link"


class SensorMemory(Protocol):
    """What is filled: a SnapshotBuffer."""

    def add_camera(self, stamp_ns: int, camera: PinholeCamera) -> None: ...

    def camera(self) -> PinholeCamera | None: ...

    def add_points(
        self,
        stamp_ns: int,
        points_lidar_m: NDArray[np.float32],
        lidar_frame: str,
        time_offset_s: NDArray[np.float64] | None = None,
        source: str = ...,
    ) -> None: ...

    def add_odometry(self, stamp_ns: int, T_odom_base: NDArray[np.float64], speed_mps: float) -> None: ...

    def add_twist(self, stamp_ns: int, linear_mps: NDArray[np.float64], angular_radps: NDArray[np.float64]) -> None: ...

    def set_T_camera_lidar(self, lidar_frame: str, T_camera_lidar: NDArray[np.float64]) -> None: ...


class SensorIntake:
    """Decodes one camera's messages and keeps what they say, the frames they are in, and the lens.

    Every method takes a message with the attributes of its ROS type and raises DataError if it cannot be used; the
    memory is then as before.

    Args:
        memory: is filled.
        rectified: whether the images are; raw ones are rectified by `Lens.rectify`.
        time_field: field of a cloud with the time of each point; None finds it, "none" takes all for simultaneous.

    Attributes:
        frames: (source, frame) of the points that came; ALIGNED_FRAME is not among them.
        base_frame: child frame of the odometry, or frame of the twist, base_link where they leave it out; empty before
            the first of either.
        lens: of the newest camera_info.
    """

    def __init__(self, memory: SensorMemory, rectified: bool = True, time_field: str | None = None) -> None:
        self._memory = memory
        self._time_field = time_field
        self._odometry_frame: str | None = None
        self.frames: frozenset[tuple[str, str]] = frozenset()
        self.base_frame = ""
        self.lens = Lens(rectified)

    def put_camera_info(self, msg: Any) -> None:
        """sensor_msgs/CameraInfo."""
        info: CameraInfoMessage = msg
        camera = self.lens.update(info)
        self._memory.add_camera(stamp_ns_of(msg.header.stamp), camera)

    def put_points(self, msg: Any) -> None:
        """sensor_msgs/PointCloud2."""
        stamp_ns = _point_stamp_ns(msg, "points")
        self._keep("points", msg, stamp_ns, decode_timed_points(msg, stamp_ns, self._time_field))

    def put_scan(self, msg: Any) -> None:
        """sensor_msgs/LaserScan."""
        self._keep("scan", msg, _point_stamp_ns(msg, "scan"), decode_laser_scan(msg))

    def put_range(self, msg: Any) -> None:
        """sensor_msgs/Range."""
        self._keep("range", msg, _point_stamp_ns(msg, "range"), decode_range(msg))

    def put_sparse_depth(self, msg: Any) -> None:
        """sensor_msgs/Image (32FC1 or 16UC1) or CompressedImage (compressedDepth), aligned to the camera's images.

        Aligned: pixel (u, v) lies on the ray of the image's pixel (u, v), both scaled to one size; for raw images that
        holds before rectification. The header's frame is not read.
        """
        stamp_ns = _point_stamp_ns(msg, "sparse_depth")
        depth_m = decode_compressed_depth(msg) if is_compressed_depth(getattr(msg, "format", "")) else _depth(msg)
        camera = self._memory.camera()
        if camera is None:
            raise DataError("sparse_depth: expected a camera_info before it, got none; its pixels have no rays")
        height_px, width_px = depth_m.shape
        if self.lens.rectifier is not None:
            # A lens is known for one size only.
            depth_m = self.lens.rectifier.depth(depth_m)
        elif (width_px, height_px) != (camera.width_px, camera.height_px):
            camera = _same_view(camera, width_px, height_px)
        points_m = camera.unproject(depth_m)[np.isfinite(depth_m) & (depth_m > 0)]
        self._memory.set_T_camera_lidar(ALIGNED_FRAME, np.eye(4))
        self._memory.add_points(stamp_ns, points_m, ALIGNED_FRAME, source="sparse_depth")

    def put_odometry(self, msg: Any) -> None:
        """nav_msgs/Odometry."""
        stamp_ns, reading = _point_stamp_ns(msg, "odometry"), decode_odometry(msg)
        self._memory.add_odometry(stamp_ns, reading.T_odom_base, reading.speed_mps)
        self._odometry_frame = self.base_frame = str(msg.child_frame_id) or BASE_FRAME

    def put_twist(self, msg: Any) -> None:
        """geometry_msgs/TwistStamped, in the axes of the base (an empty frame is taken for it)."""
        stamp_ns, twist, frame = _point_stamp_ns(msg, "twist"), decode_twist(msg.twist), str(msg.header.frame_id)
        if self._odometry_frame is not None and frame not in ("", self._odometry_frame):
            raise DataError(
                f"twist: expected the odometry's base frame {self._odometry_frame!r} or none, got {frame!r}; publish "
                "it in the axes of the base"
            )
        self._memory.add_twist(stamp_ns, twist.linear_mps, twist.angular_radps)
        self.base_frame = self._odometry_frame or frame or BASE_FRAME

    def _keep(self, source: str, msg: Any, stamp_ns: int, points: TimedPoints) -> None:
        frame = str(msg.header.frame_id)
        self._memory.add_points(stamp_ns, points.points_m, frame, points.offsets_s, source)
        if (source, frame) not in self.frames and len(self.frames) < MAX_FRAMES:
            # A new set, since another thread may be walking through the old one.
            self.frames |= {(source, frame)}


def _point_stamp_ns(msg: Any, name: str) -> int:
    stamp_ns = stamp_ns_of(msg.header.stamp)
    if stamp_ns <= 0:
        raise DataError(f"{name}: expected a stamp in the header, got {stamp_ns} ns; does the driver fill it in?")
    return stamp_ns


def _depth(msg: Any) -> NDArray[np.float32]:
    if not hasattr(msg, "encoding"):
        raise DataError(
            f"sparse_depth: expected an Image, or a CompressedImage of the compressedDepth transport, got format "
            f"{getattr(msg, 'format', '')!r}"
        )
    return decode_depth_image(msg)


def _same_view(camera: PinholeCamera, width_px: int, height_px: int) -> PinholeCamera:
    """The camera at another size of the same ratio of sides.

    Raises:
        DataError: the ratio differs by more than a pixel, so that it is another view.
    """
    if abs(width_px * camera.height_px - height_px * camera.width_px) > max(camera.width_px, camera.height_px):
        raise DataError(
            f"sparse_depth: expected the camera's size {camera.width_px}x{camera.height_px} or that ratio of sides, "
            f"got {width_px}x{height_px}; is it aligned to this camera?"
        )
    return camera.resized(width_px, height_px)
