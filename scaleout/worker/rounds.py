"""Which endpoints are looked at with which heartbeat: each as often as it matters, and not all with the same one.

Thousands of idle endpoints, all looked at with each heartbeat, would hold up the loop, and be most of what it does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from scaleout.worker.links.stalls import LAG_S

MOST = 60
"""Heartbeats between two looks, at the most."""


class Rounds:
    """Counts the heartbeats.

    Args:
        interval_s: between two of them.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._count = 0
        self._lags_s: deque[float] = deque(maxlen=MOST)

    def beat(self, lag_s: float) -> None:
        """A heartbeat, and how late it was."""
        self._count += 1
        self._lags_s.appendleft(lag_s)

    def beats_in(self, time_s: float) -> int:
        """How many heartbeats there are from one look to the next, for looks that are so far apart."""
        return max(1, min(MOST, int(time_s / self._interval_s)))

    def due(self, endpoints: Mapping[int, int]) -> list[int]:
        """The slots whose turn to be looked at is with this heartbeat.

        Args:
            endpoints: for each slot, after how many heartbeats it is to be looked at again.
        """
        if self._lags_s and self._lags_s[0] >= LAG_S:
            return list(endpoints)  # each of them is to say why nothing came
        count = self._count
        return [slot for slot, beats in endpoints.items() if (count + slot) % beats == 0]

    def lag_s(self, beats: int) -> float:
        """How late the loop was at the worst since the look before, over so many heartbeats."""
        return max(self._lags_s[index] for index in range(min(beats, len(self._lags_s))))
