# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions that tell why they failed."""

import functools
import traceback
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from mono_depth_ros.errors import MonoDepthError


class FailingNode(Protocol):
    """A node that remembers why its latest transition failed, empty if it did not."""

    failure: str

    def get_logger(self) -> Any: ...


N = TypeVar("N", bound=FailingNode)
Transition = Callable[[N, LifecycleState], TransitionCallbackReturn]


def logged_transition(transition: Transition[N]) -> Transition[N]:
    """rclpy swallows what a transition raises; this logs it and keeps it for /diagnostics."""

    @functools.wraps(transition)
    def wrapped(node: N, state: LifecycleState) -> TransitionCallbackReturn:
        name = transition.__name__.removeprefix("on_")
        try:
            outcome = transition(node, state)
        except MonoDepthError as error:
            node.failure = f"{name} failed: {error}"
            node.get_logger().error(node.failure)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            node.failure = f"{name} failed: {type(error).__name__}: {error}"
            node.get_logger().error(f"{node.failure}\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        if name != "error":
            node.failure = ""
        node.get_logger().info(f"{name}: {outcome.name.lower()}")
        return outcome

    return wrapped
