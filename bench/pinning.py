"""Starts processes on chosen cores: a child runs where its parent was allowed to when it was started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def starting_on(core: int | None) -> Iterator[None]:
    """What is started meanwhile runs on that core alone; None: wherever this process may.

    The core is taken by the whole thread, so start things here and do nothing else.
    """
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def move_to(pid: int, core: int) -> None:
    """Run a process on that core alone from now on, with all the threads that it has."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})
