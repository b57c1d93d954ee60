# SPDX-License-Identifier: Apache-2.0
"""A file that names frames of data sets which shall not be learned from: written by an audit, read by training.

    {"schema_version": 1, "made_by": "...", "data_sets": [
        {"url": "bag:drives/a", "frames": [{"camera": "/camera", "stamp_ns": 1700000000000000000}]}]}

A data set is known by its path, whatever topics an URL chooses of it, and frames by camera and stamp.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mono_depth_ros.errors import DataError
from mono_depth_ros.whole_file import write_whole

SCHEMA_VERSION = 1
Frame = tuple[str, int]  # name of the camera, stamp in nanoseconds


@dataclass(frozen=True, slots=True)
class ExcludedFrames:
    """Frames not to learn from.

    Attributes:
        of_data_sets: by data set (`data_set_key`); one that was looked at and is without fault has an empty set.
    """

    of_data_sets: Mapping[str, frozenset[Frame]]

    def of(self, url: str) -> frozenset[Frame] | None:
        """The frames of one data set; None where nobody has looked at it."""
        return self.of_data_sets.get(data_set_key(url))


def data_set_key(url: str) -> str:
    """What two URLs of one data set share: its format and path, and for rendered drives the whole URL.

    >>> data_set_key("bag:/drives/a?camera=/left") == data_set_key("bag:/drives/b/../a?points=none")
    True
    """
    name, _, rest = url.partition(":")
    if name == "synthetic":
        return url
    return f"{name}:{Path(rest.partition('?')[0]).expanduser().resolve().as_posix()}"


def write_excluded_frames(path: Path, frames: Mapping[str, frozenset[Frame]], made_by: str) -> Path:
    """Writes the file whole or not at all.

    Args:
        path: of the file.
        frames: by URL of the data set.
        made_by: how they were found, for people.
    """
    data_sets = [
        {"url": url, "frames": [{"camera": camera, "stamp_ns": stamp} for camera, stamp in sorted(chosen)]}
        for url, chosen in frames.items()
    ]
    content = {"schema_version": SCHEMA_VERSION, "made_by": made_by, "data_sets": data_sets}
    return write_whole(path, json.dumps(content, indent=1))


def read_excluded_frames(path: Path) -> ExcludedFrames:
    """Reads such a file. Raises DataError with what is wrong in it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected a readable file of excluded frames, got: {error}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise DataError(f"{path}: expected excluded frames with schema_version {SCHEMA_VERSION}, got {version!r}")
    found: dict[str, frozenset[Frame]] = {}
    for number, data_set in enumerate(_list(path, content, "data_sets")):
        if not isinstance(data_set, dict) or not isinstance(data_set.get("url"), str):
            raise DataError(f"{path}: data_sets[{number}]: expected a mapping with a url, got {data_set!r:.80}")
        key = data_set_key(data_set["url"])
        frames = frozenset(_frame(path, frame) for frame in _list(path, data_set, "frames"))
        found[key] = found.get(key, frozenset()) | frames
    return ExcludedFrames(found)


def _list(path: Path, content: Mapping[str, Any], name: str) -> list[Any]:
    value = content.get(name)
    if not isinstance(value, list):
        raise DataError(f"{path}: {name}: expected a list, got {type(value).__name__}")
    return value


def _frame(path: Path, frame: Any) -> Frame:
    camera, stamp = (frame.get("camera"), frame.get("stamp_ns")) if isinstance(frame, dict) else (None, None)
    if not isinstance(camera, str) or not isinstance(stamp, int) or isinstance(stamp, bool):
        raise DataError(f"{path}: frames: expected a camera and a stamp_ns (integer) of each, got {frame!r:.80}")
    return camera, stamp
