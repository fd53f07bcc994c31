"""Tests run side by side; those that measure what the machine can do have it to themselves meanwhile."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Machine:
    """Shared by the processes that run tests.

    Args:
        folder: where files for locks may be, the same one for all.
    """

    def __init__(self, folder: Path) -> None:
        self._door = (folder / "door").open("wb")
        self._room = (folder / "room").open("wb")

    @contextmanager
    def turn(self, *, is_alone: bool) -> Iterator[None]:
        """Wait until a test may run, and let others wait while it does, if it is to be alone."""
        fcntl.flock(self._door, fcntl.LOCK_EX)  # nobody passes one who waits to be alone
        try:
            fcntl.flock(self._room, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
        finally:
            fcntl.flock(self._door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)
