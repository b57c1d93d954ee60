# SPDX-License-Identifier: Apache-2.0
"""What the launch files share. Whatever can be found wrong is found before the first process starts."""

import os
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import launch
from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch import Action, EventHandler, LaunchContext, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.event_handlers import OnShutdown
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.ros_adapters import get_ros_node
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState

SHARE = get_package_share_directory("mono_depth_ros")
BOOLS = ("true", "false")
_PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
_COMPRESSED = "/compressed"
_POLL_S, _REMIND_S = 0.2, 10.0
# Name, default (None: must be given), choices, description.
Argument = tuple[str, str | None, Sequence[str], str]

# Parameters of a depth node that are set if they are given; every other one goes into params_file.
PARAMETERS: tuple[Argument, ...] = (
    ("image_transport", "", ("", "raw", "compressed"), "raw or compressed; empty: by the topic, or as in params_file"),
    ("model", "", (), "name of a shipped model, or a folder with model.onnx and model.json; empty: as in params_file"),
    ("mode", "", ("", "auto", "prediction", "completion"), "auto, prediction or completion; empty: as in params_file"),
    (
        "output_size",
        "",
        ("", "image", "network"),
        "of the depth image: image, as the camera's, or network, as the model's; empty: as in params_file",
    ),
    (
        "providers",
        "",
        (),
        "execution providers of ONNX Runtime, the preferred first, with commas between: "
        "CUDAExecutionProvider,CPUExecutionProvider; empty: as in params_file",
    ),
    ("params_file", os.path.join(SHARE, "config", "depth_node.yaml"), (), "parameters of every node"),
    ("use_sim_time", "false", BOOLS, "true while a bag or a simulator gives the time"),
    ("autostart", "true", BOOLS, "false: somebody else configures and activates the node"),
    ("log_level", "info", ("debug", "info", "warn", "error", "fatal"), "from which level on the node logs"),
)


def declared(arguments: Sequence[Argument]) -> list[LaunchDescriptionEntity]:
    """The arguments for launch, and room for large messages in Fast DDS unless the environment names a profile."""
    actions: list[LaunchDescriptionEntity] = [
        DeclareLaunchArgument(name, default_value=default, description=description, choices=list(choices) or None)
        for name, default, choices, description in arguments
    ]
    if not any(variable in os.environ for variable in _PROFILE_VARIABLES):
        profile = os.path.join(SHARE, "config", "fastdds_large_messages.xml")
        actions.append(SetEnvironmentVariable(_PROFILE_VARIABLES[0], profile))
    return actions


def given(context: LaunchContext, arguments: Sequence[Argument]) -> dict[str, str]:
    """The values of the arguments by their names. Raises RuntimeError where params_file is not there."""
    values = {name: LaunchConfiguration(name).perform(context) for name, *_ in arguments}
    path = values.get("params_file")
    if path is not None and not os.path.isfile(path):
        raise RuntimeError(f"params_file: expected a file with parameters, got {path!r}, which is not there")
    return values


def node_parameters(values: Mapping[str, str], image_topics: Sequence[str]) -> list[str | dict[str, object]]:
    """The parameters of a depth node: the file, and over it what was given beside it.

    Args:
        values: of PARAMETERS and more.
        image_topics: as given; one that ends in /compressed asks for that transport.
    """
    overrides: dict[str, object] = {name: values[name] == "true" for name in ("use_sim_time", "autostart")}
    overrides |= {name: values[name] for name in ("image_transport", "model", "pose_model", "mode") if values.get(name)}
    if values["output_size"]:
        overrides["output.size"] = values["output_size"]
    if values["providers"]:
        overrides["providers"] = [name.strip() for name in values["providers"].split(",")]
    if any(topic.endswith(_COMPRESSED) for topic in image_topics):
        if values["image_transport"] == "raw":
            raise RuntimeError(f"image_transport: expected compressed for {', '.join(image_topics)}, got raw")
        overrides["image_transport"] = "compressed"
    return [values["params_file"], overrides]


def base_topic(topic: str) -> str:
    """An image topic without /compressed at its end, which the node adds by itself."""
    return topic.removesuffix(_COMPRESSED)


def rviz(arguments: Sequence[Any], **options: Any) -> OpaqueFunction:
    """rviz2 where the argument `rviz` asks for it; where it is not installed, a warning in its place."""

    def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        if LaunchConfiguration("rviz").perform(context).lower() != "true":
            return []
        if not installed("rviz2"):
            return [LogInfo(msg="WARNING: rviz2 is not installed: no picture (rviz:=false asks for none)")]
        return [Node(package="rviz2", executable="rviz2", arguments=list(arguments), **options)]

    return OpaqueFunction(function=start)


def installed(package: str) -> bool:
    """Whether ROS knows a package."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def plays_bags() -> bool:
    """Whether there is a `ros2 bag play`."""
    ros2 = shutil.which("ros2")
    return ros2 is not None and subprocess.run([ros2, "bag", "play", "--help"], capture_output=True).returncode == 0


class NodeIsActive(launch.Event):  # type: ignore[misc]  # launch has no types
    """A lifecycle node has become active."""

    name = "mono_depth_ros.NodeIsActive"


class WhenActive(Action):  # type: ignore[misc]  # launch has no types
    """Runs actions as soon as a lifecycle node is active, however long its model takes to open.

    The node is asked, not listened to: who begins to listen too late would wait for ever.

    Args:
        node: full name of the lifecycle node.
        actions: to run then, once.
    """

    def __init__(self, node: str, actions: Sequence[LaunchDescriptionEntity]) -> None:
        super().__init__()
        self._node, self._actions = node, list(actions)
        self._shut_down = threading.Event()
        self._event = NodeIsActive()

    def execute(self, context: LaunchContext) -> None:
        """Asks in a thread of its own; the launch goes on."""
        stop = OpaqueFunction(function=lambda _context: self._shut_down.set())
        context.register_event_handler(OnShutdown(on_shutdown=[stop]))
        begin = EventHandler(matcher=lambda event: event is self._event, entities=self._actions, handle_once=True)
        context.register_event_handler(begin)
        context.add_completion_future(context.asyncio_loop.run_in_executor(None, self._wait, context))

    def _wait(self, context: LaunchContext) -> None:
        client = get_ros_node(context).create_client(GetState, f"{self._node}/get_state")
        waited_s, state = 0.0, "absent"
        while not self._shut_down.wait(_POLL_S):
            waited_s += _POLL_S
            if client.service_is_ready():
                answered = threading.Event()
                future = client.call_async(GetState.Request())
                future.add_done_callback(lambda _future, done=answered: done.set())
                if answered.wait(_REMIND_S) and future.result() is not None:
                    state = future.result().current_state.label
                    if future.result().current_state.id == State.PRIMARY_STATE_ACTIVE:
                        context.asyncio_loop.call_soon_threadsafe(context.emit_event_sync, self._event)
                        return
            if waited_s >= _REMIND_S:
                waited_s = 0.0
                get_logger("mono_depth_ros").warning(f"waits for {self._node} to be active, it is {state}")
