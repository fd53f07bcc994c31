"""How late an event loop is, measured in it: a timer that is due every millisecond, and when it really comes."""

from __future__ import annotations

import asyncio
import time

import msgspec

TICK_S = 0.001


class Lag(msgspec.Struct, frozen=True):
    """The longest that the loop was late since it was asked last."""

    lag_ms: float


class LagMeter:
    """Watches the loop that runs."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._longest_s = 0.0
        self._begin()

    def take(self) -> Lag:
        """The longest lag so far; it begins anew."""
        # A loop that is stuck until now has not come to its timer yet.
        longest_s = max(self._longest_s, time.monotonic() - self._due_s)
        self._longest_s = 0.0
        return Lag(longest_s * 1e3)

    def stop(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    def _begin(self) -> None:
        self._due_s = time.monotonic() + TICK_S
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._longest_s = max(self._longest_s, time.monotonic() - self._due_s)
        self._begin()


_meters: list[LagMeter] = []


def on_probe(message: str) -> Lag:
    """Processor of an endpoint that asks for the lag of the loop it runs in; the first message begins the watch."""
    if not _meters:
        _meters.append(LagMeter())
    return _meters[0].take()


def on_beat(message: str) -> None:
    """Processor of an endpoint that has nothing but heartbeats."""
