# SPDX-License-Identifier: Apache-2.0
"""A recorded drive, the node, and rviz.

ros2 launch mono_depth_ros replay.launch.py bag:=drive image:=/camera/image_raw points:=/lidar/points

Every argument of depth.launch.py can be given here too. `mono-depth replay` does the same without ROS, image for image.
"""

import os

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import ExecuteProcess, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from mono_depth_ros.launching import BOOLS, SHARE, WhenActive, base_topic, declared, given, plays_bags, rviz

ARGUMENTS = (
    ("bag", None, (), "folder of the recorded drive, or its .mcap file"),
    ("rate", "1.0", (), "speed of the replay"),
    ("loop", "false", BOOLS, "true: play it again and again"),
    ("namespace", "", (), "namespace of the node and of its topics"),
    ("rviz", "true", BOOLS, "false: no picture"),
    ("fixed_frame", "base_link", (), "frame that rviz stands in"),
    ("rviz_config", os.path.join(SHARE, "config", "rviz", "depth.rviz"), (), "what rviz shows"),
    ("image", "image", (), "topic of the camera's images, raw or .../compressed"),
    ("points", "points", (), "topic of the LiDAR's points"),
)


def play_bag(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The player, which gives the time, as soon as the node is active; everything ends with the bag."""
    values = given(context, ARGUMENTS)
    if not os.path.exists(values["bag"]):
        raise RuntimeError(f"bag: expected the folder of a recorded drive, got {values['bag']!r}, which is not there")
    if not plays_bags():
        raise RuntimeError(
            "ros2 bag is not installed: install ros2bag and rosbag2_storage_mcap, or use mono-depth replay"
        )
    command = ["ros2", "bag", "play", values["bag"], "--clock", "100", "--rate", values["rate"]]
    command += ["--loop"] if values["loop"] == "true" else []
    player = ExecuteProcess(cmd=command, output="screen", on_exit=Shutdown(reason="the bag has ended"))
    node = "/" + "/".join(part for part in (values["namespace"].strip("/"), "depth_node") if part)
    return [WhenActive(node, [player]), *shown(values)]


def shown(values: dict[str, str]) -> list[LaunchDescriptionEntity]:
    """rviz, with the bag's topics and time."""
    window = rviz(
        ["-d", values["rviz_config"], "-f", values["fixed_frame"]],
        parameters=[{"use_sim_time": True}],
        remappings=[("image", base_topic(values["image"])), ("points", values["points"])],
    )
    return [window]


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    depth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "depth.launch.py")),
        launch_arguments={"use_sim_time": "true", "image": LaunchConfiguration("image")}.items(),
    )
    return LaunchDescription([*declared(ARGUMENTS), OpaqueFunction(function=play_bag), depth])
