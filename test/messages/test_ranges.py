# SPDX-License-Identifier: Apache-2.0
"""Single ranges."""

from types import SimpleNamespace

import numpy as np
import pytest

from mono_depth_ros.errors import DataError
from mono_depth_ros.messages.ranges import decode_range


def test_a_range_is_a_point_along_x():
    points = decode_range(SimpleNamespace(min_range=0.1, max_range=4.0, range=2.5))
    np.testing.assert_array_equal(points.points_m, np.array([[2.5, 0.0, 0.0]], np.float32))


@pytest.mark.parametrize("nothing", [np.inf, -np.inf, np.nan, 0.05, 4.5, 0.0, -1.0])
def test_what_is_no_measurement_gives_no_point(nothing):
    points = decode_range(SimpleNamespace(min_range=0.1, max_range=4.0, range=nothing))
    assert points.points_m.shape == (0, 3) and points.points_m.dtype == np.float32


def test_limits_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="min_range and max_range"):
        decode_range(SimpleNamespace(min_range=np.nan, max_range=4.0, range=1.0))
