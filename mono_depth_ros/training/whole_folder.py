# SPDX-License-Identifier: Apache-2.0
"""Files of a model that appear together, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(out_dir: Path) -> Iterator[Path]:
    """A folder beside the files of `out_dir`, whose files take their place there when the block ends without an error.

    Other files in `out_dir` stay. After an error it holds what it held before, and is gone if it was not there.

    Args:
        out_dir: created where it is missing.
    """
    existed = out_dir.exists()
    out_dir.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=out_dir, prefix=".export.") as folder:
            yield Path(folder)
            for path in sorted(Path(folder).iterdir()):
                os.replace(path, out_dir / path.name)
    except BaseException:
        if not existed:
            shutil.rmtree(out_dir, ignore_errors=True)
        raise
