"""How many messages an endpoint has received per second, over the last few seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

WINDOW = 5
"""Looks between which the rate is measured."""


class Meter:
    """Compares counts over time."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Mapping[int, int]]] = deque(maxlen=WINDOW + 1)

    def look(self, now: float, received: Mapping[int, int]) -> None:
        """Take note of the counts by slot, at this time in seconds."""
        self._looks.append((now, received))

    def rate(self, slot: int) -> float:
        """Messages per second between the first look and the last one."""
        if len(self._looks) < 2:
            return 0.0
        (began_at, before), (ended_at, after) = self._looks[0], self._looks[-1]
        if ended_at <= began_at:
            return 0.0
        return (after.get(slot, 0) - before.get(slot, 0)) / (ended_at - began_at)
