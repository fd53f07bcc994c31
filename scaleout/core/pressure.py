"""When a worker has had too much for too long: a sum of excess over time, against the swings it has anyway.

The sum is Page's (CUSUM, 1954): what is above the allowance adds to it, what is below takes from it, and it never
falls under zero. So much is acted on at once, little after a while, and what only swings about is let be. The
allowance grows with how far the worker's excess has lately been from its own average, on both sides: what only
rises is a shift, and no swing. What rises is taken for what it will be in a moment, as measuring lags behind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

AVERAGE_HALF_LIFE_S = 60.0
SWING_HALF_LIFE_S = 240.0
FIRST_SWING = 0.03
"""What is taken for the swing until it has been seen."""
FIRST_SWING_S = 10.0
"""For how long of seeing that guess counts."""
LONGEST_STEP_S = 60.0
SETTLED = 0.05
"""With no more excess than that, in shares, a worker that has just been relieved is left alone; with more, what
relieves it may cost ever more."""
RISE_HALF_LIFE_S = 20.0
"""What a worker's excess is above its average of so recent a time is a rise, and soon comes once more."""


class Gauge(Struct):
    """One worker's state."""

    excess: float
    mark: int
    average: float
    recent: float = 0.0
    """A shorter average."""
    above: float = FIRST_SWING**2 / 2
    """Mean square of what it is above its average by."""
    below: float = FIRST_SWING**2 / 2
    average_weight: float = 0.0
    recent_weight: float = 0.0
    swing_weight: float = 1.0 - 2.0 ** (-FIRST_SWING_S / SWING_HALF_LIFE_S)
    ahead: float = 0.0
    """What its excess will soon be higher by, as it rises."""
    sum: float = 0.0
    """Shares times seconds."""
    lasting_s: float = 0.0
    """For how long it has been above what is settled."""

    @property
    def swing(self) -> float:
        """Standard deviation of the excess, by the side on which it is less."""
        return math.sqrt(2.0 * min(self.above, self.below))


class Pressure:
    """Watches the excess of all workers."""

    def __init__(self, allowance: float, swings: float, patience: float) -> None:
        """
        Args:
            allowance: excess that is let be, in shares.
            swings: standard deviations of a worker's own swings that are let be besides.
            patience: shares times seconds that add up before anything is done.
        """
        self._allowance, self._swings, self._patience = allowance, swings, patience
        self._gauges: dict[int, Gauge] = {}
        self._now: float | None = None

    def look(
        self, now: float, workers: Sequence[int], excesses: Sequence[float], marks: Sequence[int]
    ) -> list[int]:
        """Take the excesses of this moment.

        Args:
            now: of a monotonic clock, in seconds.
            workers: their ids.
            excesses: of each, in shares.
            marks: of each; a different one says that its endpoints are others, so that a jump is no swing.

        Returns:
            The indexes of those that have had too much for too long.
        """
        step = 0.0 if self._now is None else min(max(now - self._now, 0.0), LONGEST_STEP_S)
        self._now = now
        are_others = self._gauges.keys() != set(workers)
        average_part = 1.0 - 2.0 ** (-step / AVERAGE_HALF_LIFE_S)
        swing_part = 1.0 - 2.0 ** (-step / SWING_HALF_LIFE_S)
        recent_part = 1.0 - 2.0 ** (-step / RISE_HALF_LIFE_S)
        gauges, self._gauges = self._gauges, {}
        found = []
        for at, worker in enumerate(workers):
            excess = excesses[at]
            gauge = gauges.get(worker)
            if gauge is None:
                gauge = Gauge(excess, marks[at], excess, excess)
            elif step:
                if are_others or marks[at] != gauge.mark:
                    _shift(gauge, excess)
                rise = excess - gauge.recent if gauge.recent_weight else 0.0
                self._learn(gauge, excess, average_part, recent_part, swing_part)
                allowed = self._swings * gauge.swing
                gauge.ahead = max(rise - allowed, 0.0)
                gauge.sum += (excess + gauge.ahead - self._allowance - allowed) * step
                gauge.sum = min(max(gauge.sum, 0.0), 2 * self._patience)
                gauge.lasting_s = gauge.lasting_s + step if excess > SETTLED else 0.0
            gauge.excess, gauge.mark = excess, marks[at]
            self._gauges[worker] = gauge
            if gauge.sum >= self._patience:
                found.append(at)
        return found

    def moved(self, worker: int, excess: float, mark: int) -> None:
        """A worker's endpoints are others by a move: what that makes of its excess is no swing."""
        gauge = self._gauges.get(worker)
        if gauge is not None:
            _shift(gauge, excess)
            gauge.excess, gauge.mark, gauge.lasting_s = excess, mark, 0.0

    def calm(self, worker: int) -> None:
        """All has been done for a worker that can be: it begins anew."""
        if worker in self._gauges:
            self._gauges[worker].sum = 0.0

    def ahead(self, worker: int) -> float:
        """What a worker's excess will soon be higher by, in shares."""
        gauge = self._gauges.get(worker)
        return gauge.ahead if gauge is not None else 0.0

    def lasting_s(self, worker: int) -> float:
        """For how long a worker has had far too much, and nothing has been moved, in seconds."""
        gauge = self._gauges.get(worker)
        return gauge.lasting_s if gauge is not None else 0.0

    @staticmethod
    def _learn(
        gauge: Gauge, excess: float, average_part: float, recent_part: float, swing_part: float
    ) -> None:
        off = excess - gauge.average
        gauge.average_weight += (1.0 - gauge.average_weight) * average_part
        gauge.average += off * average_part / gauge.average_weight
        gauge.recent_weight += (1.0 - gauge.recent_weight) * recent_part
        gauge.recent += (excess - gauge.recent) * recent_part / gauge.recent_weight
        gauge.swing_weight += (1.0 - gauge.swing_weight) * swing_part
        part = swing_part / gauge.swing_weight
        above, below = (off * off, 0.0) if off > 0 else (0.0, off * off)
        gauge.above += (above - gauge.above) * part
        gauge.below += (below - gauge.below) * part


def _shift(gauge: Gauge, excess: float) -> None:
    """The excess is another one because the endpoints are."""
    gauge.average += excess - gauge.excess
    gauge.recent += excess - gauge.excess
