# SPDX-License-Identifier: Apache-2.0
"""Writes a synthetic drive to a bag, as a recorder on that robot would have, with the truth beside it."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.bag_topics import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    ODOMETRY,
    POINT_CLOUD,
    TRANSFORMS,
)
from mono_depth_ros.datasets.new_bag import NewBag, reliable_qos
from mono_depth_ros.datasets.simulation import SimulationPlan
from mono_depth_ros.geometry.rigid import invert_rigid, quaternion_from_rigid
from mono_depth_ros.messages.images import depth_image_fields, rgb_image_fields
from mono_depth_ros.messages.point_clouds import xyz_cloud_fields
from mono_depth_ros.synthetic.failure_config import CAMERA, LIDAR, SENSORS
from mono_depth_ros.synthetic.failure_config import ODOMETRY as ODOMETRY_SENSOR
from mono_depth_ros.synthetic.failures import FailurePlan
from mono_depth_ros.synthetic.robot import DriveFrame

IMAGE_TOPIC, COMPRESSED_TOPIC, INFO_TOPIC = "/camera/image_raw", "/camera/image_raw/compressed", "/camera/camera_info"
POINTS_TOPIC, ODOMETRY_TOPIC, STATIC_TOPIC = "/lidar/points", "/odom", "/tf_static"
TRUTH_DEPTH_TOPIC, TRUTH_ODOMETRY_TOPIC = "/truth/depth", "/truth/odom"
BASE_FRAME, CAMERA_FRAME, LIDAR_FRAME, ODOM_FRAME, WORLD_FRAME = "base_link", "camera", "lidar", "odom", "world"

START_NS = 1_600_000_000 * 10**9  # a stamp of 0 means "not set" in ROS, so a drive begins at some later time
_MOTION_STEP_S = 1e-3


def write_simulation(
    plan: SimulationPlan,
    failures: FailurePlan,
    frames: Iterable[DriveFrame],
    path: Path,
    compressed: bool = False,
) -> dict[str, int]:
    """Writes a drive; the bag appears at `path` whole, or not at all.

    Header stamps are times of measurement. The time of recording is the same, but for messages that a failure delays;
    these lie in the bag where they arrived.

    Args:
        plan: the drive.
        failures: what goes wrong; the truth topics are never touched.
        frames: all frames of the drive, in their order.
        path: of the bag; must not be there yet.
        compressed: PNG in place of raw images.

    Returns:
        topic -> number of messages.

    Raises:
        ConfigError: the path is taken or cannot be written, or the drive cannot be.
    """
    with NewBag(path) as bag:
        recorder = _Recorder(bag, plan, failures, compressed)
        for index, frame in enumerate(frames):
            recorder.take(index, frame)
        recorder.flush()
    return dict(recorder.counts)


class _Recorder:
    """Turns frames into messages and writes them in the order in which they arrive."""

    def __init__(self, bag: NewBag, plan: SimulationPlan, failures: FailurePlan, compressed: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._bag, self._plan, self._failures, self._compressed = bag, plan, failures, compressed
        self._drive = plan.drive()
        self._recent: dict[int, DriveFrame] = {}
        self._arriving: list[tuple[int, int, str, bytes | memoryview]] = []
        self._number = 0
        sensor, latched = [reliable_qos(10)], [reliable_qos(1, latched=True)]
        image = (COMPRESSED_TOPIC, COMPRESSED_IMAGE) if compressed else (IMAGE_TOPIC, IMAGE)
        self._types = {
            STATIC_TOPIC: TRANSFORMS,
            ODOMETRY_TOPIC: ODOMETRY,
            INFO_TOPIC: CAMERA_INFO,
            POINTS_TOPIC: POINT_CLOUD,
            image[0]: image[1],
            TRUTH_DEPTH_TOPIC: IMAGE,
            TRUTH_ODOMETRY_TOPIC: ODOMETRY,
        }
        for topic, message_type in self._types.items():
            bag.connect(topic, message_type, latched if topic == STATIC_TOPIC else sensor)
        self._send(STATIC_TOPIC, START_NS, self._static_transforms())

    def take(self, index: int, frame: DriveFrame) -> None:
        """All messages of one instant; those of earlier instants that have arrived by now are written."""
        self._recent[index] = frame
        stamp_ns, time_s = START_NS + frame.stamp_ns, index / self._plan.rate_hz
        self._send(TRUTH_ODOMETRY_TOPIC, stamp_ns, self._true_odometry(stamp_ns, time_s))
        self._send(TRUTH_DEPTH_TOPIC, stamp_ns, self._true_depth(stamp_ns, frame))
        for sensor in (ODOMETRY_SENSOR, LIDAR, CAMERA):  # the image last: it is the slowest to read out
            if self._failures.delivered(sensor, time_s, index):
                arrival_ns = stamp_ns + round(1e9 * self._failures.delay_s(sensor, time_s, index))
                source = self._failures.source(sensor, index, self._plan.rate_hz)
                for topic, message in self._messages(sensor, stamp_ns, source):
                    self._send(topic, arrival_ns, message)
        # A frozen sensor repeats a frame that lies long ago: that one is kept, the others are not needed any more.
        needed = {self._failures.source(sensor, index + 1, self._plan.rate_hz) for sensor in SENSORS}
        self._recent = {number: kept for number, kept in self._recent.items() if number in needed}
        self._write_until(stamp_ns)

    def flush(self) -> None:
        """Writes what is still on its way."""
        self._write_until(None)

    def _send(self, topic: str, arrival_ns: int, message: Any) -> None:
        raw = self._bag.store.serialize_cdr(message, self._types[topic])
        heapq.heappush(self._arriving, (arrival_ns, self._number, topic, raw))
        self._number += 1

    def _write_until(self, stamp_ns: int | None) -> None:
        while self._arriving and (stamp_ns is None or self._arriving[0][0] <= stamp_ns):
            arrival_ns, _, topic, raw = heapq.heappop(self._arriving)
            self._bag.write_raw(topic, arrival_ns, raw)
            self.counts[topic] += 1

    def _messages(self, sensor: str, stamp_ns: int, source: int) -> list[tuple[str, Any]]:
        """What a sensor publishes at a stamp, with the content of frame `source`."""
        frame, header = self._recent[source], self._bag.header
        if sensor == ODOMETRY_SENSOR:
            linear = np.array([frame.speed_mps, 0.0, 0.0])
            return [(ODOMETRY_TOPIC, self._odometry(header(stamp_ns, ODOM_FRAME), frame.T_odom_base, linear, 0.0))]
        if sensor == LIDAR:
            points = self._failures.published_points(frame.points_lidar, source / self._plan.rate_hz, source)
            return [(POINTS_TOPIC, self._bag.cloud(header(stamp_ns, LIDAR_FRAME), xyz_cloud_fields(points)))]
        camera_header = header(stamp_ns, CAMERA_FRAME)
        info = (INFO_TOPIC, self._bag.camera_info(camera_header, frame.camera))
        if self._compressed:
            return [info, (COMPRESSED_TOPIC, self._png(camera_header, frame.image_rgb))]
        return [info, (IMAGE_TOPIC, self._bag.image(camera_header, rgb_image_fields(frame.image_rgb)))]

    def _png(self, header: Any, image_rgb: npt.NDArray[np.uint8]) -> Any:
        # The format is spelled as compressed_image_transport spells it.
        data = np.asarray(cv2.imencode(".png", image_rgb[:, :, ::-1])[1], np.uint8).reshape(-1)
        return self._bag.types[COMPRESSED_IMAGE](header=header, format="rgb8; png compressed bgr8", data=data)

    def _true_depth(self, stamp_ns: int, frame: DriveFrame) -> Any:
        return self._bag.image(self._bag.header(stamp_ns, CAMERA_FRAME), depth_image_fields(frame.truth_depth_m))

    def _true_odometry(self, stamp_ns: int, time_s: float) -> Any:
        """True pose in the world, and the true velocity in the base's own axes, from poses just before and after."""
        T_world_base = self._drive.T_world_base(time_s)
        before = self._drive.T_world_base(time_s - _MOTION_STEP_S)
        after = self._drive.T_world_base(time_s + _MOTION_STEP_S)
        linear = T_world_base[:3, :3].T @ (after[:3, 3] - before[:3, 3]) / (2 * _MOTION_STEP_S)
        turn = invert_rigid(before) @ after
        yaw_rate = float(np.arctan2(turn[1, 0], turn[0, 0])) / (2 * _MOTION_STEP_S)
        return self._odometry(self._bag.header(stamp_ns, WORLD_FRAME), T_world_base, linear, yaw_rate)

    def _odometry(
        self, header: Any, T_parent_base: npt.NDArray[np.float64], linear_mps: npt.NDArray[np.float64], yaw_rate: float
    ) -> Any:
        types = self._bag.types
        x, y, z = T_parent_base[:3, 3].tolist()
        position = types["geometry_msgs/msg/Point"](x=x, y=y, z=z)
        pose = types["geometry_msgs/msg/Pose"](position=position, orientation=self._quaternion(T_parent_base))
        twist = types["geometry_msgs/msg/Twist"](
            linear=self._vector(linear_mps), angular=self._vector(np.array([0.0, 0.0, yaw_rate]))
        )
        return types[ODOMETRY](
            header=header,
            child_frame_id=BASE_FRAME,
            pose=types["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
            twist=types["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=np.zeros(36)),
        )

    def _static_transforms(self) -> Any:
        types = self._bag.types
        mounts = ((CAMERA_FRAME, self._drive.T_base_camera), (LIDAR_FRAME, self._drive.T_base_lidar))
        return types[TRANSFORMS](
            transforms=[
                types["geometry_msgs/msg/TransformStamped"](
                    header=self._bag.header(START_NS, BASE_FRAME),
                    child_frame_id=frame,
                    transform=types["geometry_msgs/msg/Transform"](
                        translation=self._vector(T_base_sensor[:3, 3]), rotation=self._quaternion(T_base_sensor)
                    ),
                )
                for frame, T_base_sensor in mounts
            ]
        )

    def _vector(self, numbers: npt.NDArray[np.float64]) -> Any:
        x, y, z = numbers.tolist()
        return self._bag.types["geometry_msgs/msg/Vector3"](x=x, y=y, z=z)

    def _quaternion(self, T_a_b: npt.NDArray[np.float64]) -> Any:
        x, y, z, w = quaternion_from_rigid(T_a_b).tolist()
        return self._bag.types["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w)
