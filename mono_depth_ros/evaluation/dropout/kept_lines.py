# SPDX-License-Identifier: Apache-2.0
"""What a long measurement has found so far, a line of JSON at a time, for the next run of the same command."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mono_depth_ros.whole_file import write_whole

# To be raised when the same command would give other numbers, as by another rule of what is a beam.
VERSION = 2


class KeptLines:
    """A file whose first line is a key, everything that the numbers depend on; each further line is one result.

    Args:
        path: of the file. If it begins with another key, it begins anew.
        key: as JSON can hold it.

    Attributes:
        path: of the file.
        done: the results of earlier runs, up to the first line that is not whole.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, key: Mapping[str, Any]) -> None:
        self.path = path
        first = json.dumps({"version": VERSION, **key}, sort_keys=True)
        self.done: tuple[dict[str, Any], ...] = _read(path, first)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written anew, for the last line may be a part of one.
        write_whole(path, "".join(line + "\n" for line in (first, *map(json.dumps, self.done))))
        self._file = path.open("a", encoding="utf-8")
        self._added = False

    def add(self, result: Mapping[str, Any]) -> None:
        """Keeps one more. Raises OSError."""
        self._added = True
        self._file.write(json.dumps(result) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Leaves the file for the next run, if there is anything in it."""
        self._file.close()
        if not self.done and not self._added and self.path.is_file():
            self.path.unlink()

    def remove(self) -> None:
        """When everything is done. Raises OSError."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def begins_with(path: Path, key: Mapping[str, Any]) -> bool:
    """Whether there is a file of this key."""
    first = json.dumps({"version": VERSION, **key}, sort_keys=True)
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline() == first + "\n"


def fingerprint(path: Path) -> str:
    """Changes when a file, or a file directly in a folder, is written: names, sizes and times of change."""
    if not path.exists():
        return "none"
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    told = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _read(path: Path, first: str) -> tuple[dict[str, Any], ...]:
    done: list[dict[str, Any]] = []
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8", errors="replace") as file:
        if file.readline() != first + "\n":
            return ()
        for line in file:
            try:
                result = json.loads(line)
            except ValueError:
                break
            if not isinstance(result, dict) or not line.endswith("\n"):
                break
            done.append(result)
    return tuple(done)
