"""What one connection sends: in order, at the pace that the feed allows, and no more than the peer reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import NamedTuple

import msgspec
from websockets.protocol import State

from scaleout.config import Rate
from scaleout.core.pacing import Pace
from scaleout.errors import SendError
from scaleout.worker.connection import FeedConnection

SEND_BUFFER_BYTES = 2**20
"""What a peer that doesn't read may leave in the write buffer, before sending fails."""
MAX_WAITING = 1_000
"""Messages that may wait for their turn, where there is a pace, before sending fails."""
SLACK = 0.1
MAX_SLACK_S = 0.1
"""A server may see messages closer together than they were sent: for this side a period is longer by this share."""
BUSY_PEER_S = 0.1
"""Between two attempts to send what waits, to a peer that doesn't read."""

_encoder = msgspec.json.Encoder()


def encode(message: object) -> str | bytes:
    """A message as it is sent: text and bytes as they are, anything else as JSON.

    Raises:
        SendError: it can't be said in JSON.
    """
    if isinstance(message, str | bytes):
        return message
    if isinstance(message, bytearray | memoryview):
        return bytes(message)
    try:
        return _encoder.encode(message).decode()
    except Exception as exc:
        raise SendError(
            f"a message of type {type(message).__name__} can't be encoded as JSON: {exc}"
        ) from exc


class _Message(NamedTuple):
    is_text: bool
    data: bytes


class _Waiting(NamedTuple):
    """What waits for its turn; a ping has no message, the connection sends it by itself."""

    message: _Message | None
    sent: asyncio.Future[None] | None = None


_NONE: deque[_Waiting] = deque(maxlen=0)
"""What waits where there is no pace: nothing ever does, and an empty deque of one's own takes 760 bytes."""


class Outgoing:
    """The way out of one connection.

    Args:
        connection: where to.
        rate: how many messages it may carry in a time, pings and pongs counted; None: any number.
    """

    def __init__(self, connection: FeedConnection, rate: Rate | None) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._urgent = self._waiting = _NONE
        self._timer: asyncio.TimerHandle | None = None
        self._pace: Pace | None = None
        if rate is not None:
            # One is kept for a pong, which can't wait for its turn; more in one period are the server's wish.
            slack_s = min(MAX_SLACK_S, SLACK * rate.period)
            self._pace = Pace(max(1, rate.count - 1), rate.period + slack_s)
            self._urgent, self._waiting = deque(), deque()
            connection.on_pong = self._note_sent
            connection.turn_to_ping = self._wait_to_ping
            connection.connection_lost_waiter.add_done_callback(lambda _: self.close())

    def _note_sent(self) -> None:
        if self._pace is not None:
            self._pace.sent(self._loop.time())

    @property
    def is_open(self) -> bool:
        """Whether there is anybody to send to."""
        return self._connection.protocol.state is State.OPEN

    @property
    def _is_turn(self) -> bool:
        """Whether a message may go at once."""
        if self._pace is None:
            return True
        return not (self._urgent or self._waiting) and self._pace.delay(self._loop.time()) == 0

    # Sending

    def send(self, message: str | bytes, *, urgent: bool = False) -> None:
        """Send a message, at once or when it is its turn.

        Args:
            urgent: it goes before all that isn't.

        Raises:
            SendError: the connection is closed, its peer doesn't read, or too many messages wait.
        """
        self._check_open()
        ready = _checked(message)
        if self._is_turn:
            self._write(ready)
            return
        queue = self._urgent if urgent else self._waiting
        if len(queue) >= MAX_WAITING:
            raise SendError(f"has {MAX_WAITING:,} messages waiting to be sent: send_rate doesn't allow more")
        self._enqueue(queue, _Waiting(ready))

    async def put(self, message: str | bytes, patience_s: float | None = None) -> None:
        """Send a message when it is its turn and the peer has read most of what was sent before.

        Args:
            message: what to send.
            patience_s: how long the peer may take to read; None: as long as it likes.

        Raises:
            SendError: the connection is closed, or the peer takes too long.
        """
        ready = _checked(message)
        await asyncio.sleep(0)  # somebody who sends without ever waiting must not stop the loop
        await self._wait_read(patience_s)
        self._check_open()
        if self._is_turn:
            self._write(ready)
        else:
            await self._wait_sent(self._waiting, ready)

    def _check_open(self) -> None:
        if not self.is_open:
            raise SendError("is not connected")

    async def _wait_read(self, patience_s: float | None) -> None:
        try:
            async with asyncio.timeout(patience_s):
                await self._connection.drain()
        except TimeoutError:
            raise SendError("does not read what it is sent") from None
        except OSError:
            raise SendError("is not connected") from None

    async def _wait_sent(self, queue: deque[_Waiting], message: _Message | None) -> None:
        entry = _Waiting(message, self._loop.create_future())
        assert entry.sent is not None
        self._enqueue(queue, entry)
        await entry.sent

    async def _wait_to_ping(self) -> None:
        if not self.is_open:
            return
        if self._is_turn:
            self._note_sent()
            return
        with contextlib.suppress(SendError):  # the connection is closed, and the ping will tell
            await self._wait_sent(self._waiting, None)

    # Turns

    def _enqueue(self, queue: deque[_Waiting], entry: _Waiting) -> None:
        queue.append(entry)
        if self._timer is None:
            self._schedule()

    def _schedule(self, at_least_s: float = 0.0) -> None:
        assert self._pace is not None
        delay_s = max(at_least_s, self._pace.delay(self._loop.time()))
        self._timer = self._loop.call_later(delay_s, self._send_waiting)

    def _send_waiting(self) -> None:
        assert self._pace is not None
        self._timer = None
        if not self.is_open:
            self.close()
            return
        while queue := self._urgent or self._waiting:
            if self._pace.delay(self._loop.time()) > 0:
                self._schedule()
                return
            message, sent = queue[0]
            if sent is not None and sent.cancelled():
                queue.popleft()
                continue
            try:
                if message is not None:
                    self._write(message)
                else:
                    self._note_sent()
            except SendError:  # the peer doesn't read: it may, later
                self._schedule(BUSY_PEER_S)
                return
            queue.popleft()
            if sent is not None and not sent.done():
                sent.set_result(None)

    def _write(self, message: _Message) -> None:
        connection = self._connection
        if connection.transport.get_write_buffer_size() > SEND_BUFFER_BYTES:
            raise SendError("does not read what it is sent")
        if message.is_text:
            connection.protocol.send_text(message.data)
        else:
            connection.protocol.send_binary(message.data)
        self._note_sent()
        connection.send_data()

    def close(self) -> None:
        """Forget what waits."""
        for _, sent in (*self._urgent, *self._waiting):
            if sent is not None and not sent.done():
                sent.set_exception(SendError("is not connected"))
        self._urgent.clear()
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _checked(message: str | bytes) -> _Message:
    if isinstance(message, str):
        try:
            return _Message(True, message.encode())
        except UnicodeEncodeError as exc:
            raise SendError(f"can't send text that UTF-8 can't hold: {exc.reason}") from None
    if isinstance(message, bytes | bytearray | memoryview):
        return _Message(False, bytes(message))
    raise SendError(f"sends str and bytes alone, not {type(message).__name__}")
