# SPDX-License-Identifier: Apache-2.0
"""Depth for one camera of a robot.

ros2 launch mono_depth_ros depth.launch.py image:=/front/image_raw points:=/lidar/points odom:=/odom
ros2 launch mono_depth_ros depth.launch.py --show-args
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = get_package_share_directory("mono_depth_ros")
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")

ARGUMENTS = (
    ("namespace", "", "namespace of the node and of its topics; one per camera"),
    ("image", "", "topic of the camera's images; empty: image in the namespace"),
    ("camera_info", "", "topic of the calibration; empty: camera_info beside the image topic"),
    ("points", "", "topic of the LiDAR's points; empty: points in the namespace"),
    ("odom", "", "topic of the odometry; empty: odom in the namespace"),
    ("image_transport", "", "raw or compressed; empty: as in params_file"),
    ("model", "", "name of a shipped model, or a folder with model.onnx and model.json; empty: as in params_file"),
    ("params_file", os.path.join(SHARE, "config", "depth_node.yaml"), "parameters of the node"),
    ("use_sim_time", "false", "true while a bag or a simulator gives the time"),
    ("autostart", "true", "false: somebody else configures and activates the node"),
    ("log_level", "info", "debug, info, warn or error"),
)


def start_node(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node, with those remappings and parameters that were given."""
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    overrides: dict[str, object] = {
        "use_sim_time": given["use_sim_time"].lower() == "true",
        "autostart": given["autostart"].lower() == "true",
    }
    overrides |= {name: given[name] for name in ("image_transport", "model") if given[name]}
    topics = ("image", "camera_info", "points", "odom")
    node = Node(
        package="mono_depth_ros",
        executable="depth_node",
        name="depth_node",
        namespace=given["namespace"],
        parameters=[given["params_file"], overrides],
        remappings=[(topic, given[topic]) for topic in topics if given[topic]],
        arguments=["--ros-args", "--log-level", given["log_level"]],
        output="screen",
        emulate_tty=True,
    )
    return [node]


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    actions: list[LaunchDescriptionEntity] = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in ARGUMENTS
    ]
    if not any(variable in os.environ for variable in PROFILE_VARIABLES):
        profile = os.path.join(SHARE, "config", "fastdds_large_messages.xml")
        actions += [SetEnvironmentVariable(variable, profile) for variable in PROFILE_VARIABLES[:1]]
    return LaunchDescription([*actions, OpaqueFunction(function=start_node)])
