# SPDX-License-Identifier: Apache-2.0
"""A synthetic robot whose sensors fail on a schedule, the node, and rviz: nothing else is needed.

ros2 launch mono_depth_ros demo.launch.py
ros2 launch mono_depth_ros demo.launch.py world:=indoor failures:="['lidar 2-5', 'odom loses 0.5']" rviz:=false

The robot drives through a world that no network was trained on, over and over. `mono-depth demo` shows the same with a
report, without launch and rviz.
"""

import os

import yaml
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.launching import BOOLS, SHARE, declared, given, rviz
from mono_depth_ros.ros.robot.robot_node import failures_from_words

# Parameters of the robot and their types.
ROBOT = {
    "world": str, "seed": int, "seconds": float, "rate_hz": float, "width_px": int, "height_px": int,
    "lidar_beams": int, "failures": None,
}  # fmt: skip
ARGUMENTS = (
    ("world", "street", ("street", "indoor", "chaos"), "what the robot drives through"),
    ("seed", "7", (), "which world"),
    ("seconds", "8.0", (), "length of the drive, which is rendered before it begins; then it begins again"),
    ("rate_hz", "5.0", (), "images per second"),
    ("width_px", "640", (), "of the images"),
    ("height_px", "192", (), "of the images"),
    ("lidar_beams", "4", ("1", "4", "8", "16", "32", "64"), "of the LiDAR"),
    (
        "failures",
        "['lidar 2-4', 'odom 5-6']",
        (),
        "what camera, camera_info, lidar and odom do wrong, by seconds of the drive: 'lidar 2-4' is silent, "
        "'lidar loses 0.5' loses every other message",
    ),
    ("model", "", (), "of the node; empty: as in params_file"),
    ("rviz", "true", BOOLS, "false: no picture"),
    ("rviz_config", os.path.join(SHARE, "config", "rviz", "depth.rviz"), (), "what rviz shows"),
)


def check(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Refuses failures that cannot be read before anything starts."""
    text = given(context, ARGUMENTS)["failures"]
    try:
        lines = yaml.safe_load(text)
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise ConfigError(f"expected a list such as ['lidar 2-4'], got {text}")
        failures_from_words(lines)
    except (yaml.YAMLError, ConfigError) as error:
        raise RuntimeError(f"failures: {error}") from error
    return []


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    robot = Node(
        package="mono_depth_ros",
        executable="synthetic_robot",
        name="synthetic_robot",
        parameters=[{name: ParameterValue(LaunchConfiguration(name), value_type=kind) for name, kind in ROBOT.items()}],
        output="screen",
        emulate_tty=True,
        on_exit=Shutdown(reason="the robot has ended"),
    )
    depth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "depth.launch.py")),
        launch_arguments={"model": LaunchConfiguration("model")}.items(),
    )
    window = rviz(["-d", LaunchConfiguration("rviz_config")])
    return LaunchDescription([*declared(ARGUMENTS), OpaqueFunction(function=check), robot, depth, window])
