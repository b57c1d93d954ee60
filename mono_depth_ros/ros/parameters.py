# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: declared, checked and documented from one dataclass."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.ros.output_view import OUTPUT_SIZES

T = TypeVar("T")

# When a parameter may be set.
ANY_TIME = "takes effect with the next image"
UNCONFIGURED = "only while the node is unconfigured (ros2 lifecycle set NODE cleanup)"
AT_START = "only at the start of the node"


def _parameter(
    default: T,
    name: str,
    description: str,
    settable: str,
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
) -> T:
    """A dataclass field with everything that ROS wants to know about a parameter."""
    metadata = {
        "name": name,
        "description": description,
        "settable": settable,
        "limits": limits,
        "choices": choices,
    }
    field: T = dataclasses.field(default=default, metadata=metadata)
    return field


@dataclass(frozen=True, slots=True)
class DepthNodeConfig:
    """Every parameter of depth_node and its default, nowhere else.

    Extrinsics are () for "look it up in TF", or x, y, z (m), qx, qy, qz, qw.
    """

    autostart: bool = _parameter(True, "autostart", "configure and activate without being told to", AT_START)
    model: str = _parameter(
        "street_tiny", "model", "name of a shipped model, or a folder with model.onnx and model.json", UNCONFIGURED
    )
    providers: tuple[str, ...] = _parameter(
        ("CPUExecutionProvider",), "providers", "execution providers of ONNX Runtime, the preferred first", UNCONFIGURED
    )
    intra_op_threads: int = _parameter(
        0, "intra_op_threads", "threads of ONNX Runtime; 0: one per core", UNCONFIGURED, (0, 256)
    )
    image_transport: str = _parameter(
        "raw", "image_transport", "raw: image; compressed: image/compressed (JPEG, PNG)", UNCONFIGURED,
        choices=("raw", "compressed"),
    )  # fmt: skip
    rectified: bool = _parameter(
        True, "rectified", "true: images are rectified, P of camera_info holds; false: K holds", UNCONFIGURED
    )
    max_wait_s: float = _parameter(
        0.05, "sync.max_wait_s", "longest time that an image is held for points of its stamp", ANY_TIME, (0.0, 1.0)
    )
    points_tolerance_s: float = _parameter(
        0.02, "sync.points_tolerance_s", "points older than the image by no more than this are not waited for",
        ANY_TIME, (0.0, 1.0),
    )  # fmt: skip
    max_points_age_s: float = _parameter(
        0.25, "dial.max_points_age_s", "older points are not completed any more", UNCONFIGURED, (0.001, 2.0)
    )
    resume_points_age_s: float = _parameter(
        0.2, "dial.resume_points_age_s", "completion begins again with points of this age", UNCONFIGURED, (0.001, 2.0)
    )
    min_points: int = _parameter(
        10, "dial.min_points", "fewer points in view are not completed any more", UNCONFIGURED, (1, 1_000_000)
    )
    resume_points: int = _parameter(
        15, "dial.resume_points", "completion begins again with this many points in view", UNCONFIGURED, (1, 1_000_000)
    )
    anchor: bool = _parameter(
        True, "completion.anchor", "completed depth is made to go through its points; false: the network's own depth",
        UNCONFIGURED,
    )  # fmt: skip
    T_camera_lidar: tuple[float, ...] = _parameter(
        (), "extrinsics.T_camera_lidar", "LiDAR in the camera's optical frame: x y z (m) qx qy qz qw; empty: TF",
        UNCONFIGURED,
    )  # fmt: skip
    T_base_camera: tuple[float, ...] = _parameter(
        (), "extrinsics.T_base_camera", "optical frame in the base of the odometry: x y z (m) qx qy qz qw; empty: TF",
        UNCONFIGURED,
    )  # fmt: skip
    output_encoding: str = _parameter(
        "32FC1", "output.encoding", "32FC1: metres, NaN unknown; 16UC1: millimetres, 0 unknown", ANY_TIME,
        choices=("32FC1", "16UC1"),
    )  # fmt: skip
    output_size: str = _parameter(
        "network", "output.size", "network: the model's resolution; image: that of the camera image", ANY_TIME,
        choices=OUTPUT_SIZES,
    )  # fmt: skip
    cloud_stride: int = _parameter(
        1, "cloud.stride", "every n-th pixel of every n-th row becomes a point", ANY_TIME, (1, 64)
    )
    preview_max_depth_m: float = _parameter(
        80.0, "preview.max_depth_m", "this and more is the coldest colour", ANY_TIME, (1.0, 1000.0)
    )
    diagnostics_period_s: float = _parameter(
        1.0, "diagnostics.period_s", "time between two messages on /diagnostics", AT_START, (0.1, 60.0)
    )


_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number with a decimal point", str: "text"}
FIELDS: dict[str, dataclasses.Field[Any]] = {
    field.metadata["name"]: field for field in dataclasses.fields(DepthNodeConfig)
}


