# SPDX-License-Identifier: Apache-2.0
"""One name for any data set: `format:path?key=value&key=value`."""

from collections.abc import Iterable
from pathlib import Path

from mono_depth_ros.datasets.bags.bag_samples import BagQuery, BagSamples
from mono_depth_ros.datasets.bags.drive import BagOptions
from mono_depth_ros.datasets.bags.topics import TopicNames
from mono_depth_ros.datasets.bags.truth import TruthChoice
from mono_depth_ros.datasets.releases.dgp import DgpReader
from mono_depth_ros.datasets.releases.kitti_depth import KittiDepthReader
from mono_depth_ros.datasets.releases.kitti_depth_drives import KittiDrivesReader
from mono_depth_ros.datasets.releases.kitti_raw import KittiRawReader, list_drive, read_split
from mono_depth_ros.datasets.releases.nyu import NyuReader
from mono_depth_ros.datasets.releases.void import VoidReader
from mono_depth_ros.datasets.sample import DepthSample, DepthSamples, SampleReader, Samples
from mono_depth_ros.datasets.sparse_patterns import PatternedSamples, PatternedStream, SparsePattern
from mono_depth_ros.datasets.url_options import decimal, flag, nearest, parse_options, size, transform, whole
from mono_depth_ros.errors import ConfigError

_PATTERNS = ("beams", "random", "grid", "tof", "single")
_PATTERN_KEYS = (*_PATTERNS, "seed", "hold_out")
_BAG_KEYS = (
    *("camera", "image", "camera_info", "rectified", "points", "points_info", "point_time", "odom"),
    *("T_camera_lidar", "T_base_camera", "truth", "gt_points", "truth_npz", "right", "truth_scale", "labels"),
    *("limit", "skip"),
)
# Format -> its keys.
KEYS: dict[str, tuple[str, ...]] = {
    "kitti_raw": ("split", "drive", "camera", "truth", "points", *_PATTERN_KEYS),
    "kitti_depth": ("split", "drives", "raw", *_PATTERN_KEYS),
    "ddad": ("split", "camera", "truth", "lidar", *_PATTERN_KEYS),
    "dgp": ("split", "camera", "truth", "lidar", *_PATTERN_KEYS),
    "nyu": ("split", *_PATTERN_KEYS),
    "void": ("split", "points", *_PATTERN_KEYS),
    "bag": (*_BAG_KEYS, *_PATTERN_KEYS),
    "synthetic": (
        *("seed", "seconds", "rate", "size", "samples", "rig", "camera", "points", "lidar_beams", "cache"),
        *(key for key in _PATTERN_KEYS if key != "seed"),
    ),
}


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
            f", got {name!r}{nearest(name, KEYS)}"
        )
    path_text, _, query = rest.partition("?")
    options = parse_options(query, name, KEYS[name])
    path = Path(path_text).expanduser()
    if not path_text:
        raise ConfigError(f"data set {url!r}: expected a path after {name}:, got none")
    if name == "synthetic":
        return _synthetic(path_text, options)
    if name == "bag":
        stream = BagSamples(path, _bag_query(path, options))
        choice = _pattern(options)
        return stream if choice is None else PatternedStream(stream, *choice)
    if name == "kitti_raw":
        reader: SampleReader = _kitti_raw(path, options)
    elif name == "kitti_depth":
        reader = _kitti_depth(path, options)
    elif name in ("ddad", "dgp"):
        reader = DgpReader(
            path,
            options.get("split", "val"),
            options.get("camera", "CAMERA_01"),
            options.get("truth", "lidar"),
            options.get("lidar", "LIDAR"),
        )
    elif name == "nyu":
        reader = NyuReader(path, options.get("split", "val"))
    else:
        points = whole(options.get("points", "1500"), "points")
        reader = VoidReader(path, points, options.get("split", "test"))
    samples, choice = Samples(reader), _pattern(options)
    return samples if choice is None else PatternedSamples(samples, *choice)


def _kitti_depth(path: Path, options: dict[str, str]) -> KittiDepthReader | KittiDrivesReader:
    if "drives" not in options and "raw" not in options:
        return KittiDepthReader(path, options.get("split", "val"))
    if "split" in options or not ("drives" in options and "raw" in options):
        raise ConfigError(
            f"kitti_depth:{path}: expected drives=train|val and raw=DIR together, or split=, got {', '.join(options)}"
        )
    return KittiDrivesReader(path, Path(options["raw"]).expanduser(), options["drives"])


