# SPDX-License-Identifier: Apache-2.0
"""Does depth hold still? The depth of an image against that of the image before, carried along by the camera's motion.

Every pixel of the previous image becomes a point, the point is moved into the current camera and falls into one pixel
there, where the nearest wins. At the pixels with both depths,

    |ln(current / warped)|

is 0 for a depth that says the same of the same surface twice. The median and the 90th percentile of an image pair are
kept; a drive's numbers are medians over its pairs. (The temporal alignment error of Yang et al., Depth Any Video, arXiv
2410.10815, is alike: AbsRel in place of the log, means, and both directions.) It needs no truth, and does not measure
accuracy: what is wrong in the same way in every image is nearly stable. The motion must be metric.

What else is in the number, so that it compares methods on one drive and not one drive with another:

- Moving objects. Depth is carried as if the world stood still. Where something moves by itself a right depth differs
  from the warped one, by ln(z / (z - d)) for a car that keeps its distance z while the camera drives d towards it, and
  so it does where the object was and where it has come to. While these pixels are few the median hardly sees them; the
  90th percentile is theirs as soon as they are more than a tenth. In front of a robot in dense traffic or in a crowd
  both say more of the crowd than of the depth.
- Occlusion. A far surface that the previous image saw and the current one sees no longer, or that shows through the
  holes between points of a near one that has grown, is farther than the current depth by a large factor. These pixels
  count; as they are few they do not move the median.
- The grid. A point is compared at the pixel it falls into, up to half a pixel away, and of several the nearest is
  taken. On surfaces seen at a flat angle, as the road far ahead, the true depth has an error of this kind, too: a bare
  road in 160 x 96 pixels, half a metre of driving, a median of 0.7 % and a 90th percentile of 2.7 %.
- The poses and the stamps. An error of the motion along the view is one of depth.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mono_depth_ros.datasets.sample import DepthSample
from mono_depth_ros.errors import DataError
from mono_depth_ros.evaluation.protocol_steps import Mask
from mono_depth_ros.geometry.camera import DepthMap, PinholeCamera
from mono_depth_ros.geometry.rigid import RigidTransform, transform_points
from mono_depth_ros.geometry.sparse_depth import project_points, sparse_to_dense
from mono_depth_ros.perception.dial import Mode

LONGEST_GAP_S = 0.5  # between two images that are compared


@dataclass(frozen=True, slots=True)
class PairStability:
    """Two consecutive images.

    Attributes:
        pixels: with a depth in the current image and a point of the previous one.
        median, p90: of |ln(current / warped)|; NaN without pixels.
        modes: what made the previous depth and the current one.
    """

    pixels: int
    median: float
    p90: float
    modes: tuple[Mode, Mode]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it: no NaN."""
        numbers = [self.median, self.p90] if self.pixels else [None, None]
        return {"pixels": self.pixels, "median": numbers[0], "p90": numbers[1], "modes": [int(m) for m in self.modes]}

    @property
    def mode_changed(self) -> bool:
        """Whether the two were made in different ways."""
        return self.modes[0] != self.modes[1]


@dataclass(frozen=True, slots=True)
class PairMedians:
    """Medians over pairs, every pair with the same weight.

    Attributes:
        pairs: how many.
        median, p90: medians of the pairs' own.
    """

    pairs: int
    median: float
    p90: float


@dataclass(frozen=True, slots=True)
class TemporalStability:
    """How still the depth of a drive holds.

    Attributes:
        all_pairs: of all pairs that share pixels.
        mode_changes: of those between whose images the mode changed; None without any.
        without_pixels: pairs that share no pixel; in no number.
    """

    all_pairs: PairMedians
    mode_changes: PairMedians | None
    without_pixels: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def pair_stability_from_dict(content: Mapping[str, Any]) -> PairStability:
    """The opposite of `PairStability.to_dict`."""
    median, p90 = (float("nan") if content[name] is None else float(content[name]) for name in ("median", "p90"))
    before, now = (Mode(value) for value in content["modes"])
    return PairStability(int(content["pixels"]), median, p90, (before, now))


