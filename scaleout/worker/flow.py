"""Whether a connection is read at the moment, and who reads it: its transport, or the worker's poller."""

from __future__ import annotations

import asyncio
import math

from websockets.asyncio.connection import Connection

from scaleout.worker.polling import Poller
from scaleout.worker.reading import Reader


class Flow:
    """Holds a connection back, and lets it go on.

    Args:
        connection: the library's; its transport is there by the time that something is done.
        reader: takes what is read.
    """

    __slots__ = ("_connection", "_fd", "_holders", "_poller", "_reader", "resumed_at")

    def __init__(self, connection: Connection, reader: Reader) -> None:
        self._connection = connection
        self._reader = reader
        self._holders: tuple[object, ...] = ()
        self._poller: Poller | None = None
        self._fd = -1
        self.resumed_at = -math.inf
        """Loop time at which reading last went on after a pause; -inf: it was never paused."""

    @property
    def is_held(self) -> bool:
        """Whether reading is paused."""
        return bool(self._holders)

    @property
    def _transport(self) -> asyncio.Transport:
        return self._connection.transport

    @property
    def _is_open(self) -> bool:
        """Whether nobody holds it, and nothing has ended it."""
        return not self._holders and not self._transport.is_closing()

    def read_by(self, poller: Poller) -> None:
        """Have the socket read by the poller from now on, unless it is encrypted."""
        transport = self._transport
        if transport.get_extra_info("sslcontext") is not None or transport.is_closing():
            return
        if not self._holders:
            self._stop()
        self._poller = poller
        self._fd = transport.get_extra_info("socket").fileno()
        if not self._holders:
            self._start()

    def pause(self, holder: object) -> None:
        """Stop reading, so that TCP holds the sender back, until this holder and all others let go."""
        if self._is_open:
            self._stop()
        if holder not in self._holders:
            self._holders += (holder,)

    def resume(self, holder: object) -> None:
        """Let go; the last holder to do so lets the connection read again."""
        if holder not in self._holders:
            return
        self._holders = tuple(each for each in self._holders if each != holder)
        if self._is_open:
            self.resumed_at = self._connection.loop.time()
            self._start()

    def resume_all(self) -> None:
        """Read from now on, whoever wanted to pause."""
        for holder in self._holders:
            self.resume(holder)

    def breathe(self) -> None:
        """Read on in the next turn of the loop: uvloop's transports read up to 32 times in one."""
        if self._poller is None and self._is_open:
            self._stop()
            self._connection.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._poller is None and self._is_open:
            self._start()

    def end(self) -> None:
        """Read no more: the connection is over, and its descriptor is soon another's."""
        if self._poller is not None:
            self._poller.remove(self._fd)
            self._poller = None

    def abort(self) -> None:
        """Cut the connection; nothing more comes of it."""
        self.end()
        self._transport.abort()

    def _stop(self) -> None:
        if self._poller is None:
            self._transport.pause_reading()
        else:
            self._poller.remove(self._fd)

    def _start(self) -> None:
        if self._poller is not None:
            try:
                self._poller.add(self._fd, self._reader, self)
                return
            except OSError:  # the system watches as many as it will
                self._poller = None
        self._transport.resume_reading()

    # As the owner of a socket that is polled

    def give_back(self) -> None:
        """Have the transport find out what is the matter."""
        self._poller = None
        if self._is_open:
            self._start()

    def fail(self, exc: Exception) -> None:
        """End the connection, as a transport does whose protocol raises."""
        told = {"message": "a read could not be dealt with", "exception": exc, "transport": self._transport}
        self._connection.loop.call_exception_handler(told)
        self.abort()
