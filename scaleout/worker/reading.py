# cython: annotation_typing=False
"""What is done with each read of a connection: whole messages are cut out and handed on in the same callback.

All else goes to the connection, and there to the library, in its place: the handshake, control frames, fragments
and faults, and whatever comes once the connection is closing.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import Protocol

from websockets.protocol import State

from scaleout.core.frames import Kind, first_invalid_text, scan_run
from scaleout.core.inflate import Inflater
from scaleout.worker.lane import Lane

_OPEN = State.OPEN
_TEXT, _BINARY = Kind.TEXT, Kind.BINARY
_FIRST_OF_BINARY = int(Kind.BINARY)
_COMPRESSED = 0x40


class Library(Protocol):
    """What is seen of the library's protocol."""

    current_size: int | None
    """What has come of a fragmented message; None while there is none."""

    @property
    def state(self) -> State:
        """Of the connection."""


class Reader:
    """Takes the reads of one connection.

    Args:
        library: the connection's protocol.
        limit: largest payload in bytes that is cut out.
        begin: takes what comes until `is_upgraded`.
        take_other: takes a read and the position of a frame that is no message; returns where the next one begins.
        deliver: takes the messages of a read, while there is no lane for them.
        take_late: takes what comes once the connection isn't open any more.
    """

    def __init__(
        self,
        library: Library,
        limit: int,
        begin: Callable[[bytes], object],
        take_other: Callable[[bytes, int], int],
        deliver: Callable[[list[bytes], Kind], object],
        take_late: Callable[[bytes], object],
    ) -> None:
        self.read_at = 0
        """Time of the last read, Unix ns."""
        self.is_upgraded = False
        """Whether the handshake is over."""
        self.lane: Lane | None = None
        """The short way for messages, where nothing is to be done with them before."""
        self.inflater: Inflater | None = None
        """Where compression was negotiated."""
        self.messages = 0
        """Those that have gone that way."""
        self._library = library
        self._limit = limit
        self._begin = begin
        self._take_other = take_other
        self._deliver = deliver
        self._take_late = take_late
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._rest_wanted = 0

    def take(self, data: bytes) -> None:
        """Take one read from the transport."""
        self.read_at = time_ns()
        if not self.is_upgraded:
            self._begin(data)
        elif self._library.state is not _OPEN:
            self._take_late(self.take_rest() + data)
        elif not self._rest_size:
            self._take_frames(data, 0)
        else:
            self._complete(data)

    def _complete(self, data: bytes) -> None:
        """Take a read whose first part belongs to a frame that was begun."""
        size = self._rest_size + len(data)
        wanted = self._rest_wanted
        if size < wanted:
            self._rest.append(data)
            self._rest_size = size
            return
        if not wanted:
            self._take_frames(self.take_rest() + data, 0)
            return
        missing = wanted - self._rest_size
        # The frame alone is put together: the rest of the data is not copied for it.
        self._take_frames(self.take_rest() + data[:missing], 0)
        if missing < len(data):
            if self._library.state is _OPEN:
                self._take_frames(data, missing)
            else:
                self._take_late(data[missing:])

    def _take_frames(self, data: bytes, position: int) -> None:
        end = len(data)
        is_open = True
        while position < end and is_open:
            payloads: list[bytes] = []
            if self._library.current_size is None:
                first = data[position]
                kind = _BINARY if first & ~_COMPRESSED == _FIRST_OF_BINARY else _TEXT
                if first & _COMPRESSED and self.inflater is not None:
                    payloads, position = self.inflater.scan_run(data, position)
                else:
                    payloads, position = scan_run(data, position, self._limit)
            if not payloads:
                position = self._take_other(data, position)
            else:
                self._hand_on(payloads, kind)
                if position == end:
                    return
            is_open = self._library.state is _OPEN
        if position < end:
            self._take_late(data[position:])

    def _hand_on(self, payloads: list[bytes], kind: Kind) -> None:
        lane = self.lane
        if lane is not None and (kind is not _TEXT or first_invalid_text(payloads) is None):
            self.messages += len(payloads)
            lane.take(payloads, kind, self.read_at)
        else:
            self._deliver(payloads, kind)

    def keep_rest(self, rest: bytes, wanted: int) -> None:
        """Keep the beginning of a frame until the other part of it comes.

        Args:
            rest: at least a byte.
            wanted: size of the whole frame; 0 while its header isn't complete.
        """
        self._rest = [rest]
        self._rest_size = len(rest)
        self._rest_wanted = wanted

    def take_rest(self) -> bytes:
        """What was kept, which is kept no longer."""
        rest = b"".join(self._rest) if self._rest else b""
        self._rest = []
        self._rest_size = self._rest_wanted = 0
        return rest