def _bag_query(path: Path, options: dict[str, str]) -> BagQuery:
    names = TopicNames(
        camera=options.get("camera"),
        image=options.get("image"),
        camera_info=options.get("camera_info"),
        points=options.get("points"),
        odometry=options.get("odom"),
        points_info=options.get("points_info"),
        rectified=flag(options["rectified"], "rectified") if "rectified" in options else None,
    )
    truth = options.get("truth", "stereo" if "right" in options else "none")
    if truth not in ("stereo", "none") or (truth == "stereo") != ("right" in options):
        raise ConfigError(f"bag:{path}: expected truth=stereo and right=CAMERA together, or truth=none, got {truth!r}")
    choice = TruthChoice(
        topic=options.get("gt_points"),
        folder=Path(options["truth_npz"]).expanduser() if "truth_npz" in options else None,
        right=options.get("right"),
        scale=decimal(options.get("truth_scale", "1"), "truth_scale"),
        labels=options.get("labels"),
    )
    places = {key: transform(options[key], key) for key in ("T_camera_lidar", "T_base_camera") if key in options}
    feed = BagOptions(
        T_camera_lidar=places.get("T_camera_lidar"),
        T_base_camera=places.get("T_base_camera"),
        time_field=options.get("point_time"),
    )
    limit = whole(options["limit"], "limit") if "limit" in options else None
    return BagQuery(names, choice, feed, limit, whole(options.get("skip", "0"), "skip"))


def _kitti_raw(path: Path, options: dict[str, str]) -> KittiRawReader:
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
    return KittiRawReader(path, frames, options.get("truth", "improved"), with_points=points == "velodyne")


def _synthetic(world: str, options: dict[str, str]) -> DepthSamples:
    from mono_depth_ros.datasets.rendered.simulation import ODOMETRY, SimulationPlan
    from mono_depth_ros.datasets.rendered.synthetic_samples import NO_POINTS, POINT_SENSORS, SyntheticSamples

    points = options.get("points", POINT_SENSORS[0])
    if points not in (*POINT_SENSORS, NO_POINTS):
        raise ConfigError(f"points: expected one of {', '.join((*POINT_SENSORS, NO_POINTS))}, got {points!r}")
    if "beams" in options and "lidar_beams" not in options:
        raise ConfigError("beams: expected lidar_beams= of the LiDAR beside it, as in lidar_beams=64&beams=4, got none")
    width_px, height_px = size(options.get("size", "640x192"), "size")
    plan = SimulationPlan(
        seed=whole(options.get("seed", "0"), "seed"),
        seconds=decimal(options.get("seconds", "5"), "seconds"),
        rate_hz=decimal(options.get("rate", "10"), "rate"),
        width_px=width_px,
        height_px=height_px,
        lidar_beams=whole(options.get("lidar_beams", "4"), "lidar_beams"),
        samples=whole(options.get("samples", "2"), "samples"),
        world=world,
        rig=options.get("rig", "single"),
        sensors=(ODOMETRY,) if points == NO_POINTS else (points, ODOMETRY),
    )
    cache = Path(options["cache"]).expanduser() if "cache" in options else None
    samples = SyntheticSamples(plan, points, options.get("camera"), cache)
    # The one seed is that of everything.
    choice = _pattern({key: value for key, value in options.items() if key != "seed" or "random" in options})
    return samples if choice is None else PatternedSamples(samples, *choice)


def _pattern(options: dict[str, str]) -> tuple[SparsePattern, bool] | None:
    """The sparse input and whether it is held out of the truth; None where the samples stay as they are."""
    kinds = [kind for kind in _PATTERNS if kind in options]
    if len(kinds) > 1:
        raise ConfigError(f"sparse input: expected one of {', '.join(_PATTERNS)}, got {' and '.join(kinds)}")
    if "seed" in options and kinds != ["random"]:
        raise ConfigError("seed: expected it with random= only, got it without")
    hold_out = flag(options.get("hold_out", "no"), "hold_out")
    if kinds == ["single"] and not flag(options["single"], "single"):
        kinds = []
    if not kinds and not hold_out:
        return None
    kind = kinds[0] if kinds else "all"
    amount = whole(options[kind], kind) if kinds and kind != "single" else 0
    return SparsePattern(kind, amount, whole(options.get("seed", "0"), "seed")), hold_out
