# SPDX-License-Identifier: Apache-2.0
"""A camera's automatic exposure over a drive: it follows the light around it, late.

A function of time, like the drive itself, so that pictures can be made in any order: how bright the surroundings are is
asked of the world, at a few points before the camera, not of earlier pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.render.world import Float64, World, lit
from mono_depth_ros.synthetic.sensors.random_camera import SET_POINT

_STEP_S = 0.2
_MEMORY = 4.0  # time constants that still count
_ALBEDO = 0.11  # what streets reflect of the light, on average


class AutoExposure:
    """Brightness factor of a camera's pictures over time, for worlds under the sky."""

    def __init__(
        self, world: World, T_world_camera: Callable[[float], Float64], lag_s: float = 0.7, strength: float = 0.8
    ) -> None:
        """Look at the light along a drive.

        Args:
            world: where the drive goes.
            T_world_camera: time in s -> float64 [4, 4], pose of the optical frame.
            lag_s: time constant with which the exposure follows.
            strength: 0 fixed exposure .. 1 changes of light are evened out whole.

        Raises:
            ConfigError: on a lag that is not positive, or a strength outside 0..1.
        """
        if not lag_s > 0 or not 0 <= strength <= 1:
            raise ConfigError(f"exposure: expected lag_s > 0 and strength in 0..1, got {lag_s} and {strength}")
        self._world, self._pose = world, T_world_camera
        self._lag_s, self._strength = lag_s, strength
        self._level = lru_cache(maxsize=4096)(self._measured)

    def gain(self, time_s: float) -> float:
        """Factor for the picture taken at `time_s`; see the argument `exposure` of `render`."""
        now = int(np.floor(time_s / _STEP_S))
        steps = np.arange(int(_MEMORY * self._lag_s / _STEP_S) + 2)
        weight = np.exp(-(time_s / _STEP_S - now + steps) * _STEP_S / self._lag_s)
        # linear between steps, so that the factor has no jumps
        share = time_s / _STEP_S - now
        levels = np.log([self._level(int(now - step)) for step in steps])
        after = np.log(self._level(now + 1))
        moved = levels + share * (np.concatenate([[after], levels[:-1]]) - levels)
        seen = self._strength * (weight * moved).sum() / weight.sum() + (1.0 - self._strength) * np.log(self._usual())
        return float(SET_POINT / _ALBEDO * np.exp(-seen))

    def _usual(self) -> float:
        """Level of a level surface half in the sun."""
        light = self._world.light
        up = max(light.sun_direction[2], 0.0)
        return float(np.mean(light.ambient_rgb) + 0.6 * up * np.mean(light.sun_rgb)) + 1e-3

    def _measured(self, step: int) -> float:
        """Light on the ground before the camera at a step of time, relative."""
        time_s = step * _STEP_S
        T_world_camera = self._pose(time_s)
        ahead, right = T_world_camera[:3, 2], T_world_camera[:3, 0]
        reach, aside = np.meshgrid([3.0, 5.0, 8.0, 12.0, 18.0, 26.0], [-3.0, -1.0, 1.0, 3.0])
        level = ahead * (1.0, 1.0, 0.0)
        points = T_world_camera[:3, 3][:, None] + level[:, None] * reach.ravel() + right[:, None] * aside.ravel()
        points[2] -= 1.0
        light = self._world.light
        sun = np.asarray(light.sun_direction, dtype=np.float64)
        reached = lit(self._world.at(time_s), points.astype(np.float32), sun).mean() if max(light.sun_rgb) > 0 else 0.0
        direct = float(reached) * max(sun[2], 0.0) * float(np.mean(light.sun_rgb))
        return float(np.mean(light.ambient_rgb)) + direct + 1e-3
