# SPDX-License-Identifier: Apache-2.0
"""One thread that works on the newest image. Older images are counted as dropped, never queued."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mono_depth_ros.messages.outputs import ImageCounts

# What an image is held for may come without a word, as transforms do.
_POLL_S = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedImage:
    """An image message as it came.

    Attributes:
        message: sensor_msgs Image or CompressedImage.
        stamp_ns: of its header.
        arrived_s: monotonic time of arrival.
    """

    message: Any
    stamp_ns: int
    arrived_s: float


class ImageTaker(Protocol):
    """Where the images of one camera go: an ImageWorker, or the camera's place in a rig."""

    def offer(self, image: ReceivedImage) -> None: ...

    def skip(self) -> None: ...

    def wake(self) -> None: ...

    def counts(self) -> ImageCounts: ...


class ImageWorker:
    """Takes the newest image, holds it a moment for points that are still on their way, and hands it on.

    An image that was taken is never given up for a newer one: only its holding ends when a newer one arrives.

    Args:
        process: does the work; returns whether a depth image came of it. Runs in the worker's thread.
        ready: whether an image need not be held any longer.
        max_hold_s: longest holding, counted from the arrival of the image; asked anew for every image.
        report: told about an exception that ``process`` let through.
    """

    def __init__(
        self,
        process: Callable[[ReceivedImage], bool],
        ready: Callable[[ReceivedImage], bool],
        max_hold_s: Callable[[], float],
        report: Callable[[Exception], None],
    ) -> None:
        self._process = process
        self._ready = ready
        self._max_hold_s = max_hold_s
        self._report = report
        self._changed = threading.Condition()
        self._newest: ReceivedImage | None = None
        self._stopping = False
        self._events = 0
        self._received = self._processed = self._dropped = self._rejected = self._idle = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to work; the counters go on from where they were."""
        with self._changed:
            self._stopping = False
        self._thread = threading.Thread(target=self._run, name="depth_worker", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Finishes the image in work and ends the thread; an image that waits is counted as dropped.

        Returns:
            Whether the thread ended in time.
        """
        with self._changed:
            self._stopping = True
            self._drop_newest()
            self._notify()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        if ended:
            self._thread = None
        return ended

    def offer(self, image: ReceivedImage) -> None:
        """Makes this the newest image; one that still waits is dropped."""
        with self._changed:
            self._received += 1
            self._drop_newest()
            if self._stopping:
                self._dropped += 1
            else:
                self._newest = image
            self._notify()

    def skip(self) -> None:
        """Counts an image that nobody wants depth of."""
        with self._changed:
            self._received += 1
            self._idle += 1

    def wake(self) -> None:
        """Says that something arrived for which an image may be held."""
        with self._changed:
            self._notify()

    def counts(self) -> ImageCounts:
        """The counters now."""
        with self._changed:
            return ImageCounts(self._received, self._processed, self._dropped, self._rejected, self._idle)

    def _drop_newest(self) -> None:
        if self._newest is not None:
            self._newest = None
            self._dropped += 1

    def _run(self) -> None:
        while (image := self._take()) is not None:
            self._hold(image)
            try:
                done = self._process(image)
            except Exception as error:  # The robot goes on with the next image whatever this one did.
                self._report(error)
                done = False
            with self._changed:
                self._processed += done
                self._rejected += not done

    def _take(self) -> ReceivedImage | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._newest is not None)
            image, self._newest = self._newest, None
            return image

    def _notify(self) -> None:
        self._events += 1
        self._changed.notify_all()

    def _hold(self, image: ReceivedImage) -> None:
        deadline_s = image.arrived_s + self._max_hold_s()
        while True:
            with self._changed:
                seen = self._events
            # Asked outside the lock: it may ask the ROS graph, and callbacks must not wait for that.
            if self._ready(image):
                return
            with self._changed:
                remaining_s = deadline_s - time.monotonic()
                if self._stopping or self._newest is not None or remaining_s <= 0:
                    return
                if self._events == seen:
                    self._changed.wait(min(remaining_s, _POLL_S))
