# SPDX-License-Identifier: Apache-2.0
"""Problems of a recording counted by kind, under the words of the first of each."""

from collections import Counter


class ProblemCounts(Counter[str]):
    """Text -> how often.

    Two problems are of one kind when they come from one source and begin alike, up to the first colon; the numbers that
    follow differ from message to message.

    >>> counts = ProblemCounts()
    >>> counts.note("points", "clock_differs: 1.1 s")
    >>> counts.note("points", "clock_differs: 1.2 s")
    >>> dict(counts)
    {'points: clock_differs: 1.1 s': 2}
    """

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, str] = {}

    def note(self, source: str, problem: str) -> None:
        """Count a problem."""
        text = problem if problem.startswith(f"{source}:") else f"{source}: {problem}"
        self[self._first.setdefault(":".join(text.split(":", 2)[:2]), text)] += 1
