"""The sink that appends to a file, a FIFO or a device."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from scaleout.errors import SinkError
from scaleout.sinks.base import Chunk, Encoding, sink_error
from scaleout.sinks.lines import LineWriter
from scaleout.sinks.pages import WrittenPages

logger = logging.getLogger(__name__)

IDENTITY_CHECK_S = 1.0
"""How often to look whether the path still names the open file."""
TAIL_BLOCK_BYTES = 64 * 1024
KEEPS_DESCRIPTOR = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Errors after which the same descriptor can be written to again; after others the path is opened anew."""


class FileSink:
    """Appends lines to a path, and opens it anew when it was moved away, deleted, or its reader left.

    Args:
        path: a file, which is created when it is missing, a FIFO or a character device.
        uri: what people call it; by default the path.
        monotonic: the clock that paces the looks at the path, in seconds.
        on_open: told the state of the file after every opening.
        is_read_soon: whether what is written should stay in memory.
    """

    encoding = Encoding.NDJSON

    def __init__(
        self,
        path: Path,
        *,
        uri: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        on_open: Callable[[os.stat_result], None] | None = None,
        is_read_soon: bool = False,
    ) -> None:
        self.uri = str(path) if uri is None else uri
        self._path = path
        self._monotonic = monotonic
        self._on_open = on_open
        self._lines = LineWriter()
        self._fd: int | None = None
        self._identity: tuple[int, int] | None = None
        """Device and inode of the open file; None where it isn't a regular file."""
        self._check_at_s = 0.0
        self._pages = WrittenPages(monotonic) if not is_read_soon else None

    @property
    def is_midway(self) -> bool:
        """Whether part of a failed write is in the file and the rest is still to come."""
        return self._lines.done_bytes > 0

    @property
    def size_bytes(self) -> int:
        """The size of the open file; 0 where none is open."""
        return 0 if self._fd is None else os.fstat(self._fd).st_size

    def open(self) -> None:
        """Open the path; blocks on a FIFO until somebody reads it."""
        try:
            self._open()
        except OSError as error:
            raise sink_error("open", self.uri, error) from error

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Append all chunks, in order."""
        self._drop_if_moved()
        if self._fd is None:
            self._lines.rewind(chunks)
            self.open()
        assert self._fd is not None
        try:
            self._lines.write(self._fd, chunks)
        except OSError as error:
            if error.errno not in KEEPS_DESCRIPTOR:
                self._drop()
            raise sink_error("write to", self.uri, error) from error
        if self._pages is not None and self._identity is not None:
            self._pages.note(self._fd, sum(map(len, chunks)))

    def close(self) -> None:
        """Close the descriptor; a later write opens the path again."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        try:
            os.close(fd)
        except OSError as error:
            raise sink_error("close", self.uri, error) from error

    def _open(self) -> None:
        if self._fd is not None:
            return
        fd = open_for_append(self._path)
        try:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode):
                cut_partial_line(fd, self.uri)
                status = os.fstat(fd)
                self._identity = (status.st_dev, status.st_ino)
            else:
                self._identity = None
            if self._on_open is not None:
                self._on_open(status)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        self._check_at_s = self._monotonic() + IDENTITY_CHECK_S

    def _drop_if_moved(self) -> None:
        if self._fd is None or self._identity is None or self._monotonic() < self._check_at_s:
            return
        self._check_at_s = self._monotonic() + IDENTITY_CHECK_S
        try:
            status = self._path.stat()
        except OSError as error:
            has_moved = error.errno in (errno.ENOENT, errno.ENOTDIR)
        else:
            has_moved = (status.st_dev, status.st_ino) != self._identity
        if has_moved:
            logger.info("%s was moved or deleted: opening it anew", self.uri)
            self._drop()

    def _drop(self) -> None:
        try:
            self.close()
        except SinkError as error:
            logger.warning("%s", error)


def open_for_append(path: Path) -> int:
    """Open a file for appending, created for its owner alone if it is missing, or a FIFO or device.

    Creating is asked for only when the path is missing: some systems refuse it for a FIFO of somebody else.
    """
    flags = os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
    try:
        is_regular = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o600)
    return os.open(path, flags | (os.O_RDWR if is_regular else os.O_WRONLY))


def cut_partial_line(fd: int, uri: str) -> None:
    """Cut off the part of a line that a crash left at the end of a regular file."""
    size = os.fstat(fd).st_size
    whole = end_of_last_line(fd, size)
    if whole < size:
        os.ftruncate(fd, whole)
        logger.warning(
            "%s ended within a line, as after a crash: cut off its last %d bytes", uri, size - whole
        )


def end_of_last_line(fd: int, size: int) -> int:
    """The position after the last newline of a file, reading backwards from its end; 0 without a newline."""
    end = size
    while end > 0:
        start = max(0, end - TAIL_BLOCK_BYTES)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
