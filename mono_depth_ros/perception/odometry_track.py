# SPDX-License-Identifier: Apache-2.0
"""A short history of where the robot was, by stamp."""

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum

import numpy as np

from mono_depth_ros.geometry.rigid import RigidTransform, extrapolate_rigid, interpolate_rigid

# The twist that carries on beyond the last sample is taken over at least this time where samples are denser: the
# millimetres of jitter between two samples of a fast odometry would be a wrong speed.
_TWIST_WINDOW_NS = 80_000_000
# No robot of ours does this: such a step is a localisation that was set anew, and nothing is carried across it.
_JUMP_M, _JUMP_MPS = 1.0, 100.0


class PoseGap(str, Enum):
    """Why the pose at a stamp is not known."""

    NO_ODOMETRY = "no_odometry"
    BEFORE_ODOMETRY = "before_odometry"
    ODOMETRY_GAP = "odometry_gap"
    ODOMETRY_ENDED = "odometry_ended"


@dataclass(frozen=True, slots=True, eq=False)
class OdometrySample:
    """Pose of the base in the odometry frame, and speed (m/s), at one stamp."""

    stamp_ns: int
    T_odom_base: RigidTransform
    speed_mps: float


class OdometryTrack:
    """Odometry by stamp, bounded in time and count.

    Args:
        history_s: older samples than this before the newest are dropped.
        max_gap_s: longest time between two samples that is interpolated.
        max_samples: bound on memory, whatever the stamps say.
        max_extrapolation_s: longest time beyond the last sample, at the constant twist of the last samples. The
            default bridges odometry of 10 Hz with some jitter.
    """

    def __init__(
        self, history_s: float, max_gap_s: float, max_samples: int = 2000, max_extrapolation_s: float = 0.15
    ) -> None:
        self._history_ns = int(history_s * 1e9)
        self._max_gap_ns = int(max_gap_s * 1e9)
        self._max_extrapolation_ns = int(max_extrapolation_s * 1e9)
        self._max_samples = max_samples
        self._samples: list[OdometrySample] = []

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def newest_stamp_ns(self) -> int | None:
        """Stamp of the newest sample."""
        return self._samples[-1].stamp_ns if self._samples else None

    def clear(self) -> None:
        """Forgets everything."""
        self._samples.clear()

    def add(self, sample: OdometrySample) -> None:
        """Keeps a sample, in stamp order; a repeated stamp replaces the earlier sample.

        A step that no robot makes (a localisation set anew) makes the track begin again.
        """
        if self._samples and _jumps(self._samples[-1], sample):
            self._samples.clear()
        at = bisect_right(self._samples, sample.stamp_ns, key=lambda kept: kept.stamp_ns)
        if at and self._samples[at - 1].stamp_ns == sample.stamp_ns:
            self._samples[at - 1] = sample
        else:
            self._samples.insert(at, sample)
        oldest_ns = self._samples[-1].stamp_ns - self._history_ns
        keep_from = bisect_right(self._samples, oldest_ns - 1, key=lambda kept: kept.stamp_ns)
        del self._samples[: max(keep_from, len(self._samples) - self._max_samples)]

    def gap_at(self, stamp_ns: int) -> PoseGap | None:
        """Why the pose at a stamp is not known; None where it is."""
        if not self._samples:
            return PoseGap.NO_ODOMETRY
        at = bisect_right(self._samples, stamp_ns, key=lambda kept: kept.stamp_ns)
        if at and self._samples[at - 1].stamp_ns == stamp_ns:
            return None
        if at == 0:
            return PoseGap.BEFORE_ODOMETRY
        if at < len(self._samples):
            wide = self._samples[at].stamp_ns - self._samples[at - 1].stamp_ns > self._max_gap_ns
            return PoseGap.ODOMETRY_GAP if wide else None
        ended = len(self._samples) < 2 or stamp_ns - self._samples[-1].stamp_ns > self._max_extrapolation_ns
        return PoseGap.ODOMETRY_ENDED if ended or self._twist_base() is None else None

    def pose_at(self, stamp_ns: int) -> RigidTransform | None:
        """T_odom_base at a stamp, interpolated or briefly extrapolated; None where that would be a guess."""
        if self.gap_at(stamp_ns) is not None:
            return None
        at = bisect_right(self._samples, stamp_ns, key=lambda kept: kept.stamp_ns)
        if self._samples[at - 1].stamp_ns == stamp_ns:
            return self._samples[at - 1].T_odom_base
        beyond = at == len(self._samples)
        before = self._twist_base() if beyond else self._samples[at - 1]
        after = self._samples[-1] if beyond else self._samples[at]
        if before is None:
            return None
        span_ns = after.stamp_ns - before.stamp_ns
        if beyond:
            return extrapolate_rigid(before.T_odom_base, after.T_odom_base, (stamp_ns - after.stamp_ns) / span_ns)
        return interpolate_rigid(before.T_odom_base, after.T_odom_base, (stamp_ns - before.stamp_ns) / span_ns)

    def _twist_base(self) -> OdometrySample | None:
        """The sample from which the twist at the end is taken; None when it is too far back."""
        last_ns = self._samples[-1].stamp_ns
        at = bisect_right(self._samples, last_ns - _TWIST_WINDOW_NS, key=lambda kept: kept.stamp_ns) - 1
        for base in (self._samples[max(at, 0)], self._samples[-2]):
            if last_ns - base.stamp_ns <= self._max_gap_ns:
                return base
        return None

    def speed_at(self, stamp_ns: int) -> float | None:
        """Speed (m/s) of the sample nearest in time, if near enough."""
        if not self._samples:
            return None
        nearest = min(self._samples, key=lambda kept: abs(kept.stamp_ns - stamp_ns))
        return nearest.speed_mps if abs(nearest.stamp_ns - stamp_ns) <= self._max_gap_ns else None


def _jumps(before: OdometrySample, after: OdometrySample) -> bool:
    moved_m = float(np.linalg.norm(after.T_odom_base[:3, 3] - before.T_odom_base[:3, 3]))
    elapsed_s = abs(after.stamp_ns - before.stamp_ns) * 1e-9
    return moved_m > _JUMP_M and moved_m > _JUMP_MPS * elapsed_s
