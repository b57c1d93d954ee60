# SPDX-License-Identifier: Apache-2.0
"""Where the robot was, by adding up its twists: good for the second or so over which points are carried."""

import numpy as np
import numpy.typing as npt

from mono_depth_ros.geometry.rigid import rigid_from_twist
from mono_depth_ros.perception.odometry_track import OdometrySample, OdometryTrack

Float64 = npt.NDArray[np.float64]


class TwistTrack:
    """Integrates twists of the base into an OdometryTrack whose origin is arbitrary.

    Between two twists the mean of both is taken for constant (trapezoidal rule), so that each step is a screw motion.

    Args:
        history_s, max_gap_s, max_extrapolation_s: as for OdometryTrack. Beyond a gap the track begins again.

    Attributes:
        track: the poses so far.
    """

    def __init__(self, history_s: float, max_gap_s: float, max_extrapolation_s: float) -> None:
        self.track = OdometryTrack(history_s, max_gap_s, max_extrapolation_s=max_extrapolation_s)
        self._max_gap_ns = int(max_gap_s * 1e9)
        self._latest: tuple[int, Float64, Float64] | None = None
        self._T_odom_base: Float64 = np.eye(4)

    def clear(self) -> None:
        """Forgets everything."""
        self.track.clear()
        self._latest = None

    def add(self, stamp_ns: int, linear_mps: Float64, angular_radps: Float64) -> None:
        """Takes a twist in, float64 [3] and [3] in the base's axes; one that is not newer than the last is skipped."""
        if self._latest is None or stamp_ns - self._latest[0] > self._max_gap_ns:
            self.track.clear()
            self._T_odom_base = np.eye(4)
        elif stamp_ns <= self._latest[0]:
            return
        else:
            before_ns, before_mps, before_radps = self._latest
            elapsed_s = (stamp_ns - before_ns) * 1e-9
            mean_mps, mean_radps = 0.5 * (linear_mps + before_mps), 0.5 * (angular_radps + before_radps)
            self._T_odom_base = self._T_odom_base @ rigid_from_twist(mean_mps, mean_radps, elapsed_s)
        self._latest = (stamp_ns, linear_mps, angular_radps)
        self.track.add(OdometrySample(stamp_ns, self._T_odom_base, float(np.linalg.norm(linear_mps))))
