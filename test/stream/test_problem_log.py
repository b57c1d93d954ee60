# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from mono_depth_ros.stream.problem_log import MAX_KINDS, ProblemLog


class Clock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_kind_of_problem_is_said_at_once_and_then_once_per_period_with_a_count():
    lines: list[str] = []
    clock = Clock()
    log = ProblemLog(lines.append, period_s=10.0, clock=clock)
    for step in range(25):
        clock.now_s = float(step)
        log.report("points", f"no field x: got {step}")
    assert lines == [
        "points: no field x: got 0",
        "points: no field x: got 10 (9 more of this kind since it was said last)",
        "points: no field x: got 20 (9 more of this kind since it was said last)",
    ]


def test_other_kinds_and_other_sources_are_said_for_themselves():
    lines: list[str] = []
    log = ProblemLog(lines.append, clock=Clock())
    log.report("points", "no field x: got a")
    log.report("points", "truncated: 7 bytes")
    log.report("image", "truncated: 7 bytes")
    assert len(lines) == 3


def test_endlessly_many_kinds_neither_fill_the_memory_nor_the_log():
    lines: list[str] = []
    log = ProblemLog(lines.append, clock=Clock())
    for number in range(10_000):
        log.report("points", f"field {number}: unknown")
    assert len(lines) == MAX_KINDS + 1


def test_a_problem_that_names_its_source_itself_is_not_prefixed_twice():
    lines: list[str] = []
    ProblemLog(lines.append, clock=Clock()).report("camera_info", "camera_info: expected a focal length, got 0")
    assert lines == ["camera_info: expected a focal length, got 0"]
