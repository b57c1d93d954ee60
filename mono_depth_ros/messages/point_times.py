# SPDX-License-Identifier: Apache-2.0
"""When each point of a cloud was measured, from the numbers that its driver stores."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError

# Names under which drivers store the time of a point.
TIME_FIELDS = ("t", "time", "timestamp", "offset_time", "time_stamp", "timeStamp", "stamps")
NO_TIME = "none"
UNITS_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

MAX_TIME_OFFSET_S = 1.0
_CLOCK_FROM_S = 1e6  # numbers this large are instants of a clock, not times after the stamp
_NS_CLOCK_FROM = 1e12  # floats this large are a clock in nanoseconds; one in seconds gets there in 30 000 years
# A revolution takes 50 to 200 ms. Many points within less than a millisecond, or over most of a second, are more likely
# times in another unit, or shares of a turn.
_SHORT_S, _LONG_S, _MANY_POINTS = 1e-3, 0.8, 1000
# Up to this share of times that make no sense, the others are believed.
_MAX_STRAY = 0.1


def split_unit(time_field: str) -> tuple[str, str]:
    """The name of a field and the unit behind a colon, "" where there is none.

    >>> split_unit("t:us"), split_unit("time")
    (('t', 'us'), ('time', ''))

    Raises:
        DataError: an unknown unit.
    """
    name, _, unit = time_field.partition(":")
    if unit and unit not in UNITS_NS:
        raise DataError(f"lidar.time_field: expected a unit of {', '.join(UNITS_NS)} behind the colon, got {unit!r}")
    return name, unit


def time_offsets(
    times: NDArray[Any], stamp_ns: int, field: str, unit: str = ""
) -> tuple[NDArray[np.float64] | None, str]:
    """Seconds after the stamp, and what is odd about them.

    Integers are nanoseconds, floats seconds, or nanoseconds from 1e12 on; either is a clock from 1e6 s on and else
    counted from the stamp. Integers stay integers until the stamp is subtracted, since a clock in nanoseconds does not
    fit into a float64. Times that cannot be this scan's are left out rather than guessed:

    - most of them farther than a second from the stamp (another clock or unit), or floats over almost a second where no
      unit was told (shares of a turn): there are no times;
    - at most a tenth of them: those get the median of the others, which is wrong by half a scan at most, while dropping
      all would cost the others theirs;
    - many points within less than a millisecond: kept, since that is as good as none, and said.

    Args:
        times: [N] of any integer or float type, the numbers of the message.
        stamp_ns: of its header.
        field: its name, for the warning.
        unit: "s", "ms", "us" or "ns"; "" decides by the type.

    Returns:
        float64 [N], or None; and a warning that names the parameter to set, "" where all is well.

    >>> time_offsets(np.array([0, 50_000_000], np.uint32), 1_700_000_000_000_000_000, "t")
    (array([0.  , 0.05]), '')
    """
    offsets_s = _offsets_s(times, stamp_ns, unit)
    near = np.abs(offsets_s) <= MAX_TIME_OFFSET_S  # False for NaN
    strays = int((~near).sum())
    if strays > _MAX_STRAY * len(near):
        finite = offsets_s[np.isfinite(offsets_s)]
        extent = f"{finite.min():.3g} to {finite.max():.3g} s" if len(finite) else "no numbers"
        got = f"expected times within {MAX_TIME_OFFSET_S:g} s of the stamp, got {extent}"
        return None, _warning(field, got, "all points are taken as simultaneous", _advice(times, stamp_ns, field))
    if strays:
        offsets_s[~near] = np.median(offsets_s[near])
        got = f"a few times are farther than {MAX_TIME_OFFSET_S:g} s from the stamp"
        return offsets_s, _warning(field, got, "they are taken for the middle of the scan", f"{_SET} {NO_TIME}")
    span_s = float(np.ptp(offsets_s)) if len(offsets_s) else 0.0
    if unit:
        return offsets_s, ""
    if span_s >= _LONG_S and times.dtype.kind == "f":
        got = f"expected seconds of one revolution, got {span_s:.2g} s; are they shares of a turn?"
        advice = f"{_SET} {field}:s if they are seconds"
        return None, _warning(field, got, "all points are taken as simultaneous", advice)
    if 0.0 < span_s < _SHORT_S and len(offsets_s) >= _MANY_POINTS:
        got = f"expected a scan of some 0.1 s, got one of less than {_SHORT_S:g} s"
        return offsets_s, _warning(field, got, "all points are nearly simultaneous", _advice(times, stamp_ns, field))
    return offsets_s, ""


_SET = "set lidar.time_field to"


def _warning(field: str, got: str, consequence: str, advice: str) -> str:
    return f"point cloud field {field}: {got}; {consequence}; {advice}"


def _advice(times: NDArray[Any], stamp_ns: int, field: str) -> str:
    """The unit in which the times would be a scan's; at most one is."""
    for unit in UNITS_NS:
        offsets_s = _offsets_s(times, stamp_ns, unit)
        near = offsets_s[np.abs(offsets_s) <= MAX_TIME_OFFSET_S]
        if len(near) >= (1 - _MAX_STRAY) * len(offsets_s) and _SHORT_S <= np.ptp(near) < _LONG_S:
            return f"in {unit} they would fit: {_SET} {field}:{unit}, or to {NO_TIME}"
    return f"is the LiDAR's clock another one? Synchronise it, or {_SET} {NO_TIME}"


def _offsets_s(times: NDArray[Any], stamp_ns: int, unit: str) -> NDArray[np.float64]:
    """Seconds after the stamp, float64 [N], in that unit, or in that of the type."""
    if times.dtype.kind in "iu":
        unit_ns = UNITS_NS[unit or "ns"]
        if times.dtype.itemsize == 8:  # so that neither the unit nor the stamp makes it overflow
            limit = 2**62 // unit_ns
            times = np.minimum(times, limit) if times.dtype.kind == "u" else np.clip(times, -limit, limit)
        times_ns = times.astype(np.int64) * unit_ns
        is_clock = float(np.median(np.abs(times_ns))) * 1e-9 >= _CLOCK_FROM_S if len(times) else False
        return np.asarray((times_ns - stamp_ns if is_clock else times_ns) * 1e-9, np.float64)
    values = times.astype(np.float64)
    finite = np.abs(values[np.isfinite(values)])
    typical = float(np.median(finite)) if len(finite) else 0.0
    unit_ns = UNITS_NS[unit or ("ns" if typical > _NS_CLOCK_FROM else "s")]
    is_clock = typical * unit_ns * 1e-9 >= _CLOCK_FROM_S
    return np.asarray((values - stamp_ns / unit_ns if is_clock else values) * (unit_ns * 1e-9), np.float64)
