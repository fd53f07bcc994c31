"""Outgoing messages of one connection: never more than the feed allows in any period, pings counted."""

from __future__ import annotations

from collections import deque


class Pace:
    """A log of the last messages sent: another may go once the one `count` before it is a period old.

    Args:
        count: so many messages in any period.
        period_s: length of the period, in seconds.
    """

    def __init__(self, count: int, period_s: float) -> None:
        self._count = count
        self._period_s = period_s
        self._sent_at: deque[float] = deque(maxlen=count)

    def __repr__(self) -> str:
        return f"<Pace {self._count} in {self._period_s:g} s>"

    def delay(self, now: float) -> float:
        """Seconds until the next message may go; 0: now.

        Args:
            now: monotonic time in seconds.
        """
        if len(self._sent_at) < self._count:
            return 0.0
        return max(0.0, self._sent_at[0] + self._period_s - now)

    def sent(self, now: float) -> None:
        """Take note of a message that went out, also of one that didn't ask, such as a ping.

        Args:
            now: monotonic time in seconds.
        """
        self._sent_at.append(now)
