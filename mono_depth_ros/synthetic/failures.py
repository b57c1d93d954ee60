# SPDX-License-Identifier: Apache-2.0
"""When sensors fail: a pure function of sensor, time, message number and seed.

A sensor sends message `packet` at `packet / rate_hz` seconds. A `FailurePlan` says whether it arrives, how late, whose
content it has (a frozen sensor repeats itself), and what is wrong with its stamp and its ranges.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mono_depth_ros.errors import ConfigError
from mono_depth_ros.synthetic.render.world import Float32, Float64

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
    """A turning scanner sends a turn in so many packets, each an azimuth sector; each is lost independently."""

    probability: float
    sectors: int = 36
    from_s: float = 0.0
    to_s: float = math.inf
    sensor: str = "lidar"

    def __post_init__(self) -> None:
        wrong = _window_problems(self.from_s, self.to_s) + _probability_problems(self.probability)
        if not 1 <= self.sectors <= MAX_SECTORS:
            wrong.append(f"expected 1..{MAX_SECTORS} sectors, got {self.sectors}")
        _refuse(f"sector loss of {self.sensor}", wrong)


@dataclass(frozen=True, slots=True)
class Outliers:
    """Each measured range becomes, with this probability, any number between the limits; its direction stays."""

    probability: float
    min_range_m: float = 0.5
    max_range_m: float = 60.0
    from_s: float = 0.0
    to_s: float = math.inf
    sensor: str = "lidar"

    def __post_init__(self) -> None:
        wrong = _window_problems(self.from_s, self.to_s) + _probability_problems(self.probability)
        if not 0.0 < self.min_range_m < self.max_range_m <= MAX_RANGE_M:
            wrong.append(
                f"expected 0 < min_range_m < max_range_m <= {MAX_RANGE_M:g}, "
                f"got {self.min_range_m} and {self.max_range_m}"
            )
        _refuse(f"outliers of {self.sensor}", wrong)


@dataclass(frozen=True, slots=True)
class NanPoints:
    """Each measured range becomes, with this probability, NaN (in a cloud: all three coordinates)."""

    probability: float
    from_s: float = 0.0
    to_s: float = math.inf
    sensor: str = "lidar"

    def __post_init__(self) -> None:
        wrong = _window_problems(self.from_s, self.to_s) + _probability_problems(self.probability)
        _refuse(f"NaN points of {self.sensor}", wrong)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A message arrives, with this probability, a second time, `later_s` after the first."""

    sensor: str
    probability: float
    later_s: float = 0.0

    def __post_init__(self) -> None:
        wrong = _probability_problems(self.probability)
        if not 0.0 <= self.later_s <= MAX_DELAY_S:
            wrong.append(f"expected later_s in 0..{MAX_DELAY_S:g}, got {self.later_s}")
        _refuse(f"duplicates of {self.sensor}", wrong)


@dataclass(frozen=True, slots=True)
class ClockJump:
    """From `from_s` to `to_s` a sensor's clock is off: its stamps lie `jump_s` in the future (below 0: in the past).

    A jump back, or the end of a jump forward, puts stamps out of order; a constant jump of a few hundredths of a second
    is a driver that stamps late. Arrival does not change.
    """

    sensor: str
    jump_s: float
    from_s: float = 0.0
    to_s: float = math.inf

    def __post_init__(self) -> None:
        wrong = _window_problems(self.from_s, self.to_s)
        if not abs(self.jump_s) <= MAX_DELAY_S:
            wrong.append(f"expected jump_s within {MAX_DELAY_S:g}, got {self.jump_s}")
        _refuse(f"clock jump of {self.sensor}", wrong)


