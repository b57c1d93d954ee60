# SPDX-License-Identifier: Apache-2.0
"""Rendered training images on disk: a cache of shards that knows which configuration made it, and can be resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.rendered.render_pool import render_pool
from mono_depth_ros.errors import ConfigError, DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.synthetic.chaos import random_chaos
from mono_depth_ros.synthetic.indoor.scene import ROBOT_CLEARANCE_M, random_indoor
from mono_depth_ros.synthetic.render.rendering import Rendering, render
from mono_depth_ros.synthetic.render.world import Float64, World
from mono_depth_ros.synthetic.sensors.random_camera import (
    CameraRanges,
    camera_pose,
    random_camera,
    random_camera_pose,
    random_photometry,
)
from mono_depth_ros.synthetic.street.scene import random_street
from mono_depth_ros.whole_file import whole_file

GENERATOR_VERSION = 3  # raise it when the worlds change: old caches are then rendered anew
_VIEWS_VERSION = 2  # raise it when other views of the same worlds are taken for training
_GLANCE_PX = 48  # least height of the small picture by which a view is judged before it is rendered
_TRAIN, _VAL = 0, 1
_INDOOR_M = (0.15, 1.7)  # camera heights in buildings

Rng = np.random.Generator
_Place = Callable[[Rng, CameraRanges, bool], Float64]  # a random T_world_camera, in a lane or anywhere


@dataclass(frozen=True, slots=True)
class SyntheticConfig:
    """What is rendered.

    Args:
        width_px, height_px: image size.
        train_images, val_images: how many; validation worlds have seeds of their own.
        images_per_world: views per world; making a world costs time, seeing it twice adds little.
        chaos_share: share of the worlds without any layout.
        indoor_share: share of the worlds that are buildings from inside; what is left are streets.
        samples: colour samples per pixel.
        shard_images: images per file.
        seed: another seed, other worlds.
        camera: where cameras are drawn from.
        driver_share: share of the street views from a camera as cars carry it, `driver_camera`, on a lane. How far away
            something is an image tells only through the height of its camera over the road: a prediction is metric
            where cameras are alike, the others teach what holds for all.
        driver_camera: where those are drawn from.
    """

    width_px: int = 320
    height_px: int = 96
    train_images: int = 4000
    val_images: int = 160
    images_per_world: int = 4
    chaos_share: float = 0.45
    indoor_share: float = 0.0
    samples: int = 2
    shard_images: int = 80
    seed: int = 0
    camera: CameraRanges = field(default_factory=CameraRanges)
    driver_share: float = 0.0
    driver_camera: CameraRanges = field(
        default_factory=lambda: CameraRanges(
            fov_deg=(55.0, 100.0),
            height_m=(1.4, 1.75),
            pitch_sigma_rad=0.03,
            roll_sigma_rad=0.015,
            yaw_sigma_rad=0.06,
            anywhere_share=0.05,
        )
    )

    def __post_init__(self) -> None:
        sizes = ("width_px", "height_px", "train_images", "val_images", "images_per_world", "samples", "shard_images")
        wrong = [f"{name}: expected at least 1, got {getattr(self, name)}" for name in sizes if getattr(self, name) < 1]
        if not 0.0 <= self.chaos_share <= 1.0:
            wrong.append(f"chaos_share: expected 0..1, got {self.chaos_share}")
        if not 0.0 <= self.driver_share <= 1.0:
            wrong.append(f"driver_share: expected 0..1, got {self.driver_share}")
        if not 0.0 <= self.indoor_share <= 1.0 - self.chaos_share:
            wrong.append(f"indoor_share: expected 0..1 - chaos_share, got {self.indoor_share} and {self.chaos_share}")
        if self.shard_images % self.images_per_world:
            wrong.append(
                f"shard_images: expected a multiple of images_per_world={self.images_per_world}, "
                f"got {self.shard_images}"
            )
        if wrong:
            raise ConfigError("; ".join(wrong))

    def fingerprint(self) -> str:
        """Twelve hex digits that change whenever an image would; more of the same images go into the same cache."""
        images = {key: value for key, value in asdict(self).items() if key not in ("train_images", "val_images")}
        content = json.dumps({"version": GENERATOR_VERSION, "views": _VIEWS_VERSION, **images}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def record_type(self) -> np.dtype[np.void]:
        """One image on disk: uint8 rgb, float16 depth (m; inf in the sky), fx fy cx cy (px), whether a chaos world."""
        size = (self.height_px, self.width_px)
        return np.dtype(
            [("image_rgb", "u1", (*size, 3)), ("depth_m", "f2", size), ("intrinsics_px", "f8", (4,)), ("chaos", "?")]
        )


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticImage:
    """One rendered training image.

    Args:
        image_rgb: uint8 [H, W, 3].
        depth_m: float32 [H, W], Z in metres; +inf in the sky, NaN nowhere.
        camera: its intrinsics.
        chaos: whether its world has no layout, and so no scale that an image could tell.
    """

    image_rgb: npt.NDArray[np.uint8]
    depth_m: npt.NDArray[np.float32]
    camera: PinholeCamera
    chaos: bool


def world_images(config: SyntheticConfig, split: int, index: int) -> Iterator[SyntheticImage]:
    """Views of one world; the same for the same arguments.

    Args:
        config: what to render.
        split: 0 training, 1 validation.
        index: which world of the split.
    """
    rng = np.random.default_rng([config.seed, split, index])
    seed = int(rng.integers(0, 2**62))
    kind = float(rng.uniform())
    chaos, indoor = kind < config.chaos_share, config.chaos_share <= kind < config.chaos_share + config.indoor_share
    world, place = _chaos_views(seed) if chaos else _indoor_views(seed) if indoor else _street_views(seed)
    made = 0
    for _ in range(20 * config.images_per_world):
        driver = not (chaos or indoor) and rng.uniform() < config.driver_share
        ranges = config.driver_camera if driver else config.camera
        camera = random_camera(rng, config.width_px, config.height_px, ranges)
        T_world_camera = place(rng, ranges, driver)
        time_s = float(rng.uniform(0.0, 5.0))
        glance = render(world, _glance(camera), T_world_camera, time_s, samples=1)
        if not _worth_learning(glance, nearest_m=0.25 if indoor else 0.5):
            continue
        view = render(world, camera, T_world_camera, time_s, samples=config.samples)
        depth = np.where(view.solid >= 0, view.depth_m, np.float32(np.inf))
        yield SyntheticImage(random_photometry(rng, view.image_rgb), depth, camera, chaos)
        made += 1
        if made == config.images_per_world:
            return
    yield from _repeat_last(config, split, index + 1_000_000, config.images_per_world - made)


def _street_views(seed: int) -> tuple[World, _Place]:
    """A street, and cameras on its right lane mostly, that lean with the ground."""
    street = random_street(seed)

    def place(rng: Rng, ranges: CameraRanges, in_lane: bool) -> Float64:
        near_lane = in_lane or rng.uniform() < 0.8
        lateral = street.lane_m + float(rng.normal(0.0, 0.4 if in_lane else 1.0)) if near_lane else rng.uniform(-9, 9)
        T_world_spot = street.path.pose(float(rng.uniform(0.0, 0.6 * street.length_m)), lateral)
        return np.asarray(T_world_spot @ random_camera_pose(rng, np.zeros(3), 0.0, ranges))

    return street.world, place


def _indoor_views(seed: int) -> tuple[World, _Place]:
    """A building, and cameras of small robots and of people in its rooms, looking anywhere."""
    indoor = random_indoor(seed)
    region = indoor.space.region(ROBOT_CLEARANCE_M)

    def place(rng: Rng, ranges: CameraRanges, _in_lane: bool) -> Float64:
        spot = np.zeros(3)
        spot[:2] = indoor.space.spot(rng, region)[:2]
        return random_camera_pose(rng, spot, float(rng.uniform(-np.pi, np.pi)), replace(ranges, height_m=_INDOOR_M))

    return indoor.world, place


def _chaos_views(seed: int) -> tuple[World, _Place]:
    """A world without layout, and cameras near its middle."""

    def place(rng: Rng, _ranges: CameraRanges, _in_lane: bool) -> Float64:
        return camera_pose(
            rng.uniform(-0.6, 0.6, 3), rng.uniform(0, 2 * np.pi), rng.normal(0, 0.2), rng.normal(0, 0.15)
        )

    return random_chaos(seed), place


def _repeat_last(config: SyntheticConfig, split: int, index: int, missing: int) -> Iterator[SyntheticImage]:
    """Views of another world where one offers too few (a camera walled in, say)."""
    for count, image in enumerate(world_images(config, split, index)):
        if count == missing:
            return
        yield image


def _glance(camera: PinholeCamera) -> PinholeCamera:
    """The camera with a fourth of the rows and columns, or as many as it takes to tell what there is."""
    share = max(1.0, min(4.0, camera.height_px / _GLANCE_PX))
    return camera.resized(round(camera.width_px / share), round(camera.height_px / share))


def _worth_learning(view: Rendering, nearest_m: float) -> bool:
    """Whether a view shows enough, and nothing is nearer to the lens than `nearest_m`."""
    known = view.solid >= 0
    if known.mean() < 0.3:
        return False
    near, middle = np.quantile(view.depth_m[known], [0.02, 0.5])
    return bool(near > nearest_m and middle > 2.0 * nearest_m and len(np.unique(view.solid)) >= 3)


class SyntheticDataset:
    """Images of one split in a cache folder, read by memory map."""

    def __init__(self, config: SyntheticConfig, folder: Path, split: str) -> None:
        """Open a finished cache.

        Raises:
            DataError: when shards are missing; `prepare` makes them.
        """
        self._images = config.train_images if split == "train" else config.val_images
        self._per_shard = config.shard_images
        paths = _shards(config, folder, split)
        missing = [path.name for path, _, _ in paths if not path.exists()]
        if missing:
            raise DataError(
                f"{folder}: expected {len(paths)} shards, {len(missing)} missing ({missing[0]}, ...); run prepare"
            )
        self._shards = [np.load(path, mmap_mode="r") for path, _, _ in paths]

    def __len__(self) -> int:
        return self._images

    def __getitem__(self, index: int) -> SyntheticImage:
        """Image `index`, copied out of the map. Raises IndexError beyond the end."""
        if not 0 <= index < self._images:
            raise IndexError(index)
        record = self._shards[index // self._per_shard][index % self._per_shard]
        height, width = record["depth_m"].shape
        fx, fy, cx, cy = (float(value) for value in record["intrinsics_px"])
        return SyntheticImage(
            np.array(record["image_rgb"]),
            np.asarray(record["depth_m"], dtype=np.float32),
            PinholeCamera(width, height, fx, fy, cx, cy),
            bool(record["chaos"]),
        )


def cache_folder(config: SyntheticConfig, root: Path) -> Path:
    """Where the images of a configuration live below `root`."""
    return root / f"synthetic_{config.fingerprint()}"


def prepare(config: SyntheticConfig, root: Path, workers: int = 2) -> Iterator[tuple[int, int]]:
    """Render what is missing of both splits; may be interrupted and called again.

    Args:
        config: what to render.
        root: folder of caches.
        workers: processes; 1 renders in this one.

    Yields:
        (finished shards, all shards), at once and after each shard.
    """
    folder = cache_folder(config, root)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [job for split in ("train", "val") for job in _shards(config, folder, split)]
    todo = [job for job in jobs if not job[0].exists()]
    yield len(jobs) - len(todo), len(jobs)
    if workers <= 1 or len(todo) <= 1:
        for count, job in enumerate(todo, start=1):
            _write_shard(config, *job)
            yield len(jobs) - len(todo) + count, len(jobs)
        return
    with render_pool(workers) as pool:
        futures = [pool.submit(_write_shard, config, *job) for job in todo]
        for count, future in enumerate(as_completed(futures), start=1):
            future.result()
            yield len(jobs) - len(todo) + count, len(jobs)


def _shards(config: SyntheticConfig, folder: Path, split: str) -> list[tuple[Path, int, int]]:
    """(file, split number, first world) of every shard of a split."""
    images = config.train_images if split == "train" else config.val_images
    worlds = config.shard_images // config.images_per_world
    number = -(-images // config.shard_images)
    which = _TRAIN if split == "train" else _VAL
    return [(folder / f"{split}_{shard:04d}.npy", which, shard * worlds) for shard in range(number)]


def _write_shard(config: SyntheticConfig, path: Path, split: int, first_world: int) -> None:
    records = np.zeros(config.shard_images, dtype=config.record_type())
    worlds = config.shard_images // config.images_per_world
    images = (image for world in range(worlds) for image in world_images(config, split, first_world + world))
    for record, image in zip(records, images, strict=True):
        record["image_rgb"], record["depth_m"], record["chaos"] = (
            image.image_rgb,
            np.minimum(image.depth_m, 6e4),
            image.chaos,
        )
        record["depth_m"][np.isinf(image.depth_m)] = np.inf
        c = image.camera
        record["intrinsics_px"] = (c.fx_px, c.fy_px, c.cx_px, c.cy_px)
    with whole_file(path) as beside:
        np.save(beside, records)
