# SPDX-License-Identifier: Apache-2.0
"""A recorded drive, the node, and rviz.

ros2 launch mono_depth_ros replay.launch.py bag:=drive image:=/camera/image_raw points:=/lidar/points

Every argument of depth.launch.py can be given here too. `mono-depth replay` does the same without ROS, image for image.
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
    TimerAction,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = get_package_share_directory("mono_depth_ros")


def play_bag(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The player, which gives the time; everything ends with the bag."""
    command = ["ros2", "bag", "play", LaunchConfiguration("bag").perform(context), "--clock", "100"]
    command += ["--rate", LaunchConfiguration("rate").perform(context)]
    if LaunchConfiguration("loop").perform(context).lower() == "true":
        command.append("--loop")
    player = ExecuteProcess(cmd=command, output="screen", on_exit=Shutdown(reason="the bag has ended"))
    # The node must have found its model and its topics before the first image.
    return [TimerAction(period=float(LaunchConfiguration("delay_s").perform(context)), actions=[player])]


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    depth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "depth.launch.py")),
        launch_arguments={"use_sim_time": "true"}.items(),
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", LaunchConfiguration("rviz_config"), "-f", LaunchConfiguration("fixed_frame")],
        parameters=[{"use_sim_time": True}],
        remappings=[("image", LaunchConfiguration("image")), ("points", LaunchConfiguration("points"))],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="folder of the recorded drive"),
            DeclareLaunchArgument("rate", default_value="1.0", description="speed of the replay"),
            DeclareLaunchArgument("loop", default_value="false", description="true: play it again and again"),
            DeclareLaunchArgument("delay_s", default_value="3.0", description="time for the node to start, seconds"),
            DeclareLaunchArgument("rviz", default_value="true", description="false: no picture"),
            DeclareLaunchArgument("fixed_frame", default_value="base_link", description="frame that rviz stands in"),
            DeclareLaunchArgument(
                "rviz_config",
                default_value=os.path.join(SHARE, "config", "rviz", "depth.rviz"),
                description="what rviz shows",
            ),
            DeclareLaunchArgument("image", default_value="image", description="topic of the camera's images"),
            DeclareLaunchArgument("points", default_value="points", description="topic of the LiDAR's points"),
            depth,
            rviz,
            OpaqueFunction(function=play_bag),
        ]
    )
