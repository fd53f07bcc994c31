"""Reads the clocks of a side and of the generator at two moments."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from bench import processes
from bench.sides.result import Task, Usage


class Look(NamedTuple):
    """What the clocks show."""

    wall_s: float
    cpu_s: float
    generator_cpu_s: float | None


class Meter:
    """Measures from its making on.

    Args:
        task: whose generator to look at.
        cpu_s: CPU time of the side so far; by default this process's.
    """

    def __init__(self, task: Task, cpu_s: Callable[[], float] = time.process_time) -> None:
        self._task = task
        self._cpu_s = cpu_s
        self._began = self._look()

    def _look(self) -> Look:
        generator_cpu_s = processes.cpu_s([self._task.generator_pid])
        return Look(time.perf_counter(), self._cpu_s(), generator_cpu_s)

    def usage(self) -> Usage:
        """What was used until now."""
        began, ended = self._began, self._look()
        generator_cpu_s = None
        if began.generator_cpu_s is not None and ended.generator_cpu_s is not None:
            generator_cpu_s = ended.generator_cpu_s - began.generator_cpu_s
        return Usage(ended.cpu_s - began.cpu_s, ended.wall_s - began.wall_s, generator_cpu_s)
