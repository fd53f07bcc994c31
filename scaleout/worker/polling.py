# cython: annotation_typing=False
"""Reads the plain TCP sockets of a worker: one look finds those that are ready, one loop reads them.

A loop's own transports wake up for each socket, and each time take the interpreter's lock, a context and a
callback; with many connections that bring little, this is a tenth of what a message costs. Nor do they know when to
stop: where thousands of sockets are ready at once, timers and tasks wait until all of them have been read. Here a
turn of the loop reads so much and no more, and the next one goes on where it has left off.

A transport goes on to write, and to end the connection: a socket that was hung up is given back to it.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from scaleout.core.frames import IS_COMPILED
from scaleout.worker.reading import Reader

if TYPE_CHECKING:  # C's own, see `polling.pxd`
    from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
    from cython.cimports.libc.errno import EAGAIN, EINTR, errno
    from cython.cimports.scaleout.worker.polling import recv

IS_AVAILABLE = hasattr(select, "epoll")
"""Whether the system has what it takes; Linux does."""
READ_BYTES = 2**18
"""What is read of a socket at a time."""
LONG_READ_BYTES = 2**20
"""The same where messages are long: each read lets the sender go on, which costs more than the few of them."""
LONG_MESSAGE_BYTES = 512
"""Those of more bytes, on average, are long."""
TURN_READS = 256
"""So many sockets are read in a turn of the loop at the most."""
TURN_BYTES = 2**20
"""After so many bytes a turn is over."""

_READABLE = 0x1
"""As the kernel has it (EPOLLIN); not every system has this name."""
_NO_BYTES = b""


class Loop(Protocol):
    """What is seen of the loop."""

    def add_reader(self, fd: int, callback: Callable[[], object]) -> object:
        """Call back whenever there is something to read."""

    def remove_reader(self, fd: int) -> object:
        """Call back no more."""


class Owner(Protocol):
    """Whose socket is read."""

    def give_back(self) -> None:
        """The socket was hung up, or has failed: from now on it is read by its transport, which finds out."""

    def fail(self, exc: Exception) -> None:
        """What was read could not be dealt with."""


class Source:
    """A socket that is read."""

    def __init__(self, fd: int, reader: Reader, owner: Owner) -> None:
        self.fd = fd
        self.reader = reader
        self.owner = owner
        self.read_bytes = READ_BYTES
        """What is read of it at a time."""

    def take(self, data: bytes) -> None:
        """Hand a read on, and see how long the messages in it are."""
        before = self.reader.messages
        self.reader.take(data)
        count = self.reader.messages - before
        is_long = count > 0 and len(data) > count * LONG_MESSAGE_BYTES
        self.read_bytes = LONG_READ_BYTES if is_long else READ_BYTES


class Poller:
    """Reads sockets when there is something to read.

    Args:
        loop: calls it.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._sources: dict[int, Source] = {}
        self._ready: list[tuple[int, int]] = []
        """What is left of the last look: descriptors, and what is the matter with them."""
        self._room = bytearray(LONG_READ_BYTES)
        self._view = memoryview(self._room)
        loop.add_reader(self._epoll.fileno(), self.poll)

    def close(self) -> None:
        """Read nothing any more."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
        self._sources.clear()

    def add(self, fd: int, reader: Reader, owner: Owner) -> None:
        """Read this socket, which doesn't block, until it is removed or given back.

        Raises:
            OSError: the system can't watch it.
        """
        self._epoll.register(fd, _READABLE)
        self._sources[fd] = Source(fd, reader, owner)

    def remove(self, fd: int) -> None:
        """Read this socket no more."""
        if self._sources.pop(fd, None) is not None:
            with suppress(OSError):  # of one that was closed, the system has let go
                self._epoll.unregister(fd)

    def poll(self) -> None:
        """Read what is ready, for a turn of the loop."""
        ready = self._ready
        if not ready:
            ready = self._ready = self._epoll.poll(0, TURN_READS)
        taken = 0
        while ready and taken < TURN_BYTES:
            fd, event = ready.pop()
            source = self._sources.get(fd)
            if source is None:
                continue  # it was removed after the look
            data = self._read(fd, source.read_bytes) if event == _READABLE else None
            if data is None:
                self.remove(fd)
                source.owner.give_back()
                continue
            taken += len(data)
            if data:
                try:
                    source.take(data)
                except Exception as exc:  # the other connections must not suffer from it
                    source.owner.fail(exc)

    def _read(self, fd: int, most_bytes: int) -> bytes | None:
        """What there is to read, which may be nothing; None after the end, or where that fails."""
        if not IS_COMPILED:
            return self._read_view(fd, most_bytes)
        room: Any = self._room
        size = recv(fd, room, most_bytes, 0)
        if size > 0:
            data: bytes = PyBytes_FromStringAndSize(room, size)
            return data
        is_still_open = size < 0 and errno in (EAGAIN, EINTR)
        return _NO_BYTES if is_still_open else None

    def _read_view(self, fd: int, most_bytes: int) -> bytes | None:
        try:
            size = os.readv(fd, [self._view[:most_bytes]])
        except (BlockingIOError, InterruptedError):
            return _NO_BYTES
        except OSError:
            return None
        return bytes(self._view[:size]) if size else None
