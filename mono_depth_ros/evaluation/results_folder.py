# SPDX-License-Identifier: Apache-2.0
"""A folder of results that appears when it is complete, and beside it what an interrupted evaluation has scored so far.

While an evaluation runs, everything is in `OUT.partial`: one line of JSON per time step, and the pictures. The same
evaluation begins where that one stopped; another one begins anew. At the end `OUT.partial` becomes `OUT`.
"""

import os
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.evaluation.dropout.kept_lines import KeptLines, begins_with
from mono_depth_ros.evaluation.evaluation_result import ImageScore, StepScore, step_score_from_dict

RESULTS_JSON, RESULTS_CSV, REPORT_HTML, FRAMES = "results.json", "results.csv", "report.html", "frames"
_OURS = {RESULTS_JSON, RESULTS_CSV, REPORT_HTML, FRAMES}
_STEPS_FILE = "steps.jsonl"


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
        _refuse_foreign(self.partial, {*_OURS, _STEPS_FILE})
        steps = self.partial / _STEPS_FILE
        try:
            if self.partial.is_dir() and not begins_with(steps, key):
                shutil.rmtree(self.partial)
            (self.partial / FRAMES).mkdir(parents=True, exist_ok=True)
            self._steps = KeptLines(steps, key)
        except OSError as error:
            raise ConfigError(f"--out {out_dir}: expected a folder to write to, got {error}") from error
        self.done: tuple[StepScore, ...] = tuple(step_score_from_dict(step) for step in self._steps.done)

    def add(self, step: StepScore) -> None:
        """Keeps a step, so that it need not be scored again.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            self._steps.add(step.to_dict())
        except OSError as error:
            raise ConfigError(f"--out {self._out_dir}: expected space for scores, got {error}") from error

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
        replaced = self._out_dir.with_name(self._out_dir.name + f".replaced{os.getpid()}")
        try:
            for name, content in files.items():
                (self.partial / name).write_bytes(content)
            self._steps.remove()
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
    'a_b_8c91127f.jpg'
    """
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", image.name).strip("_")[-60:]
    unique = zlib.crc32(f"{image.camera_name}\n{image.name}\n{image.stamp_ns}".encode())
    return f"{plain}_{unique:08x}.jpg"


def _refuse_foreign(folder: Path, ours: set[str]) -> None:
    """An error if there is something that would be lost; what a killed run left beside its lines may be."""
    if folder.is_dir():
        foreign = sorted(
            path.name
            for path in folder.iterdir()
            if path.name not in ours and not path.name.startswith(f".{_STEPS_FILE}.")
        )
        if foreign:
            raise ConfigError(
                f"--out {folder}: expected a new folder or one of an earlier evaluation, got one with {foreign[0]!r}; "
                "name another folder"
            )
    elif folder.exists():
        raise ConfigError(f"--out {folder}: expected a folder, got a file")
