"""Writing chunks of lines to a descriptor, so that a failure leaves whole lines and can be continued."""

from __future__ import annotations

import contextlib
import os
import select
import stat
from collections.abc import Sequence

from scaleout.sinks.base import Chunk

MAX_BUFFERS = os.sysconf("SC_IOV_MAX")


class LineWriter:
    """How far the writing of one list of chunks has come; it outlives the descriptor it writes to.

    Attributes:
        done_bytes: how many bytes of the chunks of a failed write are safe; 0 between writes.
    """

    def __init__(self) -> None:
        self.done_bytes = 0

    def write(self, fd: int, chunks: Sequence[Chunk]) -> None:
        """Write what is still missing of the chunks.

        Raises:
            OSError: not everything is written; a regular file then ends with a whole line.
        """
        buffers = remaining(chunks, self.done_bytes)
        first = 0
        try:
            while first < len(buffers):
                written = write_some(fd, buffers[first : first + MAX_BUFFERS])
                self.done_bytes += written
                first = advance(buffers, first, written)
        except OSError:
            with contextlib.suppress(OSError):
                self._cut_partial_line(fd, chunks)
            raise
        self.done_bytes = 0

    def rewind(self, chunks: Sequence[Chunk]) -> None:
        """Go back to the beginning of the line that was cut: what follows goes to another reader or file."""
        self.done_bytes = line_start(chunks, self.done_bytes)

    def _cut_partial_line(self, fd: int, chunks: Sequence[Chunk]) -> None:
        start = line_start(chunks, self.done_bytes)
        status = os.fstat(fd)
        if start == self.done_bytes or not stat.S_ISREG(status.st_mode):
            return
        end = os.lseek(fd, 0, os.SEEK_CUR)
        if end != status.st_size:
            return  # somebody else writes to it too: what is at its end may be theirs
        end -= self.done_bytes - start
        os.ftruncate(fd, end)
        self.done_bytes = start
        os.lseek(fd, end, os.SEEK_SET)


def write_some(fd: int, buffers: Sequence[Chunk]) -> int:
    """Write as much as the system takes in one call, waiting until it takes something.

    Returns:
        The number of bytes written.
    """
    while True:
        try:
            return os.writev(fd, buffers)
        except BlockingIOError:
            wait_until_writable(fd)


def wait_until_writable(fd: int) -> None:
    """Block until a descriptor that somebody made non-blocking takes bytes, or has an error to report."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()


def remaining(chunks: Sequence[Chunk], done_bytes: int) -> list[Chunk]:
    """What is left of the chunks after their first `done_bytes` bytes."""
    buffers = list(chunks)
    return buffers[advance(buffers, 0, done_bytes) :]


def advance(buffers: list[Chunk], first: int, written: int) -> int:
    """Step over what was written from `buffers[first]` on, cutting the buffer that was written in part.

    Returns:
        The index of the first buffer that isn't written.
    """
    while first < len(buffers) and written >= len(buffers[first]):
        written -= len(buffers[first])
        first += 1
    if written:
        buffers[first] = memoryview(buffers[first])[written:]
    return first


def line_start(chunks: Sequence[Chunk], position: int) -> int:
    """The largest position up to `position`, in bytes from the start of the chunks, where a line begins."""
    chunk_start = 0
    for chunk in chunks:
        if position < chunk_start + len(chunk):
            return chunk_start + bytes(chunk[: position - chunk_start]).rfind(b"\n") + 1
        chunk_start += len(chunk)
    return chunk_start
