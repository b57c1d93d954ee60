# SPDX-License-Identifier: Apache-2.0
"""A folder of results that appears when it is complete, and beside it what an interrupted evaluation has scored so far.

While an evaluation runs, everything is in `OUT.partial`: one line of JSON per time step, and the pictures. The same
evaluation begins where that one stopped; another one begins anew. At the end `OUT.partial` becomes `OUT`.
"""

import hashlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.evaluation.scores import ImageScore, StepScore, image_score_from_dict

RESULTS_JSON, RESULTS_CSV, REPORT_HTML, FRAMES = "results.json", "results.csv", "report.html", "frames"
_OURS = {RESULTS_JSON, RESULTS_CSV, REPORT_HTML, FRAMES}
_KEY_FILE, _STEPS_FILE = "evaluation.json", "steps.jsonl"
# To be raised when the same command would give other numbers.
_VERSION = 1


class ResultsFolder:
    """The results of one evaluation on their way to the disk.

    Args:
        out_dir: where they are to appear; an older evaluation there is replaced at the end.
        key: everything that the numbers depend on, as JSON can hold it.

    Attributes:
        done: the steps that an earlier run of the same evaluation has scored.

    Raises:
        ConfigError: the folder holds something else, or cannot be written to.
    """

    def __init__(self, out_dir: Path, key: Mapping[str, Any]) -> None:
        self._out_dir = out_dir
        self.partial = out_dir.with_name(out_dir.name + ".partial")
        _refuse_foreign(out_dir, _OURS)
        _refuse_foreign(self.partial, {*_OURS, _KEY_FILE, _STEPS_FILE})
        self._key = json.dumps({"version": _VERSION, **key}, indent=2, sort_keys=True) + "\n"
        self.done: tuple[StepScore, ...] = ()
        try:
            known = self.partial / _KEY_FILE
            if known.is_file() and known.read_text(encoding="utf-8") == self._key:
                self.done = _read_steps(self.partial / _STEPS_FILE)
            elif self.partial.is_dir():
                shutil.rmtree(self.partial)
            (self.partial / FRAMES).mkdir(parents=True, exist_ok=True)
            known.write_text(self._key, encoding="utf-8")
            self._steps = (self.partial / _STEPS_FILE).open("w", encoding="utf-8")
            for step in self.done:  # again, for the last line of the file may be a part of one
                self.add(step)
        except OSError as error:
            raise ConfigError(f"--out {out_dir}: expected a folder to write to, got {error}") from error

    def add(self, step: StepScore) -> None:
        """Keeps a step, so that it need not be scored again."""
        line = {"samples": step.samples, "images": [image.to_dict() for image in step.images]}
        self._steps.write(json.dumps(line) + "\n")
        self._steps.flush()

    def add_picture(self, image: ImageScore, jpeg: bytes) -> None:
        """Keeps the picture of an image.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            (self.partial / FRAMES / picture_name(image)).write_bytes(jpeg)
        except OSError as error:
            raise ConfigError(f"--out {self._out_dir}: expected space for a picture, got {error}") from error

    def close(self) -> None:
        """Leaves everything as it is, for the next run."""
        self._steps.close()

    def finish(self, files: Mapping[str, bytes]) -> None:
        """Adds the results and puts the folder in its place.

        Raises:
            ConfigError: it cannot be written.
        """
        self.close()
        replaced = self._out_dir.with_name(self._out_dir.name + f".replaced{os.getpid()}")
        try:
            for name, content in files.items():
                (self.partial / name).write_bytes(content)
            for name in (_KEY_FILE, _STEPS_FILE):
                (self.partial / name).unlink()
            if self._out_dir.exists():
                os.replace(self._out_dir, replaced)
            os.replace(self.partial, self._out_dir)
            if replaced.exists():
                shutil.rmtree(replaced)
        except OSError as error:
            raise ConfigError(f"--out {self._out_dir}: expected a folder to write to, got {error}") from error


def picture_name(image: ImageScore) -> str:
    """A file name that no name of a sample can lead out of its folder.

    >>> picture_name(ImageScore("../a b", "cam", 7, 0, {}, {}, {}, {}))
    'a_b_d9cac80b.jpg'
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", image.name).strip("_")[-60:]
    unique = zlib.crc32(f"{image.camera_name}\n{image.name}\n{image.stamp_ns}".encode())
    return f"{plain}_{unique:08x}.jpg"


def fingerprint(path: Path) -> str:
    """Changes when a file, or a file directly in a folder, is written: names, sizes and times of change."""
    if not path.exists():
        return "none"
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    told = [f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _read_steps(path: Path) -> tuple[StepScore, ...]:
    """The steps of a file up to the first line that is not whole."""
    steps: list[StepScore] = []
    if not path.is_file():
        return ()
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                content = json.loads(line)
                images = tuple(image_score_from_dict(image) for image in content["images"])
                steps.append(StepScore(int(content["samples"]), images))
            except (ValueError, KeyError, TypeError, DataError):
                break
    return tuple(steps)


def _refuse_foreign(folder: Path, ours: set[str]) -> None:
    """An error if there is something that would be lost."""
    if folder.is_dir():
        foreign = sorted(path.name for path in folder.iterdir() if path.name not in ours)
        if foreign:
            raise ConfigError(
                f"--out {folder}: expected a new folder or one of an earlier evaluation, got one with {foreign[0]!r}; "
                "name another folder"
            )
    elif folder.exists():
        raise ConfigError(f"--out {folder}: expected a folder, got a file")
