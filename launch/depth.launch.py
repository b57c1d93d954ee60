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

# Topics of the node that can be remapped: those that are given are.
TOPICS = (
    ("image", "topic of the camera's images; empty: image in the namespace"),
    ("camera_info", "topic of the calibration; empty: camera_info beside the image topic"),
    ("points", "topic of the LiDAR's points (PointCloud2); empty: points in the namespace"),
    ("scan", "topic of a planar scanner (LaserScan); empty: scan in the namespace"),
    ("range", "topic of a range finder (Range); empty: range in the namespace"),
    ("sparse_depth", "topic of a depth camera's images, aligned to the camera; empty: sparse_depth in the namespace"),
    ("odom", "topic of the odometry; empty: odom in the namespace"),
    ("twist", "topic of the speed (TwistStamped), where there is no odometry; empty: twist in the namespace"),
)
# Parameters of the node that are set if they are given; every other one goes into params_file.
PARAMETERS = (
    ("image_transport", ("", "raw", "compressed"), "raw or compressed; empty: as in params_file"),
    ("model", (), "name of a shipped model, or a folder with model.onnx and model.json; empty: as in params_file"),
    ("pose_model", (), "folder of the pose network of that model; empty: as in params_file"),
    ("mode", ("", "auto", "prediction", "completion"), "auto, prediction or completion; empty: as in params_file"),
)
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
BOOLS = ("true", "false")
ARGUMENTS = (
    ("namespace", "", (), "namespace of the node and of its topics; one per camera"),
    *((name, "", (), description) for name, description in TOPICS),
    *((name, "", choices, description) for name, choices, description in PARAMETERS),
    (
        "providers",
        "",
        (),
        "execution providers of ONNX Runtime, the preferred first, with commas between: "
        "CUDAExecutionProvider,CPUExecutionProvider; empty: as in params_file",
    ),
    ("params_file", os.path.join(SHARE, "config", "depth_node.yaml"), (), "parameters of the node"),
    ("use_sim_time", "false", BOOLS, "true while a bag or a simulator gives the time"),
    ("autostart", "true", BOOLS, "false: somebody else configures and activates the node"),
    ("log_level", "info", LOG_LEVELS, "from which level on the node logs"),
)


def start_node(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node, with those remappings and parameters that were given."""
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    overrides: dict[str, object] = {
        "use_sim_time": given["use_sim_time"] == "true",
        "autostart": given["autostart"] == "true",
    }
    overrides |= {name: given[name] for name, *_ in PARAMETERS if given[name]}
    if given["providers"]:
        overrides["providers"] = [name.strip() for name in given["providers"].split(",")]
    node = Node(
        package="mono_depth_ros",
        executable="depth_node",
        name="depth_node",
        namespace=given["namespace"],
        parameters=[given["params_file"], overrides],
        remappings=[(topic, given[topic]) for topic, _ in TOPICS if given[topic]],
        arguments=["--ros-args", "--log-level", given["log_level"]],
        output="screen",
        emulate_tty=True,
    )
    return [node]


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    actions: list[LaunchDescriptionEntity] = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=list(choices) or None)
        for name, default, choices, description in ARGUMENTS
    ]
    if not any(variable in os.environ for variable in PROFILE_VARIABLES):
        profile = os.path.join(SHARE, "config", "fastdds_large_messages.xml")
        actions.append(SetEnvironmentVariable(PROFILE_VARIABLES[0], profile))
    return LaunchDescription([*actions, OpaqueFunction(function=start_node)])
