# SPDX-License-Identifier: Apache-2.0
"""One name for any data set: `format:path?key=value&key=value`."""

import difflib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl

from mono_depth_ros.datasets.bag_samples import read_samples
from mono_depth_ros.datasets.bag_topics import BagTopics, find_topics
from mono_depth_ros.datasets.dgp import DgpSamples
from mono_depth_ros.datasets.kitti_depth import KittiDepthSamples
from mono_depth_ros.datasets.kitti_raw import KittiRawSamples, list_drive, read_split
from mono_depth_ros.datasets.nyu import NyuSamples
from mono_depth_ros.datasets.rosbag2 import Rosbag2Reader
from mono_depth_ros.datasets.sample import DepthSample, DepthSamples
from mono_depth_ros.datasets.sparse_patterns import PatternedSamples, SparsePattern
from mono_depth_ros.datasets.void import VoidSamples
from mono_depth_ros.errors import ConfigError

_PATTERN_KEYS = ("beams", "random", "grid", "seed", "hold_out")
# Format -> its keys; every format but bag also takes the keys of sparse patterns.
KEYS: dict[str, tuple[str, ...]] = {
    "kitti_raw": ("split", "drive", "camera", "truth", "points", *_PATTERN_KEYS),
    "kitti_depth": ("split", *_PATTERN_KEYS),
    "ddad": ("split", "camera", "truth", "lidar", *_PATTERN_KEYS),
    "dgp": ("split", "camera", "truth", "lidar", *_PATTERN_KEYS),
    "nyu": ("split", *_PATTERN_KEYS),
    "void": ("split", "points", *_PATTERN_KEYS),
    "bag": ("camera", "points", "gt_points", "odom", "truth_scale", "limit"),
}


class BagSamples:
    """The samples of a bag, from its beginning each time they are asked for.

    A bag has no places to jump to: `operator.length_hint` tells how many samples there are at most.

    Raises:
        DataError: the bag cannot be read, or a topic is missing.
    """

    def __init__(self, path: Path, options: dict[str, str]) -> None:
        if missing := [key for key in ("points", "gt_points") if key not in options]:
            raise ConfigError(f"bag:{path}: expected {' and '.join(missing)}=TOPIC, got none")
        self._path = path
        self._options = options
        self._truth_scale = _decimal(options.get("truth_scale", "1"), "truth_scale")
        self._limit = _whole(options["limit"], "limit") if "limit" in options else None
        with Rosbag2Reader(path) as bag:
            images = bag.counts[self._topics(bag).image]
        self._most = images if self._limit is None else min(images, self._limit)

    def __length_hint__(self) -> int:
        return self._most

    def __iter__(self) -> Iterator[DepthSample]:
        truth_points = self._options["gt_points"]
        with Rosbag2Reader(self._path) as bag:
            yield from read_samples(bag, self._topics(bag), truth_points, self._truth_scale, limit=self._limit)

    def _topics(self, bag: Rosbag2Reader) -> BagTopics:
        options = self._options
        return find_topics(bag.types, options.get("camera"), options["points"], options.get("odom"))


def open_dataset(url: str) -> Iterable[DepthSample]:
    """The samples that a URL names, read one by one when they are asked for; docs/datasets.md lists the forms.

    `operator.length_hint` of what is returned tells how many there are (for a bag: at most how many). All but a bag
    can also be indexed and have a length.

    Args:
        url: for example "ddad:/data/ddad_train_val?split=val&camera=CAMERA_01&beams=4&hold_out=yes".

    Raises:
        ConfigError: an unknown format, key or value; the message has the nearest known one.
        DataError: the data set is not there or broken.
    """
    name, colon, rest = url.partition(":")
    if not colon or name not in KEYS:
        example = "kitti_raw:/data/kitti?split=eigen_test"
        raise ConfigError(
            f"data set {url!r}: expected a format ({', '.join(KEYS)}) and a path, as in {example}"
            f", got {name!r}{_nearest(name, KEYS)}"
        )
    path_text, _, query = rest.partition("?")
    options = _options(query, name)
    path = Path(path_text).expanduser()
    if not path_text:
        raise ConfigError(f"data set {url!r}: expected a path after {name}:, got none")
    if name == "bag":
        return BagSamples(path, options)
    if name == "kitti_raw":
        samples: DepthSamples = _kitti_raw(path, options)
    elif name == "kitti_depth":
        samples = KittiDepthSamples(path, options.get("split", "val"))
    elif name in ("ddad", "dgp"):
        samples = DgpSamples(
            path,
            options.get("split", "val"),
            options.get("camera", "CAMERA_01"),
            options.get("truth", "lidar"),
            options.get("lidar", "LIDAR"),
        )
    elif name == "nyu":
        samples = NyuSamples(path, options.get("split", "val"))
    else:
        points = _whole(options.get("points", "1500"), "points")
        samples = VoidSamples(path, points, options.get("split", "test"))
    return _patterned(samples, options)


def _kitti_raw(path: Path, options: dict[str, str]) -> KittiRawSamples:
    if ("split" in options) == ("drive" in options):
        got = "both" if "split" in options else "neither"
        raise ConfigError(f"kitti_raw:{path}: expected split=NAME or drive=DATE/DRIVE, got {got}")
    if "split" in options and "camera" in options:
        raise ConfigError("camera: expected it with drive= only; a split file names the camera of each image")
    if "split" in options:
        frames = read_split(path, options["split"])
    else:
        frames = list_drive(path, options["drive"], options.get("camera", "image_02"))
    points = options.get("points", "velodyne")
    if points not in ("velodyne", "none"):
        raise ConfigError(f"points: expected velodyne or none, got {points!r}")
    return KittiRawSamples(path, frames, options.get("truth", "improved"), with_points=points == "velodyne")


def _patterned(samples: DepthSamples, options: dict[str, str]) -> DepthSamples:
    kinds = [kind for kind in ("beams", "random", "grid") if kind in options]
    if len(kinds) > 1:
        raise ConfigError(f"sparse input: expected one of beams, random and grid, got {' and '.join(kinds)}")
    if "seed" in options and kinds != ["random"]:
        raise ConfigError("seed: expected it with random= only, got it without")
    hold_out = options.get("hold_out", "no")
    if hold_out not in ("yes", "no"):
        raise ConfigError(f"hold_out: expected yes or no, got {hold_out!r}")
    if not kinds and hold_out == "no":
        return samples
    kind = kinds[0] if kinds else "all"
    amount = _whole(options[kind], kind) if kinds else 0
    pattern = SparsePattern(kind, amount, _whole(options.get("seed", "0"), "seed"))
    return PatternedSamples(samples, pattern, hold_out == "yes")


def _options(query: str, name: str) -> dict[str, str]:
    """Key -> value of a query with the keys of a format."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError as error:
        raise ConfigError(f"data set {name}: expected key=value&key=value after '?', got {query!r}") from error
    options = dict(pairs)
    if len(options) != len(pairs):
        raise ConfigError(f"data set {name}: expected each key once, got {query!r}")
    if unknown := [key for key in options if key not in KEYS[name]]:
        hints = "; ".join(f"{key!r}{_nearest(key, KEYS[name])}" for key in unknown)
        raise ConfigError(f"data set {name}: expected keys {', '.join(KEYS[name])}, got {hints}")
    return options


def _nearest(word: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ConfigError(f"{name}: expected a whole number of at least 0, got {text!r}")
    return int(text)


def _decimal(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"{name}: expected a number, got {text!r}") from error
