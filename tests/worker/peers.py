"""A server without a network, at the other end of a `FeedConnection`, in time that doesn't pass by itself."""

from __future__ import annotations

import asyncio
import gc
import struct
import time
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple

from websockets.client import ClientProtocol
from websockets.uri import parse_uri
from websockets.utils import accept_key

from scaleout.config import Endpoint
from scaleout.worker.connection import FeedConnection

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
HIGH_WATER_BYTES = 2**15


class FastLoop(asyncio.SelectorEventLoop):
    """A loop whose time jumps to the next timer when there is nothing else to do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        selector = self._selector  # type: ignore[attr-defined]
        select = selector.select

        def jump(timeout: float | None = None) -> object:
            assert timeout is not None, "nothing will ever happen"
            self.now += timeout
            return select(0)

        selector.select = jump

    def time(self) -> float:
        return self.now


def run_fast(main: Coroutine[Any, Any, None], limit_s: float = 100_000.0) -> None:
    """Run in time that jumps; nothing may be left running, and nothing may have gone wrong unseen."""
    unseen: list[dict[str, Any]] = []

    async def bounded() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unseen.append(context))
        async with asyncio.timeout(limit_s):
            await main
        for _ in range(5):  # tasks that were cancelled end, and callbacks run
            await asyncio.sleep(0)
        gc.collect()  # futures whose exception nobody asked for say so when they go
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    gc.freeze()  # so that little is left to collect
    try:
        with asyncio.Runner(loop_factory=FastLoop) as runner:
            runner.run(bounded())
    finally:
        gc.unfreeze()
    assert not unseen, unseen


async def settle() -> None:
    """Let all happen that needs no time."""
    for _ in range(20):
        await asyncio.sleep(0)


class Sent(NamedTuple):
    """A frame that the client sent."""

    at: float
    opcode: int
    payload: bytes


class _Transport(asyncio.Transport):
    def __init__(self, peer: Peer) -> None:
        super().__init__()
        self._peer = peer
        self.unread_bytes = 0
        self.is_reading_now = True
        self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._peer.take(bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.unread_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.is_reading_now = False

    def resume_reading(self) -> None:
        self.is_reading_now = True

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        if not self.is_aborted:
            self.is_aborted = True
            asyncio.get_running_loop().call_soon(self._peer.lose)


class Peer:
    """The server's side of one connection.

    Attributes:
        sent: all that the client has sent.
        answers_pings: whether pings are answered, at once.
        answers_close: whether the client's close is answered.
        replies: texts that are answered at once, and how.
    """

    def __init__(
        self,
        endpoint: Endpoint | None = None,
        *,
        replies: dict[str, Sequence[str]] | None = None,
        answers_pings: bool = True,
        answers_close: bool = True,
        is_deaf: bool = False,
    ) -> None:
        options = endpoint or Endpoint(uri="ws://feed.test/", ping_interval=0)
        self.sent: list[Sent] = []
        self.replies = replies or {}
        self.answers_pings = answers_pings
        self.answers_close = answers_close
        self.is_deaf = is_deaf
        self.is_lost = False
        self.loop = asyncio.get_running_loop()
        protocol = ClientProtocol(parse_uri("ws://feed.test/"), max_size=options.max_message_size)
        protocol.send_request(protocol.connect())
        protocol.data_to_send()
        self.connection = FeedConnection(
            protocol,
            ping_interval=options.ping_interval or None,
            ping_timeout=options.ping_timeout or None,
            close_timeout=10.0,
        )
        self.transport = _Transport(self)
        self.connection.connection_made(self.transport)
        answer = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_key(protocol.key)}\r\n\r\n"
        )
        self.connection.data_received(answer.encode())
        self.connection.start_keepalive()

    # What the client does

    def take(self, data: bytes) -> None:
        """Take what the client writes: one frame, or several."""
        if self.is_deaf:
            self._leave_unread(data)
        while data:
            header, size = (4, struct.unpack("!H", data[2:4])[0]) if data[1] == 0xFE else (2, data[1] & 0x7F)
            if data[1] == 0xFF:
                header, size = 10, struct.unpack("!Q", data[2:10])[0]
            key, masked = data[header : header + 4], data[header + 4 : header + 4 + size]
            payload = bytes(byte ^ key[index % 4] for index, byte in enumerate(masked))
            frame = Sent(self.loop.time(), data[0], payload)
            data = data[header + 4 + size :]
            self.sent.append(frame)
            if not self.is_deaf:
                self.loop.call_soon(self._answer, frame)

    def _leave_unread(self, data: bytes) -> None:
        before, self.transport.unread_bytes = self.transport.unread_bytes, len(data)
        self.transport.unread_bytes += before
        if before <= HIGH_WATER_BYTES < self.transport.unread_bytes:
            self.connection.pause_writing()

    def _answer(self, frame: Sent) -> None:
        if frame.opcode == PING and self.answers_pings:
            self.receive(PONG, frame.payload)
        elif frame.opcode == CLOSE and self.answers_close:
            self.receive(CLOSE, frame.payload)
            self.lose()
        elif frame.opcode == TEXT and frame.payload.decode() in self.replies:
            self.say(*self.replies[frame.payload.decode()])

    @property
    def texts(self) -> list[str]:
        """The text messages that the client sent."""
        return [frame.payload.decode() for frame in self.sent if frame.opcode == TEXT]

    @property
    def times(self) -> list[float]:
        """When the client sent messages, pings and pongs."""
        return [frame.at for frame in self.sent if frame.opcode != CLOSE]

    @property
    def close_codes(self) -> list[int]:
        """The codes with which the client closed."""
        return [struct.unpack("!H", frame.payload[:2])[0] for frame in self.sent if frame.opcode == CLOSE]

    # What the server does

    def say(self, *texts: str) -> None:
        """Send messages, in one read."""
        self.write(b"".join(frame(TEXT, text.encode()) for text in texts))

    def receive(self, opcode: int, payload: bytes = b"") -> None:
        """Send one frame."""
        self.write(frame(opcode, payload))

    def write(self, data: bytes) -> None:
        """Let these bytes arrive, once the client reads."""
        if self.is_lost:
            return
        if self.transport.is_reading_now:
            self.connection.data_received(data)
        else:
            self.loop.call_later(0.1, self.write, data)

    def close(self, code: int, reason: str = "") -> None:
        """Close in good order."""
        self.receive(CLOSE, struct.pack("!H", code) + reason.encode())
        self.lose()

    def lose(self) -> None:
        """End the TCP connection."""
        if not self.is_lost:
            self.is_lost = True
            self.connection.eof_received()
            self.connection.connection_lost(None)

    def read_all(self) -> None:
        """Read what was left unread, and all that follows."""
        self.is_deaf = False
        if self.transport.unread_bytes > HIGH_WATER_BYTES:
            self.connection.resume_writing()
        self.transport.unread_bytes = 0


def frame(first: int, payload: bytes) -> bytes:
    """A frame of the server's."""
    size = len(payload)
    if size > 0xFFFF:
        return struct.pack("!BBQ", first, 127, size) + payload
    return (struct.pack("!BBH", first, 126, size) if size > 125 else bytes((first, size))) + payload


def busiest(times: Sequence[float], period_s: float) -> int:
    """The most of these moments that are within one period."""
    return max((sum(at <= each < at + period_s for each in times) for at in times), default=0)


def block_loop(seconds: float) -> None:
    """Hold the loop up, in its own time."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FastLoop)
    loop.now += seconds
    time.sleep(0)
