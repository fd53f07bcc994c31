"""What a growing file leaves in the page cache: the system is asked to forget it, as nobody is about to read it.

Left alone the system keeps all that was ever written until memory is full, so that each write goes to pages that
have not been used for long, or never. A virtual machine, which gets memory from its host as it touches it, pays for
that several times what copying costs. Pages that are forgotten soon are used again while they are warm.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

STEP_BYTES = 8 * 2**20
"""So much is written between two requests."""
SLOW_S = 0.02
"""A request that takes so long waits for the disk, which then has enough to do:"""
PAUSE_S = 10.0
"""for so long the page cache is left to take what the disk can't."""


class WrittenPages:
    """Follows the writes to one regular file.

    Args:
        monotonic: a clock, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since = 0
        """Bytes written since the last request."""
        self._before = 0
        """Bytes that the last request was the first for."""
        self._pause_until = 0.0

    def note(self, fd: int, written: int) -> None:
        """Take note that so many bytes have been appended, at the descriptor's position."""
        self._since += written
        if self._since < STEP_BYTES or not hasattr(os, "posix_fadvise"):
            return
        began = self._monotonic()
        if began < self._pause_until:
            return
        end = os.lseek(fd, 0, os.SEEK_CUR)
        # Pages that are not on the disk yet are only begun to be written: they are asked for once more.
        start = max(0, end - self._since - self._before)
        with contextlib.suppress(OSError):  # it is a request, no more
            os.posix_fadvise(fd, start, end - start, os.POSIX_FADV_DONTNEED)
        self._since, self._before = 0, self._since
        now = self._monotonic()
        if now - began >= SLOW_S:
            self._pause_until = now + PAUSE_S
