# SPDX-License-Identifier: Apache-2.0
"""Feeds the messages of a bag to a SnapshotBuffer, the way the node feeds those of a robot."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.datasets.bag_topics import COMPRESSED_IMAGE, BagTopics
from mono_depth_ros.datasets.rosbag2 import BagMessage, Rosbag2Reader
from mono_depth_ros.errors import DataError, FrameError
from mono_depth_ros.geometry.camera import PinholeCamera, Points
from mono_depth_ros.geometry.rigid import RigidTransform
from mono_depth_ros.messages.camera_info import camera_from_info, has_distortion
from mono_depth_ros.messages.images import decode_compressed_image, decode_image
from mono_depth_ros.messages.odometry import decode_odometry
from mono_depth_ros.messages.point_clouds import decode_xyz
from mono_depth_ros.messages.stamps import stamp_ns_of
from mono_depth_ros.messages.transforms import StaticTransforms


class SensorMemory(Protocol):
    """What is filled: a SnapshotBuffer, or another memory of the same inputs."""

    def add_camera(self, stamp_ns: int, camera: PinholeCamera) -> None: ...

    def add_points(self, stamp_ns: int, points_lidar_m: Points, lidar_frame: str) -> None: ...

    def add_odometry(self, stamp_ns: int, T_odom_base: RigidTransform, speed_mps: float) -> None: ...

    def set_T_camera_lidar(self, lidar_frame: str, T_camera_lidar: RigidTransform) -> None: ...

    def set_T_base_camera(self, T_base_camera: RigidTransform) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class BagImage:
    """One decoded image: stamp, frame, and uint8 [H,W,3] RGB pixels."""

    stamp_ns: int
    camera_frame: str
    image_rgb: NDArray[np.uint8]


class SnapshotFeed:
    """Decodes the messages of one camera's drive and puts them into a buffer, with the extrinsics they need.

    Args:
        bag: where the messages come from.
        topics: which topic is which.
        buffer: is filled.

    Attributes:
        distorted: whether a camera_info of raw images had distortion, which is not modelled.
    """

    def __init__(self, bag: Rosbag2Reader, topics: BagTopics, buffer: SensorMemory) -> None:
        self._bag = bag
        self._topics = topics
        self._buffer = buffer
        self._transforms: StaticTransforms = bag.static_transforms()
        self._lidar_frame = ""
        self._base_frame = ""
        self._placed: tuple[str, str, str] | None = None
        self.distorted = False

    def sensor_of(self, topic: str) -> str:
        """The name under which the buffer reports this topic; "image" for the image."""
        names = {self._topics.camera_info: "camera_info", self._topics.points: "points"}
        return names.get(topic, "odometry" if topic == self._topics.odometry else "image")

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
        if message.topic == self._topics.camera_info:
            camera = camera_from_info(decoded, self._topics.rectified)
            self.distorted = self.distorted or (not self._topics.rectified and has_distortion(decoded))
            self._buffer.add_camera(stamp_ns, camera)
        elif message.topic == self._topics.points:
            self._buffer.add_points(stamp_ns, decode_xyz(decoded), decoded.header.frame_id)
            self._lidar_frame = decoded.header.frame_id
        elif message.topic == self._topics.odometry:
            reading = decode_odometry(decoded)
            self._buffer.add_odometry(stamp_ns, reading.T_odom_base, reading.speed_mps)
            self._base_frame = decoded.child_frame_id
        else:
            raise DataError(f"topic {message.topic}: expected one of {self._topics.names()}, got another")
        return None

    def _image(self, decoded: Any, message_type: str, stamp_ns: int) -> BagImage:
        decode = decode_compressed_image if message_type == COMPRESSED_IMAGE else decode_image
        image = BagImage(stamp_ns, str(decoded.header.frame_id), decode(decoded))
        self._place(image.camera_frame)
        return image

    def _place(self, camera_frame: str) -> None:
        """Looks up where the camera sits, once per combination of frames."""
        frames = (camera_frame, self._lidar_frame, self._base_frame)
        if frames == self._placed:
            return
        try:
            if self._lidar_frame:
                T_camera_lidar = self._transforms.lookup(camera_frame, self._lidar_frame)
                self._buffer.set_T_camera_lidar(self._lidar_frame, T_camera_lidar)
            if self._base_frame:
                self._buffer.set_T_base_camera(self._transforms.lookup(self._base_frame, camera_frame))
        except FrameError as error:
            raise FrameError(f"{error}; record /tf_static, or go without that sensor") from error
        self._placed = frames
