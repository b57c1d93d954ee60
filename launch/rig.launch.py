# SPDX-License-Identifier: Apache-2.0
"""Depth for several cameras of one robot.

By default one depth_node per camera, each in a process and a namespace of its own: a camera that fails takes no other
with it, and every core of the machine is used. single_process:=true starts one rig_node instead: one batch through the
network for all cameras, one scale, and one cloud in the base without double points (docs/rig.md).

ros2 launch mono_depth_ros rig.launch.py cameras:=camera_front,camera_left,camera_right image:=image_raw
ros2 launch mono_depth_ros rig.launch.py cameras:=camera_front,camera_rear single_process:=true
"""

import os

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from mono_depth_ros.launching import BOOLS, PARAMETERS, SHARE, base_topic, declared, given, node_parameters, rviz

ARGUMENTS = (
    ("cameras", None, (), "names of the cameras, with commas between; each is the namespace of that camera's topics"),
    ("image", "image_raw", (), "topic of the images below each camera's name; camera_info lies beside it"),
    ("points", "/points", (), "topic of the LiDAR's points, for all cameras"),
    ("odom", "/odom", (), "topic of the odometry, for all cameras"),
    ("single_process", "false", BOOLS, "true: one rig_node for all cameras; false: a depth_node for each"),
    *PARAMETERS,
    ("rviz", "false", BOOLS, "true: a window with depth, status and the merged cloud (cameras named as in rig.rviz)"),
    ("rviz_config", os.path.join(SHARE, "config", "rviz", "rig.rviz"), (), "what rviz shows"),
)


def start_nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """One node for all cameras, or one for each."""
    values = given(context, ARGUMENTS)
    cameras = [name.strip(" /") for name in values["cameras"].split(",")]
    if not all(cameras) or len(set(cameras)) < len(cameras):
        raise RuntimeError(f"cameras: expected different names with commas between, got {values['cameras']!r}")
    if values["single_process"] == "true":
        return [_rig_node(cameras, values)]
    return [_depth_node(camera, values) for camera in cameras]


def _depth_node(camera: str, values: dict[str, str]) -> LaunchDescriptionEntity:
    """depth.launch.py for one camera; in a scope, since its arguments would go on to the next camera."""
    arguments = {name: values[name] for name in ("image", "points", "odom", *(name for name, *_ in PARAMETERS))}
    arguments["namespace"] = camera
    source = PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "depth.launch.py"))
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=arguments.items())])


def _rig_node(cameras: list[str], values: dict[str, str]) -> LaunchDescriptionEntity:
    file, overrides = node_parameters(values, [values["image"]])
    image = base_topic(values["image"])
    remappings = [("points", values["points"]), ("odom", values["odom"])]
    remappings += [(f"{camera}/image", f"{camera}/{image}") for camera in cameras]
    return Node(
        package="mono_depth_ros",
        executable="rig_node",
        name="rig_node",
        parameters=[file, overrides, {"rig.cameras": cameras}],
        remappings=remappings,
        arguments=["--ros-args", "--log-level", values["log_level"]],
        output="screen",
        emulate_tty=True,
    )


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    window = rviz(["-d", LaunchConfiguration("rviz_config")])
    return LaunchDescription([*declared(ARGUMENTS), OpaqueFunction(function=start_nodes), window])
