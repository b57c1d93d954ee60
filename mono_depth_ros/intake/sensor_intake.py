# SPDX-License-Identifier: Apache-2.0
"""One camera's messages become what is known at the stamp of an image: for the node, for bags, for training alike.

What brings the messages (rclpy, a recorded bag, a test) is transport and decides nothing. The rules are here, one each:

- stamps: what has none is refused, but for an image, which is predicted; one far from the images' is kept and said
  (`clock_differs`);
- frames: a leading slash is dropped; a base without a name is base_link (REP 105);
- lens: rectified images have P, raw ones K and D and are rectified;
- extrinsics: `CameraExtrinsics`, from parameters or a tree of transforms; what is not placed is not used, and said;
- times of points: within a scan, of the field that the driver fills (messages/point_clouds.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mono_depth_ros.errors import DataError, MonoDepthError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.intake.clock_watch import ClockWatch
from mono_depth_ros.intake.extrinsics import CameraExtrinsics
from mono_depth_ros.messages.camera_info import camera_from_info
from mono_depth_ros.messages.compressed_depth import decode_compressed_depth, is_compressed_depth
from mono_depth_ros.messages.image_bits import FIND_BITS, ImageBits
from mono_depth_ros.messages.images import decode_any_image, decode_depth_image
from mono_depth_ros.messages.laser_scans import decode_laser_scan
from mono_depth_ros.messages.lens import Lens
from mono_depth_ros.messages.odometry import decode_odometry, decode_twist
from mono_depth_ros.messages.point_clouds import decode_timed_points
from mono_depth_ros.messages.ranges import decode_range
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.messages.timed_points import MIN_RANGE_M, TimedPoints
from mono_depth_ros.perception.point_memory import POINTS, RANGE, SCAN, SPARSE_DEPTH
from mono_depth_ros.perception.snapshot import NoSnapshot, RgbImage, SensorSnapshot
from mono_depth_ros.perception.snapshot_buffer import SnapshotBuffer

IMAGE, CAMERA_INFO, ODOMETRY, TWIST = "image", "camera_info", "odometry", "twist"
# camera_info of depth images that another camera took; without it they are aligned to the images.
DEPTH_INFO = "sparse_depth_info"
# Frames of points that are told apart; a driver that invents a new one per message must not fill the memory.
MAX_FRAMES = 16
# Stands for the frame of depth images that are aligned to the camera, whatever their header says.
ALIGNED_FRAME = "aligned to the camera"
# Where a message of the base's motion does not name its frame (REP 105).
BASE_FRAME = "base_link"
ODOM_FRAME = "odom"  # where the base moves, on /tf (REP 105)


@dataclass(frozen=True, slots=True)
class IntakePolicy:
    """What messages do not say of themselves.

    Attributes:
        rectified: whether images are rectified; raw ones are rectified here.
        time_field: field of a cloud with the time of each point; None finds it, "none" takes all for simultaneous.
        lidar_offset_s: is added to the stamps of points, for a sensor whose clock is another.
        min_range_m: points nearer to their sensor are no measurements: returns of nothing, or of the robot itself.
        image_bits: significant bits of 16-bit images; 0 finds them.
        image_topic: of the images, whose name may say that they are rectified.
    """

    rectified: bool = True
    time_field: str | None = None
    lidar_offset_s: float = 0.0
    min_range_m: float = MIN_RANGE_M
    image_bits: int = FIND_BITS
    image_topic: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class CameraImage:
    """One decoded image: stamp, frame, and uint8 [H, W, 3] RGB pixels, rectified where that was asked for."""

    stamp_ns: int
    camera_frame: str
    image_rgb: RgbImage


class PoseSamples(Protocol):
    """Tells where a frame was in its parent, as TransformTree does."""

    def samples(self, parent: str, child: str, after_ns: int) -> Sequence[tuple[int, RigidTransform]]: ...


class SensorIntake:
    """Takes the messages of one camera and of the robot's other sensors.

    Args:
        buffer: remembers what they say.
        extrinsics: where the sensors sit.
        policy: what the messages do not say.
        decode: pixels of an image message, uint8 [H, W, 3] RGB.
        followers: of other cameras; points that are for all (not aligned depth) go to them too, decoded once.

    Attributes:
        lens: of the newest camera_info.
        transform_problems: what was not known of the sensors' places at the latest image, or has changed.
    """

    def __init__(
        self,
        buffer: SnapshotBuffer,
        extrinsics: CameraExtrinsics,
        policy: IntakePolicy = IntakePolicy(),
        decode: Callable[[Any, ImageBits], RgbImage] = decode_any_image,
        followers: Sequence["SensorIntake"] = (),
    ) -> None:
        self.buffer = buffer
        self.extrinsics = extrinsics
        self.lens = Lens(policy.rectified, policy.image_topic)
        self._bits = ImageBits(policy.image_bits)
        self._point_warnings: dict[str, str] = {}
        self.transform_problems: tuple[str, ...] = ()
        self._policy = policy
        self._decode = decode
        self._followers = tuple(followers)
        self._clocks = ClockWatch()
        self._frames: frozenset[tuple[str, str]] = frozenset()
        self._odometry_frame, self._base_frame = "", ""
        self._told_motion = False
        self._heard: tuple[int, RigidTransform] | None = None
        self._depth_camera: PinholeCamera | None = None
        self._put: dict[str, Callable[[Any], None]] = {
            CAMERA_INFO: self._put_camera_info,
            DEPTH_INFO: self._put_depth_info,
            POINTS: self._put_points,
            SCAN: self._put_scan,
            RANGE: self._put_range,
            SPARSE_DEPTH: self._put_sparse_depth,
            ODOMETRY: self._put_odometry,
            TWIST: self._put_twist,
        }

    def put(self, sensor: str, msg: Any) -> str:
        """Takes a message of any sensor but the camera itself, whatever is in it.

        Args:
            sensor: its name in status: camera_info, points, scan, range, sparse_depth, odometry or twist; or
                sparse_depth_info.
            msg: with the attributes of its ROS type.

        Returns:
            Why it was refused, which is counted; what was known before stays. Empty if it was taken.
        """
        try:
            self._put[sensor](msg)
        except Exception as error:
            # Anything else than a refusal is a mistake of ours, which must not end whoever brings the messages.
            ours = isinstance(error, MonoDepthError)
            problem = str(error) if ours else f"internal_error: {type(error).__name__}: {error}"
            self.buffer.reject(CAMERA_INFO if sensor == DEPTH_INFO else sensor, problem)
            return problem
        return ""

    def warnings(self) -> tuple[tuple[str, str], ...]:
        """(sensor, sentence) of what is taken but looks wrong now, each beginning with a searchable name."""
        told = [*self._clocks.warnings(), *self._point_warnings.items()]
        told += [(CAMERA_INFO, self.lens.warning), (IMAGE, self._bits.warning)]
        return tuple((sensor, warning) for sensor, warning in told if warning)

    def hear_motion(self, transforms: PoseSamples) -> None:
        """Takes the motion of base_link in odom (REP 105) from transforms, while neither odometry nor twist tell it."""
        if self._base_frame not in ("", BASE_FRAME) or self._told_motion:
            return
        for stamp_ns, T_odom_base in transforms.samples(ODOM_FRAME, BASE_FRAME, self._heard_ns):
            before, self._heard = self._heard, (stamp_ns, T_odom_base)
            moved_m = 0.0 if before is None else float(np.linalg.norm(T_odom_base[:3, 3] - before[1][:3, 3]))
            since_s = 1.0 if before is None else (stamp_ns - before[0]) * 1e-9
            self._clocks.message(ODOMETRY, stamp_ns)
            self.buffer.add_odometry(stamp_ns, T_odom_base, moved_m / since_s)
            self._base_frame = BASE_FRAME

    @property
    def _heard_ns(self) -> int:
        return 0 if self._heard is None else self._heard[0]

    def image_arrived(self, stamp_ns: int) -> None:
        """Tells that an image of this stamp is there, though it may be decoded later or never."""
        self._clocks.image(stamp_ns)

    def image(self, msg: Any) -> CameraImage:
        """An Image or CompressedImage, decoded and rectified.

        One without a stamp is taken all the same, as of a time of its own, to which no other sensor belongs.

        Raises:
            DataError: it has not the pixels that it promises.
        """
        return CameraImage(
            stamp_ns_of(msg.header.stamp),
            frame_name(msg.header.frame_id),
            self.lens.image(self._decode(msg, self._bits)),
        )

    def snapshot(self, image: CameraImage) -> SensorSnapshot | NoSnapshot:
        """What is known at the stamp of an image, by the places of the sensors as they are known now."""
        frames = image.camera_frame, self._frames, self._base_frame
        problems = self.extrinsics.update(self.buffer, *frames, image.stamp_ns or None)
        self.transform_problems = tuple(problems)
        return self.buffer.snapshot(image.stamp_ns, image.camera_frame, image.image_rgb)

    def knows_places_at(self, stamp_ns: int, camera_frame: str) -> bool:
        """Whether the place of everything that moves is known at this stamp of an image."""
        return self.extrinsics.known_at(frame_name(camera_frame), self._frames, self._base_frame, stamp_ns)

    def snapshot_of(self, msg: Any) -> SensorSnapshot | NoSnapshot:
        """`image` and `snapshot` in one; an image that cannot be read is a reason."""
        try:
            image = self.image(msg)
        except MonoDepthError as error:
            self.transform_problems = ()
            return NoSnapshot(stamp_ns_of(msg.header.stamp), "image_unreadable", str(error), ())
        return self.snapshot(image)

    def _put_camera_info(self, msg: Any) -> None:
        # Its stamp says since when it holds; drivers that send it once, or never fill it in, mean: always.
        self.buffer.add_camera(stamp_ns_of(msg.header.stamp), self.lens.update(msg))

    def _put_depth_info(self, msg: Any) -> None:
        self._depth_camera = camera_from_info(msg)

    def _put_points(self, msg: Any) -> None:
        stamp_ns = _required_stamp_ns(msg, POINTS)
        self._keep(
            POINTS, msg, stamp_ns, decode_timed_points(msg, stamp_ns, self._policy.time_field, self._policy.min_range_m)
        )

    def _put_scan(self, msg: Any) -> None:
        self._keep(SCAN, msg, _required_stamp_ns(msg, SCAN), decode_laser_scan(msg, self._policy.min_range_m))

    def _put_range(self, msg: Any) -> None:
        self._keep(RANGE, msg, _required_stamp_ns(msg, RANGE), decode_range(msg))

    def _put_sparse_depth(self, msg: Any) -> None:
        """An Image (32FC1 or 16UC1) or CompressedImage (compressedDepth).

        Aligned to the camera's images, unless a camera_info of its own came: pixel (u, v) lies on the ray of the
        image's pixel (u, v), both scaled to one size; for raw images that holds before rectification. The header's
        frame is not read then.
        """
        stamp_ns = _required_stamp_ns(msg, SPARSE_DEPTH)
        depth_m = decode_compressed_depth(msg) if is_compressed_depth(getattr(msg, "format", "")) else _depth(msg)
        height_px, width_px = depth_m.shape
        if self._depth_camera is not None:
            camera = _same_view(self._depth_camera, width_px, height_px)
            points_m = camera.unproject(depth_m)[np.isfinite(depth_m) & (depth_m > 0)]
            self._keep(SPARSE_DEPTH, msg, stamp_ns, TimedPoints(points_m))
            return
        known = self.buffer.camera()
        if known is None:
            raise DataError("sparse_depth: expected a camera_info before it, got none; its pixels have no rays")
        if self.lens.rectifier is not None:
            # A lens is known for one size only.
            depth_m = self.lens.rectifier.depth(depth_m)
        elif (width_px, height_px) != (known.width_px, known.height_px):
            known = _same_view(known, width_px, height_px)
        points_m = known.unproject(depth_m)[np.isfinite(depth_m) & (depth_m > 0)]
        stamp_ns = self._on_camera_clock(SPARSE_DEPTH, stamp_ns)
        self.buffer.set_T_camera_lidar(ALIGNED_FRAME, np.eye(4))
        self.buffer.add_points(stamp_ns, points_m, ALIGNED_FRAME, source=SPARSE_DEPTH)

    def _put_odometry(self, msg: Any) -> None:
        stamp_ns, reading = _required_stamp_ns(msg, ODOMETRY), decode_odometry(msg)
        self._told_motion = True
        self._clocks.message(ODOMETRY, stamp_ns)
        self.buffer.add_odometry(stamp_ns, reading.T_odom_base, reading.speed_mps)
        self._odometry_frame = self._base_frame = frame_name(msg.child_frame_id) or BASE_FRAME

    def _put_twist(self, msg: Any) -> None:
        """In the axes of the base; an empty frame is taken for it."""
        stamp_ns, twist = _required_stamp_ns(msg, TWIST), decode_twist(msg.twist)
        frame = frame_name(msg.header.frame_id)
        if self._odometry_frame and frame not in ("", self._odometry_frame):
            raise DataError(
                f"twist: expected the odometry's base frame {self._odometry_frame!r} or none, got {frame!r}; publish "
                "it in the axes of the base"
            )
        self._clocks.message(TWIST, stamp_ns)
        self._told_motion = True
        self.buffer.add_twist(stamp_ns, twist.linear_mps, twist.angular_radps)
        self._base_frame = self._odometry_frame or frame or BASE_FRAME

    def _on_camera_clock(self, source: str, stamp_ns: int) -> int:
        """The stamp of points by the camera's clock, as far as the offset between the two is given."""
        stamp_ns += round(self._policy.lidar_offset_s * 1e9)
        self._clocks.message(source, stamp_ns)
        return stamp_ns

    def _keep(self, source: str, msg: Any, stamp_ns: int, points: TimedPoints) -> None:
        stamp_ns = self._on_camera_clock(source, stamp_ns)
        self._point_warnings[source] = points.warning
        frame = frame_name(msg.header.frame_id)
        for intake in (self, *self._followers):
            intake.buffer.add_points(stamp_ns, points.points_m, frame, points.offsets_s, source)
            if (source, frame) not in intake._frames and len(intake._frames) < MAX_FRAMES:
                # A new set, since another thread may be walking through the old one.
                intake._frames |= {(source, frame)}


def frame_name(frame_id: Any) -> str:
    """A frame's name as TF knows it: ROS 1 tools still put a slash before it.

    >>> frame_name("/camera"), frame_name("camera")
    ('camera', 'camera')
    """
    return str(frame_id).lstrip("/")


def _required_stamp_ns(msg: Any, name: str) -> int:
    stamp_ns = stamp_ns_of(msg.header.stamp)
    if stamp_ns <= 0:
        raise DataError(f"{name}: expected a stamp in the header, got {stamp_ns} ns; does the driver fill it in?")
    return stamp_ns


def _depth(msg: Any) -> Any:
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
