# SPDX-License-Identifier: Apache-2.0
"""What the drivers of a robot's sensors publish, from what the sensors measured; without ROS."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.bags.new_bag import NewBag
from mono_depth_ros.datasets.bags.topics import COMPRESSED_IMAGE, LASER_SCAN, ODOMETRY, RANGE, TRANSFORMS, TWIST
from mono_depth_ros.geometry.rigid import quaternion_from_rigid
from mono_depth_ros.messages.images import ImageFields
from mono_depth_ros.messages.point_clouds import FLOAT32, XYZ_FIELDS, PointCloudFields, PointFieldSpec
from mono_depth_ros.synthetic.sensors.lidar import SyntheticScan
from mono_depth_ros.synthetic.sensors.range_sensors import PlanarScan, ZoneScan

_UINT16 = 4
_INFRARED = 1  # sensor_msgs/Range
# As the drivers of common spinning LiDARs lay it out.
_SCAN_POINT = np.dtype(
    {
        "names": ["xyz", "intensity", "ring", "time"],
        "formats": [("<f4", (3,)), "<f4", "<u2", "<f4"],
        "offsets": [0, 12, 16, 18],
        "itemsize": 22,
    }
)
SCAN_FIELDS = (
    *XYZ_FIELDS,
    PointFieldSpec("intensity", 12, FLOAT32, 1),
    PointFieldSpec("ring", 16, _UINT16, 1),
    PointFieldSpec("time", 18, FLOAT32, 1),
)
Float64 = npt.NDArray[np.float64]


def scan_cloud(scan: SyntheticScan) -> PointCloudFields:
    """A revolution as x, y, z, intensity, ring and time (float32, seconds after the header's stamp)."""
    points = np.zeros(len(scan.points_lidar), _SCAN_POINT)
    points["xyz"], points["intensity"] = scan.points_lidar, scan.intensity
    points["ring"], points["time"] = scan.ring, scan.time_s
    data = points.view(np.uint8).reshape(-1)
    dense = bool(np.isfinite(scan.points_lidar).all())
    step = _SCAN_POINT.itemsize
    return PointCloudFields(1, len(points), SCAN_FIELDS, False, step, step * len(points), data, dense)


def zone_cloud(points_m: npt.NDArray[np.float32]) -> PointCloudFields:
    """Zones float32 [rows, cols, 3], top left first, as an organized cloud; NaN where nothing was measured."""
    rows, cols = points_m.shape[:2]
    data = np.ascontiguousarray(points_m, "<f4").reshape(-1).view(np.uint8)
    dense = bool(np.isfinite(points_m).all())
    return PointCloudFields(rows, cols, XYZ_FIELDS, False, 12, 12 * cols, data, dense)


def label_image(labels: npt.NDArray[np.uint8]) -> ImageFields:
    """Classes uint8 [H, W] as mono8."""
    height, width = labels.shape
    return ImageFields(height, width, "mono8", 0, width, np.ascontiguousarray(labels).reshape(-1))


class SensorMessages:
    """Messages of the types that a bag knows."""

    def __init__(self, bag: NewBag) -> None:
        self._bag, self._types = bag, bag.types

    def png(self, header: Any, image_rgb: npt.NDArray[np.uint8]) -> Any:
        """sensor_msgs/CompressedImage; the format is spelled as compressed_image_transport spells it."""
        data = np.asarray(cv2.imencode(".png", image_rgb[:, :, ::-1])[1], np.uint8).reshape(-1)
        return self._types[COMPRESSED_IMAGE](header=header, format="rgb8; png compressed bgr8", data=data)

    def laser_scan(self, header: Any, scan: PlanarScan, turn_s: float) -> Any:
        """sensor_msgs/LaserScan; inf where nothing was measured (REP 117).

        Args:
            header: its stamp is that of the first ray.
            scan: the turn.
            turn_s: between the beginnings of two turns.
        """
        model = scan.model
        return self._types[LASER_SCAN](
            header=header,
            angle_min=model.angle_min_rad,
            angle_max=model.angle_min_rad + model.angle_step_rad * (model.rays - 1),
            angle_increment=model.angle_step_rad,
            time_increment=scan.time_step_s,
            scan_time=turn_s,
            range_min=model.min_range_m,
            range_max=model.max_range_m,
            ranges=scan.range_m,
            intensities=scan.intensity,
        )

    def range(self, header: Any, scan: ZoneScan) -> Any:
        """sensor_msgs/Range of a single-point sensor; inf where nothing was measured (REP 117)."""
        model = scan.model
        return self._types[RANGE](
            header=header,
            radiation_type=_INFRARED,
            field_of_view=model.fov_rad,
            min_range=model.min_range_m,
            max_range=model.max_range_m,
            range=float(scan.range_m[0, 0]),
            variance=model.range_sigma_m**2,
        )

    def odometry(
        self, header: Any, child_frame: str, T_parent_base: Float64, linear_mps: Float64, angular_radps: Float64
    ) -> Any:
        """nav_msgs/Odometry; velocities float64 [3] in the base's own axes."""
        x, y, z = T_parent_base[:3, 3].tolist()
        position = self._types["geometry_msgs/msg/Point"](x=x, y=y, z=z)
        pose = self._types["geometry_msgs/msg/Pose"](position=position, orientation=self._quaternion(T_parent_base))
        twist = self._twist(linear_mps, angular_radps)
        return self._types[ODOMETRY](
            header=header,
            child_frame_id=child_frame,
            pose=self._types["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=np.zeros(36)),
            twist=self._types["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=np.zeros(36)),
        )

    def twist(self, header: Any, linear_mps: Float64, angular_radps: Float64) -> Any:
        """geometry_msgs/TwistStamped."""
        return self._types[TWIST](header=header, twist=self._twist(linear_mps, angular_radps))

    def static_transforms(self, header: Any, mounts: dict[str, Float64]) -> Any:
        """tf2_msgs/TFMessage: child frame -> T_parent_child, all of the header's frame."""
        return self._types[TRANSFORMS](
            transforms=[
                self._types["geometry_msgs/msg/TransformStamped"](
                    header=header,
                    child_frame_id=frame,
                    transform=self._types["geometry_msgs/msg/Transform"](
                        translation=self._vector(T_parent_child[:3, 3]), rotation=self._quaternion(T_parent_child)
                    ),
                )
                for frame, T_parent_child in mounts.items()
            ]
        )

    def _twist(self, linear_mps: Float64, angular_radps: Float64) -> Any:
        return self._types["geometry_msgs/msg/Twist"](
            linear=self._vector(linear_mps), angular=self._vector(angular_radps)
        )

    def _vector(self, numbers: Float64) -> Any:
        x, y, z = numbers.tolist()
        return self._types["geometry_msgs/msg/Vector3"](x=x, y=y, z=z)

    def _quaternion(self, T_a_b: Float64) -> Any:
        x, y, z, w = quaternion_from_rigid(T_a_b).tolist()
        return self._types["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w)
