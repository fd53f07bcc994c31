"""A turn of the loop, and how much of it may go to what can wait.

When a server pings thousands of connections in one moment, the pongs go out by and by, and the loop goes on beside.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

SHARE_S = 0.01


class Turn:
    """Postpones what doesn't fit into this turn to the next ones, in order.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        """That of the turn that has begun."""
        self._ends_at = 0.0
        self._waiting: deque[Callable[[], None]] = deque()

    @property
    def has_room(self) -> bool:
        """Whether something may be done at once; the first to ask begins the turn."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._waiting.clear()  # of a loop that was closed
            self._loop = loop
            self._ends_at = self._clock() + SHARE_S
            loop.call_soon(self._go_on)
        return not self._waiting and self._clock() < self._ends_at

    def postpone(self, action: Callable[[], None]) -> None:
        """Do something in one of the next turns; `has_room` was asked before."""
        self._waiting.append(action)

    def _go_on(self) -> None:
        """Another turn."""
        self._ends_at = self._clock() + SHARE_S
        try:
            while self._waiting and self._clock() < self._ends_at:
                self._waiting.popleft()()
        finally:
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._go_on)
            else:
                self._loop = None


turn = Turn()
"""Of this process's loop."""
