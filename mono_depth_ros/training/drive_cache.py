# SPDX-License-Identifier: Apache-2.0
"""Drives at network size on disk: a data set is read once, and memory-mapped ever after.

A cache is a folder of plain arrays whose name changes whenever its contents would. It is written beside and renamed, so
that it is there whole or not at all; what was interrupted is read again from the start.
"""

from __future__ import annotations

import hashlib
import json
import operator
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mono_depth_ros.datasets.open_dataset import KEYS, open_dataset
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.datasets.sparse_patterns import depth_points
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import PinholeCamera
from mono_depth_ros.geometry.lidar_beams import beam_bins, scan_of_points
from mono_depth_ros.geometry.sparse_depth import cells_of_points, project_points, sparse_to_dense

CACHE_VERSION = 3
DENSE_TRUTH = 0.2  # share of known pixels above which truth is looked up pixel by pixel, not projected point by point
_META = "drive.json"
_ARRAYS = {
    "images": (np.uint8, "image_shape"),
    "stamps_ns": (np.int64, ()),
    "intrinsics_px": (np.float64, (4,)),
    "poses": (np.float64, (4, 4)),
    "speeds_mps": (np.float64, ()),
    "truth_depth_m": (np.float16, "truth_shape"),
    "points_camera_m": (np.float32, (3,)),
    "point_bins": (np.int8, ()),
    "point_ends": (np.int64, ()),
    "tracks": (np.int64, ()),
    "mounts": (np.float64, (4, 4)),
}


@dataclass(frozen=True, slots=True)
class CacheMeta:
    """What a cache holds besides its arrays.

    Attributes:
        version: of the format.
        url: of the data set.
        width_px, height_px: of the images in the cache.
        frames: how many.
        source_size_px: width and height of the first image as it was recorded.
        tracks: names of the cameras; frames of one track follow one another.
        has_truth: whether any frame has truth.
        left_out: what of the data set could not be used, a line per reason.
    """

    version: int
    url: str
    width_px: int
    height_px: int
    frames: int
    source_size_px: tuple[int, int]
    tracks: tuple[str, ...]
    has_truth: bool
    left_out: tuple[str, ...] = ()


class DriveCache:
    """Frames of a cached data set, in recorded order.

    Attributes (arrays over the frames, memory-mapped):
        images: uint8 [N, H, W, 3].
        stamps_ns: int64 [N].
        intrinsics_px: float64 [N, 4], fx fy cx cy at network size.
        poses: float64 [N, 4, 4], T_world_camera; NaN without.
        speeds_mps: float64 [N]; NaN without.
        truth_depth_m: float16 [N, H, W], NaN unknown; [N, 0, 0] without any.
        point_ends: int64 [N], where the points of a frame end in `points_camera_m`.
        points_camera_m: float32 [M, 3], of all frames.
        point_bins: int8 [M], the bins of elevation of these points (geometry/lidar_beams.py).
        tracks: int64 [N], which camera of which drive.
        mounts: float64 [N, 4, 4], T_base_camera; NaN where nobody knows.
    """

    def __init__(self, folder: Path) -> None:
        """Open a finished cache.

        Raises:
            DataError: it is not there, or of another version.
        """
        try:
            values = json.loads((folder / _META).read_text(encoding="utf-8"))
            values["source_size_px"], values["tracks"] = tuple(values["source_size_px"]), tuple(values["tracks"])
            values["left_out"] = tuple(values.get("left_out", ()))
            self.meta = CacheMeta(**values)
            loaded = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{folder}: expected a cache of a drive, got {error}; remove it and train again") from error
        self.images, self.stamps_ns, self.intrinsics_px = (
            loaded["images"],
            loaded["stamps_ns"],
            loaded["intrinsics_px"],
        )
        self.poses, self.speeds_mps, self.tracks = loaded["poses"], loaded["speeds_mps"], loaded["tracks"]
        self.truth_depth_m, self.points_camera_m = loaded["truth_depth_m"], loaded["points_camera_m"]
        self.point_bins, self.point_ends = loaded["point_bins"], loaded["point_ends"]
        self.mounts = loaded["mounts"]

    def __len__(self) -> int:
        return self.meta.frames

    def camera(self, index: int) -> PinholeCamera:
        """Intrinsics at network size."""
        fx, fy, cx, cy = (float(value) for value in self.intrinsics_px[index])
        return PinholeCamera(self.meta.width_px, self.meta.height_px, fx, fy, cx, cy)

    def points(self, index: int) -> npt.NDArray[np.float32]:
        """float32 [n, 3], points of a frame in its camera frame, in view; none where none were recorded."""
        return np.array(self.points_camera_m[self._points_of(index)])

    def beams(self, index: int) -> npt.NDArray[np.int8]:
        """int8 [n], bins of elevation of `points(index)`."""
        return np.array(self.point_bins[self._points_of(index)])

    def _points_of(self, index: int) -> slice:
        return slice(int(self.point_ends[index - 1]) if index else 0, int(self.point_ends[index]))

    def truth(self, index: int) -> npt.NDArray[np.float32] | None:
        """float32 [H, W], NaN unknown; None where the data set has none."""
        if not self.meta.has_truth:
            return None
        return np.asarray(self.truth_depth_m[index], dtype=np.float32)


