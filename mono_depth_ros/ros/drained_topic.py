# SPDX-License-Identifier: Apache-2.0
"""A topic whose messages wait in the middleware until somebody asks for them."""

import threading
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.subscription import Subscription


class _Never(CallbackGroup):  # type: ignore[misc]  # rclpy has no types
    """What belongs to it no executor looks at, so that none wakes up for it."""

    def can_execute(self, entity: Any) -> bool:  # noqa: ARG002
        return False

    def beginning_execution(self, entity: Any) -> bool:  # noqa: ARG002
        return False

    def ending_execution(self, entity: Any) -> None:
        pass


class DrainedTopic:
    """A subscription for what comes far more often than it is needed: odometry at 200 Hz, transforms at 500 Hz.

    A callback for each message costs an executor a third of a core at these rates, most of it for being woken. Nor may
    the executor wait for QoS events of such a topic: as long as messages lie there, that would wake it at once.

    Args:
        node: owns the subscription.
        subscribe: makes the subscription in a callback group, without QoS events.
    """

    def __init__(self, node: Node, subscribe: Callable[[CallbackGroup], Subscription]) -> None:
        self._node, self._lock = node, threading.Lock()
        self.subscription = subscribe(_Never())

    def take(self) -> list[Any]:
        """The messages that wait, oldest first; from any thread."""
        handle, messages = self.subscription.handle, []
        try:
            with self._lock, handle:
                while (taken := handle.take_message(self.subscription.msg_type, False)) is not None:
                    messages.append(taken[0])
        except InvalidHandle:  # destroyed a moment ago
            pass
        return messages

    def destroy(self) -> None:
        """Ends the subscription."""
        self._node.destroy_subscription(self.subscription)
