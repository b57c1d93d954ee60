# SPDX-License-Identifier: Apache-2.0
"""Options of the commands that run what the node runs over a bag: its topics and its parameters."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mono_depth_ros.errors import ConfigError

if TYPE_CHECKING:
    from mono_depth_ros.datasets.bags.topics import BagTopics
    from mono_depth_ros.stream.config import DepthNodeConfig

NODE_EPILOG = """\
Parameters are those of depth_node (docs/depth_node.md), from a file as `ros2 run --params-file` takes it and one by one
with --param, which goes before the file; --model, --mode, --memory-s and --stride are short for model, mode,
lidar.memory_s and cloud.stride, and go before both. What is not set has the default of the node, but `rectified`, which
follows from the name of the image topic.
"""
_SHORT = {"model": "model", "mode": "mode", "memory_s": "lidar.memory_s", "stride": "cloud.stride"}
_POINTS = ("points", "scan", "sparse_depth", "range")
_MOTION = ("odom", "twist")


def add_node_options(parser: argparse.ArgumentParser) -> None:
    """Adds what chooses the topics and the parameters."""
    topics = parser.add_argument_group("topics")
    topics.add_argument("--camera", metavar="NS", help="namespace of the camera; default: the only one in the bag")
    topics.add_argument(
        "--points",
        action="append",
        metavar="TOPIC",
        help="points, or 'none'; default: the only ones, if any; again for topics of other types, which are merged",
    )
    topics.add_argument("--odom", metavar="TOPIC", help="odometry, or 'none'; default: the only one, if any")
    topics.add_argument(
        "-r",
        "--remap",
        action="append",
        default=[],
        metavar="NAME:=TOPIC",
        help="a topic by the node's name for it, as on the robot: image, camera_info, points, scan, sparse_depth, "
        "range, odom or twist; image:= moves camera_info along; may be repeated",
    )
    parameters = parser.add_argument_group("parameters of the node")
    parameters.add_argument("--params", type=Path, metavar="FILE", help="parameter file of the node (YAML)")
    parameters.add_argument(
        "--param", action="append", default=[], metavar="NAME:=VALUE", help="one parameter; may be repeated"
    )
    parameters.add_argument("--model", metavar="NAME", help="folder or name of a model")
    parameters.add_argument("--mode", metavar="MODE", help="auto, prediction or completion")
    parameters.add_argument("--memory-s", type=float, metavar="S", help="how far back scans are carried by odometry")
    parameters.add_argument("--stride", type=int, metavar="N", help="every N-th row and column in the cloud")


def chosen_topics(args: argparse.Namespace, types: Mapping[str, str]) -> "BagTopics":
    """The topics that the options name, and for the rest the only ones that could be meant.

    Raises:
        ConfigError: a remapping of a name that the node does not have.
        DataError: a topic is not there, or there are several to choose from.
    """
    from mono_depth_ros.datasets.bags.topics import TopicNames, choose_topics, with_more_points

    remapped = _remappings(args.remap)
    points = list(dict.fromkeys([*(args.points or ()), *(remapped[name] for name in _POINTS if name in remapped)]))
    image = remapped.get("image")
    if image is not None and types.get(image) is None and f"{image}/compressed" in types:
        image = f"{image}/compressed"
    names = TopicNames(
        camera=args.camera,
        image=image,
        camera_info=remapped.get("camera_info"),
        points=points[0] if points else None,
        odometry=args.odom or next((remapped[name] for name in _MOTION if name in remapped), None),
    )
    return with_more_points(choose_topics(types, names), types, points[1:])


def node_config(args: argparse.Namespace, topics: "BagTopics") -> "DepthNodeConfig":
    """The node's parameters by these options.

    Raises:
        ConfigError: a parameter does not exist or cannot be used.
    """
    from mono_depth_ros.stream.parameter_file import config_from

    values = {"rectified": topics.rectified} | parameters(args.params, args.param)
    values |= {name: getattr(args, short) for short, name in _SHORT.items() if getattr(args, short) is not None}
    return config_from(values)


def parameters(file: Path | None, assignments: Sequence[str]) -> dict[str, Any]:
    """Name -> value of the parameters of a file and of single assignments, which go before those of the file.

    Raises:
        ConfigError: they cannot be read.
    """
    from mono_depth_ros.stream.parameter_file import parse_assignment, read_parameter_file

    values = {} if file is None else read_parameter_file(file)
    return values | dict(parse_assignment(text) for text in assignments)


def _remappings(texts: list[str]) -> dict[str, str]:
    known = ("image", "camera_info", *_POINTS, *_MOTION)
    remapped = {}
    for text in texts:
        name, given, topic = text.partition(":=")
        name = name.removeprefix("~/").lstrip("/").removesuffix("/compressed")
        if not given or name not in known or not topic:
            raise ConfigError(f"--remap: expected NAME:=TOPIC with NAME one of {', '.join(known)}, got {text!r}")
        remapped[name] = "/" + topic.lstrip("/")
    return remapped