def dataset_url(source: str) -> str:
    """A data set URL; a plain path is a bag."""
    return source if source.partition(":")[0] in KEYS else f"bag:{source}"


def cache_folder(source: str, width_px: int, height_px: int, limit: int, root: Path) -> Path:
    """Where the cache of a data set lives below `root`: its name depends on the URL, the size, and the files' times."""
    url = dataset_url(source)
    path = Path(url.partition(":")[2].partition("?")[0]).expanduser()
    stat: list[object] = [path.stat().st_mtime_ns] if path.exists() else []
    if path.is_dir():  # a bag is a folder of few files; a data set with thousands is known by its folder alone
        stat += [(entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in sorted(path.iterdir())[:64]]
    content = json.dumps([CACHE_VERSION, url, width_px, height_px, limit, stat, str(path.absolute())])
    return root / f"drive_{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def prepare_drive(
    source: str, width_px: int, height_px: int, limit: int, root: Path, report: Callable[[int, int], None]
) -> DriveCache:
    """The cache of a data set, made if it is not there.

    Args:
        source: data set URL or path of a bag.
        width_px, height_px: of the network.
        limit: at most so many frames; 0 for all.
        root: folder of caches.
        report: called with frames read, and frames expected (0: not known).

    Raises:
        ConfigError, DataError, FrameError: of the data set; DataError without any image.
    """
    folder = cache_folder(source, width_px, height_px, limit, root)
    if not (folder / _META).exists():
        samples = open_dataset(dataset_url(source))
        write_cache(samples, dataset_url(source), (width_px, height_px), limit, folder, report)
    return DriveCache(folder)


