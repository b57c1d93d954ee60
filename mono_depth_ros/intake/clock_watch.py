# SPDX-License-Identifier: Apache-2.0
"""Do the sensors agree about the time? Stamps of what arrives together, compared with those of the images."""

from statistics import median

# A sensor this far from the images, message after message, has another clock; silence and lateness are shorter, or
# are no messages at all.
DIFFERS_FROM_S = 1.5
_MESSAGES = 5


class ClockWatch:
    """Compares each message's stamp with that of the newest image before it."""

    def __init__(self) -> None:
        self._image_ns: int | None = None
        # One message of each sensor per image: of a camera that is silent, the others run ahead.
        self._compared: set[str] = set()
        # Tuples, since another thread may ask for the warnings meanwhile.
        self._ahead_s: dict[str, tuple[float, ...]] = {}

    def image(self, stamp_ns: int) -> None:
        """An image of this stamp arrived."""
        if self._image_ns is not None and abs(stamp_ns - self._image_ns) > DIFFERS_FROM_S * 1e9:
            self._ahead_s.clear()  # a paused camera, or a clock that jumped: what was compared before tells nothing
        self._image_ns = stamp_ns
        self._compared.clear()

    def message(self, sensor: str, stamp_ns: int) -> None:
        """A message of another sensor arrived."""
        if self._image_ns is not None and sensor not in self._compared:
            self._compared.add(sensor)
            ahead_s = (stamp_ns - self._image_ns) * 1e-9
            self._ahead_s[sensor] = (*self._ahead_s.get(sensor, ()), ahead_s)[-_MESSAGES:]

    def warnings(self) -> tuple[tuple[str, str], ...]:
        """(sensor, sentence) for each one whose latest messages are all far from the images, by about the same."""
        found = []
        if self._image_ns is not None and self._image_ns <= 0:
            told = "no_stamp: images have none, so that nothing else belongs to them; does the driver fill it in?"
            found.append(("image", told))
        for sensor, latest_s in tuple(self._ahead_s.items()):
            values_s = sorted(latest_s)
            if len(values_s) < _MESSAGES or min(map(abs, values_s)) < DIFFERS_FROM_S or values_s[0] * values_s[-1] < 0:
                continue
            ahead_s = median(values_s)
            where = "ahead of" if ahead_s > 0 else "behind"
            cure = "synchronise the clocks"
            if sensor not in ("odometry", "twist"):
                cure += f", or set lidar.time_offset_s to {-ahead_s:.3f}"
            found.append(
                (sensor, f"clock_differs: stamps are {abs(ahead_s):.1f} s {where} those of the images that arrive "
                         f"with them; {cure}")
            )  # fmt: skip
        return tuple(found)
