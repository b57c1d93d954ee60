# SPDX-License-Identifier: Apache-2.0
"""A short history of where the robot was, by stamp."""

from bisect import bisect_right
from dataclasses import dataclass

from mono_depth_ros.geometry.rigid import RigidTransform, interpolate_rigid


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
        max_gap_s: longest time between two samples that is interpolated, and longest extrapolation beyond the last
            sample, at the speed of the last two.
        max_samples: bound on memory, whatever the stamps say.
    """

    def __init__(self, history_s: float, max_gap_s: float, max_samples: int = 2000) -> None:
        self._history_ns = int(history_s * 1e9)
        self._max_gap_ns = int(max_gap_s * 1e9)
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
        """Keeps a sample, in stamp order; a repeated stamp replaces the earlier sample."""
        at = bisect_right(self._samples, sample.stamp_ns, key=lambda kept: kept.stamp_ns)
        if at and self._samples[at - 1].stamp_ns == sample.stamp_ns:
            self._samples[at - 1] = sample
        else:
            self._samples.insert(at, sample)
        oldest_ns = self._samples[-1].stamp_ns - self._history_ns
        keep_from = bisect_right(self._samples, oldest_ns - 1, key=lambda kept: kept.stamp_ns)
        del self._samples[: max(keep_from, len(self._samples) - self._max_samples)]

    def pose_at(self, stamp_ns: int) -> RigidTransform | None:
        """T_odom_base at a stamp, interpolated or briefly extrapolated; None where that would be a guess."""
        at = bisect_right(self._samples, stamp_ns, key=lambda kept: kept.stamp_ns)
        if at and self._samples[at - 1].stamp_ns == stamp_ns:
            return self._samples[at - 1].T_odom_base
        if at == 0 or len(self._samples) < 2:
            return None
        beyond = at == len(self._samples)
        before, after = (self._samples[-2], self._samples[-1]) if beyond else (self._samples[at - 1], self._samples[at])
        if after.stamp_ns - before.stamp_ns > self._max_gap_ns:
            return None
        if beyond and stamp_ns - after.stamp_ns > self._max_gap_ns:
            return None
        fraction = (stamp_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)
        return interpolate_rigid(before.T_odom_base, after.T_odom_base, fraction)

    def speed_at(self, stamp_ns: int) -> float | None:
        """Speed (m/s) of the sample nearest in time, if near enough."""
        if not self._samples:
            return None
        nearest = min(self._samples, key=lambda kept: abs(kept.stamp_ns - stamp_ns))
        return nearest.speed_mps if abs(nearest.stamp_ns - stamp_ns) <= self._max_gap_ns else None