def write_cache(
    samples: Iterable[DepthSample],
    url: str,
    size_px: tuple[int, int],
    limit: int,
    folder: Path,
    report: Callable[[int, int], None],
) -> None:
    """Write a cache whole or not at all. Arguments as `prepare_drive`; `size_px` is (width, height)."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        hint = operator.length_hint(samples)
        expected = min(hint, limit) if limit and hint else limit or hint
        frames = _Frames(partial, size_px)
        for sample in samples:
            frames.add(sample)
            report(frames.count, max(expected, frames.count))
            if frames.count == limit:
                break
        unusable: Mapping[str, int] = getattr(samples, "left_out", {})
        meta = replace(frames.finish(url), left_out=tuple(f"{count} x {why}" for why, count in unusable.items()))
        (partial / _META).write_text(json.dumps(asdict(meta), indent=1), encoding="utf-8")
        try:
            os.replace(partial, folder)
        except OSError:  # another process was faster; its cache is as good
            if not (folder / _META).exists():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Frames:
    """Arrays that grow on disk, one raw file each, and become .npy at the end."""

    def __init__(self, folder: Path, size_px: tuple[int, int]) -> None:
        self._folder = folder
        self._width_px, self._height_px = size_px
        self._files = {name: open(folder / f"{name}.raw", "wb") for name in _ARRAYS}  # noqa: SIM115
        self._tracks: list[str] = []
        self._source_size_px = (0, 0)
        self._points = 0
        self._with_truth = 0
        self.count = 0

    def add(self, sample: DepthSample) -> None:
        """Append one frame."""
        if not self.count:
            self._source_size_px = (sample.camera.width_px, sample.camera.height_px)
        camera = sample.camera.resized(self._width_px, self._height_px)
        shrinks = self._width_px < sample.camera.width_px
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        image = cv2.resize(sample.image_rgb, (self._width_px, self._height_px), interpolation=how)
        points, bins = np.zeros((0, 3), np.float32), np.zeros(0, np.int8)
        if sample.points_camera_m is not None:
            points, T_camera_lidar = scan_of_points(sample.points_camera_m, sample.camera, sample.T_camera_lidar)
            seen = cells_of_points(points, camera)[0]
            points, bins = points[seen], beam_bins(points, T_camera_lidar)[seen]
        self._points += len(points)
        if sample.camera_name not in self._tracks:
            self._tracks.append(sample.camera_name)
        pose = np.full((4, 4), np.nan) if sample.T_world_camera is None else sample.T_world_camera
        truth = network_truth(sample, camera)
        self._with_truth += truth is not None
        unknown = np.full((self._height_px, self._width_px), np.nan, np.float32)
        values = {
            "images": image,
            "stamps_ns": sample.stamp_ns,
            "intrinsics_px": (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px),
            "poses": pose,
            "speeds_mps": np.nan if sample.speed_mps is None else sample.speed_mps,
            "truth_depth_m": unknown if truth is None else np.where(np.isinf(truth), truth, np.minimum(truth, 6e4)),
            "points_camera_m": points,
            "point_bins": bins,
            "point_ends": self._points,
            "tracks": self._tracks.index(sample.camera_name),
            "mounts": np.full((4, 4), np.nan) if sample.T_base_camera is None else sample.T_base_camera,
        }
        for name, value in values.items():
            self._files[name].write(np.ascontiguousarray(value, dtype=_ARRAYS[name][0]).tobytes())
        self.count += 1

    def finish(self, url: str) -> CacheMeta:
        """Turn the raw files into arrays. Raises DataError without any frame."""
        for file in self._files.values():
            file.close()
        if not self.count:
            raise DataError(f"{url}: expected images, got none; does the drive have images with a camera_info?")
        image = (self._height_px, self._width_px)
        for name, (dtype, shape) in _ARRAYS.items():
            raw = self._folder / f"{name}.raw"
            tail: tuple[int, ...] = {"image_shape": (*image, 3), "truth_shape": image}.get(str(shape)) or tuple(shape)  # type: ignore[arg-type]
            length = self._points if name in ("points_camera_m", "point_bins") else self.count
            if name == "truth_depth_m" and not self._with_truth:
                array: npt.NDArray[np.generic] = np.zeros((self.count, 0, 0), np.float16)
            elif length == 0:
                array = np.zeros((0, *tail), dtype)
            else:
                array = np.memmap(raw, dtype, "r", shape=(length, *tail))
            np.save(self._folder / f"{name}.npy", array)
            del array
            raw.unlink()
        return CacheMeta(
            CACHE_VERSION,
            url,
            self._width_px,
            self._height_px,
            self.count,
            self._source_size_px,
            tuple(self._tracks),
            bool(self._with_truth),
        )


def network_truth(sample: DepthSample, camera: PinholeCamera) -> npt.NDArray[np.float32] | None:
    """Truth of a sample on the grid of the network's camera, float32 [H, W], NaN unknown; None without truth.

    Dense truth is looked up at the pixel nearest to each pixel of the network, never averaged across a border; sparse
    truth is projected, since looking it up would lose most of it.
    """
    truth, seen = sample.truth_depth_m, sample.truth_camera
    if truth is None or seen is None:
        return None
    if np.isfinite(truth).mean() < DENSE_TRUTH:
        return sparse_to_dense(project_points(depth_points(truth, seen), camera))
    cols = np.floor((np.arange(camera.width_px) - camera.cx_px) / camera.fx_px * seen.fx_px + seen.cx_px + 0.5)
    rows = np.floor((np.arange(camera.height_px) - camera.cy_px) / camera.fy_px * seen.fy_px + seen.cy_px + 0.5)
    inside = ((rows >= 0) & (rows < seen.height_px))[:, None] & ((cols >= 0) & (cols < seen.width_px))[None]
    found = truth[
        np.clip(rows, 0, seen.height_px - 1).astype(int)[:, None],
        np.clip(cols, 0, seen.width_px - 1).astype(int)[None],
    ]
    return np.where(inside, found, np.float32(np.nan))
