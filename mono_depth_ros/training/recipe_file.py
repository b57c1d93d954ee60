# SPDX-License-Identifier: Apache-2.0
"""Recipes as files: YAML over frozen dataclasses, overrides over YAML, and all mistakes reported at once."""

import dataclasses
import types
import typing
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.networks.depth_network import PACKNET, DepthNetworkConfig, config_type
from mono_depth_ros.training.config import TrainConfig
from mono_depth_ros.training.schedule import Schedule, constant
from mono_depth_ros.whole_file import write_whole

T = TypeVar("T")


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """A recipe from a YAML file.

    Args:
        path: YAML mapping over TrainConfig's fields.
        overrides: "key=value" or "section.key=value", values in YAML; they win over the file.

    Raises:
        ConfigError: every problem of file and overrides in one message.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: expected a readable YAML file, got: {error}") from error
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of recipe fields, got {type(values).__name__}")
    problems: list[str] = []
    for override in overrides:
        _override(values, override, problems)
    config = _build(TrainConfig, values, "", problems)
    if problems or config is None:
        raise ConfigError(f"{path}: " + "; ".join(problems))
    return config


def write_recipe(config: TrainConfig, path: Path) -> None:
    """Every field of a recipe, defaults and overrides in it, whole or not at all; `read_recipe` gives it back."""
    write_whole(path, yaml.safe_dump(_plain(config), sort_keys=False))


def changed_fields(before: TrainConfig, after: TrainConfig) -> list[str]:
    """One line for each field that two recipes do not share, such as "max_steps: 2000 -> 5000"."""
    old, new = dict(_flat(_plain(before))), dict(_flat(_plain(after)))
    return [f"{name}: {old[name]} -> {value}" for name, value in new.items() if old[name] != value]


def _plain(value: Any) -> Any:
    """What YAML knows: mappings, lists, numbers, text."""
    if isinstance(value, Schedule):
        return value.knots[0][1] if value == constant(value.knots[0][1]) else [list(knot) for knot in value.knots]
    if dataclasses.is_dataclass(value):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _flat(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _override(values: dict[str, Any], override: str, problems: list[str]) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        problems.append(f"override {override!r}: expected key=value")
        return
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            problems.append(f"override {override!r}: {section} is not a section")
            return
    if name in _TEXT_FIELDS and not text.startswith("["):
        values[name] = text  # a URL is text, whatever YAML makes of its colons
        return
    try:
        values[name] = yaml.safe_load(text)
    except yaml.YAMLError:
        if name in _TEXT_FIELDS and text.endswith("]"):  # YAML stumbles over URLs without quotes
            values[name] = [item.strip() for item in text[1:-1].split(",")]
        else:
            problems.append(f"override {override!r}: the value is not YAML")


_TEXT_FIELDS = ("data", "validation", "exclude", "init", "name", "encoder_weights")


def _build(cls: type[T], values: dict[str, Any], prefix: str, problems: list[str]) -> T | None:
    """An instance of a config dataclass, or None with `problems` extended."""
    hints = typing.get_type_hints(cls)
    names = [entry.name for entry in dataclasses.fields(cls)]  # type: ignore[arg-type]
    before = len(problems)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in names:
            near = get_close_matches(str(key), names, 1)
            hint = f"; did you mean {prefix}{near[0]}?" if near else f"; known are {', '.join(names)}"
            problems.append(f"{prefix}{key}: unknown{hint}")
        elif _is_section(hints[key]):
            if not isinstance(value, dict):
                problems.append(f"{prefix}{key}: expected a section, got {value!r}")
            elif hints[key] == DepthNetworkConfig:
                rest = {name: item for name, item in value.items() if item != PACKNET}
                arguments[key] = _build(config_type(value), rest, f"{prefix}{key}.", problems)
            else:
                arguments[key] = _build(hints[key], value, f"{prefix}{key}.", problems)
        else:
            try:
                arguments[key] = _convert(hints[key], value)
            except (TypeError, ValueError):
                problems.append(f"{prefix}{key}: expected {_spell(hints[key])}, got {value!r}")
            except ConfigError as error:
                problems.append(f"{prefix}{key}: {error}")
    if len(problems) > before:
        return None
    try:
        return cls(**arguments)
    except ConfigError as error:
        problems.append(f"{prefix.rstrip('.')}: {error}" if prefix else str(error))
        return None


def _is_section(hint: Any) -> bool:
    return hint == DepthNetworkConfig or (dataclasses.is_dataclass(hint) and hint is not Schedule)


def _convert(hint: Any, value: Any) -> Any:
    """A YAML value as the field's type. Raises TypeError, ValueError or ConfigError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Schedule:
        if isinstance(value, list):
            return Schedule(tuple(_convert(tuple[float, float], knot) for knot in value))
        return constant(_convert(float, value))
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value)
    if origin is typing.Literal:
        if value not in arguments or isinstance(value, bool):
            raise ValueError
        return value
    if origin is tuple:
        if arguments == (str, ...) and isinstance(value, str):
            return (value,)  # one data set needs no list
        if not isinstance(value, (list, tuple)) or (arguments[-1] is not Ellipsis and len(value) != len(arguments)):
            raise TypeError
        return tuple(_convert(arguments[0], item) for item in value)
    if hint is bool:
        if not isinstance(value, bool):
            raise TypeError
        return value
    if isinstance(value, bool):
        raise TypeError
    if hint is float and isinstance(value, (int, float, str)):
        return float(value)  # YAML reads 1e-4 as text
    if hint in (int, str) and isinstance(value, hint):
        return value
    raise TypeError


def _spell(hint: Any) -> str:
    if hint is Schedule:
        return "a weight or a list of [share, weight]"
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(hint)))}"
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")
