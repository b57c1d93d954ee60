# SPDX-License-Identifier: Apache-2.0
"""A synthetic robot as a node: drives its frames over and over, while its sensors fail on a schedule."""

import dataclasses
import re
import time
from collections.abc import Callable, Sequence

import numpy as np
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.ros.conversions import MESSAGES
from mono_depth_ros.ros.robot.robot_publisher import (
    BASE_FRAME,
    CAMERA_FRAME,
    LIDAR_FRAME,
    PUBLISHED,
    RobotPublisher,
)
from mono_depth_ros.synthetic.failures import FailurePlan, Outage, PacketLoss
from mono_depth_ros.synthetic.robot import DriveFrame

# Between two rounds, so that remembered points of the end of the drive are not taken for its beginning.
PAUSE_S = 2.0
_WINDOW = re.compile(r"(\w+) (\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")
_LOSS = re.compile(r"(\w+) loses (\d+(?:\.\d+)?)")


def failures_from_words(lines: Sequence[str]) -> FailurePlan:
    """A schedule of failures: "lidar 3-6" is silent from 3 to 6 s, "lidar loses 0.5" loses every other message.

    Raises:
        ConfigError: with every line that cannot be read.

    >>> plan = failures_from_words(["lidar 3-6", "odom loses 0.25"])
    >>> plan.outages, plan.losses[0].probability
    ((Outage(sensor='lidar', from_s=3.0, to_s=6.0),), 0.25)
    """
    outages, losses, wrong = [], [], []
    for line in lines:
        window, loss = _WINDOW.fullmatch(line.strip()), _LOSS.fullmatch(line.strip())
        try:
            if window and window[1] in PUBLISHED:
                outages.append(Outage(window[1], float(window[2]), float(window[3])))
            elif loss and loss[1] in PUBLISHED:
                losses.append(PacketLoss(loss[1], float(loss[2])))
            else:
                wrong.append(repr(line))
        except ConfigError as error:
            wrong.append(f"{line!r} ({error})")
    if wrong:
        raise ConfigError(
            f"failures: expected lines such as 'lidar 3-6' or 'lidar loses 0.5', with one of {', '.join(PUBLISHED)}, "
            f"got {', '.join(wrong)}"
        )
    return FailurePlan(outages=tuple(outages), losses=tuple(losses))


class SyntheticRobotNode(Node):  # type: ignore[misc]  # rclpy has no types
    """Publishes image, camera_info, points, odom and, where tf2_msgs is installed, /tf_static.

    Args:
        context: of rclpy; None for the default one.
    """

    def __init__(self, context: Context | None = None) -> None:
        super().__init__("synthetic_robot", context=context)
        self._publisher = RobotPublisher(self)
        self._transforms: object = None

    def place_sensors(self, frame: DriveFrame) -> None:
        """Tells TF where camera and LiDAR sit."""
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self.get_logger().warning("tf2_msgs is not installed: give the node its extrinsics by parameter")
            return
        places = {CAMERA_FRAME: frame.views[0].T_base_camera}
        if frame.lidar is not None:
            places[LIDAR_FRAME] = frame.lidar.T_base_lidar
        qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        publisher = self.create_publisher(TFMessage, "/tf_static", qos)
        publisher.publish(MESSAGES.transforms(MESSAGES.header(0, BASE_FRAME), places))
        self._transforms = publisher

    def drive(
        self, frames: Sequence[DriveFrame], rate_hz: float, failures: FailurePlan, goes_on: Callable[[], bool]
    ) -> int:
        """Publishes the frames over and over at their rate, until ``goes_on`` says no.

        Odometry goes on from round to round, as wheels would measure it.

        Returns:
            Frames that were due.
        """
        T_odom_round = np.eye(4)
        due = 0
        while goes_on():
            start_s, start_ns = time.monotonic(), time.time_ns()
            for index, frame in enumerate(frames):
                time.sleep(max(0.0, start_s + index / rate_hz - time.monotonic()))
                if not goes_on():
                    return due
                time_s = index / rate_hz
                silent = [name for name in PUBLISHED if not failures.delivered(name, time_s, due)]
                moved = dataclasses.replace(frame, T_odom_base=T_odom_round @ frame.T_odom_base)
                self._publisher.publish(moved, start_ns + round(time_s * 1e9), silent=silent)
                due += 1
            T_odom_round = T_odom_round @ frames[-1].T_odom_base @ invert_rigid(frames[0].T_odom_base)
            self.get_logger().info(f"the drive begins again in {PAUSE_S:g} s")
            end_s = time.monotonic() + PAUSE_S
            while goes_on() and time.monotonic() < end_s:
                time.sleep(0.05)
        return due
