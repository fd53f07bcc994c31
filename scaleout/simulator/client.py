"""One connection to the simulator: what it is sent, and what befalls it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
import time
from collections import deque

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame
from websockets.frames import Opcode as FrameOpcode
from websockets.protocol import Event, State

from scaleout.simulator.faults import End, Fate, Pending, fates
from scaleout.simulator.feed import Feed
from scaleout.simulator.framing import Opcode, encode_frame
from scaleout.simulator.records import ConnectionRecord, Ended

_KEPT_MESSAGES = 1000
_NOT_UTF8 = b'{"text":"\xff\xfe\xed\xa0\x80"}'
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 seconds: closing the socket sends RST."""


class PongCounter(ServerConnection):
    """The library's connection, which also counts the pongs that it receives."""

    pongs = 0

    def process_event(self, event: Event) -> None:
        if getattr(event, "opcode", None) is FrameOpcode.PONG:
            self.pongs += 1
        super().process_event(event)


class Phase(enum.Enum):
    """What a connection is sent."""

    WAITING = "waiting"
    """Nothing until the client's first message."""
    LIVE = "live"
    """All that is due."""
    MUTED = "muted"
    """Nothing any more; the connection stays open."""
    ENDING = "ending"
    """Nothing: it is closing or closed."""


class FeedClient:
    """Writes a feed's messages to one connection, and ends it as its fates want.

    Data goes to the transport as ready-made frames; the handshakes and the client's frames are the library's.
    """

    def __init__(self, websocket: PongCounter, feed: Feed, cursor: int, now_s: float) -> None:
        self.feed = feed
        self.phase = Phase.WAITING if feed.config.await_subscribe else Phase.LIVE
        self._went_live = asyncio.Event()
        if self.phase is Phase.LIVE:
            self._went_live.set()
        self._websocket = websocket
        self._transport = websocket.transport
        self._extensions = websocket.protocol.extensions
        self._encoder = feed.make_encoder(self._compressed_frame) if self._extensions else feed.encoder
        self._lateness_s = feed.random("lateness", feed.connections).uniform(0, feed.config.shift)
        self._positions: deque[tuple[float, int]] = deque()
        self._visible = cursor
        self._first = cursor
        self._cursor = cursor
        self._opened_s = now_s
        self._opened_at = time.time()
        self._closed_at: float | None = None
        self._index = feed.connections
        self._fates = Pending(fates(feed.config.faults, self._index, feed.random("connection", self._index)))
        self._garbage = self._pings = self._replies = self._bytes = 0
        self._poisoned = False
        self._received: list[str] = []
        self._received_count = 0
        self._ended = Ended.OPEN
        self._closing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether data may be written."""
        return self._websocket.state is State.OPEN and self.phase is not Phase.ENDING

    def step(self, now_s: float) -> None:
        """Write what is due on a paced feed, and let happen what has to happen by now."""
        if not self.is_open:
            return
        for fate in self._fates.take_until(now_s - self._opened_s):
            self._befall(fate)
        if self.feed.config.is_paced:
            self._look(now_s)
            if self.phase is Phase.LIVE:
                self._write_due()

    async def pump(self) -> None:
        """Write messages as fast as the client reads them."""
        await self._went_live.wait()
        count = self._encoder.block_messages
        while self.is_open and self.phase is Phase.LIVE:
            self._write_block(self._cursor - self._cursor % count + count)
            if self._transport.get_write_buffer_size():
                await self._websocket.drain()
            await asyncio.sleep(0)

    def on_message(self, message: str | bytes) -> None:
        """React as the dialect does."""
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        self._received_count += 1
        if len(self._received) < _KEPT_MESSAGES:
            self._received.append(text)
        if not self.is_open or self.phase is Phase.MUTED:
            return
        for reply in self.feed.dialect.replies(self.feed.plan.index, text, self._number):
            self._write(encode_frame(Opcode.TEXT, reply))
            self._replies += 1
        if self.phase is Phase.WAITING:
            self.phase = Phase.LIVE
            self._went_live.set()
            if self.feed.config.is_paced:
                self._first = self._cursor = self._visible

    async def close(self, code: int, ended: Ended) -> None:
        """Closing handshake; a client that doesn't answer in time is dropped."""
        self.phase = Phase.ENDING
        if self._ended is Ended.OPEN:
            self._ended = ended
        try:
            async with asyncio.timeout(self.feed.config.close_timeout):
                await self._websocket.close(code)
        except TimeoutError:
            self._transport.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        self.phase = Phase.ENDING
        self._transport.abort()

    async def finish(self) -> None:
        """Settle the record, after the connection has ended."""
        if self._ended is Ended.OPEN:
            self._ended = Ended.CLIENT
        self.phase = Phase.ENDING
        if self._closing is not None:
            await self._closing
        with contextlib.suppress(ConnectionClosed):
            await self._websocket.wait_closed()
        self._closed_at = time.time()

    def record(self) -> ConnectionRecord:
        """What has happened so far."""
        sent = self._cursor - self._first
        return ConnectionRecord(
            endpoint=self.feed.plan.name,
            index=self._index,
            first=self._first if sent else None,
            last=self._cursor - 1 if sent else None,
            messages=sent,
            garbage=self._garbage,
            replies=self._replies,
            poisoned=self._poisoned,
            pings=self._pings,
            pongs=self._websocket.pongs,
            bytes=self._bytes,
            received=tuple(self._received),
            received_count=self._received_count,
            opened_at=self._opened_at,
            closed_at=self._closed_at,
            close_code=self._websocket.close_code,
            ended=self._ended,
        )

    @property
    def _number(self) -> int:
        """How many messages were sent, replies included."""
        return self._cursor - self._first + self._replies

    def _look(self, now_s: float) -> None:
        """Come to see the feed's position of a while ago."""
        if not self._lateness_s:
            self._visible = self.feed.position
            return
        self._positions.append((now_s, self.feed.position))
        while self._positions and self._positions[0][0] <= now_s - self._lateness_s:
            self._visible = max(self._visible, self._positions.popleft()[1])

    def _write_due(self) -> None:
        config = self.feed.config
        while self.phase is Phase.LIVE and (
            self._cursor < self._visible or self.feed.is_end(self._cursor) or self._cursor == self._stop
        ):
            if self._transport.get_write_buffer_size() > config.max_lag:
                if not config.lossless:
                    self._end(1008, Ended.CUT)
                return
            self._write_block(min(self._visible, self._cursor + self._encoder.block_messages))

    def _write_block(self, stop: int) -> None:
        """Write messages to before `stop`, the next fate or the end; let what comes there happen."""
        stop = min(bound for bound in (stop, self._stop, self.feed.length) if bound is not None)
        if stop > self._cursor:
            shared = self.feed.block if self._encoder is self.feed.encoder else self._encoder.encode
            block = shared(self._cursor, stop, self._number)
            self._write(block.data)
            self._garbage += block.garbage
            self._pings += block.pings
            self._cursor = self.feed.handed_out = stop
        for fate in self._fates.take_at(self._cursor - self._first):
            self._befall(fate)
        if self.phase is Phase.LIVE and self.feed.is_end(self._cursor):
            self._end_of_feed()

    def _compressed_frame(self, opcode: Opcode, body: bytes) -> bytes:
        frame = Frame(FrameOpcode(opcode), body)
        return frame.serialize(mask=False, extensions=self._extensions)

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        self._bytes += len(data)

    def _end_of_feed(self) -> None:
        if self.feed.config.at_end == "close":
            self._end(1000, Ended.CLOSED)
        else:
            self.phase = Phase.MUTED

    @property
    def _stop(self) -> int | None:
        """The message before which the next fate comes."""
        messages = self._fates.next_after_messages
        return None if messages is None else self._first + messages

    def _befall(self, fate: Fate) -> None:
        config = self.feed.config.faults
        match fate.end:
            case _ if self.phase is Phase.ENDING:
                pass
            case End.CLOSE:
                self._end(config.disconnect_code, Ended.CLOSED)
            case End.RESET:
                self._reset()
            case End.SILENCE:
                self.phase = Phase.MUTED
            case End.INVALID_UTF8:
                self._poison(_NOT_UTF8)
            case End.OVERSIZED:
                self._poison(b'{"large":"' + b"x" * (config.oversized_bytes - 12) + b'"}')

    def _poison(self, payload: bytes) -> None:
        self._write(encode_frame(Opcode.TEXT, payload))
        self._poisoned = True
        self.phase = Phase.MUTED

    def _end(self, code: int, ended: Ended) -> None:
        self.phase = Phase.ENDING
        self._ended = ended
        self._closing = asyncio.create_task(self.close(code, ended))

    def _reset(self) -> None:
        self._ended = Ended.RESET
        connected = self._transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.abort()
