"""Log lines about what may happen again and again: told once in a while, with the count of what wasn't told."""

from __future__ import annotations

import asyncio

COOLDOWN_S = 10.0
"""Between two log lines, where nothing else is said."""


class Telling:
    """Lets something be told once in a while, and counts what wasn't.

    Args:
        cooldown_s: between two that are told.
    """

    def __init__(self, cooldown_s: float = COOLDOWN_S) -> None:
        self._cooldown_s = cooldown_s
        self._told_at = -cooldown_s
        self._untold = 0

    def count(self) -> int:
        """How many there are to tell of, this one and those before that weren't told; 0: this one isn't either."""
        now = asyncio.get_running_loop().time()
        self._untold += 1
        if now - self._told_at < self._cooldown_s:
            return 0
        count, self._untold = self._untold, 0
        self._told_at = now
        return count

    def more(self) -> str | None:
        """What to add about those before that weren't told; None: this one isn't to be told either."""
        count = self.count()
        if not count:
            return None
        return f" (and {count - 1} more since the last one told)" if count > 1 else ""
