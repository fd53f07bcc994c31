"""Tells the reasons apart for which a connection brings no data: the server's, and this side's own."""

from __future__ import annotations

import math
from typing import Protocol

from scaleout.core.lifecycle import Stall

LAG_S = 1.0
"""A loop that was so late tells nothing about the server."""
GRACE_S = 0.1
"""What is overdue gets that long more, so that a loop that was held up reads what has arrived meanwhile."""
QUIET_S = 30.0
"""Without data for so long a connection is called quiet, where `stale_after` doesn't say when."""
LOOKS = 10
"""At the least, until a connection without data is called quiet."""
MAX_LOOK_EVERY_S = 5.0


def quiet_after_s(stale_after_s: float | None) -> float:
    """Without data for so long a connection is called quiet."""
    return QUIET_S if stale_after_s is None else stale_after_s / 2


def look_every_s(stale_after_s: float | None) -> float:
    """How often a connection is to be looked at."""
    return min(MAX_LOOK_EVERY_S, quiet_after_s(stale_after_s) / LOOKS)


class Reading(Protocol):
    """What is seen of a connection."""

    @property
    def last_read_at(self) -> int:
        """Tells one read from another."""

    @property
    def is_held(self) -> bool:
        """Whether reading is paused."""

    @property
    def resumed_at(self) -> float:
        """Loop time at which reading last went on after a pause."""


class StallWatch:
    """Looks at a connection again and again; time in which this side couldn't read doesn't count.

    A connection is stale at the second look that says so: between two looks the loop has read what was there,
    however late it was before.

    Args:
        connection: what is looked at.
        stale_after_s: without data for so long, it is stale; None: never.
        now: loop time.
    """

    def __init__(self, connection: Reading, stale_after_s: float | None, now: float) -> None:
        self.is_stale = False
        self._connection = connection
        self._stale_after_s = math.inf if stale_after_s is None else stale_after_s
        self._quiet_after_s = quiet_after_s(stale_after_s)
        self._is_overdue = False
        self._looked_at = self._data_at = self._life_at = now
        self._messages = 0
        self._reads = connection.last_read_at

    def look(self, now: float, lag_s: float, messages: int, is_awaited: bool) -> Stall | None:
        """Why there is no data, if there is none for a while.

        Args:
            now: loop time.
            lag_s: how late the loop was.
            messages: of data, so far.
            is_awaited: whether there should be data; before the subscription there needn't be.
        """
        before, self._looked_at = self._looked_at, now
        if self._connection.last_read_at != self._reads:
            self._reads = self._connection.last_read_at
            self._life_at = now
        if messages != self._messages or not is_awaited:
            self._messages = messages
            self._data_at = now
            self._is_overdue = False
            return None
        if lag_s >= LAG_S or was_held(self._connection, before):
            self._data_at += now - before
            self._life_at += now - before
            return Stall.BACKPRESSURE if self._connection.is_held else Stall.LAG if lag_s >= LAG_S else None
        return self._judge(now)

    def _judge(self, now: float) -> Stall | None:
        quiet_s = now - self._data_at
        was_overdue, self._is_overdue = self._is_overdue, quiet_s >= self._stale_after_s
        self.is_stale = was_overdue and self._is_overdue
        if quiet_s < self._quiet_after_s and not self.is_stale:
            return None
        lives = self._life_at > self._data_at and now - self._life_at < max(QUIET_S, self._quiet_after_s)
        return Stall.HEARTBEATS if lives else Stall.SILENT


def was_held(connection: Reading, since: float) -> bool:
    """Whether reading was paused at any time since then, in loop time."""
    return connection.is_held or connection.resumed_at >= since
