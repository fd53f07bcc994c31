"""Lets messages come together before they are read, where many connections bring a few each.

A loop that is faster than its feeds wakes up for each message, and waking up costs the system more than reading. So
while many reads bring little, a turn of the loop is made to last a part of `linger`, which the results may wait
anyway: then one look at the sockets finds many of them ready. Network drivers do the same with interrupts
(coalescing). A loop that has enough to do never waits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

SHARE = 5
"""A turn lasts that part of the shortest linger."""
LONGEST_TURN_S = 0.002
SHORTEST_TURN_S = 0.0005
"""Shorter turns than that aren't worth a sleep."""
MANY_READS = 16
"""So many in a linger are worth it."""


class Clock(Protocol):
    """What is seen of the loop."""

    def time(self) -> float:
        """In seconds."""

    def call_soon(self, callback: Callable[[], object]) -> object:
        """Call back in the next turn."""


class Cadence:
    """Makes the turns of a worker's loop last, for as long as that pays.

    Args:
        clock: the loop.
        sleep: blocks for so many seconds.
    """

    def __init__(self, clock: Clock, sleep: Callable[[float], object] = time.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lingers: dict[int, float] = {}
        self._turn_s = 0.0
        self._turns_left = 0
        self._is_going = False
        self._began_at = -math.inf

    def follow(self, slot: int, linger_s: float) -> None:
        """The worker has this endpoint; none of its results may wait for longer."""
        self._lingers[slot] = linger_s
        self._measure()

    def forget(self, slot: int) -> None:
        """The worker has it no longer."""
        self._lingers.pop(slot, None)
        self._measure()

    def _measure(self) -> None:
        turn_s = min(min(self._lingers.values(), default=0.0) / SHARE, LONGEST_TURN_S)
        self._turn_s = turn_s if turn_s >= SHORTEST_TURN_S else 0.0

    def note(self, reads: int) -> None:
        """So many reads have been dealt with together."""
        if reads < MANY_READS or not self._turn_s:
            return
        self._turns_left = SHARE
        if not self._is_going:
            self._is_going = True
            self._began_at = self._clock.time()
            self._clock.call_soon(self._turn)

    def _turn(self) -> None:
        """Wait for the rest of this turn's time; the sockets are looked at after that."""
        if not self._turns_left:
            self._is_going = False
            return
        self._turns_left -= 1
        left_s = self._began_at + self._turn_s - self._clock.time()
        if left_s > 0:
            self._sleep(left_s)
        self._began_at = self._clock.time()
        self._clock.call_soon(self._turn)