@dataclass(frozen=True, slots=True)
class CalibrationBump:
    """From `from_s` on (a pothole) a camera or a ranging sensor sits elsewhere than its calibration says.

    The renderer takes it into account: the sensor sees what there is to be seen from its new place.

    Attributes:
        rotation_deg: about the fixed x, y, z of the sensor's calibrated frame, in this order: roll, pitch, yaw for a
            LiDAR; for a camera, whose frame is optical, pitch (nose up), yaw (to the right), roll.
        translation_m: to where it moved, in the calibrated frame.
        sensor: its name.
    """

    from_s: float
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    translation_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sensor: str = "lidar"

    def __post_init__(self) -> None:
        numbers = (self.from_s, *self.rotation_deg, *self.translation_m)
        wrong = [] if np.isfinite(numbers).all() else [f"expected finite numbers, got {numbers}"]
        if any(abs(part) > MAX_RANGE_M for part in self.translation_m):
            wrong.append(f"expected a translation_m within {MAX_RANGE_M:g} m, got {self.translation_m}")
        _refuse(f"bump of {self.sensor}", wrong)

    def T_calibrated_bumped(self) -> Float64:
        """float64 [4, 4]: takes points in the sensor's moved frame to the frame that calibration knows."""
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
        outages, losses, low_rates, delays, freezes, duplicates, clock_jumps: of any sensor, by its name.
        sector_losses, outliers, nan_points: of ranging sensors.
        bumps: of cameras and ranging sensors; the renderer has to know them too.
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
    nan_points: tuple[NanPoints, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    clock_jumps: tuple[ClockJump, ...] = ()

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

    def copies_later_s(self, sensor: str, packet: int) -> tuple[float, ...]:
        """How long after a message each copy of it arrives; empty when there is none."""
        return tuple(
            copy.later_s
            for number, copy in enumerate(self.duplicates)
            if copy.sensor == sensor and self._rng(f"copy {sensor}", number, packet).uniform() < copy.probability
        )

    def stamp_error_s(self, sensor: str, time_s: float) -> float:
        """How far a sensor's clock is ahead; jumps that apply add up.

        >>> FailurePlan(clock_jumps=(ClockJump("camera", -0.5, 2.0),)).stamp_error_s("camera", 3.0)
        -0.5
        """
        return float(sum(j.jump_s for j in self.clock_jumps if j.sensor == sensor and j.from_s <= time_s < j.to_s))

    def lost_in_sectors(self, sensor: str, azimuth_rad: Float32, time_s: float, packet: int) -> npt.NDArray[np.bool_]:
        """Which measurements of a turn are lost with their sector.

        Args:
            sensor: its name.
            azimuth_rad: float32 [N] of each measurement, -pi..pi, sensor frame.
            time_s: of the scan.
            packet: its number.

        Returns:
            bool [N].
        """
        lost = np.zeros(len(azimuth_rad), dtype=bool)
        for number, loss in enumerate(self.sector_losses):
            if loss.sensor == sensor and loss.from_s <= time_s < loss.to_s:
                sector = self._rng("sectors", number, packet).uniform(size=loss.sectors) < loss.probability
                turn = azimuth_rad / (2 * np.pi) + 0.5  # 0..1
                lost |= sector[np.minimum((turn * loss.sectors).astype(np.int64), loss.sectors - 1)]
        return lost

    def wrong_ranges(self, sensor: str, range_m: Float32, time_s: float, packet: int) -> Float32:
        """Ranges with outliers and NaN among them.

        Args:
            sensor: its name.
            range_m: float32 [N]; those that are not finite, and so no measurements, stay.
            time_s: of the scan.
            packet: its number.

        Returns:
            float32 [N].
        """
        wrong = range_m.astype(np.float32)
        measured = np.isfinite(range_m)
        for number, outliers in enumerate(self.outliers):
            if outliers.sensor == sensor and outliers.from_s <= time_s < outliers.to_s:
                rng = self._rng("outliers", number, packet)
                chosen = (rng.uniform(size=len(wrong)) < outliers.probability) & measured
                anything_m = rng.uniform(outliers.min_range_m, outliers.max_range_m, len(wrong)).astype(np.float32)
                wrong = np.where(chosen, anything_m, wrong)
        for number, missing in enumerate(self.nan_points):
            if missing.sensor == sensor and missing.from_s <= time_s < missing.to_s:
                chosen = self._rng("nan", number, packet).uniform(size=len(wrong)) < missing.probability
                wrong = np.where(chosen & measured, np.float32(np.nan), wrong)
        return wrong

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
