# SPDX-License-Identifier: Apache-2.0
"""Finds the files that ship beside the code: models, configuration, message definitions.

The same relative path (``models/street``) must work from a source tree, from a colcon install and from a pip
install, so the places are tried in this order.
"""

import os
import sys
from pathlib import Path

from mono_depth_ros.errors import ConfigError

_PACKAGE = "mono_depth_ros"


def share_roots() -> tuple[Path, ...]:
    """Folders that may hold shipped files, the most specific first."""
    roots = []
    source_root = Path(__file__).resolve().parent.parent
    if (source_root / "package.xml").is_file():
        roots.append(source_root)
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix:
            roots.append(Path(prefix) / "share" / _PACKAGE)
    # Beside lib/pythonX/site-packages of this very file, as with `pip install --user` and Debian's /usr/local; or
    # within the folder of `pip install --target`.
    roots += [parent / "share" / _PACKAGE for parent in Path(__file__).resolve().parents[1:5:3]]
    roots.append(Path(sys.prefix) / "share" / _PACKAGE)
    return tuple(roots)


def share_path(relative: str) -> Path:
    """Absolute path of a shipped file or folder.

    Args:
        relative: path below the share folder, for example ``msg/DepthStatus.msg``.

    Raises:
        ConfigError: if no share folder has it.
    """
    for root in share_roots():
        candidate = root / relative
        if candidate.exists():
            return candidate
    looked = ", ".join(str(root) for root in share_roots())
    raise ConfigError(
        f"shipped file {relative!r}: expected below one of [{looked}], got none; is the package installed?"
    )


def model_path(name_or_path: str) -> Path:
    """Folder of a model, given as a path or as the name of a shipped model (``street``).

    A folder without ``model.json`` does not hide the shipped model of its name: a recorded drive may well have it too.

    Raises:
        ConfigError: if neither exists.
    """
    direct = Path(name_or_path).expanduser()
    if (direct / "model.json").is_file():
        return direct
    for root in share_roots():
        for candidate in (root / name_or_path, root / "models" / name_or_path):
            if candidate.is_dir():
                return candidate
    if direct.is_dir():
        return direct  # what it lacks is told by whoever reads it
    raise ConfigError(
        f"model {name_or_path!r}: expected a folder with model.onnx and model.json, or the name of a shipped model, "
        "got neither; `mono-depth export` writes one"
    )
