# SPDX-License-Identifier: Apache-2.0
"""Health of the image topic: filled by the callback, read by the worker and the diagnostics timer."""

import dataclasses
import threading
import time

from mono_depth_ros.perception.sensor_log import SensorLog
from mono_depth_ros.perception.snapshot import SensorReport, SensorState


class ImageHealth:
    """Counts images and tells when the latest came. An image is refused only after it arrived, by another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._log = SensorLog("image")
        self._arrived_s: float | None = None
        self._latest_refused = False
        self._rejected = 0
        self._last_error = ""

    def image_arrived(self, stamp_ns: int) -> None:
        """Counts an image message, good or bad."""
        with self._lock:
            self._arrived_s = time.monotonic()
            self._log.receive(stamp_ns)

    def image_refused(self, error: str) -> None:
        """An image that arrived could not be used."""
        with self._lock:
            self._rejected += 1
            self._last_error = error
            self._latest_refused = True

    def image_used(self) -> None:
        """An image became depth."""
        with self._lock:
            self._latest_refused = False

    def forget_stamps(self) -> None:
        """For a clock that jumped."""
        with self._lock:
            self._log.forget_stamps()

    def silent_s(self) -> float | None:
        """Time since the latest image, None before the first."""
        with self._lock:
            return None if self._arrived_s is None else time.monotonic() - self._arrived_s

    def report(self) -> SensorReport:
        """The report as of the latest image."""
        with self._lock:
            if self._arrived_s is None:
                report = self._log.report(SensorState.ABSENT, None, False, "no_image")
            elif self._latest_refused:
                report = self._log.report(SensorState.INVALID, 0.0, False, "image_unusable")
            else:
                report = self._log.report(SensorState.OK, 0.0, True, "in_use")
            return dataclasses.replace(report, rejected=self._rejected, last_error=self._last_error)
