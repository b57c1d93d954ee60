# SPDX-License-Identifier: Apache-2.0
"""A number that changes over a training run."""

from __future__ import annotations

from dataclasses import dataclass

from mono_depth_ros.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Schedule:
    """A weight over the run: straight lines between knots, constant before the first and after the last.

    In a recipe either a number, or a list of [share of the run, weight].

    Attributes:
        knots: (share of the run in 0..1, weight), in the order of the shares.

    Raises:
        ConfigError: no knot, a share outside 0..1 or out of order, a negative weight.

    >>> Schedule(((0.0, 0.0), (0.5, 2.0))).at(0.25)
    1.0
    """

    knots: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        shares = [share for share, _ in self.knots]
        in_order = shares == sorted(set(shares))
        if not shares or not in_order or not all(0.0 <= share <= 1.0 for share in shares):
            raise ConfigError(
                f"schedule: expected [share, weight] pairs with rising shares in 0..1, got {list(self.knots)}"
            )
        if not all(0.0 <= weight < float("inf") for _, weight in self.knots):
            raise ConfigError(f"schedule: expected weights of at least 0, got {[weight for _, weight in self.knots]}")

    def at(self, share: float) -> float:
        """The weight when `share` of the run is done."""
        before = self.knots[0]
        for knot in self.knots:
            if share <= knot[0]:
                if knot[0] == before[0]:
                    return knot[1]
                way = (share - before[0]) / (knot[0] - before[0])
                return before[1] + way * (knot[1] - before[1])
            before = knot
        return before[1]

    @property
    def used(self) -> bool:
        """Whether the weight is ever more than 0."""
        return any(weight > 0 for _, weight in self.knots)


def constant(weight: float) -> Schedule:
    """The same weight all along."""
    return Schedule(((0.0, float(weight)),))
