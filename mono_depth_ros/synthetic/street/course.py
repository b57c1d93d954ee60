# SPDX-License-Identifier: Apache-2.0
"""A drive down a random street."""

from __future__ import annotations

import numpy as np

from mono_depth_ros.synthetic.course import Course
from mono_depth_ros.synthetic.pace import Pace
from mono_depth_ros.synthetic.render.world import Float64
from mono_depth_ros.synthetic.street.scene import Street, following, random_street

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
    pace = Pace(_SWING, _SWING_PERIOD_S)
    cruise_mps = min([speed_mps, *(0.85 * car.speed_mps for car in street.cars_ahead())])
    if street.lead >= 0:  # the cars ahead drive exactly as we do: seen from here they stand still
        cruise_mps = speed_mps
        street = following(street, speed_mps, pace)
    # Keep to the lane, but clear of parked cars where the road is narrow.
    lateral_m = -max(0.2, min(-street.lane_m, street.half_width_m - 3.2))

    def T_world_base(time_s: float) -> Float64:
        return street.path.pose(street.start_m + cruise_mps * pace.elapsed_s(time_s), lateral_m)

    return Course(street.world, T_world_base, cruise_mps)
