# SPDX-License-Identifier: Apache-2.0
"""A synthetic robot whose sensors fail on a schedule, the node, and rviz: nothing else is needed.

ros2 launch mono_depth_ros demo.launch.py
ros2 launch mono_depth_ros demo.launch.py world:=indoor failures:="['lidar 2-5', 'odom loses 0.5']" rviz:=false

The robot drives through a world that no network was trained on, over and over. `mono-depth demo` shows the same with a
report, without launch and rviz.
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

SHARE = get_package_share_directory("mono_depth_ros")
BOOLS = ["true", "false"]
# Name and default of each parameter of the robot, its type, and what it is.
ROBOT = (
    ("world", "street", str, "street, indoor or chaos"),
    ("seed", "7", int, "which world"),
    ("seconds", "8.0", float, "length of the drive, which is rendered before it begins; then it begins again"),
    ("rate_hz", "5.0", float, "images per second"),
    ("width_px", "640", int, "of the images"),
    ("height_px", "192", int, "of the images"),
    ("lidar_beams", "4", int, "of the LiDAR"),
    (
        "failures",
        "['lidar 2-4', 'odom 5-6']",
        None,
        "what camera, camera_info, lidar and odom do wrong, by seconds of the drive: 'lidar 2-4' is silent, "
        "'lidar loses 0.5' loses every other message",
    ),
)


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, _, description in ROBOT
    ]
    arguments += [
        DeclareLaunchArgument("model", default_value="", description="of the node; empty: as in params_file"),
        DeclareLaunchArgument("rviz", default_value="true", choices=BOOLS, description="false: no picture"),
        DeclareLaunchArgument(
            "rviz_config",
            default_value=os.path.join(SHARE, "config", "rviz", "depth.rviz"),
            description="what rviz shows",
        ),
    ]
    robot = Node(
        package="mono_depth_ros",
        executable="synthetic_robot",
        name="synthetic_robot",
        parameters=[{name: ParameterValue(LaunchConfiguration(name), value_type=kind) for name, _, kind, _ in ROBOT}],
        output="screen",
        emulate_tty=True,
    )
    depth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "depth.launch.py")),
        launch_arguments={"model": LaunchConfiguration("model")}.items(),
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", LaunchConfiguration("rviz_config")],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription([*arguments, robot, depth, rviz])
