# SPDX-License-Identifier: Apache-2.0
"""Depth for several cameras of one robot.

By default one depth_node per camera, each in a process and a namespace of its own: a camera that fails takes no other
with it, and every core of the machine is used. single_process:=true starts one rig_node instead: one batch through the
network for all cameras, one scale, and one cloud in the base without double points (docs/rig.md).

ros2 launch mono_depth_ros rig.launch.py cameras:=camera_front,camera_left,camera_right image:=image_raw
ros2 launch mono_depth_ros rig.launch.py cameras:=camera_front,camera_rear single_process:=true
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = get_package_share_directory("mono_depth_ros")
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
BOOLS = ("true", "false")
ARGUMENTS = (
    ("cameras", None, (), "names of the cameras, with commas between; each is the namespace of that camera's topics"),
    ("image", "image_raw", (), "topic of the images below each camera's name; camera_info lies beside it"),
    ("points", "/points", (), "topic of the LiDAR's points, for all cameras"),
    ("odom", "/odom", (), "topic of the odometry, for all cameras"),
    ("single_process", "false", BOOLS, "true: one rig_node for all cameras; false: a depth_node for each"),
    ("image_transport", "", ("", "raw", "compressed"), "raw or compressed; empty: as in params_file"),
    ("model", "", (), "name of a shipped model, or a folder with model.onnx and model.json; empty: as in params_file"),
    ("mode", "", ("", "auto", "prediction", "completion"), "auto, prediction or completion; empty: as in params_file"),
    ("providers", "", (), "execution providers of ONNX Runtime, with commas between; empty: as in params_file"),
    ("params_file", os.path.join(SHARE, "config", "depth_node.yaml"), (), "parameters of every node"),
    ("use_sim_time", "false", BOOLS, "true while a bag or a simulator gives the time"),
    ("autostart", "true", BOOLS, "false: somebody else configures and activates the nodes"),
    ("log_level", "info", ("debug", "info", "warn", "error", "fatal"), "from which level on the nodes log"),
    (
        "rviz",
        "false",
        BOOLS,
        "true: a window with depth, status and the merged cloud (cameras named as in rig.rviz)",
    ),
    ("rviz_config", os.path.join(SHARE, "config", "rviz", "rig.rviz"), (), "what rviz shows"),
)
# Arguments of depth.launch.py that go to every camera as they are.
_PASSED = (
    "points", "odom", "image_transport", "model", "mode", "providers", "params_file", "use_sim_time", "autostart",
    "log_level",
)  # fmt: skip


def start_nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """One node for all cameras, or one for each."""
    given = {name: LaunchConfiguration(name).perform(context) for name, *_ in ARGUMENTS}
    cameras = [name.strip(" /") for name in given["cameras"].split(",")]
    if not all(cameras) or len(set(cameras)) < len(cameras):
        raise RuntimeError(f"cameras: expected different names with commas between, got {given['cameras']!r}")
    if given["single_process"] == "true":
        return [_rig_node(cameras, given)]
    return [_depth_node(camera, given) for camera in cameras]


def _depth_node(camera: str, given: dict[str, str]) -> LaunchDescriptionEntity:
    """depth.launch.py for one camera; in a scope, since its arguments would go on to the next camera."""
    arguments = {name: given[name] for name in _PASSED}
    arguments |= {"namespace": camera, "image": given["image"]}
    source = PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "depth.launch.py"))
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=arguments.items())])


def _rig_node(cameras: list[str], given: dict[str, str]) -> LaunchDescriptionEntity:
    overrides: dict[str, object] = {
        "rig.cameras": cameras,
        "use_sim_time": given["use_sim_time"] == "true",
        "autostart": given["autostart"] == "true",
    }
    overrides |= {name: given[name] for name in ("image_transport", "model", "mode") if given[name]}
    if given["providers"]:
        overrides["providers"] = [name.strip() for name in given["providers"].split(",")]
    remappings = [("points", given["points"]), ("odom", given["odom"])]
    remappings += [(f"{camera}/image", f"{camera}/{given['image']}") for camera in cameras]
    return Node(
        package="mono_depth_ros",
        executable="rig_node",
        name="rig_node",
        parameters=[given["params_file"], overrides],
        remappings=remappings,
        arguments=["--ros-args", "--log-level", given["log_level"]],
        output="screen",
        emulate_tty=True,
    )


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    actions: list[LaunchDescriptionEntity] = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=list(choices) or None)
        for name, default, choices, description in ARGUMENTS
    ]
    if not any(variable in os.environ for variable in PROFILE_VARIABLES):
        profile = os.path.join(SHARE, "config", "fastdds_large_messages.xml")
        actions.append(SetEnvironmentVariable(PROFILE_VARIABLES[0], profile))
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", LaunchConfiguration("rviz_config")],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription([*actions, OpaqueFunction(function=start_nodes), rviz])
