# SPDX-License-Identifier: Apache-2.0
"""The parameters of depth_node as ROS files and command lines give them, read without ROS."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.stream.config import FIELDS, DepthNodeConfig, problem_with, problem_with_unknown

_MAX_BYTES = 1 << 20
_KEY = "ros__parameters"


def read_parameter_file(path: Path, node_name: str = "depth_node") -> dict[str, Any]:
    """Name -> value of every parameter that a file gives to a node, as `ros2 run --params-file` would.

    Sections are applied in the order of the file: those for all nodes (`/**`) and those whose last part is the name.

    Raises:
        ConfigError: it is no file of parameters, or none of its sections is for this node.
    """
    import yaml

    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path}: expected a file of parameters, got {path.stat().st_size} bytes")
        sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: expected a YAML file of parameters, got: {str(error).splitlines()[0]}") from error
    if not isinstance(sections, dict) or not all(
        isinstance(section, dict) and isinstance(section.get(_KEY), dict) for section in sections.values()
    ):
        raise ConfigError(f"{path}: expected sections such as `/**:` with `{_KEY}:` in them, as config/depth_node.yaml")
    ours = [name for name in sections if str(name).rsplit("/", 1)[-1] in ("**", "*", node_name)]
    if not ours:
        raise ConfigError(f"{path}: expected a section `/**:` or `{node_name}:`, got {', '.join(map(str, sections))}")
    values: dict[str, Any] = {}
    for name in ours:
        values |= _flat(sections[name][_KEY])
    return values


def parse_assignment(text: str) -> tuple[str, Any]:
    """NAME:=VALUE, the value in YAML as on a ROS command line.

    Raises:
        ConfigError: it is something else.

    >>> parse_assignment("scale.order:=[points, model]")
    ('scale.order', ['points', 'model'])
    """
    import yaml

    name, given, value = text.partition(":=")
    if not given or not name:
        raise ConfigError(f"--param: expected NAME:=VALUE such as lidar.memory_s:=0.5, got {text!r}")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--param {name}: expected a value in YAML, got {value!r}") from error


def config_from(values: Mapping[str, Any]) -> DepthNodeConfig:
    """The node's configuration with these parameters, the others at their defaults.

    Raises:
        ConfigError: with every parameter that does not exist or cannot be used, all at once.
    """
    ours = {name: value for name, value in values.items() if name in FIELDS}
    problems = [problem_with_unknown(name) for name in values] + [problem_with(*item) for item in ours.items()]
    if told := [problem for problem in problems if problem]:
        raise ConfigError("parameters: " + "; ".join(told))
    config = DepthNodeConfig(**{FIELDS[name].name: _as_field(value) for name, value in ours.items()})
    config.check()
    return config


def _as_field(value: Any) -> Any:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return value
    return tuple(float(item) if isinstance(item, (int, float)) else item for item in value)


def _flat(values: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Nested groups as names with dots."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
