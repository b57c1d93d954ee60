# SPDX-License-Identifier: Apache-2.0
"""Spins a node in a thread of its own, and ends that without a race."""

import threading
from collections.abc import Callable
from typing import Any

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node


class NodeThread:
    """Runs the callbacks of one node until `close`.

    `Executor.shutdown` of rclpy (Jazzy) destroys what the executor waits for while another thread may still spin it,
    and that thread then fails now and then. So the thread is ended first, from within.

    Args:
        node: still belongs to the caller, who destroys it after `close`.
    """

    def __init__(self, node: Node) -> None:
        self._ended = False
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name=f"spin_{node.get_name()}", daemon=True)
        self._thread.start()

    def start(self, call: Callable[[], Any]) -> Any:
        """Has something called on the thread, where callbacks run; returns the rclpy task."""
        return self._executor.create_task(call)

    def close(self) -> None:
        """Ends the thread after the callback at work, then the executor."""
        self.start(self._end)
        self._thread.join()
        self._executor.shutdown()

    def _end(self) -> None:
        self._ended = True

    def _spin(self) -> None:
        try:
            while not self._ended:
                self._executor.spin_once()
        except ExternalShutdownException:
            return
