"""What was used between two moments."""

from __future__ import annotations

import os

from bench.feed import Feed
from bench.sides.meter import Meter
from bench.sides.result import SideResult, Task, Usage


def task(generator_pid: int) -> Task:
    return Task("ws://localhost/", Feed(), "each", None, None, 0.1, 0.1, generator_pid)


def test_usage_is_what_came_after_its_making() -> None:
    clock = iter([2.0, 5.0])
    usage = Meter(task(os.getpid()), lambda: next(clock)).usage()
    assert usage.cpu_s == 3.0
    assert usage.wall_s > 0


def test_a_generator_that_is_gone_has_no_load() -> None:
    usage = Meter(task(2**22 + 1)).usage()
    assert usage.generator_cpu_s is None
    assert SideResult(1, usage, 0, None, []).generator_load is None


def test_figures_are_by_cpu_time_and_by_the_wall_clock() -> None:
    result = SideResult(100, Usage(cpu_s=2.0, wall_s=4.0, generator_cpu_s=1.0), 0, None, [])
    assert (result.messages_per_cpu_s, result.messages_per_s) == (50.0, 25.0)
    assert (result.load, result.generator_load) == (0.5, 0.25)
    assert SideResult(0, Usage(0.0, 1.0), 0, None, []).messages_per_cpu_s == 0.0
