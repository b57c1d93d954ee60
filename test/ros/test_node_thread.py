# SPDX-License-Identifier: Apache-2.0
"""NodeThread: a node's executor ends after the thread that waits in it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("mono_depth_ros.msg", reason="needs the built messages: make build, then source install/")

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from mono_depth_ros.ros.node_thread import NodeThread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rclpy.node import Node

pytestmark = pytest.mark.ros

LIMIT_S = 15.0


@pytest.fixture
def node(domain: int) -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    made = rclpy.create_node("spun", context=context)
    yield made
    made.destroy_node()
    context.try_shutdown()


def test_closing_waits_for_a_thread_that_gathers_what_to_wait_for(node, monkeypatch):
    gathers, may_go_on = threading.Event(), threading.Event()
    can_execute = SingleThreadedExecutor.can_execute

    def held(executor, entity):
        gathers.set()
        assert may_go_on.wait(LIMIT_S)
        return can_execute(executor, entity)

    monkeypatch.setattr(SingleThreadedExecutor, "can_execute", held)
    thread = NodeThread(node)
    assert gathers.wait(LIMIT_S)
    closing = threading.Thread(target=thread.close)
    closing.start()
    closing.join(0.2)
    assert closing.is_alive()
    may_go_on.set()
    closing.join(LIMIT_S)
    assert not closing.is_alive()


def test_a_thread_whose_context_was_shut_down_can_be_closed(node):
    thread = NodeThread(node)
    node.context.try_shutdown()
    thread.close()
