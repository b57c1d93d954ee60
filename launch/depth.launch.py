# SPDX-License-Identifier: Apache-2.0
"""Depth for one camera of a robot.

ros2 launch mono_depth_ros depth.launch.py image:=/front/image_raw points:=/lidar/points odom:=/odom
ros2 launch mono_depth_ros depth.launch.py --show-args
"""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import OpaqueFunction
from launch_ros.actions import Node

from mono_depth_ros.launching import PARAMETERS, base_topic, declared, given, node_parameters

# Topics of the node that can be remapped: those that are given are.
TOPICS = (
    ("image", "topic of the camera's images, raw or .../compressed; empty: image in the namespace"),
    ("camera_info", "topic of the calibration; empty: camera_info beside the image topic"),
    ("points", "topic of the LiDAR's points (PointCloud2); empty: points in the namespace"),
    ("scan", "topic of a planar scanner (LaserScan); empty: scan in the namespace"),
    ("range", "topic of a range finder (Range); empty: range in the namespace"),
    ("sparse_depth", "topic of a depth camera's images, aligned to the camera; empty: sparse_depth in the namespace"),
    ("odom", "topic of the odometry; empty: odom in the namespace"),
    ("twist", "topic of the speed (TwistStamped), where there is no odometry; empty: twist in the namespace"),
)
ARGUMENTS = (
    ("namespace", "", (), "namespace of the node and of its topics; one per camera"),
    *((name, "", (), description) for name, description in TOPICS),
    ("pose_model", "", (), "folder of the pose network of the model; empty: as in params_file"),
    *PARAMETERS,
)


def start_node(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node, with those remappings and parameters that were given."""
    values = given(context, ARGUMENTS)
    parameters = node_parameters(values, [values["image"]])
    node = Node(
        package="mono_depth_ros",
        executable="depth_node",
        name="depth_node",
        namespace=values["namespace"],
        parameters=parameters,
        remappings=[(topic, base_topic(values[topic])) for topic, _ in TOPICS if values[topic]],
        arguments=["--ros-args", "--log-level", values["log_level"]],
        output="screen",
        emulate_tty=True,
    )
    return [node]


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    return LaunchDescription([*declared(ARGUMENTS), OpaqueFunction(function=start_node)])
