# SPDX-License-Identifier: Apache-2.0
"""Newest image only, nothing taken is given up, everything is counted. No ROS and no sleeping."""

from __future__ import annotations

import threading
import time

import pytest

from mono_depth_ros.stream.image_worker import ImageCounts, ImageWorker, ReceivedImage

LIMIT_S = 10.0


def image(number: int) -> ReceivedImage:
    """An image that arrived just now."""
    return ReceivedImage(f"image {number}", number, time.monotonic())


class Work:
    """A process whose every image waits for permission, and tells when it begins and ends."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.progress = threading.Condition()
        self.permits = threading.Semaphore(0)

    def __call__(self, received: ReceivedImage) -> bool:
        with self.progress:
            self.begun.append(received.stamp_ns)
            self.progress.notify_all()
        assert self.permits.acquire(timeout=LIMIT_S)
        return received.stamp_ns >= 0

    def wait_begun(self, numbers: list[int]) -> None:
        with self.progress:
            assert self.progress.wait_for(lambda: self.begun == numbers, LIMIT_S), self.begun


def make(process, ready=lambda received: True, max_hold_s=lambda: LIMIT_S, report=lambda error: None) -> ImageWorker:
    """A started worker."""
    worker = ImageWorker(process, ready, max_hold_s, report)
    worker.start()
    return worker


def test_images_that_come_during_work_give_way_to_the_newest_and_are_counted_as_dropped():
    work = Work()
    worker = make(work)
    worker.offer(image(0))
    work.wait_begun([0])
    for number in (1, 2, 3):
        worker.offer(image(number))
    work.permits.release(2)
    work.wait_begun([0, 3])
    assert worker.stop(LIMIT_S)
    assert worker.counts() == ImageCounts(received=4, processed=2, dropped=2, rejected=0)


def test_an_image_is_held_until_its_points_come():
    ready = threading.Event()
    asked = threading.Event()

    def is_ready(received: ReceivedImage) -> bool:
        asked.set()
        return ready.is_set()

    work = Work()
    worker = make(work, is_ready)
    worker.offer(image(0))
    assert asked.wait(LIMIT_S)
    assert work.begun == []
    ready.set()
    worker.wake()
    work.wait_begun([0])
    work.permits.release()
    assert worker.stop(LIMIT_S)


def test_a_held_image_is_worked_on_when_a_newer_one_comes_and_neither_is_lost():
    work = Work()
    asked = threading.Event()
    worker = make(work, lambda received: asked.set() or received.stamp_ns == 1)
    worker.offer(image(0))
    assert asked.wait(LIMIT_S)
    worker.offer(image(1))
    work.wait_begun([0])
    work.permits.release(2)
    work.wait_begun([0, 1])
    assert worker.stop(LIMIT_S)
    assert worker.counts() == ImageCounts(2, 2, 0, 0)


@pytest.mark.parametrize("max_hold_s", [0.0, 0.05])
def test_holding_ends_after_its_time(max_hold_s):
    work = Work()
    worker = make(work, lambda received: False, lambda: max_hold_s)
    offered = image(0)
    worker.offer(offered)
    work.wait_begun([0])
    assert time.monotonic() - offered.arrived_s >= max_hold_s
    work.permits.release()
    assert worker.stop(LIMIT_S)


def test_an_exception_is_reported_and_the_next_image_is_worked_on():
    errors: list[str] = []
    done = threading.Semaphore(0)

    def process(received: ReceivedImage) -> bool:
        try:
            if received.stamp_ns == 0:
                raise ValueError("broken")
            return True
        finally:
            done.release()

    worker = make(process, report=lambda error: errors.append(str(error)))
    for number in (0, 1):
        worker.offer(image(number))
        assert done.acquire(timeout=LIMIT_S)
    assert worker.stop(LIMIT_S)
    assert errors == ["broken"]
    assert worker.counts() == ImageCounts(2, 1, 0, 1)


def test_an_image_that_comes_after_the_stop_is_dropped_and_counters_survive_a_restart():
    work = Work()
    worker = make(work)
    assert worker.stop(LIMIT_S)
    worker.offer(image(0))
    assert worker.counts() == ImageCounts(1, 0, 1, 0)
    worker.start()
    worker.offer(image(1))
    work.wait_begun([1])
    work.permits.release()
    assert worker.stop(LIMIT_S)
    assert worker.counts() == ImageCounts(2, 1, 1, 0)


def test_stopping_finishes_the_image_in_work():
    work = Work()
    worker = make(work)
    worker.offer(image(0))
    work.wait_begun([0])
    assert not worker.stop(0.01)
    work.permits.release()
    assert worker.stop(LIMIT_S)
    assert worker.counts().processed == 1
