# SPDX-License-Identifier: Apache-2.0
"""When sensors fail: a pure function of sensor, time, message number and seed.

A sensor sends message `packet` at `packet / rate_hz` seconds. A `FailurePlan` says whether it arrives, how late, whose
content it has (a frozen sensor repeats itself), and what is wrong with the points of a scan.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.geometry.rigid import invert_rigid, transform_points
from mono_depth_ros.synthetic.world import Float32, Float64

# Far beyond any robot; without bounds a slip of the keyboard would fill the memory or overflow a message.
MAX_DELAY_S, MAX_RANGE_M, MAX_SECTORS = 3600.0, 10_000.0, 3600


@dataclass(frozen=True, slots=True)
class Outage:
    """A sensor says nothing from `from_s` (inclusive) to `to_s` (exclusive), seconds since the start."""

    sensor: str
    from_s: float
    to_s: float

    def __post_init__(self) -> None:
        _refuse(f"outage of {self.sensor}", _window_problems(self.from_s, self.to_s))


@dataclass(frozen=True, slots=True)
class PacketLoss:
    """Each message of a sensor is lost with this probability, independently of the others."""

    sensor: str
    probability: float

    def __post_init__(self) -> None:
        _refuse(f"packet loss of {self.sensor}", _probability_problems(self.probability))


@dataclass(frozen=True, slots=True)
class LowRate:
    """A sensor sends only every n-th of its messages, beginning with the first."""

    sensor: str
    keep_every: int

    def __post_init__(self) -> None:
        wrong = [] if self.keep_every >= 1 else [f"expected keep_every of at least 1, got {self.keep_every}"]
        _refuse(f"low rate of {self.sensor}", wrong)


@dataclass(frozen=True, slots=True)
class Delay:
    """Messages arrive `delay_s` after their stamp, and up to `jitter_s` later still: beyond a period, out of order."""

    sensor: str
    delay_s: float
    jitter_s: float = 0.0
    from_s: float = 0.0
    to_s: float = math.inf

    def __post_init__(self) -> None:
        wrong = _window_problems(self.from_s, self.to_s)
        if not (0.0 <= self.delay_s <= MAX_DELAY_S and 0.0 <= self.jitter_s <= MAX_DELAY_S):
            wrong.append(f"expected delay_s and jitter_s in 0..{MAX_DELAY_S:g}, got {self.delay_s} and {self.jitter_s}")
        _refuse(f"delay of {self.sensor}", wrong)


@dataclass(frozen=True, slots=True)
class Freeze:
    """From `from_s` to `to_s` a sensor repeats its last message under new stamps (its first, if there is none)."""

    sensor: str
    from_s: float
    to_s: float

    def __post_init__(self) -> None:
        _refuse(f"freeze of {self.sensor}", _window_problems(self.from_s, self.to_s))


@dataclass(frozen=True, slots=True)
class SectorLoss:
    """A spinning LiDAR sends a revolution in so many packets, each an azimuth sector; each is lost independently."""

    probability: float
    sectors: int = 36
    from_s: float = 0.0
    to_s: float = math.inf

    def __post_init__(self) -> None:
        wrong = _window_problems(self.from_s, self.to_s) + _probability_problems(self.probability)
        if not 1 <= self.sectors <= MAX_SECTORS:
            wrong.append(f"expected 1..{MAX_SECTORS} sectors, got {self.sectors}")
        _refuse("sector loss", wrong)


@dataclass(frozen=True, slots=True)
class Outliers:
    """Each point of a scan gets, with this probability, any range between the limits; its direction stays."""

    probability: float
    min_range_m: float = 0.5
    max_range_m: float = 60.0
    from_s: float = 0.0
    to_s: float = math.inf

    def __post_init__(self) -> None:
        wrong = _window_problems(self.from_s, self.to_s) + _probability_problems(self.probability)
        if not 0.0 < self.min_range_m < self.max_range_m <= MAX_RANGE_M:
            wrong.append(
                f"expected 0 < min_range_m < max_range_m <= {MAX_RANGE_M:g}, "
                f"got {self.min_range_m} and {self.max_range_m}"
            )
        _refuse("outliers", wrong)


@dataclass(frozen=True, slots=True)
class CalibrationBump:
    """From `from_s` on the LiDAR sits elsewhere than its calibration says.

    Attributes:
        rotation_deg: roll, pitch, yaw (about the fixed x, y, z of the calibrated lidar frame, in this order).
        translation_m: to where it moved, in the calibrated lidar frame.
    """

    from_s: float
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    translation_m: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        numbers = (self.from_s, *self.rotation_deg, *self.translation_m)
        wrong = [] if np.isfinite(numbers).all() else [f"expected finite numbers, got {numbers}"]
        if any(abs(part) > MAX_RANGE_M for part in self.translation_m):
            wrong.append(f"expected a translation_m within {MAX_RANGE_M:g} m, got {self.translation_m}")
        _refuse("bump", wrong)

    def T_calibrated_bumped(self) -> Float64:
        """float64 [4, 4]: takes points in the moved lidar frame to the frame that calibration knows."""
        cr, cp, cy = np.cos(np.deg2rad(self.rotation_deg))
        sr, sp, sy = np.sin(np.deg2rad(self.rotation_deg))
        yaw = np.array([[cy, -sy, 0.0], [sy, cy, 0.0], [0.0, 0.0, 1.0]])
        pitch = np.array([[cp, 0.0, sp], [0.0, 1.0, 0.0], [-sp, 0.0, cp]])
        roll = np.array([[1.0, 0.0, 0.0], [0.0, cr, -sr], [0.0, sr, cr]])
        T_calibrated_bumped = np.eye(4)
        T_calibrated_bumped[:3, :3] = yaw @ pitch @ roll
        T_calibrated_bumped[:3, 3] = self.translation_m
        return T_calibrated_bumped


@dataclass(frozen=True, slots=True)
class FailurePlan:
    """Everything that goes wrong in a drive; the same message always meets the same fate.

    Attributes:
        outages, losses, low_rates, delays, freezes: of any sensor, by its name.
        sector_losses, outliers, bumps: of the LiDAR's scans.
        seed: another seed, other losses, jitter and outliers.
    """

    outages: tuple[Outage, ...] = ()
    losses: tuple[PacketLoss, ...] = ()
    seed: int = 0
    low_rates: tuple[LowRate, ...] = ()
    delays: tuple[Delay, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    sector_losses: tuple[SectorLoss, ...] = ()
    outliers: tuple[Outliers, ...] = ()
    bumps: tuple[CalibrationBump, ...] = ()

    def __post_init__(self) -> None:
        _refuse("failures", [] if self.seed >= 0 else [f"expected a seed of at least 0, got {self.seed}"])

    def delivered(self, sensor: str, time_s: float, packet: int) -> bool:
        """Whether a message arrives.

        Args:
            sensor: its name, as in the outages and losses.
            time_s: since the start of the drive.
            packet: its number.

        >>> FailurePlan((Outage("lidar", 2.0, 4.0),)).delivered("lidar", 2.5, 25)
        False
        """
        if any(o.sensor == sensor and o.from_s <= time_s < o.to_s for o in self.outages):
            return False
        if not self._due(sensor, packet):
            return False
        fate = np.random.default_rng([self.seed, zlib.crc32(sensor.encode()), packet]).uniform()
        return all(fate >= loss.probability for loss in self.losses if loss.sensor == sensor)

    def delay_s(self, sensor: str, time_s: float, packet: int) -> float:
        """How long after its stamp a message arrives; the delays that apply add up.

        >>> FailurePlan(delays=(Delay("lidar", 0.2, from_s=1.0),)).delay_s("lidar", 1.5, 15)
        0.2
        """
        total = 0.0
        for number, delay in enumerate(self.delays):
            if delay.sensor == sensor and delay.from_s <= time_s < delay.to_s:
                total += delay.delay_s + delay.jitter_s * self._rng(f"delay {sensor}", number, packet).uniform()
        return float(total)

    def source(self, sensor: str, packet: int, rate_hz: float) -> int:
        """Number of the message whose content a sensor sends as its message `packet`.

        It is `packet` itself unless the sensor is frozen, or slow; it never goes back as `packet` goes on.

        >>> plan = FailurePlan(freezes=(Freeze("camera", 0.5, 1.0),))
        >>> [plan.source("camera", packet, 10.0) for packet in (3, 4, 5, 9, 10)]
        [3, 4, 4, 4, 10]
        """
        while True:
            while not self._due(sensor, packet):
                packet -= 1
            time_s = packet / rate_hz
            frozen = [f.from_s for f in self.freezes if f.sensor == sensor and f.from_s <= time_s < f.to_s]
            if not frozen or packet == 0:
                return packet
            packet = math.ceil(frozen[0] * rate_hz) + 1
            while packet > 0 and packet / rate_hz >= frozen[0]:
                packet -= 1
            packet = max(packet, 0)

    def published_points(self, points_lidar: Float32, time_s: float, packet: int) -> Float32:
        """What is left of a scan: sectors lost, ranges wrong, and seen from where the LiDAR now sits.

        Args:
            points_lidar: float32 [N, 3], lidar frame, metres; as measured where calibration says.
            time_s: of the measurement.
            packet: number of the scan.

        Returns:
            float32 [M, 3], M <= N, in the frame in which the sensor publishes them.
        """
        points = points_lidar
        for number, loss in enumerate(self.sector_losses):
            if loss.from_s <= time_s < loss.to_s:
                lost = self._rng("sectors", number, packet).uniform(size=loss.sectors) < loss.probability
                turn = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi) + 0.5  # 0..1
                points = points[~lost[np.minimum((turn * loss.sectors).astype(np.int64), loss.sectors - 1)]]
        for number, outliers in enumerate(self.outliers):
            if outliers.from_s <= time_s < outliers.to_s:
                rng = self._rng("outliers", number, packet)
                wrong = rng.uniform(size=len(points)) < outliers.probability
                range_m = rng.uniform(outliers.min_range_m, outliers.max_range_m, len(points)).astype(np.float32)
                factor = range_m / np.maximum(np.linalg.norm(points, axis=1), np.float32(1e-6))
                points = points * np.where(wrong, factor, np.float32(1.0))[:, None]
        for bump in self.bumps:
            if time_s >= bump.from_s:
                points = transform_points(invert_rigid(bump.T_calibrated_bumped()), points)
        return points

    def _due(self, sensor: str, packet: int) -> bool:
        return all(packet % low.keep_every == 0 for low in self.low_rates if low.sensor == sensor)

    def _rng(self, what: str, number: int, packet: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(what.encode()), number, packet])


def _window_problems(from_s: float, to_s: float) -> list[str]:
    return [] if -math.inf < from_s < to_s else [f"expected from_s < to_s, got {from_s} and {to_s}"]


def _probability_problems(probability: float) -> list[str]:
    return [] if 0.0 <= probability <= 1.0 else [f"expected a probability in 0..1, got {probability}"]


def _refuse(name: str, problems: list[str]) -> None:
    if problems:
        raise ConfigError(f"{name}: " + ", ".join(problems))
