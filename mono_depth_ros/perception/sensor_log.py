# SPDX-License-Identifier: Apache-2.0
"""Counts of one input: what came, what was refused, how often, how evenly, and how much of it was of use."""

import dataclasses
import itertools
import statistics
from collections import deque
from collections.abc import Iterable

from mono_depth_ros.perception.snapshot import SensorReport, SensorState

_RATE_WINDOW = 30
_SHARE_WINDOW = 50
# A stamp this much before the one before means that time began anew (a looped bag); messages out of order are nearer.
_JUMP_BACK_NS = 1_000_000_000


class SensorLog:
    """Statistics of one input, for its SensorReport.

    Args:
        name: of the input, as in SensorReport.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._stamps_ns: deque[int] = deque(maxlen=_RATE_WINDOW)
        self._received = 0
        self._rejected = 0
        self._last_error = ""

    @property
    def received(self) -> int:
        """Messages so far, refused ones included."""
        return self._received

    def receive(self, stamp_ns: int) -> None:
        """Counts a good message; where its stamp jumps back, rate and jitter begin anew."""
        self._received += 1
        if self._stamps_ns and stamp_ns < self._stamps_ns[-1] - _JUMP_BACK_NS:
            self._stamps_ns.clear()
        self._stamps_ns.append(stamp_ns)

    def reject(self, error: str) -> None:
        """Counts a refused message and keeps the reason."""
        self._received += 1
        self._rejected += 1
        self._last_error = error

    def forget_stamps(self) -> None:
        """For a clock that jumped: the counters stay, the rate begins anew."""
        self._stamps_ns.clear()

    def rate_hz(self) -> float:
        """Messages per second of the last stamps; 0 with fewer than two."""
        if len(self._stamps_ns) < 2:
            return 0.0
        span_ns = max(self._stamps_ns) - min(self._stamps_ns)
        return (len(self._stamps_ns) - 1) * 1e9 / span_ns if span_ns > 0 else 0.0

    def jitter_s(self) -> float:
        """Standard deviation of the time between two messages, by their stamps; 0 with fewer than three."""
        if len(self._stamps_ns) < 3:
            return 0.0
        return statistics.pstdev((after - before) * 1e-9 for before, after in itertools.pairwise(self._stamps_ns))

    def report(self, state: SensorState, age_s: float | None, used: bool, reason: str) -> SensorReport:
        """The report of this input for one image."""
        return SensorReport(
            self._name,
            state,
            age_s,
            self.rate_hz(),
            used,
            reason,
            self._received,
            self._rejected,
            self._last_error,
            self.jitter_s(),
        )


class UsedShares:
    """Which share of the latest images each input took part in."""

    def __init__(self) -> None:
        self._used: dict[str, deque[bool]] = {}

    def counted(self, reports: Iterable[SensorReport]) -> tuple[SensorReport, ...]:
        """The reports of one more image, with the share of the latest fifty that used each input."""
        shared = []
        for report in reports:
            used = self._used.setdefault(report.name, deque(maxlen=_SHARE_WINDOW))
            used.append(report.used)
            shared.append(dataclasses.replace(report, used_share=sum(used) / len(used)))
        return tuple(shared)
