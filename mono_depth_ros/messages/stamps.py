# SPDX-License-Identifier: Apache-2.0
"""builtin_interfaces/Time <-> integer nanoseconds, without a detour through floats."""

from typing import Protocol

NANOSECONDS_PER_SECOND = 1_000_000_000


class TimeMessage(Protocol):
    """The attributes of builtin_interfaces/Time."""

    sec: int
    nanosec: int


def stamp_ns_of(stamp: TimeMessage) -> int:
    """Nanoseconds of a stamp message.

    >>> from types import SimpleNamespace
    >>> stamp_ns_of(SimpleNamespace(sec=2, nanosec=5))
    2000000005
    """
    return int(stamp.sec) * NANOSECONDS_PER_SECOND + int(stamp.nanosec)


def stamp_parts(stamp_ns: int) -> tuple[int, int]:
    """(sec, nanosec) of a stamp; nanosec is never negative, as in ROS.

    >>> stamp_parts(2_000_000_005)
    (2, 5)
    """
    return divmod(stamp_ns, NANOSECONDS_PER_SECOND)
