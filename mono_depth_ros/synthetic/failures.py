# SPDX-License-Identifier: Apache-2.0
"""When sensors fail: outages and lost packets, as a pure function of sensor, time and seed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from mono_depth_ros.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Outage:
    """A sensor says nothing from `from_s` (inclusive) to `to_s` (exclusive), seconds since the start."""

    sensor: str
    from_s: float
    to_s: float

    def __post_init__(self) -> None:
        if not self.from_s < self.to_s:
            raise ConfigError(f"outage of {self.sensor}: expected from_s < to_s, got {self.from_s} and {self.to_s}")


@dataclass(frozen=True, slots=True)
class PacketLoss:
    """Each packet of a sensor is lost with this probability, independently of the others."""

    sensor: str
    probability: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ConfigError(f"packet loss of {self.sensor}: expected a probability, got {self.probability}")


@dataclass(frozen=True, slots=True)
class FailurePlan:
    """Everything that goes wrong in a drive."""

    outages: tuple[Outage, ...] = ()
    losses: tuple[PacketLoss, ...] = ()
    seed: int = 0

    def delivered(self, sensor: str, time_s: float, packet: int) -> bool:
        """Whether a packet arrives.

        Args:
            sensor: its name, as in the outages and losses.
            time_s: since the start of the drive.
            packet: its number; the same packet always meets the same fate.

        >>> FailurePlan((Outage("lidar", 2.0, 4.0),)).delivered("lidar", 2.5, 25)
        False
        """
        if any(o.sensor == sensor and o.from_s <= time_s < o.to_s for o in self.outages):
            return False
        fate = np.random.default_rng([self.seed, zlib.crc32(sensor.encode()), packet]).uniform()
        return all(fate >= loss.probability for loss in self.losses if loss.sensor == sensor)
