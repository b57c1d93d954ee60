# SPDX-License-Identifier: Apache-2.0
"""Gets the lines to /diagnostics: through diagnostic_updater where it is installed, else as a message of our own."""

from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from std_msgs.msg import Header

# The updater has a timer in the node's clock, which stops with a paused bag; ours is in steady time and forces it.
_UPDATER_PERIOD_S = 3600.0


class DiagnosticsPublisher:
    """Publishes arrays of lines whose names begin with the node's name.

    Args:
        node: owns the publisher, or the updater.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._updater: Any = None
        self._publisher: Any = None
        self._lines: dict[str, DiagnosticStatus] = {}
        try:
            from diagnostic_updater import Updater
        except ImportError:
            self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
            return
        self._updater = Updater(node, _UPDATER_PERIOD_S)
        self._updater.setHardwareID(node.get_fully_qualified_name().lstrip("/"))

    def publish(self, message: DiagnosticArray) -> None:
        """Sends the lines, stamped now."""
        if self._updater is None:
            message.header = Header(stamp=self._node.get_clock().now().to_msg())
            self._publisher.publish(message)
            return
        for line in message.status:
            # The updater puts the node's name before that of a task.
            task = line.name.rpartition(": ")[2]
            if task not in self._lines:
                self._updater.add(task, partial(self._fill, task))
            self._lines[task] = line
        self._updater.force_update()

    def _fill(self, task: str, status: Any) -> Any:
        line = self._lines.get(task)
        if line is None:
            status.summary(DiagnosticStatus.OK, "not said yet")
            return status
        status.summary(line.level, line.message)
        for pair in line.values:
            status.add(pair.key, pair.value)
        return status
