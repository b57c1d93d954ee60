# SPDX-License-Identifier: Apache-2.0
"""The parameters of stream/config.py on a node: declared, checked, watched."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.stream.config import (
    AT_START,
    FIELDS,
    UNCONFIGURED,
    DepthNodeConfig,
    problem_with,
    problem_with_unknown,
)
from mono_depth_ros.stream.parameter_file import config_from


class DepthNodeParameters:
    """Declares the parameters on a node and keeps watch over what they are set to.

    A value from the command line or a file that cannot be used does not end the node: it is remembered, and ``config``
    raises until the parameter is set to something better. A name that does not exist is told.

    Args:
        node: the node.
        unconfigured: whether the node is unconfigured now.
        changed: called after parameters were set.

    Attributes:
        unknown: what is wrong with the names that were given and do not exist.
    """

    def __init__(self, node: Node, unconfigured: Callable[[], bool], changed: Callable[[], None]) -> None:
        self._node = node
        self._unconfigured = unconfigured
        self._problems: dict[str, str] = {}
        for name, field in FIELDS.items():
            self._declare(name, field)
        # rclpy has no public list of what was given and not declared.
        given: Iterable[str] = getattr(node, "_parameter_overrides", {})
        self.unknown = tuple(problem for problem in map(problem_with_unknown, sorted(given)) if problem)
        for problem in self.unknown:
            node.get_logger().warning(f"parameters: {problem}")
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(lambda parameters: self._accept(parameters, changed))

    def config(self) -> DepthNodeConfig:
        """The parameters as they are.

        Raises:
            ConfigError: with every parameter that cannot be used, all at once; or if they do not fit to each other.
        """
        if self._problems:
            raise ConfigError("parameters: " + "; ".join(self._problems.values()))
        return config_from(self._values())

    def _values(self) -> dict[str, Any]:
        return {name: self._node.get_parameter(name).value for name in FIELDS}

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
        problem = self._problem_together(parameters)
        return SetParametersResult(successful=not problem, reason=problem)

    def _problem_together(self, parameters: list[Parameter]) -> str:
        """Why the new values do not fit to the others; empty if they do, or the present ones do not either."""
        values = self._values()
        try:
            config_from(values)
        except ConfigError:
            return ""
        values |= {parameter.name: parameter.value for parameter in parameters if parameter.name in FIELDS}
        try:
            config_from(values)
        except ConfigError as error:
            return str(error)
        return ""

    def _accept(self, parameters: list[Parameter], changed: Callable[[], None]) -> None:
        for parameter in parameters:
            self._problems.pop(parameter.name, None)
        changed()


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    """Type, range, choices and description, as ``ros2 param describe`` shows them."""
    settable, limits, choices = (field.metadata[key] for key in ("settable", "limits", "choices"))
    several = "some" if isinstance(field.default, tuple) else "one"
    descriptor = ParameterDescriptor(
        description=f"{field.metadata['description']} (set: {settable})",
        additional_constraints=f"{several} of {', '.join(choices)}" if choices else "",
        read_only=settable == AT_START,
        # An empty list has no type in ROS; such a parameter is checked by `problem_with` alone.
        dynamic_typing=field.default == (),
    )
    if limits is not None and isinstance(field.default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=limits[0], to_value=limits[1], step=0.0)]
    elif limits is not None:
        descriptor.integer_range = [IntegerRange(from_value=int(limits[0]), to_value=int(limits[1]), step=1)]
    return descriptor
