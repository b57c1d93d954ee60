# SPDX-License-Identifier: Apache-2.0
"""Samples of any data set as what a drop-out curve fades: an image, its dense scan, older scans where there are any."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeAlias

import numpy as np

from mono_depth_ros.datasets.bags.scan_history import AgedScan, ImageWithScans
from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import DataError
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera, Points
from mono_depth_ros.geometry.lidar_beams import ELEVATION_BINS, T_CAMERA_LIDAR_AHEAD, elevation_places, scan_of_points
from mono_depth_ros.geometry.rigid import RigidTransform, invert_rigid, transform_points

# A scan stands for one of an age if it is at most this far from it.
TOLERANCE_S = 0.06
# Samples farther apart than this are no drive.
_LONGEST_PERIOD_S = 0.3
# Scans and the poses of their cameras, the oldest first.
_Past: TypeAlias = deque[tuple[AgedScan, RigidTransform | None]]


@dataclass(frozen=True, slots=True, eq=False)
class FadingInput:
    """One image of a drop-out curve.

    Attributes:
        image: with its dense scan, and older ones.
        truth_m, truth_camera: float32 [h, w] and its grid; None where the dense scan is the truth.
    """

    image: ImageWithScans
    truth_m: DepthMap | None = None
    truth_camera: PinholeCamera | None = None


@dataclass(frozen=True, slots=True, eq=False)
class KnownHistory:
    """What the first samples of a data set tell about its past.

    Attributes:
        samples: all of them, also the first.
        has_past: whether samples follow each other closely enough for old scans.
        has_poses: whether the motion between them is known.
        reason: why not, in words; empty if both.
    """

    samples: Iterator[DepthSample]
    has_past: bool
    has_poses: bool
    reason: str


def known_history(samples: Iterable[DepthSample]) -> KnownHistory:
    """Looks at the first two samples.

    Raises:
        DataError: there is none.
    """
    source = iter(samples)
    first = [sample for sample in (next(source, None), next(source, None)) if sample is not None]
    if not first:
        raise DataError("drop-out curve: expected at least one sample, got none")
    everything = chain(first, source)
    period_s = (first[-1].stamp_ns - first[0].stamp_ns) * 1e-9
    if first[0].camera_name != first[-1].camera_name or not 0.0 < period_s <= _LONGEST_PERIOD_S:
        reason = f"the samples are no drive: the first two are {period_s:g} s apart, not 0 to {_LONGEST_PERIOD_S:g} s"
        return KnownHistory(everything, False, False, reason)
    if any(sample.T_world_camera is None for sample in first):
        return KnownHistory(everything, True, False, "the samples have no poses to carry old scans by")
    return KnownHistory(everything, True, True, "")


class SampleHistory:
    """Samples with the scans of some ages before each; iterate over it once.

    The scan of a sample is its points; of one without points, or if asked for, 64 beams drawn from its truth.

    Args:
        samples: of one camera, in the order of time where ages are asked for.
        ages_s: each image gets the scan nearest to its stamp less the age.
        scan_from_truth: take the scan from the truth even where there are points.
        limit: at most this many images.

    Attributes:
        skipped: images left out so far: without a scan, or without an old enough one.
    """

    def __init__(
        self,
        samples: Iterable[DepthSample],
        ages_s: tuple[float, ...],
        scan_from_truth: bool = False,
        limit: int | None = None,
    ) -> None:
        self._samples = samples
        self._ages_s = ages_s
        self._scan_from_truth = scan_from_truth
        self._limit = limit
        self.skipped = 0

    def __iter__(self) -> Iterator[FadingInput]:
        past: _Past = deque()
        given = 0
        for sample in self._samples:
            if past and sample.stamp_ns <= past[-1][0].stamp_ns:
                past.clear()  # another drive
            scan = self._scan(sample)
            if scan is not None:
                past.append((scan, sample.T_world_camera))
            while past and past[0][0].stamp_ns < sample.stamp_ns - (max(self._ages_s) + 1.0) * 1e9:
                past.popleft()
            scans = self._aged_scans(sample, past)
            if scans is None:
                self.skipped += 1
                continue
            image = ImageWithScans(sample.stamp_ns, sample.image_rgb, sample.camera, scans)
            yield FadingInput(image, sample.truth_depth_m, sample.truth_camera)
            given += 1
            if self._limit is not None and given >= self._limit:
                return

    def _scan(self, sample: DepthSample) -> AgedScan | None:
        """The scan of a sample, as seen from its own image; None without any point."""
        points_m, T_camera_lidar = sample.points_camera_m, sample.T_camera_lidar
        if points_m is None or self._scan_from_truth:
            if sample.truth_depth_m is None or sample.truth_camera is None:
                return None
            points_m, T_camera_lidar = beams_of_truth(sample.truth_depth_m, sample.truth_camera), None
        points_m, T_camera_lidar = scan_of_points(points_m, sample.camera, T_camera_lidar)
        if not len(points_m):
            return None
        points_lidar_m = transform_points(invert_rigid(T_camera_lidar), points_m)
        return AgedScan(sample.stamp_ns, points_lidar_m, T_camera_lidar, None)

    def _aged_scans(self, sample: DepthSample, past: _Past) -> tuple[AgedScan, ...] | None:
        scans = []
        for age_s in self._ages_s:
            wanted_ns = sample.stamp_ns - round(age_s * 1e9)
            nearest = min(past, key=lambda kept: abs(kept[0].stamp_ns - wanted_ns), default=None)
            if nearest is None or abs(nearest[0].stamp_ns - wanted_ns) > TOLERANCE_S * 1e9:
                return None
            scan, T_world_scan = nearest
            T_image_scan = None
            if sample.T_world_camera is not None and T_world_scan is not None:
                T_image_scan = invert_rigid(sample.T_world_camera) @ T_world_scan
            scans.append(replace(scan, T_image_scan=T_image_scan))
        return tuple(scans)


def beams_of_truth(truth_m: DepthMap, camera: PinholeCamera) -> Points:
    """What a LiDAR of 64 beams in the camera's place would have measured: one pixel per beam and column.

    Returns:
        float32 [N, 3] in the camera frame; of the pixels of a column in one of 64 equal bins of elevation, the one
        nearest to its middle.
    """
    with np.errstate(invalid="ignore"):
        rows, cols = np.nonzero(np.isfinite(truth_m) & (truth_m > 0))
    if not len(rows):
        return np.zeros((0, 3), np.float32)
    rays = camera.rays()[rows, cols]
    place = elevation_places(transform_points(invert_rigid(T_CAMERA_LIDAR_AHEAD), rays))
    bins = np.minimum(place.astype(np.int64), ELEVATION_BINS - 1)
    cell = bins * camera.width_px + cols
    order = np.lexsort((np.abs(place - bins - 0.5), cell))
    first = order[np.unique(cell[order], return_index=True)[1]]
    points_m: Points = (rays[first] * truth_m[rows[first], cols[first], None]).astype(np.float32)
    return points_m
