# SPDX-License-Identifier: Apache-2.0
"""Processes that render, and end with the one that they render for, whatever becomes of it."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process


@contextmanager
def render_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh processes for the block, stopped at once after an exception, or when its reader goes."""
    others = {child.pid for child in active_children()}
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _end_with_parent)
    try:
        yield pool
    except BaseException:
        for child in active_children():
            if child.pid not in others:
                child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """An interrupt reaches every process of a terminal, and the parent stops its workers; if it is killed, they end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
