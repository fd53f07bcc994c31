"""Pings at intervals, and the end of a connection whose peer doesn't answer them.

A worker may have thousands of connections, nearly all of them idle: so this is a timer and a few fields for each,
and not a task.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from random import getrandbits
from typing import Protocol

from websockets.asyncio.connection import Connection
from websockets.protocol import State

LAG_GRACE_S = 1.0
"""An overdue pong gets that long more, so that a loop that was held up reads what has arrived meanwhile."""


class Kept(Protocol):
    """What is seen of a connection, and done with it."""

    turn_to_ping: Callable[[], Awaitable[None]] | None
    """Waits until a ping may be sent; None: at any time."""

    @property
    def library(self) -> Connection:
        """The connection as the library knows it."""

    @property
    def last_read_at(self) -> int:
        """Tells one read from another."""

    @property
    def is_held(self) -> bool:
        """Whether reading is paused."""

    @property
    def resumed_at(self) -> float:
        """Loop time at which reading last went on after a pause."""

    def fail_silent(self) -> None:
        """Fail the connection, because a pong is overdue."""


class Keepalive:
    """Keeps one connection alive, or finds that it isn't.

    A pong that can't be read because this side has paused reading, or because its loop was held up, is not
    overdue, nor is one that may be waiting behind data that is still being read: backpressure and lag must not
    look like a dead server. A peer that doesn't read what it is sent won't answer pings, but may still be heard.

    Args:
        connection: open.
        interval_s: from one pong, or from the beginning, to the next ping.
    """

    __slots__ = ("_asked_at", "_connection", "_interval_s", "_last_read_at", "_timer", "_turn")

    def __init__(self, connection: Kept, interval_s: float) -> None:
        self._connection = connection
        self._interval_s = interval_s
        self._asked_at = 0.0
        self._last_read_at = 0
        self._turn: asyncio.Task[None] | None = None
        """Waits for the turn to ping, where there is a pace."""
        self._timer: asyncio.TimerHandle
        self._arm(interval_s, self._come_round)

    def stop(self) -> None:
        """Ping no more: the connection has ended."""
        self._timer.cancel()
        if self._turn is not None:
            self._turn.cancel()

    def _arm(self, delay_s: float, action: Callable[[], None]) -> None:
        self._timer = self._connection.library.loop.call_later(delay_s, action)

    # Asking

    def _come_round(self) -> None:
        connection = self._connection
        if connection.is_held:
            self._arm(self._interval_s, self._come_round)
        elif connection.turn_to_ping is None:
            self._ping()
        else:
            self._turn = connection.library.loop.create_task(self._ping_in_turn(connection.turn_to_ping))

    async def _ping_in_turn(self, turn: Callable[[], Awaitable[None]]) -> None:
        await turn()
        self._turn = None
        self._ping()

    def _ping(self) -> None:
        library = self._connection.library
        if library.protocol.state is not State.OPEN:
            return  # it is being closed, which has a timeout of its own
        if library.paused and library.ping_timeout is None:
            self._arm(self._interval_s, self._come_round)  # pings that nobody reads would only pile up
            return
        pong: asyncio.Future[float] = library.loop.create_future()
        while (data := struct.pack("!I", getrandbits(32))) in library.pending_pings:
            pass
        library.pending_pings[data] = pong, library.loop.time()
        library.protocol.send_ping(data)
        library.send_data()
        if library.ping_timeout is None:
            self._arm(self._interval_s, self._come_round)
            return
        pong.add_done_callback(self._take_pong)
        if library.paused:  # the peer may read the ping, and answer, once it has read what was sent before
            self._arm(library.ping_timeout, self._await_pong)
        else:
            self._await_pong()

    # Being answered

    def _take_pong(self, pong: asyncio.Future[float]) -> None:
        if pong.cancelled() or pong.exception() is not None:
            return  # the connection has ended
        self._timer.cancel()
        self._arm(self._interval_s, self._come_round)

    def _await_pong(self) -> None:
        library = self._connection.library
        self._asked_at, self._last_read_at = library.loop.time(), self._connection.last_read_at
        self._arm(library.ping_timeout or 0.0, self._give_grace)

    def _give_grace(self) -> None:
        self._arm(LAG_GRACE_S, self._judge)

    def _judge(self) -> None:
        connection = self._connection
        is_silent = connection.last_read_at == self._last_read_at
        if is_silent and not connection.is_held and connection.resumed_at < self._asked_at:
            connection.fail_silent()
        else:
            self._await_pong()
