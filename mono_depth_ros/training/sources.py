# SPDX-License-Identifier: Apache-2.0
"""What a run learns from and is validated on: rendered images with dense truth, or clips of recorded drives."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mono_depth_ros.datasets.excluded_frames import Frame, read_excluded_frames
from mono_depth_ros.datasets.rendered.rendered_cache import SyntheticConfig, SyntheticDataset, cache_folder
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.networks.depth_network import DepthNetwork
from mono_depth_ros.networks.packnet_san import PackNetSanConfig
from mono_depth_ros.training.batches import Batch, BatchRecipe, ImageSource, batch_at, with_kept_points
from mono_depth_ros.training.clip_batches import ClipRecipe, clip_batch_at
from mono_depth_ros.training.config import TrainConfig
from mono_depth_ros.training.drive_cache import DriveCache, dataset_url, prepare_drive
from mono_depth_ros.training.drive_clips import DriveClips
from mono_depth_ros.training.rig_batches import rig_batch_at
from mono_depth_ros.training.rig_clips import RigClips
from mono_depth_ros.training.validation import DriveScores, Scores, validate, validate_drive


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One source of batches.

    Attributes:
        batch: positions of the endless stream -> batch, a pure function.
        validate: scores of a network in eval mode.
        trained_fx_px: focal length at network size that depths are normalised to; None where they are not.
        description: one line for the model's contract.
    """

    batch: Callable[[range], Batch]
    validate: Callable[[DepthNetwork], Scores | DriveScores]
    trained_fx_px: float | None
    description: str


def rendered_source(config: TrainConfig, images: ImageSource, held_out: ImageSource) -> Source:
    """Images with dense truth. Raises ConfigError without a focal length to normalise to."""
    fx_px = config.trained_fx_px if config.focal_normalisation else None
    if fx_px is None and config.focal_normalisation:
        raise ConfigError("data: expected a drive to learn from, or a trained_fx_px for rendered images, got neither")
    recipe = BatchRecipe(
        seed=config.seed,
        trained_fx_px=fx_px,
        max_depth_m=config.max_depth_m,
        augmentation=config.augmentation,
        patterns=config.points,
        chaos_prediction=config.objectives.chaos_prediction,
        shapes=config.shapes,
        least_zoom=config.least_zoom,
        ground=config.ground,
    )
    return Source(
        batch=_batches(config, lambda positions: batch_at(images, recipe, positions)),
        validate=lambda network: validate(network, held_out, config, fx_px),
        trained_fx_px=fx_px,
        description=f"{len(images)} rendered images ({_kinds(config.rendered)}), cache {config.rendered.fingerprint()}",
    )


def _kinds(rendered: SyntheticConfig) -> str:
    """Which worlds, in words."""
    streets = 1.0 - rendered.chaos_share - rendered.indoor_share
    shares = {"streets": streets, "buildings": rendered.indoor_share, "without layout": rendered.chaos_share}
    return ", ".join(f"{100 * share:.0f} % {kind}" for kind, share in shares.items() if share > 0)


def rendered_cache_source(config: TrainConfig, data_root: Path) -> Source:
    """The rendered images of a recipe; see `rendered_cache.prepare`. Raises DataError when not rendered."""
    folder = cache_folder(config.rendered, data_root)
    images = SyntheticDataset(config.rendered, folder, "train")
    return rendered_source(config, images, SyntheticDataset(config.rendered, folder, "val"))


def cached_drives(
    sources: tuple[str, ...], config: TrainConfig, data_root: Path, report: Callable[[int, int], None]
) -> list[DriveCache]:
    """Caches of data sets, made where they are missing, of a rig one per camera. Raises what the data sets raise."""
    drive = config.drive
    if config.rig.cameras:
        sources = tuple(camera_url(source, camera) for source in sources for camera in config.rig.cameras)
    return [prepare_drive(url, drive.width_px, drive.height_px, drive.limit, data_root, report) for url in sources]


