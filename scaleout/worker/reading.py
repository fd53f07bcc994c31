# cython: annotation_typing=False
"""What is done with each read of a connection: whole messages are cut out and handed on in the same callback.

All else goes to the connection, and there to the library, in its place: the handshake, control frames, fragments
and faults, and whatever comes once the connection is closing. Where nobody wants messages any more, they are
passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time_ns
from typing import Protocol

from websockets.protocol import State

from scaleout.core.frames import Kind
from scaleout.core.inflate import Inflater
from scaleout.core.runs import Run, find_run
from scaleout.core.skipping import skip_data
from scaleout.worker.lane import Lane

_OPEN = State.OPEN
_TEXT, _BINARY = Kind.TEXT, Kind.BINARY
_FIRST_OF_BINARY = int(Kind.BINARY)
_FIRST_OF_PING = 0x89
_LONGEST_PING = 125
_FULL_BYTES = 200_000
"""A read of so much has most likely left more behind: uvloop reads 256,000 bytes at a time."""
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
        answer: takes what a ping says.
        breathe: called after each read that was as large as reads are: there is more, and others wait.
    """

    def __init__(
        self,
        library: Library,
        limit: int,
        begin: Callable[[bytes], object],
        take_other: Callable[[bytes, int], int],
        deliver: Callable[[list[bytes], Kind], object],
        take_late: Callable[[bytes], object],
        answer: Callable[[bytes], object],
        breathe: Callable[[], object],
    ) -> None:
        self.read_at = 0
        """Time of the last read, Unix ns."""
        self.is_upgraded = False
        """Whether the handshake is over."""
        self.is_discarding = False
        """Whether messages are passed over, while the connection is open and while it is being closed."""
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
        self._answer = answer
        self._breathe = breathe
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._rest_wanted = 0
        self._to_skip = 0
        """Bytes that are still to come of a message that is passed over."""

    def take(self, data: bytes) -> None:
        """Take one read from the transport."""
        self.read_at = time_ns()
        if not self.is_upgraded:
            self._begin(data)
        elif self.is_discarding:
            self._discard_read(data)
        elif self._library.state is not _OPEN:
            self._take_late(self.take_rest() + data)
        elif not self._rest_size:
            self._take_frames(data, 0)
        else:
            self._complete(data)
        if len(data) >= _FULL_BYTES:
            self._breathe()

    def _complete(self, data: bytes) -> None:
        """Take a read whose first part belongs to a frame that was begun."""
        size = self._rest_size + len(data)
        wanted = self._rest_wanted
        if size < wanted:
            self._rest.append(data)
            self._rest_size = size
            return
        if not wanted:
            self._go_on(self.take_rest() + data, 0)
            return
        missing = wanted - self._rest_size
        # The frame alone is put together: the rest of the data is not copied for it.
        self._go_on(self.take_rest() + data[:missing], 0)
        if missing < len(data):
            self._go_on(data, missing)

    def _go_on(self, data: bytes, position: int) -> None:
        """Take the rest of a read, however the part of it before has left the connection."""
        if self.is_discarding:
            self._discard(data, position)
        elif self._library.state is _OPEN:
            self._take_frames(data, position)
        else:
            self._take_late(data[position:])

    def _take_frames(self, data: bytes, position: int) -> None:
        end = len(data)
        is_open = True
        while position < end and is_open:
            run: Run | None = None
            if self._library.current_size is None:
                first = data[position]
                kind = _BINARY if first & ~_COMPRESSED == _FIRST_OF_BINARY else _TEXT
                if first & _COMPRESSED and self.inflater is not None:
                    run = self.inflater.find_run(data, position)
                else:
                    run = find_run(data, position, self._limit)
            if run is None:
                stop = self._take_ping(data, position, end)
                position = stop if stop else self._take_other(data, position)
            else:
                self._hand_on(run, kind)
                position = run.stop
                if position == end:
                    return
            is_open = self._library.state is _OPEN
        if position < end:
            self._go_on(data, position)

    def _take_ping(self, data: bytes, position: int, end: int) -> int:
        """Have a ping answered, if that is what is there, and it is plain and complete.

        Returns:
            Where the next frame begins; 0: it is something else.
        """
        if data[position] != _FIRST_OF_PING or position + 2 > end:
            return 0
        if self._library.current_size is not None:
            return 0  # then the limit depends on what has come of the fragmented message
        length = data[position + 1]
        stop = position + 2 + length
        if length > _LONGEST_PING or length > self._limit or stop > end:
            return 0
        self._answer(data[position + 2 : stop])
        return stop

    def _hand_on(self, run: Run, kind: Kind) -> None:
        lane = self.lane
        if lane is not None and (kind is not _TEXT or run.is_text()):
            self.messages += run.count
            lane.take(run, kind, self.read_at)
        else:
            self._deliver(run.payloads(), kind)

    # When nobody wants messages any more

    def _discard_read(self, data: bytes) -> None:
        size = len(data)
        if self._to_skip >= size:
            self._to_skip -= size
        elif self._rest_size:
            self._complete(data)
        else:
            self._discard(data, self._to_skip)

    def _discard(self, data: bytes, position: int) -> None:
        """Pass over messages; all else, and messages that the library has begun to read, are the library's."""
        end = len(data)
        self._to_skip = 0
        while position < end:
            if self._library.current_size is None:
                position = skip_data(data, position)
                if position >= end:
                    self._to_skip = position - end
                    return
            position = self._take_other(data, position)

    # What isn't complete

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
