# SPDX-License-Identifier: Apache-2.0
"""The life of a node: transitions that tell why they failed, a start by itself, and an end without a trace."""

import functools
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import rclpy
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger

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


def answer_bad_requests(node: LifecycleNode) -> None:
    """Makes the node answer ``success: false`` to a transition that its state does not have.

    rclpy lets the error of its state machine through, which ends the executor and with it the process; any manager that
    configures a node that started by itself does that.
    """
    service = node._service_change_state  # rclpy has no public way to its own service
    change_state = service.callback

    def answer(request: Any, response: Any) -> Any:
        try:
            return change_state(request, response)
        except Exception as error:
            asked = request.transition.label or request.transition.id
            said = str(error).split(", at /")[0]  # what follows are lines of rcl's own source
            node.get_logger().warning(f"change_state: transition {asked!r} is refused in this state: {said}")
            response.success = False
            return response

    service.callback = answer


def autostart(node: LifecycleNode) -> bool:
    """Configures and activates, if the parameter ``autostart`` says so; returns whether the node is active."""
    if not node.get_parameter("autostart").value:
        return False
    if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
        name = node.get_fully_qualified_name()
        node.get_logger().error(f"stays unconfigured; correct it, then: ros2 lifecycle set {name} configure")
        return False
    return bool(node.trigger_activate() == TransitionCallbackReturn.SUCCESS)


def spin_until_stopped(make_node: Callable[[], LifecycleNode], args: list[str] | None) -> int:
    """Runs a node as a process until it is interrupted or rclpy is shut down; returns the exit code.

    2, as of a command line that cannot be read, where the ROS arguments or a parameter file cannot be.

    Args:
        make_node: called once rclpy is there.
        args: of the command line; None for that of this process.
    """
    try:
        rclpy.init(args=args if args is not None else sys.argv)
    except Exception as error:  # rclpy's own errors are private types
        return _refuse(error)
    try:
        node = make_node()
    except InvalidParameterTypeException as error:
        rclpy.try_shutdown()
        return _refuse(error)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        autostart(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        # launch and a terminal both send SIGINT; the second must not stop the clean-up half way.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _refuse(error: Exception) -> int:
    """Says what is wrong with the arguments; returns the exit code."""
    # What follows are lines of rcl's own source.
    said = str(error).split(", at /")[0]
    hint = "; a list holds numbers of one kind: write 0.0 beside 0.5, not 0" if "same type" in said else ""
    message = f"expected ROS arguments and parameter files that can be read, got: {said}{hint}"
    get_logger("mono_depth_ros").fatal(message)
    return 2
