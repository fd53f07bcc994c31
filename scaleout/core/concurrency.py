"""How many calls of an async processor may run at once: hill climbing on throughput.

As the thread pool of .NET does it: change the limit, see what that does to the throughput, keep what helped. The
throughput comes from Little's law (calls at once / mean latency), as in TCP Vegas and in Netflix' concurrency
limits, because latencies tell sooner and more evenly than counts of completions, which come in bursts. No latency
is taken for the natural one: limits are only compared with each other, tried one after the other, and a comparison
goes on until its outcome is more than chance.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, sqrt

START = 10
"""The first limit: it doubles from there for as long as that is worth it."""
UP, DOWN = 1.5, 0.75
"""What the limit is multiplied by when a larger or a smaller one is tried later."""
WORTH = 1 / 3
"""A limit larger by a factor f must raise the throughput by f ** WORTH, or the smaller one is preferred."""
QUICK_S = 0.005
"""Shorter latencies count as this one: nothing would be won by shortening them."""
FEWEST_CALLS = 16
"""Fewer say nothing about a mean."""
ENDED_SHARE = 0.9
"""Of the calls that began together: with so many of them ended, the rest is not waited for."""
CERTAIN = 3.0
"""Standard errors that make a difference more than chance."""
FAIRLY_CERTAIN = 2.0
"""The same for the first climb, which takes the largest steps and is to be quick."""
MOST_COHORTS = 16
"""After so many times the calls at once, a comparison is decided by what is seen, however uncertain."""
REST_S = 1.0
REST_ROUNDS = 10
"""How long a limit is kept until another one is tried: in seconds and in latencies, the longer of both."""
LONGEST_REST = 32
"""Times that, after trials that led to nothing."""
FORGET_S = 10.0
"""After so long without a queue, what was measured before is no measure any more."""


class Phase(enum.Enum):
    """What the present limit is."""

    CLIMBING = "climbing"
    """Larger than the best one known, to see whether that is worth it."""
    DESCENDING = "descending"
    """Smaller than the best one known, to see whether that costs anything."""
    RESTING = "resting"
    """The best one known."""


@dataclass(frozen=True)
class Measure:
    """What calls at a limit have shown."""

    limit: int
    latency_s: float
    """Mean time spent for each call that came to an end of its own."""
    error: float
    """Standard error of that mean, relative to it."""

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.limit / self.latency_s


class Cohorts:
    """Latencies of calls that began together, so that the quick ones aren't counted ahead of the slow ones.

    Args:
        limit: calls at once; so many at least are a cohort.
        now: calls that begin from here on are looked at.
        begun: how many calls have ever begun.
    """

    def __init__(self, limit: int, now: float, begun: int) -> None:
        self._limit = limit
        self._size = max(FEWEST_CALLS, limit)
        self._count = 0
        self._useful = 0
        self._sum = 0.0
        self._squares = 0.0
        self.complete = 0
        """Cohorts of which enough has ended."""
        self._open(now, begun)

    def _open(self, now: float, begun: int) -> None:
        self._since, self._until = now, inf
        self._begun_before = begun
        self._count_before = self._count
        self._missing = inf

    def add(self, now: float, begun: int, ended: Sequence[float], given_up: Sequence[float]) -> bool:
        """Take note of calls that are over just now, by their starts; whether they complete a cohort."""
        if self._until == inf and begun - self._begun_before >= self._size:
            self._until = now
            early = self._count - self._count_before
            self._missing = ENDED_SHARE * (begun - self._begun_before) - early
        since, until = self._since, self._until
        latencies = [now - start for start in ended if since <= start < until]
        in_vain = [now - start for start in given_up if since <= start < until]
        self._missing -= len(latencies) + len(in_vain)
        self._useful += len(latencies)
        self._count += len(latencies) + len(in_vain)
        self._sum += sum(latencies) + sum(in_vain)
        self._squares += sum([latency * latency for latency in latencies + in_vain])
        if self._missing > 0:
            return False
        self.complete += 1
        self._open(now, begun)
        return True

    def measure(self) -> Measure:
        """What all of them have shown together."""
        mean = self._sum / self._count
        cost = self._sum / max(1, self._useful)
        if cost <= QUICK_S:
            return Measure(self._limit, QUICK_S, 0.0)
        variance = max(0.0, self._squares / self._count - mean * mean)
        return Measure(self._limit, cost, sqrt(variance / self._count) / mean)


class ConcurrencyLimit:
    """The limit of calls at once, between 1 and a maximum; it changes only while messages wait.

    Args:
        maximum: of the limit.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.limit = min(START, maximum)
        self.phase = Phase.CLIMBING
        self._best: Measure | None = None
        self._has_overshot = False
        self._went_up = True
        self._fruitless = 0
        self._rest_until = -inf
        self._queue_seen_at = -inf
        self._cohorts: Cohorts | None = None

    def __repr__(self) -> str:
        return f"<ConcurrencyLimit {self.limit} of {self.maximum}, {self.phase.value}>"

    def observe(
        self, now: float, is_queuing: bool, begun: int, ended: Sequence[float], given_up: Sequence[float] = ()
    ) -> None:
        """Take note of calls that are over just now.

        Args:
            now: a monotonic clock, in seconds.
            is_queuing: whether messages wait although as many calls as the limit allows are under way.
            begun: how many calls have ever begun.
            ended: when each of those that have ended began.
            given_up: when each of those that took too long, and led to nothing, began.
        """
        if not is_queuing or self.maximum == 1:
            self._cohorts = None
            return
        if now - self._queue_seen_at > FORGET_S:
            self._best = None
            self.phase = Phase.CLIMBING
        self._queue_seen_at = now
        cohorts = self._cohorts
        if cohorts is None or (cohorts.add(now, begun, ended, given_up) and self._judge(now, cohorts)):
            self._cohorts = Cohorts(self.limit, now, begun)

    def _judge(self, now: float, cohorts: Cohorts) -> bool:
        """Decide on what was measured; False where it takes more to decide."""
        seen, best = cohorts.measure(), self._best
        is_enough = cohorts.complete >= MOST_COHORTS
        if best is None:
            self._accept(now, seen)
            return True
        if self.phase is Phase.RESTING:
            return self._watch(now, seen, best) or is_enough
        # Positive where the limit tried is to be preferred.
        lead = log(seen.rate / best.rate) - WORTH * log(seen.limit / best.limit)
        certain = CERTAIN if self._has_overshot else FAIRLY_CERTAIN
        if abs(lead) < _chance(certain, seen, best) and not is_enough:
            return False
        if lead >= 0:
            self._accept(now, seen)
        else:
            self._reject(now, best)
        return True

    def _accept(self, now: float, seen: Measure) -> None:
        """This limit is the best known; go on in the same direction."""
        self._best = seen
        self._fruitless = 0
        if self.phase is Phase.DESCENDING:
            self._descend(now, seen)
        else:
            self._climb(now, seen)

    def _reject(self, now: float, best: Measure) -> None:
        """Go back; if that is where it all began, a smaller limit may do as well."""
        self.limit = best.limit
        if self.phase is Phase.CLIMBING and not self._has_overshot:
            self._has_overshot = True
            self._descend(now, best)
        else:
            self._fruitless += 1
            self._rest(now, best)

    def _climb(self, now: float, best: Measure) -> None:
        self._went_up = True
        factor = UP if self._has_overshot else 2.0
        self._try(
            now, best, Phase.CLIMBING, min(self.maximum, max(self.limit + 1, round(self.limit * factor)))
        )

    def _descend(self, now: float, best: Measure) -> None:
        self._went_up = False
        smaller = max(1, min(self.limit - 1, round(self.limit * DOWN)))
        self._try(now, best, Phase.DESCENDING, self.limit if best.latency_s <= QUICK_S else smaller)

    def _try(self, now: float, best: Measure, phase: Phase, limit: int) -> None:
        if limit == self.limit:
            self._rest(now, best)
        else:
            self.phase = phase
            self.limit = limit

    def _rest(self, now: float, best: Measure) -> None:
        self.phase = Phase.RESTING
        shortest = max(REST_S, REST_ROUNDS * best.latency_s)
        self._rest_until = now + shortest * min(LONGEST_REST, 2**self._fruitless)

    def _watch(self, now: float, seen: Measure, best: Measure) -> bool:
        """Try another limit when it is time to, or as soon as the latency isn't what it was; whether it did."""
        change = log(seen.latency_s / best.latency_s)
        has_changed = abs(change) > max(log(UP), _chance(CERTAIN, seen, best))
        if now < self._rest_until and not has_changed:
            return False
        self._best = seen
        if has_changed:
            self._fruitless = 0
        goes_up = change < 0 if has_changed else not self._went_up
        if (goes_up and self.limit < self.maximum) or self.limit == 1:
            self._climb(now, seen)
        else:
            self._descend(now, seen)
        return True


def _chance(certain: float, one: Measure, other: Measure) -> float:
    """How far the logarithms of two measures may be apart by chance."""
    return certain * sqrt(one.error**2 + other.error**2)
