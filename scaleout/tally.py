"""Counts in shared memory that outlive the worker that keeps them.

A worker notes in its `Tally` how many messages of each slot it has read, before it does anything with them. When
it is killed, the difference to what it has reported is exactly what died with it. The `Allowance` is shared by all
workers of a run with a limit.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from multiprocessing import reduction
from typing import Any, Self

_WORD = 8


class _SharedWords:
    """An array of unsigned 64-bit words that both ends of a spawn see.

    The memory has no name in any file system, so that nothing is left behind whoever dies.
    """

    def __init__(self, words: int, fd: int | None = None) -> None:
        self.words = words
        if fd is None:
            fd = _anonymous_file(words * _WORD)
        self._fd = fd
        try:
            self._map = mmap.mmap(fd, words * _WORD)
        except OSError:
            os.close(fd)
            raise
        self.values = memoryview(self._map).cast("Q")

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.words, reduction.DupFd(self._fd))

    def close(self) -> None:
        """Let go of the memory."""
        self.values.release()
        self._map.close()
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _anonymous_file(size: int) -> int:
    """A descriptor of so many zero bytes, all of them there: a hole on a full disk would be fatal later."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("scaleout-tally", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(bytes(size))
    except OSError:
        os.close(fd)
        raise
    return fd


def _rebuild(kind: type[_SharedWords], words: int, duplicate: Any) -> _SharedWords:
    return kind(words, duplicate.detach())


class Tally(_SharedWords):
    """Messages read, by slot: `tally.values[slot] += n`."""

    def read(self) -> dict[int, int]:
        """The slots with messages, and how many."""
        return {slot: count for slot, count in enumerate(self.values) if count}


class Allowance(_SharedWords):
    """How many messages the workers of a run may still receive, all together."""

    def __init__(self, words: int = 1, fd: int | None = None) -> None:
        super().__init__(words, fd)

    def grant(self, messages: int) -> None:
        """Set what may be taken."""
        self.values[0] = messages

    def take(self, messages: int) -> int:
        """Take as much of `messages` as is left; the kernel frees the lock when its holder dies."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            taken = min(messages, self.values[0])
            self.values[0] -= taken
            return taken
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left."""
        return self.values[0] == 0
