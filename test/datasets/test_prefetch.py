# SPDX-License-Identifier: Apache-2.0
"""Reading ahead."""

import threading

import pytest
from bag_maker import POINTS_TOPIC, drive_messages, write_bag
from rosbags.rosbag2 import StoragePlugin

from mono_depth_ros.datasets.open_dataset import open_dataset
from mono_depth_ros.datasets.prefetch import prefetched
from mono_depth_ros.errors import ConfigError, DataError


class Source:
    """Counts, and remembers what was made, by which thread, and whether it was closed."""

    def __init__(self, count, fails_at=None):
        self.count, self.fails_at = count, fails_at
        self.made = []
        self.threads = set()
        self.closed_by = None

    def __iter__(self):
        try:
            for number in range(self.count):
                self.threads.add(threading.get_ident())
                if number == self.fails_at:
                    raise DataError(f"item {number}")
                self.made.append(number)
                yield number
        finally:
            self.closed_by = threading.get_ident()


def test_items_come_in_order_and_whole():
    source = Source(20)
    assert list(prefetched(source, ahead=3)) == list(range(20))
    assert source.threads == {source.closed_by} and threading.get_ident() not in source.threads


def test_the_next_items_are_made_while_one_is_used():
    source = Source(100)
    reached = threading.Event()

    class Watched(Source):
        def __iter__(self):
            for number in source:
                if number == 3:
                    reached.set()
                yield number

    items = prefetched(Watched(0), ahead=3)
    assert next(items) == 0
    assert reached.wait(5.0)  # nobody has asked for item 3
    items.close()
    assert len(source.made) <= 5


def test_an_error_comes_where_its_item_would_have():
    items = prefetched(Source(5, fails_at=2), ahead=4)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(DataError, match="item 2"):
        next(items)
    with pytest.raises(StopIteration):
        next(items)


def test_leaving_early_stops_and_closes_the_source():
    source = Source(1000)
    items = prefetched(source, ahead=2)
    next(items)
    items.close()
    assert len(source.made) <= 4 and source.closed_by in source.threads
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_at_least_one_item_waits():
    with pytest.raises(ConfigError, match="ahead: expected at least 1, got 0"):
        prefetched(range(3), ahead=0)


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_bags_of_both_kinds_can_be_read_ahead_and_left(tmp_path, storage):
    path = write_bag(tmp_path / "bag", drive_messages(5), storage)
    samples = open_dataset(f"bag:{path}?points={POINTS_TOPIC}")
    assert len(list(prefetched(samples))) == 5
    items = prefetched(samples)
    assert next(items).stamp_ns == next(iter(samples)).stamp_ns
    items.close()
