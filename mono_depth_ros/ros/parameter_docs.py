# SPDX-License-Identifier: Apache-2.0
"""Writes what is said about the parameters from the one place where they are: stream/config.py.

`python -m mono_depth_ros.ros.parameter_docs` rewrites config/depth_node.yaml and the table in docs/depth_node.md of the
source tree it runs in; with `--check` it writes nothing and fails if they differ.
"""

import dataclasses
import sys
import textwrap
from pathlib import Path
from typing import Any

from mono_depth_ros.stream.config import ANY_TIME, AT_START, FIELDS, UNCONFIGURED
from mono_depth_ros.whole_file import write_whole

COMMAND = "python -m mono_depth_ros.ros.parameter_docs"
BEGIN, END = f"<!-- parameters: written by {COMMAND} -->", "<!-- parameters: end -->"
_WHEN = {AT_START: "at the start", UNCONFIGURED: "unconfigured", ANY_TIME: "any time"}
_SHORT = {AT_START: "start", UNCONFIGURED: "unconfigured", ANY_TIME: "any"}
_WIDTH, _COMMENT_AT = 120, 46
_EXAMPLES = {
    "extrinsics.T_camera_lidar": "[0.0, -0.1, 0.0, 0.5, -0.5, 0.5, 0.5]",
    "extrinsics.T_camera_scan": "[0.0, 0.9, 0.2, 0.5, -0.5, 0.5, 0.5]",
    "extrinsics.T_camera_range": "[0.0, 0.1, 0.0, 0.5, -0.5, 0.5, 0.5]",
    "extrinsics.T_base_camera": "[1.0, 0.0, 1.5, -0.5, 0.5, -0.5, 0.5]",
}


def parameter_table() -> str:
    """The table of docs/depth_node.md, in Markdown."""
    lines = ["| parameter | default | range | when it may be set | what it does |", "|---|---|---|---|---|"]
    for name, field in FIELDS.items():
        when, description = _WHEN[field.metadata["settable"]], field.metadata["description"].replace("|", "\\|")
        default = "TF" if field.default == () else _yaml(field.default) or '""'
        lines.append(f"| `{name}` | {default} | {_range(field)} | {when} | {description} |")
    return "\n".join(lines)


def parameter_file() -> str:
    """config/depth_node.yaml."""
    lines = [
        "# Every parameter of depth_node with its default. docs/depth_node.md says more; `ros2 param describe` says it",
        f"# at run time. Written by {COMMAND}.",
        "# (start): only at the start. (unconfigured): while the node is unconfigured. (any): from the next image on.",
        "/**:",
        "  ros__parameters:",
    ]
    group = ""
    for name, field in FIELDS.items():
        parent, _, leaf = name.rpartition(".")
        commented = field.default == ()
        if parent != group and parent:
            lines.append(f"    {'# ' if commented else ''}{parent}:")
        group = parent
        value = _EXAMPLES[name] if commented else _yaml(field.default) or '""'
        entry = f"    {'# ' if commented else ''}{'  ' if parent else ''}{leaf}: {value}"
        lines += _commented(entry, field)
    return "\n".join(lines) + "\n"


def _commented(entry: str, field: dataclasses.Field[Any]) -> list[str]:
    """An entry with its comment beside it, in as many lines as that takes."""
    description, values = field.metadata["description"], _range(field)
    told = all(choice in description for choice in field.metadata["choices"] or ("no choice",))
    lead = _SHORT[field.metadata["settable"]] + (f"; {values}" if values and not told and field.default != () else "")
    text = textwrap.wrap(f"({lead}) {description}", _WIDTH - _COMMENT_AT - 2)
    if len(entry) >= _COMMENT_AT:
        return [entry, *(f"{'':{_COMMENT_AT}}# {line}" for line in text)]
    return [f"{entry:{_COMMENT_AT}}# {text[0]}", *(f"{'':{_COMMENT_AT}}# {line}" for line in text[1:])]


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _range(field: dataclasses.Field[Any]) -> str:
    if field.default == ():
        return "7 numbers"
    if field.metadata["choices"]:
        return ", ".join(field.metadata["choices"])
    limits = field.metadata["limits"]
    return "" if limits is None else f"{limits[0]:g} to {limits[1]:g}".replace("1e+06", "1000000")


def outdated(root: Path, write: bool) -> list[Path]:
    """The files below a source tree that differ from what stream/config.py says; they are written anew if asked."""
    page, config = root / "docs" / "depth_node.md", root / "config" / "depth_node.yaml"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    wanted = {config: parameter_file()}
    if found:
        wanted[page] = f"{before}{BEGIN}\n{parameter_table()}\n{END}{after}"
    differing = [path for path, content in wanted.items() if path.read_text(encoding="utf-8") != content]
    if not found:
        differing.append(page)
    for path in differing if write else ():
        if path in wanted:
            write_whole(path, wanted[path])
    return differing


def main() -> int:
    """The command; returns the exit code."""
    check = "--check" in sys.argv[1:]
    differing = outdated(Path.cwd(), write=not check)
    for path in differing:
        sys.stdout.write(f"{path}: {'differs from stream/config.py; run ' + COMMAND if check else 'written'}\n")
    return int(check and bool(differing))


if __name__ == "__main__":
    sys.exit(main())
