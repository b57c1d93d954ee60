# SPDX-License-Identifier: Apache-2.0
"""Feeds the messages of a bag to a SnapshotBuffer, the way the node feeds those of a robot."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.bags.camera_motion import CameraMotion
from mono_depth_ros.datasets.bags.point_messages import decode_points
from mono_depth_ros.datasets.bags.reader import BagMessage, Rosbag2Reader
from mono_depth_ros.datasets.bags.topics import COMPRESSED_IMAGE, IMAGE, LASER_SCAN, RANGE, TWIST, BagTopics
from mono_depth_ros.errors import DataError, FrameError
from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.messages.camera_info import camera_from_info
from mono_depth_ros.messages.images import decode_compressed_image, decode_image
from mono_depth_ros.messages.lens import Lens
from mono_depth_ros.messages.odometry import decode_odometry, decode_speed, decode_twist
from mono_depth_ros.messages.rectification import Rectifier
from mono_depth_ros.messages.sensor_intake import MAX_FRAMES
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.messages.transforms import StaticTransforms
from mono_depth_ros.perception.point_memory import POINTS, SCAN, SPARSE_DEPTH
from mono_depth_ros.perception.point_memory import RANGE as RANGE_FINDER


class SensorMemory(Protocol):
    """What is filled: a SnapshotBuffer, or another memory of the same inputs."""

    def add_camera(self, stamp_ns: int, camera: PinholeCamera) -> None: ...

    def add_points(
        self,
        stamp_ns: int,
        points_lidar_m: Points,
        lidar_frame: str,
        time_offset_s: NDArray[np.float64] | None = None,
        source: str = ...,
    ) -> None: ...

    def add_odometry(self, stamp_ns: int, T_odom_base: RigidTransform, speed_mps: float) -> None: ...

    def add_twist(self, stamp_ns: int, linear_mps: NDArray[np.float64], angular_radps: NDArray[np.float64]) -> None: ...

    def set_T_camera_lidar(self, lidar_frame: str, T_camera_lidar: RigidTransform) -> None: ...

    def set_T_base_camera(self, T_base_camera: RigidTransform) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class BagImage:
    """One decoded image: stamp, frame, and uint8 [H,W,3] RGB pixels."""

    stamp_ns: int
    camera_frame: str
    image_rgb: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class FeedOptions:
    """What the bag does not say, or is not asked for.

    Attributes:
        rectify: whether raw images with distortion are rectified; else they are passed on as they are.
        T_camera_lidar: where the sparse sensor sits, in place of /tf_static.
        T_base_camera: where the camera sits, in place of /tf_static.
        time_field: field of a cloud with the time of each point; None finds it, "none" takes all for simultaneous.
    """

    rectify: bool = False
    T_camera_lidar: RigidTransform | None = None
    T_base_camera: RigidTransform | None = None
    time_field: str | None = None


class SnapshotFeed:
    """Decodes the messages of one camera's drive and puts them into a buffer, with the extrinsics they need.

    Args:
        bag: where the messages come from.
        topics: which topic is which.
        buffer: is filled.
        options: extrinsics and the like.

    Attributes:
        motion: poses and speeds of the newest seconds.
    """

    def __init__(
        self, bag: Rosbag2Reader, topics: BagTopics, buffer: SensorMemory, options: FeedOptions = FeedOptions()
    ) -> None:
        self._bag = bag
        self._topics = topics
        self._buffer = buffer
        self._options = options
        self._point_topics = (*((topics.points,) if topics.points is not None else ()), *topics.more_points)
        self._transforms: StaticTransforms = bag.static_transforms()
        self._lidar_frames: frozenset[str] = frozenset()
        self._base_frame = ""
        self._twist_frame = ""
        self._placed: tuple[str, frozenset[str], str] | None = None
        self._depth_camera: PinholeCamera | None = None
        self._lens = Lens(topics.rectified, options.rectify)
        self.motion = CameraMotion()

    @property
    def distorted(self) -> bool:
        """Whether a camera_info of raw images had distortion, which without `rectify` is not modelled."""
        return self._lens.distorted

    @property
    def rectifier(self) -> Rectifier | None:
        """Of the newest camera_info; None where images are passed on as they are."""
        return self._lens.rectifier

    def sensor_of(self, topic: str) -> str:
        """The name under which the buffer reports this topic; "image" for the image."""
        t = self._topics
        names = {t.points_info: POINTS, t.camera_info: "camera_info", t.odometry: "odometry"}
        # With several sources, each has the name that it has in the node.
        names |= {source: self._source_by_type(source) if t.more_points else POINTS for source in self._point_topics}
        return names.get(topic, "image")

    def put(self, message: BagMessage) -> BagImage | None:
        """Takes one message in.

        Returns:
            The image, if it was one (then ask the buffer for its snapshot); None for the other sensors.

        Raises:
            DataError: the message is broken; the buffer is as before.
            FrameError: the bag's /tf_static does not connect the camera with the LiDAR or with odometry's base.
        """
        decoded = self._bag.decode(message)
        stamp_ns = stamp_ns_of(decoded.header.stamp)
        if message.topic == self._topics.image:
            return self._image(decoded, message.message_type, stamp_ns)
        if message.topic not in self._topics.names():
            raise DataError(f"topic {message.topic}: expected one of {self._topics.names()}, got another")
        if message.topic == self._topics.points_info:  # may be the camera's own
            self._depth_camera = camera_from_info(decoded)
        if message.topic == self._topics.camera_info:
            self._camera(decoded, stamp_ns)
        elif message.topic in self._point_topics:
            self._points(decoded, message, stamp_ns)
        elif message.message_type == TWIST:
            twist = decode_twist(decoded.twist)
            self.motion.add_speed(stamp_ns, decode_speed(decoded.twist))
            self._buffer.add_twist(stamp_ns, twist.linear_mps, twist.angular_radps)
            self._twist_frame = str(decoded.header.frame_id)
        elif message.topic == self._topics.odometry:
            reading = decode_odometry(decoded)
            self._buffer.add_odometry(stamp_ns, reading.T_odom_base, reading.speed_mps)
            self.motion.add_odometry(stamp_ns, reading.T_odom_base, reading.speed_mps)
            self._base_frame = decoded.child_frame_id
        return None

    def place(self, camera_frame: str) -> None:
        """Tells the buffer where the sensors sit, once per combination of frames. `put` does it for an image.

        Raises:
            FrameError: the bag's /tf_static does not connect them.
        """
        frames = (camera_frame, self._lidar_frames, self._base_frame or self._twist_frame)
        if frames == self._placed:
            return
        try:
            for lidar_frame in sorted(self._lidar_frames):
                T_camera_lidar = self._options.T_camera_lidar
                if T_camera_lidar is None:
                    T_camera_lidar = self._transforms.lookup(camera_frame, lidar_frame)
                self._buffer.set_T_camera_lidar(lidar_frame, T_camera_lidar)
            if self._base_frame:
                T_base_camera = self._options.T_base_camera
                if T_base_camera is None:
                    T_base_camera = self._transforms.lookup(self._base_frame, camera_frame)
                self._buffer.set_T_base_camera(T_base_camera)
                self.motion.T_base_camera = T_base_camera
        except FrameError as error:
            raise FrameError(f"{error}; record /tf_static, or go without that sensor") from error
        self._placed = frames
        if self._twist_frame and not self._base_frame:
            self._place_for_twist(camera_frame)

    def _camera(self, decoded: Any, stamp_ns: int) -> None:
        self._buffer.add_camera(stamp_ns, self._lens.update(decoded))

    def _points(self, decoded: Any, message: BagMessage, stamp_ns: int) -> None:
        points = decode_points(decoded, message.message_type, self._depth_camera, self._options.time_field)
        frame = str(decoded.header.frame_id)
        if frame not in self._lidar_frames and len(self._lidar_frames) < MAX_FRAMES:
            self._lidar_frames |= {frame}
        self._buffer.add_points(stamp_ns, points.points_m, frame, points.offsets_s, self.sensor_of(message.topic))

    def _source_by_type(self, topic: str) -> str:
        return {LASER_SCAN: SCAN, RANGE: RANGE_FINDER, IMAGE: SPARSE_DEPTH, COMPRESSED_IMAGE: SPARSE_DEPTH}.get(
            self._bag.types[topic], POINTS
        )

    def _image(self, decoded: Any, message_type: str, stamp_ns: int) -> BagImage:
        decode = decode_compressed_image if message_type == COMPRESSED_IMAGE else decode_image
        image_rgb = decode(decoded)
        if self.rectifier is not None:
            image_rgb = self.rectifier.image(image_rgb)
        image = BagImage(stamp_ns, str(decoded.header.frame_id), image_rgb)
        self.place(image.camera_frame)
        return image

    def _place_for_twist(self, camera_frame: str) -> None:
        """A bag with speeds only is read as well where nobody says what they are the speeds of."""
        T_base_camera = self._options.T_base_camera
        try:
            if T_base_camera is None:
                T_base_camera = self._transforms.lookup(self._twist_frame, camera_frame)
        except FrameError:
            return
        self._buffer.set_T_base_camera(T_base_camera)
