# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all: a reader, or a later run, never meets half of one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside `path`, with its suffix; what the block writes there takes the place of `path` when the block ends.

    After an error, what was at `path` is still there, and nothing beside it. Raises OSError as writing does.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> Path:
    """Writes text (UTF-8) or bytes whole or not at all; returns the path. Raises OSError."""
    with whole_file(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
