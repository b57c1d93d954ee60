# SPDX-License-Identifier: Apache-2.0
"""What the drivers of sensors publish, for rclpy's classes and those of `rosbags` alike."""

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.geometry.rigid import RigidTransform, quaternion_from_rigid
from mono_depth_ros.messages.outputs import OutputMessages

Float64: TypeAlias = NDArray[np.float64]

_INFRARED = 1  # sensor_msgs/Range


class SensorMessages(OutputMessages):
    """Fills messages of sensors too. Arguments as `OutputMessages`."""

    def png(self, header: Any, image_rgb: NDArray[np.uint8]) -> Any:
        """sensor_msgs/CompressedImage; the format is spelled as compressed_image_transport spells it."""
        data = np.asarray(cv2.imencode(".png", image_rgb[:, :, ::-1])[1], np.uint8).reshape(-1)
        return self._type_of("sensor_msgs/msg/CompressedImage")(
            header=header, format="rgb8; png compressed bgr8", data=self._sequence(data)
        )

    def laser_scan(
        self,
        header: Any,
        range_m: NDArray[np.float32],
        angles_rad: tuple[float, float],
        limits_m: tuple[float, float],
        intensity: NDArray[np.float32] | None = None,
        time_step_s: float = 0.0,
        turn_s: float = 0.0,
    ) -> Any:
        """sensor_msgs/LaserScan; inf where nothing was measured (REP 117).

        Args:
            header: its stamp is that of the first ray.
            range_m: of the rays.
            angles_rad: of the first ray, and from ray to ray.
            limits_m: least and largest range of the sensor.
            intensity: of the rays.
            time_step_s: from ray to ray.
            turn_s: between the beginnings of two turns.
        """
        start_rad, step_rad = angles_rad
        return self._type_of("sensor_msgs/msg/LaserScan")(
            header=header,
            angle_min=start_rad,
            angle_max=start_rad + step_rad * (len(range_m) - 1),
            angle_increment=step_rad,
            time_increment=time_step_s,
            scan_time=turn_s,
            range_min=limits_m[0],
            range_max=limits_m[1],
            ranges=self._sequence(range_m),
            intensities=self._sequence(np.empty(0, np.float32) if intensity is None else intensity),
        )

    def range(
        self, header: Any, range_m: float, limits_m: tuple[float, float], fov_rad: float = 0.0, variance_m2: float = 0.0
    ) -> Any:
        """sensor_msgs/Range of a single-point sensor; inf where nothing was measured (REP 117)."""
        return self._type_of("sensor_msgs/msg/Range")(
            header=header,
            radiation_type=_INFRARED,
            field_of_view=fov_rad,
            min_range=limits_m[0],
            max_range=limits_m[1],
            range=range_m,
            variance=variance_m2,
        )

    def odometry(
        self,
        header: Any,
        child_frame: str,
        T_parent_base: RigidTransform,
        linear_mps: Float64,
        angular_radps: Float64 | None = None,
    ) -> Any:
        """nav_msgs/Odometry; velocities float64 [3] in the base's own axes, None where it does not turn."""
        pose = self._type_of("geometry_msgs/msg/Pose")(
            position=self._vector(T_parent_base[:3, 3], "Point"), orientation=self._quaternion(T_parent_base)
        )
        twist = self._twist(linear_mps, angular_radps)
        return self._type_of("nav_msgs/msg/Odometry")(
            header=header,
            child_frame_id=child_frame,
            pose=self._type_of("geometry_msgs/msg/PoseWithCovariance")(pose=pose, covariance=np.zeros(36)),
            twist=self._type_of("geometry_msgs/msg/TwistWithCovariance")(twist=twist, covariance=np.zeros(36)),
        )

    def twist(self, header: Any, linear_mps: Float64, angular_radps: Float64 | None = None) -> Any:
        """geometry_msgs/TwistStamped."""
        return self._type_of("geometry_msgs/msg/TwistStamped")(
            header=header, twist=self._twist(linear_mps, angular_radps)
        )

    def transforms(self, header: Any, mounts: dict[str, RigidTransform]) -> Any:
        """tf2_msgs/TFMessage: child frame -> T_parent_child, all of the header's frame."""
        return self._type_of("tf2_msgs/msg/TFMessage")(
            transforms=[
                self._type_of("geometry_msgs/msg/TransformStamped")(
                    header=header,
                    child_frame_id=frame,
                    transform=self._type_of("geometry_msgs/msg/Transform")(
                        translation=self._vector(T_parent_child[:3, 3]), rotation=self._quaternion(T_parent_child)
                    ),
                )
                for frame, T_parent_child in mounts.items()
            ]
        )

    def _twist(self, linear_mps: Float64, angular_radps: Float64 | None) -> Any:
        return self._type_of("geometry_msgs/msg/Twist")(
            linear=self._vector(linear_mps),
            angular=self._vector(np.zeros(3) if angular_radps is None else angular_radps),
        )

    def _vector(self, numbers: Float64, kind: str = "Vector3") -> Any:
        x, y, z = numbers.tolist()
        return self._type_of(f"geometry_msgs/msg/{kind}")(x=x, y=y, z=z)

    def _quaternion(self, T_a_b: RigidTransform) -> Any:
        x, y, z, w = quaternion_from_rigid(T_a_b).tolist()
        return self._type_of("geometry_msgs/msg/Quaternion")(x=x, y=y, z=z, w=w)
