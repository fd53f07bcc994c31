"""A day lived through with several policies: who carried how much, and what was moved."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Callable, Sequence
from random import Random

from msgspec import Struct

from bench.days.policies import POLICIES, Policy
from bench.days.world import HOUR_S, Settings, World

GOAL = 1.05


class Hour(Struct, frozen=True):
    """Load of the most loaded worker over the mean, in an hour."""

    median: float
    worst: float


class Figures(Struct, frozen=True):
    """One policy's day."""

    median: float
    """Load of the most loaded worker over the mean."""
    most: float
    """What that isn't above for 99 % of the day."""
    most_over_least: float
    """The same of the load over the least that is possible with whole endpoints: the mean, or the heaviest one."""
    worst: float
    within: float
    """The part of the day in which it is not above 1.05."""
    moves_per_hour: float
    moved_per_hour: float
    """Part of the traffic that changes its worker in an hour."""
    planning_median_s: float | None
    """CPU time of one plan; None: it doesn't plan."""
    planning_worst_s: float | None
    hours: list[Hour]


class Day:
    """What is noted about one policy."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.ratios: list[float] = []
        self.over_least: list[float] = []
        self.moves = 0
        self.moved = 0.0

    def note_loads(self, rates: Sequence[float], workers: Sequence[int], count: int) -> None:
        """Take the load of every worker at this moment; those that are lost have none."""
        loads, heaviest = [0.0] * count, [0.0] * count
        for worker, rate in zip(self.policy.where, rates, strict=True):
            loads[worker] += rate
            if rate > heaviest[worker]:
                heaviest[worker] = rate
        there = [loads[worker] for worker in workers]
        mean, highest = sum(there) / len(there), max(there)
        self.ratios.append(highest / mean)
        self.over_least.append(highest / max(mean, max(heaviest[worker] for worker in workers)))

    def note_moves(self, before: Sequence[int], rates: Sequence[float]) -> None:
        """Take what has been moved."""
        after = self.policy.where
        if before != after:
            moved = [rate for old, new, rate in zip(before, after, rates, strict=True) if old != new]
            self.moves += len(moved)
            self.moved += sum(moved) / sum(rates)

    def figures(self, settings: Settings) -> Figures:
        """All of it in a few figures."""
        ratios, planning = self.ratios, self.policy.planning_s
        ticks = max(round(HOUR_S / settings.tick_s), 1)
        hours = [ratios[begin : begin + ticks] for begin in range(0, len(ratios), ticks)]
        return Figures(
            median=statistics.median(ratios),
            most=_most(ratios),
            most_over_least=_most(self.over_least),
            worst=max(ratios),
            within=sum(ratio <= GOAL for ratio in ratios) / len(ratios),
            moves_per_hour=self.moves / settings.hours,
            moved_per_hour=self.moved / settings.hours,
            planning_median_s=statistics.median(planning) if planning else None,
            planning_worst_s=max(planning, default=None),
            hours=[Hour(statistics.median(hour), max(hour)) for hour in hours],
        )


def _most(ratios: Sequence[float]) -> float:
    return sorted(ratios)[min(int(len(ratios) * 0.99), len(ratios) - 1)]


def live(settings: Settings, names: Sequence[str], progress: Callable[[int], None]) -> dict[str, Figures]:
    """Live through a day with some policies.

    Args:
        settings: what the day is like; the same ones make the same day.
        names: of the policies.
        progress: is told the hour, once in each.
    """
    world = World(settings)
    noise = Noise(settings)
    counts = [0] * settings.endpoints
    days = {name: Day(POLICIES[name](world)) for name in names}
    told = 0
    for tick in range(1, round(settings.hours * HOUR_S / settings.tick_s) + 1):
        now = tick * settings.tick_s
        world.advance(now)
        counts = noise.count(counts, world.rates)
        absent = [
            each for each in world.absences if each.begin_s < now and each.end_s > now - settings.tick_s
        ]
        lost = {each.worker for each in absent if each.is_lost and each.end_s > now}
        silent = {each.worker for each in absent}
        workers = [worker for worker in range(settings.workers) if worker not in lost]
        for day in days.values():
            day.note_loads(world.rates, workers, settings.workers)
            before = list(day.policy.where)
            held = (
                frozenset(slot for slot, worker in enumerate(before) if worker in silent)
                if silent
                else frozenset()
            )
            day.policy.plan(now, counts, workers, held)
            day.note_moves(before, world.rates)
        if now >= (told + 1) * HOUR_S:
            told += 1
            progress(told)
    return {name: day.figures(settings) for name, day in days.items()}


class Noise:
    """Counts messages that come at random times: Poisson's, by the normal distribution."""

    SIZE = 1 << 20
    LASTING = 10
    """How strong the noise is follows the rates every so many ticks."""

    def __init__(self, settings: Settings) -> None:
        self._tick_s = settings.tick_s
        self._rng = Random(settings.seed + 1)
        self._kept: list[float] = []
        self._worked_out = 0
        self._table = array("d", (self._rng.gauss(0.0, 1.0) for _ in range(self.SIZE + settings.endpoints)))

    def count(self, counts: Sequence[int], rates: Sequence[float]) -> list[int]:
        """The counts a tick later."""
        begin = self._rng.randrange(self.SIZE)
        table, tick_s, root = self._table[begin : begin + len(counts)], self._tick_s, self._tick_s**0.5
        return [
            count + abs(int(rate * tick_s + noise * root * scatter))
            for count, rate, scatter, noise in zip(counts, rates, self._roots(rates), table, strict=True)
        ]

    def _roots(self, rates: Sequence[float]) -> list[float]:
        """Square roots of the rates, as they were a few ticks ago."""
        if self._worked_out % self.LASTING == 0:
            self._kept = [rate**0.5 for rate in rates]
        self._worked_out += 1
        return self._kept
