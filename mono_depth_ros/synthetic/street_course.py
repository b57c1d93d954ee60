# SPDX-License-Identifier: Apache-2.0
"""A drive down a random street."""

from __future__ import annotations

import numpy as np

from mono_depth_ros.synthetic.course import Course
from mono_depth_ros.synthetic.street import Street, random_street
from mono_depth_ros.synthetic.world import Float64, Mover

_START_X_M = -6.0  # behind the first car of our lane
_SWING, _SWING_PERIOD_S = 0.15, 12.0  # speed varies by 15 % in 12 s


def street_course(seed: int, duration_s: float) -> Course:
    """A street, furnished long enough for the drive, and the drive; both of one seed.

    Args:
        seed: of street and speed.
        duration_s: a longer drive has a longer, and so another, street.
    """
    speed_mps = float(np.random.default_rng([seed, 3]).uniform(5.0, 8.0))
    return course_through(random_street(seed, max(140.0, 1.2 * speed_mps * duration_s + 60.0)), speed_mps)


def course_through(street: Street, speed_mps: float) -> Course:
    """Down the right lane, faster and slower by turns, never into the car ahead.

    Args:
        street: furnished for the length of the drive.
        speed_mps: usual speed on a free road; less behind slower traffic.
    """
    cars = [mover for mover in street.world.movers if isinstance(mover, Mover)]
    ahead = [car.speed_mps for car in cars if car.speed_mps > 0]
    cruise_mps = min([speed_mps, *(0.85 * speed for speed in ahead)])
    # Keep to the lane, but clear of parked cars where the road is narrow.
    lateral_m = -max(0.2, min(-street.lane_m, street.half_width_m - 3.2))

    def T_world_base(time_s: float) -> Float64:
        swing_s = _SWING * _SWING_PERIOD_S / (2 * np.pi) * (1.0 - np.cos(2 * np.pi * time_s / _SWING_PERIOD_S))
        return street.path.pose(_START_X_M + cruise_mps * (time_s + float(swing_s)), lateral_m)

    return Course(street.world, T_world_base, cruise_mps)
