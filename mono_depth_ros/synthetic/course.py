# SPDX-License-Identifier: Apache-2.0
"""Where a robot drives: a world, and the robot's pose in it at any time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mono_depth_ros.geometry.rigid import invert_rigid
from mono_depth_ros.synthetic.render.world import Float64, World

_MOTION_STEP_S = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A drive through a world; a function of time alone, so that frames can be made in any order.

    Attributes:
        world: what there is.
        T_world_base: time in s since the start -> float64 [4, 4], pose of base_link: on the ground, x forward, z up,
            following slopes. Smooth, and defined from a second before the start to a second after the end.
        cruise_mps: usual speed, for what has to be sized by it.
    """

    world: World
    T_world_base: Callable[[float], Float64]
    cruise_mps: float

    def velocity(self, time_s: float) -> tuple[Float64, Float64]:
        """True velocity of base_link in its own axes.

        Returns:
            Linear float64 [3], m/s, and angular float64 [3], rad/s, by central differences.
        """
        now = self.T_world_base(time_s)
        before, after = self.T_world_base(time_s - _MOTION_STEP_S), self.T_world_base(time_s + _MOTION_STEP_S)
        linear = now[:3, :3].T @ (after[:3, 3] - before[:3, 3]) / (2 * _MOTION_STEP_S)
        turn = (invert_rigid(before) @ after)[:3, :3]
        # The angle is tiny: the skew part of the rotation is the rotation vector.
        skew = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
        return linear, skew / (4 * _MOTION_STEP_S)
