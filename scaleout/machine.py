"""What of the machine this program may use, and which of its cores each process keeps to."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

_THREADS = Path("/proc/self/task")
_cores_of_run: tuple[int, ...] = ()
"""Where this process has been told to keep to fewer."""


def can_pin() -> bool:
    """Whether this system lets processes be kept to cores of their own."""
    return hasattr(os, "sched_setaffinity")


def usable_cores() -> int:
    """How many cores the run may use; this process may have been told to keep to fewer."""
    return len(cores_of_run())


def cores_of_run() -> tuple[int, ...]:
    """Numbers of the cores that the run may use."""
    if _cores_of_run:
        return _cores_of_run
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def keep_to(cores: Iterable[int], cores_of_run: Iterable[int]) -> None:
    """Let all threads of this process use these cores alone, and those to come as well.

    Args:
        cores: some of the run's.
        cores_of_run: all that it may use, which `usable_cores` goes by from now on.

    Raises:
        OSError: the system refuses.
    """
    global _cores_of_run
    chosen = set(cores)
    _cores_of_run = tuple(sorted(cores_of_run))
    os.sched_setaffinity(0, chosen)
    threads = [int(thread.name) for thread in _THREADS.iterdir()] if _THREADS.is_dir() else []
    for thread in threads:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(thread, chosen)


def let_use_all(pid: int) -> None:
    """Let a process that has just been spawned, and so keeps to this one's cores, use all of the run's."""
    if _cores_of_run:
        with contextlib.suppress(OSError):  # it is gone, or stays where it is
            os.sched_setaffinity(pid, _cores_of_run)
