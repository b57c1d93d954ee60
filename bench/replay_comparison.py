# SPDX-License-Identifier: Apache-2.0
"""What a node published of a drive beside what `mono-depth replay` made of the same bag, as a Markdown table."""

import itertools
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mono_depth_ros.datasets.bags.reader import Rosbag2Reader
from mono_depth_ros.messages.images import decode_depth_image
from mono_depth_ros.messages.stamps import stamp_ns_of

DEPTH, STATUS = "/depth/image_rect", "/depth_node/status"
# What stands in the table even where it is equal.
SHOWN = ("mode", "reason", "points_used", "scale_source", "scale_value")
ByStamp = Mapping[int, Any]


def replay(bag: Path, options: Sequence[str]) -> tuple[ByStamp, ByStamp]:
    """Depth images and statuses by stamp, as messages of rclpy.

    Args:
        bag: the drive.
        options: of `mono-depth replay`.
    """
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import Image

    from mono_depth_ros.msg import DepthStatus

    kinds = {DEPTH: Image, STATUS: DepthStatus}
    made: dict[str, dict[int, Any]] = {topic: {} for topic in kinds}
    with TemporaryDirectory() as folder:
        out = Path(folder) / "replayed"
        command = [sys.executable, "-m", "mono_depth_ros.cli.main", "replay", str(bag), "--out", str(out), *options]
        subprocess.run(command, check=True, stdout=sys.stderr)
        with Rosbag2Reader(out) as reader:
            for stored in reader.messages_as_recorded(kinds):
                message = deserialize_message(stored.raw, kinds[stored.topic])
                made[stored.topic][stamp_ns_of(message.header.stamp)] = message
    return made[DEPTH], made[STATUS]


def table(node: tuple[ByStamp, ByStamp], replayed: tuple[ByStamp, ByStamp]) -> str:
    """A row for the depth images and for each field of the statuses that differs, and a line of those that do not.

    Args:
        node, replayed: depth images and statuses by stamp.
    """
    lines = ["| of each image | node | replay | of both | equal | largest difference |", "|---|---|---|---|---|---|"]
    both = sorted(node[0].keys() & replayed[0].keys())
    apart_m = [_apart_m(node[0][stamp_ns], replayed[0][stamp_ns]) for stamp_ns in both]
    counts = f"{len(node[0])} | {len(replayed[0])} | {len(both)}"
    lines.append(f"| depth (m) | {counts} | {apart_m.count(0.0)} | {max(apart_m, default=0.0):.3g} |")
    both = sorted(node[1].keys() & replayed[1].keys())
    counts = f"{len(node[1])} | {len(replayed[1])} | {len(both)}"
    pairs: dict[str, list[tuple[Any, Any]]] = {}
    for stamp_ns in both:
        for (name, ours), (_, theirs) in zip(fields(node[1][stamp_ns]), fields(replayed[1][stamp_ns]), strict=True):
            pairs.setdefault(name, []).append((ours, theirs))
    alike = []
    for name, values in pairs.items():
        equal = sum(map(_equal, *zip(*values, strict=True)))
        if equal == len(values) and name not in SHOWN:
            alike.append(name)
        else:
            lines.append(f"| status: {name} | {counts} | {equal} | {_largest(values)} |")
    return "\n".join([*lines, "", f"Equal in every status: {', '.join(alike)}."])


def fields(message: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of every field of a message; those of all messages in a list are one."""
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        if hasattr(value, "get_fields_and_field_types"):
            yield name, tuple(fields(value))
        elif name == "sensors":
            columns = itertools.groupby(sorted(itertools.chain(*map(fields, value)), key=_name), key=_name)
            yield from ((f"{name}.{field}", tuple(found for _, found in group)) for field, group in columns)
        else:
            yield name, value if isinstance(value, (str, bool, int, float)) else tuple(value)


def _name(field: tuple[str, Any]) -> str:
    return field[0]


def _apart_m(a: Any, b: Any) -> float:
    """Largest difference of two depth images; infinite where only one of them knows it, or the sizes differ."""
    a_m, b_m = decode_depth_image(a), decode_depth_image(b)
    if a.header != b.header or a_m.shape != b_m.shape or not np.array_equal(np.isnan(a_m), np.isnan(b_m)):
        return float("inf")
    return float(np.nanmax(np.abs(a_m - b_m), initial=0.0))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b) or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def _largest(values: Sequence[tuple[Any, Any]]) -> str:
    """The largest difference of numbers, or the first two of other values that differ."""
    different = [(a, b) for a, b in values if not _equal(a, b)]
    flat = [pair for a, b in different for pair in (zip(a, b, strict=False) if isinstance(a, tuple) else ((a, b),))]
    if not flat:
        return "0" if isinstance(values[0][0], (int, float)) else "-"
    if all(isinstance(number, (int, float)) for number in flat[0]):
        return f"{max(abs(a - b) for a, b in flat if not _equal(a, b)):.3g}"
    return "{} / {}".format(*next(pair for pair in flat if not _equal(*pair)))
