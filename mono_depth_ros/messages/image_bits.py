# SPDX-License-Identifier: Apache-2.0
"""How many bits of 16-bit pixels carry the picture: machine vision and thermal cameras put 10, 12 or 14 into them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_depth_ros.errors import ConfigError

FIND_BITS = 0
_USUAL_BITS = (10, 12, 14, 16)


class ImageBits:
    """Scales the 16-bit pixels of one camera to 8 bits; one for all its images, since it learns from them.

    The encoding does not say how many bits are used. Told nothing, this takes the fewest usual bits that hold the
    largest value of all images so far: never fewer than before, so that brightness does not pump, and right at the
    first bright pixel. A 16-bit camera in the dark is brightened until then, which is said.

    >>> camera = ImageBits()
    >>> camera.to_8_bits(np.array([0, 4095], np.uint16)), camera.bits
    (array([  0, 255], dtype=uint8), 12)

    Args:
        bits: 8 to 16; FIND_BITS learns them.

    Attributes:
        bits: in use; FIND_BITS before the first image.

    Raises:
        ConfigError: another number.
    """

    def __init__(self, bits: int = FIND_BITS) -> None:
        if bits != FIND_BITS and not 8 <= bits <= 16:
            raise ConfigError(f"image.bits: expected 8 to 16, or {FIND_BITS} to find them, got {bits}")
        self._told = bits != FIND_BITS
        self.bits = bits

    @property
    def warning(self) -> str:
        """What was taken for granted and which parameter says better; "" where nothing was."""
        if self._told or self.bits in (FIND_BITS, _USUAL_BITS[-1]):
            return ""
        return (
            f"image: no 16-bit value has reached {2**self.bits} yet, so {self.bits} bits are taken for the full "
            f"range; set image.bits to {self.bits}, or to 16 if the scene is only dark"
        )

    def to_8_bits(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Pixels of any shape, uint16 in any byte order, to uint8: the range of the bits to 0..255, more is 255."""
        if not self._told:
            largest = int(pixels.max(initial=0))
            needed = next(bits for bits in _USUAL_BITS if largest < 2**bits)
            self.bits = max(self.bits, needed)
        full = 2**self.bits - 1
        values = np.minimum(pixels.astype(np.uint32), full)
        return ((values * 255 + full // 2) // full).astype(np.uint8)
