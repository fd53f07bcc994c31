"""A turn of the loop, and how much of what can wait is done in it.

When a server pings thousands of connections in one moment, the pongs go out by and by, and the loop goes on beside.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

MOST = 500
"""Writes to that many connections take some milliseconds."""


class Turn:
    """Postpones what is too much for this turn to the next ones, in order."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        """That of the turn that has begun."""
        self._left = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def claim(self) -> bool:
        """Whether one thing more may be done in this turn; the first to ask begins the turn."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._waiting.clear()  # of a loop that was closed
            self._loop = loop
            self._left = MOST
            loop.call_soon(self._go_on)
        if self._waiting or self._left <= 0:
            return False
        self._left -= 1
        return True

    def postpone(self, action: Callable[[], None]) -> None:
        """Do something in one of the next turns; `claim` was refused before."""
        self._waiting.append(action)

    def _go_on(self) -> None:
        """Another turn."""
        self._left = MOST
        try:
            while self._waiting and self._left > 0:
                self._left -= 1
                self._waiting.popleft()()
        finally:
            if self._waiting:
                asyncio.get_running_loop().call_soon(self._go_on)
            else:
                self._loop = None


turn = Turn()
"""Of this process's loop."""
