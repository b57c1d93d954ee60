# SPDX-License-Identifier: Apache-2.0
"""Points as any ranging sensor measures them: where, and when."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class TimedPoints:
    """Points of one message.

    Attributes:
        points_m: float32 [N,3], metres, finite, in the frame of the message's header.
        offsets_s: float64 [N], when each was measured after the header's stamp (negative: before it); None where the
            message does not say.

    Raises:
        DataError: another shape.
    """

    points_m: NDArray[np.float32]
    offsets_s: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if self.points_m.ndim != 2 or self.points_m.shape[1] != 3:
            raise DataError(f"points_m: expected shape [N,3], got {self.points_m.shape}")
        if self.offsets_s is not None and self.offsets_s.shape != (len(self.points_m),):
            raise DataError(f"offsets_s: expected shape [{len(self.points_m)}], got {self.offsets_s.shape}")
