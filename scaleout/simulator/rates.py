"""How many messages an endpoint has sent by a given time: Zipf shares, and what changes them."""

from __future__ import annotations

import bisect
import random
from collections.abc import Sequence

from msgspec import Struct


class RateChange(Struct, frozen=True, forbid_unknown_fields=True):
    """From `at_s` on, an endpoint's rate is its first one times `factor`."""

    at_s: float
    factor: float
    endpoint: int | None = None
    """The endpoint's number; without one, all of them."""


def zipf_rates(total: float, count: int, exponent: float) -> list[float]:
    """Rates that sum to `total`, the k-th of them proportional to 1 / k**exponent; 0 makes them equal."""
    weights = [1.0 / rank**exponent for rank in range(1, count + 1)]
    unit = total / sum(weights) if weights else 0.0
    return [unit * weight for weight in weights]


class RateTable:
    """The rates of all endpoints at any time.

    Args:
        rates: the first rates, in messages a second.
        changes: applied in the order of their times; one replaces the factor of an earlier one.
        shuffle_every_s: deal the rates to the endpoints anew so often; 0: never.
        seed: of the dealing.
    """

    def __init__(
        self,
        rates: Sequence[float],
        changes: Sequence[RateChange] = (),
        shuffle_every_s: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._rates = list(rates)
        self._changes = sorted(changes, key=lambda change: change.at_s)
        self._shuffle_every_s = shuffle_every_s
        self._seed = seed
        self._deals: dict[int, list[float]] = {0: self._rates}

    def rate(self, endpoint: int, at_s: float) -> float:
        """The rate of an endpoint, in messages a second."""
        rate = self._deal(at_s)[endpoint]
        factor = 1.0
        for change in self._changes:
            if change.at_s > at_s:
                break
            if change.endpoint is None or change.endpoint == endpoint:
                factor = change.factor
        return rate * factor

    def next_change(self, after_s: float) -> float:
        """The first time after the given one at which a rate may change; infinity where none will."""
        times = [change.at_s for change in self._changes if change.at_s > after_s]
        if self._shuffle_every_s:
            times.append((int(after_s // self._shuffle_every_s) + 1) * self._shuffle_every_s)
        return min(times, default=float("inf"))

    def _deal(self, at_s: float) -> list[float]:
        number = int(at_s // self._shuffle_every_s) if self._shuffle_every_s else 0
        if number not in self._deals:
            dealt = list(self._rates)
            random.Random(f"{self._seed}/{number}").shuffle(dealt)
            self._deals = {0: self._rates, number: dealt}
        return self._deals[number]


class PacedByRate:
    """The messages due on one endpoint, as its rate says."""

    def __init__(self, table: RateTable, endpoint: int, start_s: float = 0.0) -> None:
        self._table = table
        self._endpoint = endpoint
        self._now_s = start_s
        self._position = 0.0
        self._rate = table.rate(endpoint, start_s)
        self._change_s = table.next_change(start_s)

    def due(self, now_s: float) -> int:
        """How many messages should have been sent by then; times must not decrease."""
        while self._change_s <= now_s:
            self._position += self._rate * (self._change_s - self._now_s)
            self._now_s = self._change_s
            self._rate = self._table.rate(self._endpoint, self._now_s)
            self._change_s = self._table.next_change(self._now_s)
        self._position += self._rate * (now_s - self._now_s)
        self._now_s = now_s
        return int(self._position)


class PacedByTimes:
    """The messages due on one endpoint, as the recorded times say.

    Args:
        times_us: of the messages, in microseconds since the first, never decreasing.
        speed: 2 replays in half the time.
        start_s: when the replay begins.
    """

    def __init__(self, times_us: Sequence[int], speed: float = 1.0, start_s: float = 0.0) -> None:
        self._times_us = times_us
        self._speed = speed
        self._start_s = start_s

    def due(self, now_s: float) -> int:
        """How many messages should have been sent by then."""
        return bisect.bisect_right(self._times_us, (now_s - self._start_s) * self._speed * 1e6)
