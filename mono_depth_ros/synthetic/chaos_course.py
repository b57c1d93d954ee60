# SPDX-License-Identifier: Apache-2.0
"""A slow flight through a chaos world."""

from __future__ import annotations

import numpy as np

from mono_depth_ros.synthetic.chaos import random_chaos
from mono_depth_ros.synthetic.course import Course
from mono_depth_ros.synthetic.render.world import Float64


def chaos_course(seed: int) -> Course:
    """A slow flight within half a metre of the origin, turning to all sides; there is no ground to follow."""
    rng = np.random.default_rng([seed, 8])
    rates = rng.uniform(0.25, 0.6, 3)  # rad/s
    phases = rng.uniform(0.0, 2 * np.pi, 4)
    reach_m = np.array([0.4, 0.4, 0.15])
    yaw_rate = float(rng.uniform(0.15, 0.35) * rng.choice((-1.0, 1.0)))
    tilt_rad = float(rng.uniform(0.05, 0.2))

    def T_world_base(time_s: float) -> Float64:
        yaw, pitch = phases[3] + yaw_rate * time_s, tilt_rad * np.sin(rates[0] * time_s + phases[1])
        cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        T_world_base = np.eye(4)
        T_world_base[:3, :3] = [[cy * cp, -sy, cy * sp], [sy * cp, cy, sy * sp], [-sp, 0.0, cp]]
        T_world_base[:3, 3] = reach_m * np.sin(rates * time_s + phases[:3])
        return T_world_base

    return Course(random_chaos(seed), T_world_base, float(np.linalg.norm(reach_m * rates)))
