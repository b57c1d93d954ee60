# SPDX-License-Identifier: Apache-2.0
"""The `key=value&key=value` of a data set's URL."""

import difflib
from collections.abc import Collection
from urllib.parse import parse_qsl

import numpy as np

from mono_depth_ros.errors import ConfigError, FrameError
from mono_depth_ros.geometry.rigid import RigidTransform, rigid_from_quaternion


def parse_options(query: str, name: str, keys: Collection[str]) -> dict[str, str]:
    """Key -> value of a query.

    Args:
        query: what follows the "?".
        name: of the format, for the message.
        keys: which the format has.

    Raises:
        ConfigError: not of this form, a key twice, or an unknown one.
    """
    try:
        # A "+" is a sign here, never a space as in web forms.
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise ConfigError(f"data set {name}: expected key=value&key=value after '?', got {query!r}") from error
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ConfigError(f"data set {name}: expected each key once, got {query!r}")
    if unknown := [key for key in options if key not in keys]:
        hints = "; ".join(f"{key!r}{nearest(key, keys)}" for key in unknown)
        raise ConfigError(f"data set {name}: expected keys {', '.join(keys)}, got {hints}")
    return options


def nearest(word: str, known: Collection[str]) -> str:
    """A hint at the known word that was probably meant; empty if none is near."""
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


def whole(text: str, name: str) -> int:
    """A whole number of at least 0. Raises ConfigError."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ConfigError(f"{name}: expected a whole number of at least 0, got {text!r}")
    return int(text)


def decimal(text: str, name: str) -> float:
    """A number. Raises ConfigError."""
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{name}: expected a number, got {text!r}") from error


def flag(text: str, name: str) -> bool:
    """yes or no. Raises ConfigError."""
    if text not in ("yes", "no"):
        raise ConfigError(f"{name}: expected yes or no, got {text!r}")
    return text == "yes"


def size(text: str, name: str) -> tuple[int, int]:
    """(width, height) of "640x192". Raises ConfigError."""
    width, cross, height = text.partition("x")
    if not cross:
        raise ConfigError(f"{name}: expected WIDTHxHEIGHT, for example 640x192, got {text!r}")
    return whole(width, name), whole(height, name)


def transform(text: str, name: str) -> RigidTransform:
    """T float64 [4,4] of seven numbers x,y,z,qx,qy,qz,qw, as the node's extrinsics parameters have them.

    Raises:
        ConfigError: another count, or no unit quaternion.
    """
    numbers = [decimal(word, name) for word in text.split(",")]
    if len(numbers) != 7 or not np.isfinite(numbers).all():
        raise ConfigError(f"{name}: expected x,y,z,qx,qy,qz,qw (metres, unit quaternion), got {text!r}")
    try:
        return rigid_from_quaternion(numbers[:3], numbers[3:])
    except FrameError as error:
        raise ConfigError(f"{name}: {error}") from error
