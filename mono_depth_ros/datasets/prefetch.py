# SPDX-License-Identifier: Apache-2.0
"""Reads ahead while the reader is busy with something else, such as a network."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from mono_depth_ros.errors import ConfigError

Item = TypeVar("Item")


class _End:
    """Stands behind the last item."""


_END = _End()


def prefetched(items: Iterable[Item], ahead: int = 2) -> Iterator[Item]:
    """The items in their order, made by one thread up to `ahead` items before they are asked for.

    Decoding images and unpacking files run beside Python, so a thread is enough. An error comes out where its item
    would have; after it there is nothing more. Closing the iterator (or leaving a loop over it) stops the thread, and
    closes a generator in the thread that ran it, as the files of some bags ask for.

    Args:
        items: for example the samples of a data set.
        ahead: at most so many items wait, which bounds the memory.

    Raises:
        ConfigError: `ahead` is less than 1.

    >>> list(prefetched(range(5), ahead=3))
    [0, 1, 2, 3, 4]
    """
    if ahead < 1:
        raise ConfigError(f"ahead: expected at least 1, got {ahead}")
    return _prefetched(items, ahead)


def _prefetched(items: Iterable[Item], ahead: int) -> Iterator[Item]:
    with ThreadPoolExecutor(1, "prefetch") as thread:
        iterator = thread.submit(iter, items).result()
        waiting: deque[Future[Item | _End]] = deque(thread.submit(next, iterator, _END) for _ in range(ahead))
        try:
            while True:
                item = waiting.popleft().result()
                if isinstance(item, _End):
                    return
                waiting.append(thread.submit(next, iterator, _END))
                yield item
        finally:
            for future in waiting:
                future.cancel()
            close = getattr(iterator, "close", None)
            if close is not None:
                thread.submit(close).result()