def excluded_frames(config: TrainConfig) -> list[frozenset[Frame] | None]:
    """The frames of each data set that are not learned from; None for a data set that the file does not name.

    Raises:
        DataError: the file is broken, or names none of the data sets.
    """
    if not config.exclude:
        return [None] * len(config.data)
    known = read_excluded_frames(Path(config.exclude).expanduser())
    found = [known.of(dataset_url(source)) for source in config.data]
    if all(frames is None for frames in found):
        raise DataError(
            f"exclude: expected a file that names frames of {', '.join(config.data)}, got {config.exclude}, which "
            f"names {', '.join(known.of_data_sets) or 'no data set'}"
        )
    return found


def camera_url(source: str, camera: str) -> str:
    """The URL of one camera of a bag.

    Raises:
        ConfigError: it is no bag, or names a camera itself.

    >>> camera_url("drives/a", "front")
    'bag:drives/a?camera=/front'
    """
    url = dataset_url(source)
    if not url.startswith("bag:") or "camera=" in url:
        raise ConfigError(f"data: expected a bag without a camera in its URL for a rig, got {source}")
    return f"{url}{'&' if '?' in url else '?'}camera=/{camera.strip('/')}"


def drive_clips(
    config: TrainConfig, data_root: Path, report: Callable[[int, int], None]
) -> tuple[DriveClips, DriveClips | None]:
    """Clips to learn from, and those of `validation` where it names data.

    Raises:
        DataError: the drives lack what the recipe needs; also what the data sets raise.
    """
    hold_out = not config.validation
    excluded = [frames for frames in excluded_frames(config) for _ in config.rig.cameras or ("",)]
    clips = DriveClips(cached_drives(config.data, config, data_root, report), config.drive, hold_out, excluded)
    video, supervision = config.video, config.drive.supervision
    clips.require(
        distances=video.velocity.used and config.pose.source != "odometry",
        poses=config.pose.source == "odometry",
        points=supervision == "points" or config.modes == "completion",
        truth=supervision == "truth",
    )
    if hold_out:
        return clips, None
    return clips, DriveClips(cached_drives(config.validation, config, data_root, report), config.drive, False)


def drive_source(config: TrainConfig, clips: DriveClips, held_out: DriveClips | None = None) -> Source:
    """Clips of drives; `held_out` has the frames to validate on, else they are the end of each drive."""
    fx_px = (config.trained_fx_px or clips.focal_px()) if config.focal_normalisation else None
    recipe = ClipRecipe(
        seed=config.seed,
        trained_fx_px=fx_px,
        max_depth_m=config.max_depth_m,
        beams=config.drive.beams,
        supervision=config.drive.supervision,
        augmentation=config.augmentation,
        pose=config.pose,
    )
    scored = held_out or clips
    make: Callable[[range], Batch] = lambda positions: clip_batch_at(clips, recipe, positions)  # noqa: E731
    if config.rig.cameras:
        moments = RigClips(clips, config.rig)
        make = lambda positions: rig_batch_at(moments, recipe, len(config.rig.cameras), positions)  # noqa: E731
    names = ", ".join(Path(fact.url.partition(":")[2].partition("?")[0]).name for fact in clips.facts)
    return Source(
        batch=_batches(config, make),
        validate=lambda network: validate_drive(network, scored, config, fx_px),
        trained_fx_px=fx_px,
        description=f"{len(clips.clips)} clips of recorded drives: {names}",
    )


def _batches(config: TrainConfig, make: Callable[[range], Batch]) -> Callable[[range], Batch]:
    """The batches that `make` gives, with points to keep where the recipe thins them out."""
    if not config.thins_points:
        return make
    return lambda positions: with_kept_points(make(positions), config.seed, positions)


def without_sparse_branch(config: TrainConfig) -> TrainConfig:
    """The recipe with the network that it trains: one that is never given points has no branch for them."""
    if config.modes != "prediction" or config.init:
        return config
    network = config.network
    if isinstance(network, PackNetSanConfig):
        return replace(config, network=replace(network, sparse=False, prior=False))
    return replace(config, network=replace(network, sparse=False))
