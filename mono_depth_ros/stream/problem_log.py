# SPDX-License-Identifier: Apache-2.0
"""Says every kind of problem at once, and again only now and then: a bad sensor sends thirty bad messages a second."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

# A message can put anything into an error text; the number of kinds that are told apart is bounded all the same.
MAX_KINDS = 64


@dataclass(slots=True)
class _Kind:
    said_s: float
    unsaid: int = 0


class ProblemLog:
    """Logs the first problem of a kind, then at most one per period with the number of those in between.

    Two problems are of one kind when they come from one source and begin alike, up to the first colon.

    Args:
        say: writes one line, for example a logger's ``warning``.
        period_s: silence after a line, per kind.
        clock: seconds that never jump back.
    """

    def __init__(
        self, say: Callable[[str], object], period_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._period_s = period_s
        self._clock = clock
        self._kinds: dict[str, _Kind] = {}
        self._lock = threading.Lock()

    def report(self, source: str, problem: str) -> None:
        """Counts a problem of ``source`` (an input, an output, the node), says it unless its kind was said lately."""
        now_s = self._clock()
        line = problem if problem.startswith(f"{source}:") else f"{source}: {problem}"
        with self._lock:
            name = ":".join(line.split(":", 2)[:2])
            if name not in self._kinds and len(self._kinds) >= MAX_KINDS:
                name = source
            kind = self._kinds.get(name)
            if kind is not None and now_s - kind.said_s < self._period_s:
                kind.unsaid += 1
                return
            more = f" ({kind.unsaid} more of this kind since it was said last)" if kind and kind.unsaid else ""
            self._kinds[name] = _Kind(now_s)
        self._say(f"{line}{more}")
