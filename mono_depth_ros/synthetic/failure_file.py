# SPDX-License-Identifier: Apache-2.0
"""A FailurePlan from plain values, as a YAML file has them; every problem is told at once."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.failures import CalibrationBump, FailurePlan, NanPoints, Outliers, SectorLoss

USUAL_SENSORS = ("camera", "lidar", "odom")
# Kinds of failure that only some sensors know, and which.
_RANGING = ("lidar", "scan", "tof", "range")
_TURNING = ("lidar", "scan")
_UNMOVED = ("odom", "twist")


def failure_plan(values: Mapping[Any, Any], sensors: Sequence[str] = USUAL_SENSORS) -> FailurePlan:
    """The plan that a mapping describes: `seed`, and a list of mappings for each kind of failure.

    Args:
        values: field of FailurePlan -> number or list of mappings (field -> value).
        sensors: names of the robot's sensors.

    Raises:
        ConfigError: unknown or missing fields, wrong types, impossible values; all of them in one message.

    >>> failure_plan({"outages": [{"sensor": "lidar", "from_s": 1, "to_s": 2}]}).outages[0].to_s
    2.0
    """
    problems: list[str] = []
    hints = typing.get_type_hints(FailurePlan)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            problems.append(_unknown(str(key), list(hints), ""))
        elif hints[key] is int:
            if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                problems.append(f"{key}: expected a whole number of at least 0, got {value!r}")
            else:
                arguments[key] = value
        elif not isinstance(value, list):
            problems.append(f"{key}: expected a list of failures, got {value!r}")
        else:
            kind = typing.get_args(hints[key])[0]
            able = _able(kind, sensors)
            arguments[key] = tuple(
                _entry(kind, entry, f"{key}[{at}]", able, problems) for at, entry in enumerate(value)
            )
    if problems:
        raise ConfigError("; ".join(problems))
    return FailurePlan(**arguments)


def _able(kind: type[Any], sensors: Sequence[str]) -> list[str]:
    """The sensors that can fail in a way."""
    if kind is SectorLoss:
        return [sensor for sensor in sensors if sensor in _TURNING]
    if kind in (Outliers, NanPoints):
        return [sensor for sensor in sensors if sensor in _RANGING]
    if kind is CalibrationBump:
        return [sensor for sensor in sensors if sensor not in _UNMOVED]
    return list(sensors)


def _entry(kind: type[Any], values: Any, name: str, sensors: Sequence[str], problems: list[str]) -> Any:
    """One failure, or None with `problems` extended."""
    if not isinstance(values, dict):
        problems.append(f"{name}: expected a mapping such as {{from_s: 1.0}}, got {values!r}")
        return None
    hints, before = typing.get_type_hints(kind), len(problems)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            problems.append(_unknown(str(key), list(hints), f"{name}."))
            continue
        try:
            arguments[key] = _convert(hints[key], value)
        except (TypeError, ValueError):
            problems.append(f"{name}.{key}: expected {_spell(hints[key])}, got {value!r}")
    for entry in dataclasses.fields(kind):
        if entry.default is dataclasses.MISSING and entry.name not in values:
            problems.append(f"{name}: {entry.name} is missing")
    usual = next((entry.default for entry in dataclasses.fields(kind) if entry.name == "sensor"), None)
    sensor = arguments.get("sensor", usual)
    if isinstance(sensor, str) and sensor not in sensors:
        known = ", ".join(sensors) or "none that this robot has"
        problems.append(f"{name}.sensor: expected one of {known}, got {sensor!r}{_near(sensor, sensors)}")
    if len(problems) > before:
        return None
    try:
        return kind(**arguments)
    except ConfigError as error:
        problems.append(f"{name}: {error}")
        return None


def _convert(hint: Any, value: Any) -> Any:
    """A YAML value as the field's type. Raises TypeError or ValueError."""
    if typing.get_origin(hint) is tuple:
        arguments = typing.get_args(hint)
        if not isinstance(value, list) or len(value) != len(arguments):
            raise TypeError
        return tuple(_convert(part, item) for part, item in zip(arguments, value, strict=True))
    if isinstance(value, bool):
        raise TypeError
    if hint is float and isinstance(value, (int, float, str)):
        return float(value)  # YAML reads 1e-4 as text
    if hint in (int, str) and isinstance(value, hint):
        return value
    raise TypeError


def _spell(hint: Any) -> str:
    arguments = typing.get_args(hint)
    return (
        f"a list of {len(arguments)} numbers"
        if arguments
        else {float: "a number", int: "a whole number"}.get(hint, "text")
    )


def _unknown(key: str, names: list[str], prefix: str) -> str:
    return f"{prefix}{key}: unknown{_near(key, names) or '; known are ' + ', '.join(names)}"


def _near(word: str, words: typing.Sequence[str]) -> str:
    near = get_close_matches(word, words, 1)
    return f"; did you mean {near[0]}?" if near else ""
