# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/LaserScan -> points."""

from typing import Any, Protocol

import numpy as np

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.timed_points import MIN_RANGE_M, TimedPoints

# A message may claim any size; the finest planar scanners have some ten thousand rays.
MAX_RAYS = 1_000_000


class LaserScanMessage(Protocol):
    """The attributes of sensor_msgs/LaserScan that are read here."""

    angle_min: float
    angle_increment: float
    time_increment: float
    range_min: float
    range_max: float
    ranges: Any


def decode_laser_scan(msg: LaserScanMessage, min_range_m: float = MIN_RANGE_M) -> TimedPoints:
    """The rays that hit something, in the frame of the scanner (x ahead, y left, the plane z = 0).

    Ray i points at angle_min + i * angle_increment, counter-clockwise about z, and was measured i * time_increment
    after the stamp (the message's definition). Rays that are not finite, not between range_min and range_max, or nearer
    than min_range_m are no measurements and are dropped.

    Raises:
        DataError: angles or limits are not finite (an infinite range_max is allowed), or there are too many rays.
    """
    numbers = [float(n) for n in (msg.angle_min, msg.angle_increment, msg.time_increment, msg.range_min)]
    if not np.isfinite(numbers).all() or not float(msg.range_max) > 0.0:
        raise DataError(
            "laser scan: expected finite angle_min, angle_increment, time_increment and range_min and a range_max "
            f"above 0, got {numbers} and {msg.range_max}"
        )
    ranges_m = np.asarray(msg.ranges, np.float64).reshape(-1)
    if len(ranges_m) > MAX_RAYS:
        raise DataError(f"laser scan: expected at most {MAX_RAYS} rays, got {len(ranges_m)}")
    angle_min_rad, angle_increment_rad, time_increment_s, range_min_m = numbers
    with np.errstate(invalid="ignore"):
        hit = np.isfinite(ranges_m) & (ranges_m >= max(range_min_m, min_range_m)) & (ranges_m <= float(msg.range_max))
    hit &= ranges_m > 0.0  # 0 is what scanners without a minimum say for "nothing"
    index = np.flatnonzero(hit)
    angle_rad = angle_min_rad + index * angle_increment_rad
    flat = np.stack([np.cos(angle_rad), np.sin(angle_rad), np.zeros(len(index))], axis=1)
    points_m = (ranges_m[hit, None] * flat).astype(np.float32)
    offsets_s = np.asarray(index * time_increment_s, np.float64) if time_increment_s != 0.0 else None
    return TimedPoints(points_m, offsets_s)
