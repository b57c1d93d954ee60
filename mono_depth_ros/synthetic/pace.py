# SPDX-License-Identifier: Apache-2.0
"""How speed varies over a drive; two vehicles of one speed and one pace keep their gap exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mono_depth_ros.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Pace:
    """Speed relative to a vehicle's mean speed, as a function of time: 1 + swing * sin(2 pi t / period).

    Args:
        swing: 0 drives at constant speed; below 1, so that nothing drives backwards.
        period_s: of the swing.

    Raises:
        ConfigError: on a swing outside 0..1 or a period that is not positive.
    """

    swing: float = 0.0
    period_s: float = 12.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.swing < 1.0 or not self.period_s > 0.0:
            raise ConfigError(f"pace: expected swing in [0, 1) and period_s > 0, got {self.swing}, {self.period_s}")

    def factor(self, time_s: float) -> float:
        """Speed at `time_s`, relative to the mean speed."""
        return 1.0 + self.swing * float(np.sin(2.0 * np.pi * time_s / self.period_s))

    def elapsed_s(self, time_s: float) -> float:
        """Integral of `factor` from 0: distance driven by `time_s` is mean speed times this."""
        turn = 2.0 * np.pi / self.period_s
        return time_s + self.swing / turn * (1.0 - float(np.cos(turn * time_s)))