def warped_to_current(previous_m: DepthMap, camera: PinholeCamera, T_current_previous: RigidTransform) -> DepthMap:
    """The previous depth as the current camera would see it, had nothing else moved.

    Args:
        previous_m: float32 [H, W], metres along z; NaN unknown.
        camera: of both images.
        T_current_previous: float64 [4, 4], takes points of the previous camera frame into the current one.

    Returns:
        float32 [H, W], metres along z; NaN where no point falls, also in the gaps between points of a surface that
        comes nearer. Points nearer than 0.1 m or farther than 250 m are left out (`project_points`).

    Raises:
        DataError: a shape does not fit, or the transform is not finite.

    >>> camera = PinholeCamera(1, 1, 1.0, 1.0, 0.0, 0.0)
    >>> T_current_previous = np.eye(4)
    >>> T_current_previous[2, 3] = -1.0  # the camera drove a metre ahead
    >>> warped_to_current(np.array([[5.0]], np.float32), camera, T_current_previous).tolist()
    [[4.0]]
    """
    if T_current_previous.shape != (4, 4) or not np.isfinite(T_current_previous).all():
        raise DataError(
            f"T_current_previous: expected finite numbers (4, 4), got {T_current_previous.shape} "
            f"{T_current_previous.tolist()}"
        )
    _check_shape("previous_m", previous_m, camera)
    known = _known(previous_m)
    points_previous = camera.unproject(np.where(known, previous_m, np.float32(np.nan)))[known]
    return sparse_to_dense(project_points(transform_points(T_current_previous, points_previous), camera))


def pair_stability(
    previous_m: DepthMap,
    current_m: DepthMap,
    camera: PinholeCamera,
    T_current_previous: RigidTransform,
    modes: tuple[Mode, Mode] = (Mode.PREDICTION, Mode.PREDICTION),
) -> PairStability:
    """How much the current depth differs from the previous one, carried along.

    Args:
        previous_m, current_m: float32 [H, W], metres along z; what is not finite and positive is unknown.
        camera: of both images.
        T_current_previous: float64 [4, 4], takes points of the previous camera frame into the current one.
        modes: what made the previous depth and the current one.

    Raises:
        DataError: a shape does not fit, or the transform is not finite.
    """
    _check_shape("current_m", current_m, camera)
    warped_m = warped_to_current(previous_m, camera, T_current_previous)
    both = _known(current_m) & np.isfinite(warped_m)
    if not both.any():
        return PairStability(0, float("nan"), float("nan"), modes)
    change = np.abs(np.log(current_m[both].astype(np.float64) / warped_m[both]))
    median, p90 = np.percentile(change, [50.0, 90.0]).tolist()
    return PairStability(int(both.sum()), median, p90, modes)


def published_stability(before: DepthSample, now: DepthSample) -> PairStability | None:
    """The stability of what a node published of two images of one camera; None where it cannot be told.

    That is without both depths or both poses, with another camera, or with more than `LONGEST_GAP_S` in between.
    """
    was, is_now = before.published, now.published
    if was is None or is_now is None or before.T_world_camera is None or now.T_world_camera is None:
        return None
    if was.camera != is_now.camera or not 0 < now.stamp_ns - before.stamp_ns <= LONGEST_GAP_S * 1e9:
        return None
    modes = was.mode, is_now.mode
    return pair_stability(was.depth_m, is_now.depth_m, is_now.camera, now.T_self_other(before), modes)


def temporal_stability(pairs: Iterable[PairStability]) -> TemporalStability:
    """The medians over the pairs of a drive, or of several.

    Raises:
        DataError: no pair shares a pixel.
    """
    found = list(pairs)
    shared = [pair for pair in found if pair.pixels]
    if not shared:
        raise DataError(
            f"temporal stability: expected two consecutive images of the same surfaces, got {len(found)} pairs without "
            "a common pixel; are the poses right?"
        )
    changes = [pair for pair in shared if pair.mode_changed]
    return TemporalStability(_medians(shared), _medians(changes) if changes else None, len(found) - len(shared))


def _medians(pairs: list[PairStability]) -> PairMedians:
    median, p90 = np.median([(pair.median, pair.p90) for pair in pairs], axis=0).tolist()
    return PairMedians(len(pairs), median, p90)


def _known(depth_m: DepthMap) -> Mask:
    return np.asarray(np.isfinite(depth_m) & (depth_m > 0))


def _check_shape(name: str, depth_m: DepthMap, camera: PinholeCamera) -> None:
    if depth_m.shape != (camera.height_px, camera.width_px):
        raise DataError(
            f"{name}: expected the shape {(camera.height_px, camera.width_px)} of its camera, got {depth_m.shape}"
        )
