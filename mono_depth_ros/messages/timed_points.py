# SPDX-License-Identifier: Apache-2.0
"""Points as any ranging sensor measures them: where, and when."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError

# Of a LiDAR: rays without a return are often written as (0, 0, 0), and what is nearer than this is its own hood.
MIN_RANGE_M = 0.1


def is_measured(points_m: NDArray[np.float32], min_range_m: float = MIN_RANGE_M) -> NDArray[np.bool_]:
    """Which points are measurements: finite, at least that far from the sensor's origin, and never the origin itself.

    >>> is_measured(np.array([[0, 0, 0], [0.06, 0, 0.07], [np.nan, 2, 2], [2, 0, 0]], np.float32))
    array([False, False, False,  True])
    """
    squared_m2 = np.einsum("ij,ij->i", points_m, points_m, dtype=np.float64)
    return np.asarray(np.isfinite(squared_m2) & (squared_m2 > 0.0) & (squared_m2 >= float(min_range_m) ** 2))


@dataclass(frozen=True, slots=True, eq=False)
class TimedPoints:
    """Points of one message.

    Attributes:
        points_m: float32 [N,3], metres, finite, in the frame of the message's header.
        offsets_s: float64 [N], when each was measured after the header's stamp (negative: before it); None where the
            message does not say, or says nothing that can be believed.
        warning: what is odd about the message and which parameter to set, "" where all is well.

    Raises:
        DataError: another shape.
    """

    points_m: NDArray[np.float32]
    offsets_s: NDArray[np.float64] | None = None
    warning: str = ""

    def __post_init__(self) -> None:
        if self.points_m.ndim != 2 or self.points_m.shape[1] != 3:
            raise DataError(f"points_m: expected shape [N,3], got {self.points_m.shape}")
        if self.offsets_s is not None and self.offsets_s.shape != (len(self.points_m),):
            raise DataError(f"offsets_s: expected shape [{len(self.points_m)}], got {self.offsets_s.shape}")
