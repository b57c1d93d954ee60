# SPDX-License-Identifier: Apache-2.0
"""What others ask of depth and cloud, on messages of the real node; docs/consumers.md says the same."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

import yaml
from ros_robot import T_BASE_CAMERA, T_CAMERA_LIDAR, camera_info_of, cloud_of, image_of
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

pytestmark = pytest.mark.ros

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "consumers.md"
# Of an observation source of nav2_costmap_2d's obstacle layer, Jazzy.
NAV2_KEYS = {
    "topic", "sensor_frame", "observation_persistence", "expected_update_rate", "data_type", "min_obstacle_height",
    "max_obstacle_height", "inf_is_valid", "marking", "clearing", "obstacle_max_range", "obstacle_min_range",
    "raytrace_max_range", "raytrace_min_range",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Published:
    """The image, and what the node published of it."""

    image: Image
    depth: Image
    info: CameraInfo
    cloud: PointCloud2

    def points(self) -> np.ndarray:
        """float32 [N, 3]."""
        values = np.frombuffer(self.cloud.data, "<f4").reshape(-1, self.cloud.point_step // 4)
        return values[:, :3]


def multiples(published: Published) -> bool:
    image, depth = published.image, published.depth
    whole = image.width % depth.width == 0 and image.height % depth.height == 0
    return whole and image.width // depth.width == image.height // depth.height


def undistorted(published: Published) -> bool:
    info, depth = published.info, published.depth
    same = (info.width, info.height) == (depth.width, depth.height)
    return same and not any(info.d) and list(info.k[:3]) == list(info.p[:3]) and info.k[0] > 0


def centre_inside(published: Published) -> bool:
    return 10 < published.info.k[5] < published.depth.height - 10


def xyz_floats(published: Published) -> bool:
    fields = {field.name: field for field in published.cloud.fields}
    floats = all(fields[name].datatype == PointField.FLOAT32 for name in "xyz")
    return floats and published.cloud.header.frame_id == published.image.header.frame_id


def unknown_is_nan(published: Published) -> bool:
    points = published.points()
    known = np.isfinite(points).all(axis=1)
    return bool(np.isnan(points[~known]).all() and known.any())


# Consumer, what it asks for, and whether it gets that.
ROWS: list[tuple[str, str, Callable[[Published], bool]]] = [
    ("RTAB-Map", "depth of 32FC1 or 16UC1", lambda p: p.depth.encoding in ("32FC1", "16UC1")),
    ("RTAB-Map", "sides of the image that are the same whole multiple of those of depth", multiples),
    ("RTAB-Map", "depth in the frame and at the stamp of the image", lambda p: p.depth.header == p.image.header),
    (
        "depth_image_proc, point_cloud_xyzrgb",
        "equal sizes of image and depth, else no cloud",
        lambda p: (p.depth.width, p.depth.height) == (p.image.width, p.image.height),
    ),
    (
        "depth_image_proc, point_cloud_xyzrgb",
        "equal frames of image and depth",
        lambda p: p.depth.header.frame_id == p.image.header.frame_id,
    ),
    ("depth_image_proc, point_cloud_xyz", "camera_info of the depth image, without distortion", undistorted),
    ("depthimage_to_laserscan", "depth of 32FC1 or 16UC1, rows around the optical centre", centre_inside),
    (
        "Nav2 voxel and obstacle layer",
        "PointCloud2 with x, y, z of float32 in a frame that TF knows",
        xyz_floats,
    ),
    ("Nav2 voxel and obstacle layer", "unknown points that fall out by the height limits", unknown_is_nan),
]


def test_every_consumer_gets_what_it_asks_for(robot, dial_model):
    robot.start_node(
        model=str(dial_model), extrinsics__T_camera_lidar=T_CAMERA_LIDAR, extrinsics__T_base_camera=T_BASE_CAMERA
    )
    for topic, kind in (("/image", Image), ("/camera_info", CameraInfo), ("/points", PointCloud2)):
        robot.advertise(topic, kind)
    outputs = {"/depth/image_rect": Image, "/depth/camera_info": CameraInfo, "/points_dense": PointCloud2}
    for topic, kind in outputs.items():
        robot.listen(topic, kind)
        robot.wait(lambda topic=topic: robot.node.count_subscribers(topic) == 1, f"the subscriber of {topic}")
    robot.publish("/camera_info", camera_info_of(0))
    robot.wait(lambda: robot.node.work.camera.stream.buffer.camera() is not None, "the calibration")
    robot.publish("/points", cloud_of(0))
    robot.publish("/image", image_of(0))
    published = Published(image_of(0), *(robot.wait_for(topic, 1) for topic in outputs))
    denied = [f"{consumer}: {what}" for consumer, what, check in ROWS if not check(published)]
    assert not denied, denied


def test_the_page_has_the_rows_that_are_checked():
    rows = re.findall(r"^\| (.+?) \| (.+?) \| .+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert [row for row in rows if row[0] not in ("consumer", "---")] == [(name, what) for name, what, _ in ROWS]


def test_the_costmap_of_the_page_is_one_that_nav2_takes():
    (text,) = re.findall(r"```yaml\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    layer = yaml.safe_load(text)["local_costmap"]["local_costmap"]["ros__parameters"]["voxel_layer"]
    source = layer[layer["observation_sources"]]
    assert set(source) <= NAV2_KEYS and source["data_type"] == "PointCloud2" and source["topic"] == "/points_dense"
    assert source["obstacle_max_range"] <= source["raytrace_max_range"]
    assert source["min_obstacle_height"] < source["max_obstacle_height"]
    assert layer["z_voxels"] <= 16 and layer["z_resolution"] * layer["z_voxels"] >= source["max_obstacle_height"]
