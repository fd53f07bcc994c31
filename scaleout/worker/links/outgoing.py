"""What one connection sends: in order, at the pace that the feed allows, and no more than the peer reads."""

from __future__ import annotations

import asyncio
from collections import deque

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

_encoder = msgspec.json.Encoder()


def encode(message: object) -> str | bytes:
    """A message as it is sent: text and bytes as they are, anything else as JSON.

    Raises:
        SendError: it can't be said in JSON.
    """
    if isinstance(message, str | bytes):
        return message
    try:
        return _encoder.encode(message).decode()
    except Exception as exc:
        raise SendError(
            f"a message of type {type(message).__name__} can't be encoded as JSON: {exc}"
        ) from exc


class Outgoing:
    """The way out of one connection.

    Args:
        connection: where to.
        rate: how many messages it may carry in a time, pings and pongs counted; None: any number.
    """

    def __init__(self, connection: FeedConnection, rate: Rate | None) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[str | bytes] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._pace: Pace | None = None
        if rate is not None:
            # One is kept for pings and pongs, which don't wait for their turn.
            self._pace = Pace(max(1, rate.count - 1), rate.period)
            connection.on_control_sent = self._note_control

    def _note_control(self) -> None:
        assert self._pace is not None
        self._pace.sent(self._loop.time())

    @property
    def is_open(self) -> bool:
        """Whether there is anybody to send to."""
        return self._connection.protocol.state is State.OPEN

    def send(self, message: str | bytes, *, urgent: bool = False) -> None:
        """Send a message, at once or when it is its turn.

        Args:
            urgent: it goes before all that wait.

        Raises:
            SendError: the connection is closed, its peer doesn't read, or too many messages wait.
        """
        if not self.is_open:
            raise SendError("is not connected")
        if self._pace is None or (not self._waiting and self._pace.delay(self._loop.time()) == 0):
            self._write(message)
            return
        if len(self._waiting) >= MAX_WAITING and not urgent:
            raise SendError(f"has {MAX_WAITING:,} messages waiting to be sent: send_rate doesn't allow more")
        if urgent:
            self._waiting.appendleft(message)
        else:
            self._waiting.append(message)
        self._room.clear()
        self._schedule()

    async def put(self, message: str | bytes) -> None:
        """Send a message when it is its turn, and return once it has gone.

        Raises:
            SendError: the connection is closed.
        """
        while True:
            await self._room.wait()
            if not self.is_open:
                raise SendError("is not connected")
            delay = self._pace.delay(self._loop.time()) if self._pace is not None else 0.0
            if delay == 0:
                break
            await asyncio.sleep(delay)
        self._write(message)
        await self._connection.drain()

    def _schedule(self) -> None:
        assert self._pace is not None
        if self._timer is None and self._waiting:
            self._timer = self._loop.call_later(self._pace.delay(self._loop.time()), self._send_waiting)

    def _send_waiting(self) -> None:
        assert self._pace is not None
        self._timer = None
        while self._waiting and self.is_open and self._pace.delay(self._loop.time()) == 0:
            try:
                self._write(self._waiting[0])
            except SendError:
                break  # the peer doesn't read: it may, later
            self._waiting.popleft()
        if not self.is_open:
            self.close()
        elif self._waiting:
            self._timer = self._loop.call_later(
                max(0.01, self._pace.delay(self._loop.time())), self._send_waiting
            )
        else:
            self._room.set()

    def _write(self, message: str | bytes) -> None:
        connection = self._connection
        if connection.transport.get_write_buffer_size() > SEND_BUFFER_BYTES:
            raise SendError("does not read what it is sent")
        if isinstance(message, str):
            connection.protocol.send_text(message.encode())
        else:
            connection.protocol.send_binary(message)
        if self._pace is not None:
            self._pace.sent(self._loop.time())
        connection.send_data()

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._room.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
