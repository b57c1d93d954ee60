# SPDX-License-Identifier: Apache-2.0
"""Recognises files that stand where a model, checkpoint or recording should be."""

from pathlib import Path

_STARTS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; `git lfs pull` fetches it"),
    (b"<!doctype html", "a web page; the download got a log-in or error page in place of the file"),
    (b"<html", "a web page; the download got a log-in or error page in place of the file"),
)


def placeholder(path: Path) -> str:
    """What a file holds in place of its content, and what to do about it; empty if it may be the file itself.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(256)
    if not start:
        return "an empty file; copy it again"
    return next((what for prefix, what in _STARTS if start.lstrip().lower().startswith(prefix)), "")
