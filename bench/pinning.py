"""Starts processes on chosen cores: a child runs where its parent was allowed to when it was started."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def starting_on(cores: Collection[int]) -> Iterator[None]:
    """What is started meanwhile runs on these cores alone; none: wherever this process may.

    They are taken by this thread as a whole, so start things here and do nothing else.
    """
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def all_but(core: int) -> Collection[int]:
    """The cores that this process may use, without that one."""
    return os.sched_getaffinity(0) - {core}


def move_to(pid: int, core: int) -> None:
    """Run a process on that core alone from now on, with all the threads that it has."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})