def problem_with(name: str, value: object) -> str:
    """What is wrong with a value of parameter ``name``; empty if nothing is."""
    field = FIELDS[name]
    limits, choices = field.metadata["limits"], field.metadata["choices"]
    got = f"got {list(value)!r}" if isinstance(value, (list, tuple)) else f"got {value!r}"
    if isinstance(field.default, tuple):
        return _problem_with_list(name, value, got)
    if type(value) is not type(field.default):
        return f"{name}: expected {_TYPE_NAMES[type(field.default)]}, {got}"
    if choices and value not in choices:
        return f"{name}: expected one of {', '.join(choices)}, {got}"
    if limits is not None and isinstance(value, (int, float)) and not limits[0] <= value <= limits[1]:
        return f"{name}: expected {limits[0]:g} to {limits[1]:g}, {got}"
    return ""


def _problem_with_list(name: str, value: object, got: str) -> str:
    if name == "providers":
        if isinstance(value, (list, tuple)) and value and all(isinstance(item, str) for item in value):
            return ""
        return f"{name}: expected a list of names such as [CPUExecutionProvider], {got}"
    numbers = list(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else None
    if numbers is not None and len(numbers) in (0, 7):
        rotation = numbers[3:]
        if all(type(number) in (int, float) and math.isfinite(number) for number in numbers) and (
            not numbers or abs(math.hypot(*rotation) - 1.0) < 0.01
        ):
            return ""
    return f"{name}: expected nothing, or x y z (m) and a unit quaternion qx qy qz qw, {got}"


class DepthNodeParameters:
    """Declares the parameters on a node and keeps watch over what they are set to.

    A value from the command line or a file that cannot be used does not end the node: it is remembered, and ``config``
    raises until the parameter is set to something better.

    Args:
        node: the node.
        unconfigured: whether the node is unconfigured now.
        changed: called after parameters were set.
    """

    def __init__(self, node: Node, unconfigured: Callable[[], bool], changed: Callable[[], None]) -> None:
        self._node = node
        self._unconfigured = unconfigured
        self._problems: dict[str, str] = {}
        for name, field in FIELDS.items():
            self._declare(name, field)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(lambda parameters: self._accept(parameters, changed))

    def config(self) -> DepthNodeConfig:
        """The parameters as they are.

        Raises:
            ConfigError: with every parameter that cannot be used, all at once.
        """
        if self._problems:
            raise ConfigError("parameters: " + "; ".join(self._problems.values()))
        values = {name: self._node.get_parameter(name).value for name in FIELDS}
        return DepthNodeConfig(
            **{field.name: _as_field(values[name], field.default) for name, field in FIELDS.items()},
        )

    def _declare(self, name: str, field: dataclasses.Field[Any]) -> None:
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        try:
            problem = problem_with(name, self._node.declare_parameter(name, default, _descriptor(field)).value)
        except (InvalidParameterTypeException, InvalidParameterValueException):
            # Ask without type and range what the value is, to tell it; then go on with the default.
            given = self._node.declare_parameter(name, None, ParameterDescriptor(dynamic_typing=True)).value
            self._node.undeclare_parameter(name)
            self._node.declare_parameter(name, default, _descriptor(field), ignore_override=True)
            problem = problem_with(name, given)
        if problem:
            self._problems[name] = problem

    def _check(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name not in FIELDS:
                continue
            settable = FIELDS[parameter.name].metadata["settable"]
            problem = problem_with(parameter.name, parameter.value)
            if not problem and settable == UNCONFIGURED and not self._unconfigured():
                problem = f"{parameter.name}: can be set {settable}"
            if problem:
                return SetParametersResult(successful=False, reason=problem)
        return SetParametersResult(successful=True)

    def _accept(self, parameters: list[Parameter], changed: Callable[[], None]) -> None:
        for parameter in parameters:
            self._problems.pop(parameter.name, None)
        changed()


def _as_field(value: Any, default: Any) -> Any:
    if not isinstance(default, tuple):
        return value
    return tuple(value) if not default or isinstance(default[0], str) else tuple(float(number) for number in value)


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    """Type, range, choices and description, as ``ros2 param describe`` shows them."""
    settable, limits, choices = (field.metadata[key] for key in ("settable", "limits", "choices"))
    descriptor = ParameterDescriptor(
        description=f"{field.metadata['description']} (set: {settable})",
        additional_constraints=f"one of {', '.join(choices)}" if choices else "",
        read_only=settable == AT_START,
        # An empty list has no type in ROS; such a parameter is checked by `problem_with` alone.
        dynamic_typing=field.default == (),
    )
    if limits is not None and isinstance(field.default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=limits[0], to_value=limits[1], step=0.0)]
    elif limits is not None:
        descriptor.integer_range = [IntegerRange(from_value=int(limits[0]), to_value=int(limits[1]), step=1)]
    return descriptor
