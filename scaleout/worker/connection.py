"""A WebSocket connection whose data frames are delivered in batches, past the library's frame parser.

Until the response's header block ends, all bytes go to websockets. From there on, unfragmented data frames are
scanned out of each read, inflated and delivered in the same callback; every other frame (control, fragmented,
malformed, too large) goes to the library's own protocol, byte for byte and in its place, so that
handshake, keepalive, close codes and errors stay the library's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from secrets import token_bytes
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.messages import Assembler
from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import BINARY, CONT, PING, TEXT, CloseCode, Frame
from websockets.http11 import Response
from websockets.protocol import Event, State
from websockets.utils import apply_mask

from scaleout.core.frames import NO_LIMIT, Kind, first_invalid_text, read_header
from scaleout.core.inflate import Extension, Inflater
from scaleout.worker.flow import Flow
from scaleout.worker.keepalive import Keepalive
from scaleout.worker.lane import Lane
from scaleout.worker.polling import Poller
from scaleout.worker.reading import Reader

MAX_FRAGMENTS = 4096
"""As in websockets: a message in more fragments than that fails the connection with 1009."""

MAX_UNSENT_BYTES = 16 * 2**20
"""What may wait to be sent to a peer that pings and reads no pong; far more than messages to send may come to."""

Receiver = Callable[[list[bytes], bytes, Kind, int], object]
"""Takes the payloads of one read, the same joined by newlines, their kind, and the time of the read, Unix ns."""


_FIRST_OF_PONG, _MASKED = 0x8A, 0x80
_NO_LIMIT = 1 << 64

_ANSWERED = Response(101, "", Headers())
"""Stands in the place of a response that is taken."""

_log = logging.getLogger("websockets.client")


class _NoQueue(Assembler):
    """Stands in the place of the queue for `recv()`, which nothing is ever put into."""

    def __init__(self) -> None:
        pass

    def close(self) -> None:
        """There is nothing to close."""


_NO_QUEUE = _NoQueue()


def _nothing() -> None:
    pass


class FeedConnection(ClientConnection):
    """A client connection that hands batches of messages to `receiver` instead of queueing them for `recv()`.

    Messages that come before `receiver` is set are kept for it.
    """

    # With all attributes in one dictionary a connection takes 1.4 kB more.
    __slots__ = (
        "_abort_timer",
        "_early",
        "_flow",
        "_fragments",
        "_fragments_kind",
        "_head_tail",
        "_is_receiving",
        "_keepalive",
        "_limit",
        "_receiver",
        "on_pong",
        "reader",
        "turn_to_ping",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._receiver: Receiver | None = None
        self._is_receiving = True
        self._early: list[tuple[list[bytes], bytes, Kind, int]] = []
        self._head_tail = b""
        self._fragments: list[bytes] = []
        self._fragments_kind = Kind.TEXT
        self._abort_timer: asyncio.TimerHandle | None = None
        self.on_pong: Callable[[], None] = _nothing
        """Called for each pong that is sent."""
        self.turn_to_ping: Callable[[], Awaitable[None]] | None = None
        """Waits until a ping may be sent; None: at any time."""
        self._keepalive: Keepalive | None = None
        sizes = (self.protocol.max_message_size, self.protocol.max_fragment_size)
        self._limit = min((size for size in sizes if size is not None), default=_NO_LIMIT)
        self.reader = Reader(
            self.protocol,
            min(self._limit, NO_LIMIT),
            self._take_handshake,
            self._take_other,
            self._deliver,
            super().data_received,
            self._answer,
            self._breathe,
        )
        self._flow = Flow(self, self.reader)
        # In the place of the method, so that a transport calls the reader, and nothing in between.
        self.data_received = self.reader.take  # type: ignore[method-assign]

    @property
    def last_read_at(self) -> int:
        """Unix time of the last read, in ns; by the system's clock, so that it tells one read from another."""
        return self.reader.read_at

    @property
    def is_held(self) -> bool:
        """Whether reading is paused."""
        return self._flow.is_held

    @property
    def resumed_at(self) -> float:
        """Loop time at which reading last went on after a pause; -inf: it was never paused."""
        return self._flow.resumed_at

    def read_by(self, poller: Poller) -> None:
        """Have what comes read by the poller, if it can."""
        self._flow.read_by(poller)

    def settle(self) -> None:
        """Let go of what is of no use once the connection is open: of a connection's memory that is a quarter."""
        self.request, self.response = None, _ANSWERED
        self.response_rcvd = self.connection_lost_waiter
        self.recv_messages = _NO_QUEUE
        self.drain_waiters = cast(deque[asyncio.Future[None]], [])  # an empty deque takes 760 bytes
        self.logger = self.protocol.logger = _log

    def deliver_to(self, receiver: Receiver) -> None:
        """Send every message to `receiver` from now on, beginning with those that came before it was known."""
        self._receiver = receiver
        early, self._early = self._early, []
        for batch in early:
            receiver(*batch)

    def use(self, lane: Lane | None) -> None:
        """Send messages this short way from now on, and no longer to the receiver; None: to the receiver again."""
        before = self.reader.lane
        if before is not None and lane is not before:
            before.settle()
        if self._is_receiving:
            self.reader.lane = lane

    def discard_messages(self) -> None:
        """Receive no message from now on; what comes is read all the same, so that a close is seen."""
        self._early.clear()
        if self.protocol.state is State.OPEN:  # else the library may be in the middle of a frame
            self.reader.is_discarding = True
        self._receive_no_more()

    def _breathe(self) -> None:
        self._flow.breathe()

    def _receive_no_more(self) -> None:
        self._is_receiving = False
        self.reader.lane = None
        self._flow.resume_all()

    # asyncio.Protocol

    def eof_received(self) -> None:
        """Take the end of the stream; what is left of a frame belongs to the library's error."""
        rest = self.reader.take_rest()
        if rest:
            super().data_received(rest)
        super().eof_received()

    # The handshake

    def _take_handshake(self, data: bytes) -> None:
        seen = self._head_tail + data
        end = seen.find(b"\r\n\r\n")
        if end < 0:
            self._head_tail = seen[-3:]
            super().data_received(data)
            return
        split = end + 4 - len(self._head_tail)
        super().data_received(data[:split])
        self.reader.is_upgraded = True
        self.reader.inflater = self._inflater()
        if split < len(data):
            self.data_received(data[split:])

    def _inflater(self) -> Inflater | None:
        extensions = self.protocol.extensions
        if len(extensions) != 1 or type(extensions[0]) is not PerMessageDeflate:
            return None
        limit = self._limit if self._limit < _NO_LIMIT else None
        return Inflater(cast(Extension, extensions[0]), limit)

    # Frames

    def _take_other(self, data: bytes, position: int) -> int:
        """Take a frame that is no whole message, or not complete, at this position.

        Returns:
            Where the next one begins.
        """
        protocol = self.protocol
        header = read_header(data, position)
        if header is None:
            self.reader.keep_rest(data[position:], 0)
            return len(data)
        limit = self._limit
        if protocol.current_size and protocol.max_message_size is not None:
            limit = min(limit, protocol.max_message_size - protocol.current_size)
        stop = position + header.size + header.length
        if stop > len(data) and not header.is_hopeless(limit):
            self.reader.keep_rest(data[position:], min(stop - position, NO_LIMIT))
            return len(data)
        # Exactly one frame, so that the library stands between two frames when the next run is scanned.
        super().data_received(data[position:stop])
        return min(stop, len(data))

    def _answer(self, ping: bytes) -> None:
        """Answer a ping: as the library does, and in a fraction of the time."""
        mask = token_bytes(4)
        self.transport.write(bytes((_FIRST_OF_PONG, _MASKED | len(ping))) + mask + apply_mask(ping, mask))
        self._note_pong()

    def _note_pong(self) -> None:
        self.on_pong()
        if self.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._fail(CloseCode.POLICY_VIOLATION, "pings without reading the pongs")
            self.abort()

    def process_event(self, event: Event) -> None:
        """Take one event of the library's protocol: the response, or a frame that was not plain."""
        if not isinstance(event, Frame) or event.opcode not in (TEXT, BINARY, CONT):
            super().process_event(event)
            if isinstance(event, Frame) and event.opcode is PING:
                self._note_pong()
            return
        if event.opcode is not CONT:
            self._fragments = []
            self._fragments_kind = Kind.TEXT if event.opcode is TEXT else Kind.BINARY
        if len(self._fragments) >= MAX_FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            return
        self._fragments.append(bytes(event.data))
        if event.fin:
            message = b"".join(self._fragments)
            self._fragments = []
            self._deliver([message], self._fragments_kind)

    def _deliver(self, payloads: list[bytes], kind: Kind) -> None:
        """Hand a batch on; invalid text in it fails the connection after the messages before it."""
        if not self._is_receiving:
            return
        invalid = first_invalid_text(payloads) if kind is Kind.TEXT else None
        if invalid is not None:
            payloads = payloads[:invalid]
        if payloads:
            joined = b"\n".join(payloads)
            if self._receiver is not None:
                self._receiver(payloads, joined, kind, self.reader.read_at)
            else:
                self._early.append((payloads, joined, kind, self.reader.read_at))
        if invalid is not None:
            self._fail(CloseCode.INVALID_DATA, "invalid UTF-8 in a text message")

    # The end

    def _fail(self, code: CloseCode, reason: str) -> None:
        if self.protocol.state is State.OPEN:
            self.protocol.fail(code, reason)
            self.send_data()
        self._receive_no_more()

    def abort(self) -> None:
        """Cut the connection; nothing more comes of it."""
        self._flow.abort()

    def send_data(self) -> None:
        """Write what the protocol has to say; once that was a close, the peer has `close_timeout` to follow."""
        super().send_data()
        if self._abort_timer is None and self.protocol.close_expected() and self.close_timeout is not None:
            self._abort_timer = self.loop.call_later(self.close_timeout, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the end of the TCP connection."""
        self._flow.end()
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        if self._keepalive is not None:
            self._keepalive.stop()
        super().connection_lost(exc)

    # Flow control and keepalive

    def pause_reading(self, holder: object) -> None:
        """Stop reading, so that TCP holds the sender back, until this holder and all others let go."""
        if self._is_receiving:
            self._flow.pause(holder)

    def resume_reading(self, holder: object) -> None:
        """Let go; the last holder to do so lets the connection read again."""
        self._flow.resume(holder)

    def start_keepalive(self) -> None:
        """Ping at intervals, and fail the connection when a pong is overdue."""
        if self.ping_interval is not None:
            self._keepalive = Keepalive(self, self.ping_interval)

    @property
    def library(self) -> ClientConnection:
        """This, as the library knows it."""
        return self

    def fail_silent(self) -> None:
        """Fail the connection, because a pong is overdue."""
        self._fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
