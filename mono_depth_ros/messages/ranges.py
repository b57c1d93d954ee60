# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Range -> at most one point."""

from typing import Protocol

import numpy as np

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.timed_points import TimedPoints


class RangeMessage(Protocol):
    """The attributes of sensor_msgs/Range that are read here."""

    min_range: float
    max_range: float
    range: float


def decode_range(msg: RangeMessage) -> TimedPoints:
    """The measurement as a point on the x axis of the sensor's frame (REP 117: -inf is too near, +inf nothing seen).

    The cone of the sensor (field_of_view) is taken for a ray, which holds for time-of-flight sensors of a few degrees;
    a wide ultrasonic cone says too little about one pixel.

    Returns:
        One point, or none where the range is not finite or not between min_range and max_range.

    Raises:
        DataError: the limits are no numbers.
    """
    low_m, high_m, range_m = float(msg.min_range), float(msg.max_range), float(msg.range)
    if np.isnan(low_m) or np.isnan(high_m):
        raise DataError(f"range: expected min_range and max_range to be numbers, got {low_m} and {high_m}")
    measured = np.isfinite(range_m) and max(low_m, 0.0) <= range_m <= high_m and range_m > 0.0
    return TimedPoints(np.array([[range_m, 0.0, 0.0]] if measured else np.empty((0, 3)), np.float32))
