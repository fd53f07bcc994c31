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
        return _rebuild, (type(self), self._size, reduction.DupFd(self._fd))

    @property
    def _size(self) -> int:
        """What a copy is made with."""
        return self.words

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


def _rebuild(kind: type[_SharedWords], size: int, duplicate: Any) -> _SharedWords:
    return kind(size, duplicate.detach())


class Tally(_SharedWords):
    """What was read, by slot: messages, bytes of payload, and nanoseconds of CPU time for their processing.

    Args:
        slots: how many there may be.
    """

    def __init__(self, slots: int, fd: int | None = None) -> None:
        super().__init__(3 * slots, fd)
        self.slots = slots
        self.messages = self.values[: self.slots]
        """`tally.messages[slot] += n`, and likewise the others."""
        self.bytes = self.values[self.slots : 2 * self.slots]
        self.cpu_ns = self.values[2 * self.slots :]

    @property
    def _size(self) -> int:
        return self.slots

    def read(self) -> dict[int, int]:
        """The slots with messages, and how many."""
        return {slot: count for slot, count in enumerate(self.messages) if count}

    def loads(self) -> dict[int, tuple[int, int, int]]:
        """The slots with messages: messages, bytes and nanoseconds."""
        columns = zip(self.messages.tolist(), self.bytes.tolist(), self.cpu_ns.tolist(), strict=True)
        return {slot: load for slot, load in enumerate(columns) if load[0]}

    def close(self) -> None:
        """Let go of the memory."""
        for part in (self.messages, self.bytes, self.cpu_ns):
            part.release()
        super().close()


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
