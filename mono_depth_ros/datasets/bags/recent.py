# SPDX-License-Identifier: Apache-2.0
"""Messages of the last moments of a bag, found by stamp."""

from typing import Any

# More than images wait for what comes after them.
_MAX_RECENT = 64


class RecentMessages:
    """The messages of one topic that images of the last second may still ask for, by stamp."""

    def __init__(self) -> None:
        self._by_stamp: dict[int, Any] = {}

    def put(self, stamp_ns: int, decoded: Any) -> None:
        """Keeps one."""
        self._by_stamp[stamp_ns] = decoded
        while len(self._by_stamp) > _MAX_RECENT:
            del self._by_stamp[next(iter(self._by_stamp))]

    def at(self, stamp_ns: int, tolerance_ns: int = 0) -> Any:
        """The message nearest to a stamp; None if none is so near."""
        nearest = min(self._by_stamp, key=lambda kept_ns: abs(kept_ns - stamp_ns), default=None)
        if nearest is None or abs(nearest - stamp_ns) > tolerance_ns:
            return None
        return self._by_stamp[nearest]
