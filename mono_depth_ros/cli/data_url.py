# SPDX-License-Identifier: Apache-2.0
"""`--data`: the URL of a data set, or the path of a bag with its topics as options."""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from mono_depth_ros.errors import ConfigError

_URL = re.compile(r"[a-z][a-z0-9_]*:")


def is_url(text: str) -> bool:
    """Whether this names a format; a path that exists is a path, whatever it looks like."""
    return _URL.match(text) is not None and not Path(text).exists()


def data_url(text: str, options: Mapping[str, str | float | None]) -> str:
    """The URL of a data set.

    Args:
        text: a URL, which has its own keys, or the path of a bag.
        options: key -> value for a bag; None where it was not given.

    Raises:
        ConfigError: options beside a URL.

    >>> data_url("drives/a", {"camera": "/camera_02", "points": None, "truth_scale": 0.5})
    'bag:drives/a?camera=/camera_02&truth_scale=0.5'
    """
    given = {key: value for key, value in options.items() if value is not None}
    if is_url(text):
        if given:
            raise ConfigError(
                f"--data {text}: expected its keys in the URL (?key=value&...), got the option(s) "
                f"{', '.join(given)} beside it"
            )
        return text
    if not given:
        return f"bag:{text}"
    return f"bag:{text}?" + "&".join(f"{key}={quote(str(value), safe='/.,')}" for key, value in given.items())


def data_path(url: str) -> Path:
    """Where the data set lies.

    >>> data_path("bag:drives/a?limit=3").as_posix()
    'drives/a'
    """
    return Path(url.partition(":")[2].partition("?")[0]).expanduser()


def add_bag_options(parser: argparse.ArgumentParser) -> None:
    """The keys of a bag as options, for a plain path."""
    group = parser.add_argument_group("for a plain path of a bag (in a URL these are keys)")
    group.add_argument("--camera", metavar="NS", help="namespace of the camera; default: the only one in the bag")
    group.add_argument("--points", metavar="TOPIC", help="sparse input; default: the only cloud; none: without")
    group.add_argument("--gt-points", metavar="TOPIC", help="truth: a dense cloud, or depth images")
    group.add_argument("--odom", metavar="TOPIC", help="carries scans to the image stamp; default: the only one")
    group.add_argument("--truth-scale", type=float, help="size of the truth's grid relative to the image (default: 1)")
