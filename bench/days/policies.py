"""What places endpoints on the synthetic days: scaleout, and three others beside it."""

from __future__ import annotations

import hashlib
import heapq
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count, repeat
from typing import Protocol

from bench.days.world import World
from scaleout.core.board import Move, Subject
from scaleout.core.filling import evacuate, place_all
from scaleout.core.placement import Planner
from scaleout.core.rates import Load, Rates

MOVE_S = 5.0
"""What a move takes: the next ones begin when those that run at once are done."""


class Policy(Protocol):
    """Where endpoints are, by worker, and what that costs."""

    where: list[int]
    planning_s: list[float]

    def plan(self, now: float, counts: Sequence[int], workers: Sequence[int], held: frozenset[int]) -> None:
        """Set `where` to what it is by the next tick.

        Args:
            now: seconds of the day.
            counts: messages since the start, by slot.
            workers: those that are there, or back in a moment.
            held: slots without service.
        """


class Measured:
    """Rates from counts, with the code that measures in a run; begins with the true ones, as after a restart."""

    def __init__(self, world: World) -> None:
        self.rates = Rates()
        for slot, rate in enumerate(world.rates):
            self.rates.restore(slot, Load(messages=rate))

    def look(self, now: float, counts: Sequence[int], held: frozenset[int]) -> None:
        """Take the counts of this moment."""
        self.rates.look(now, dict(enumerate(zip(counts, repeat(0), repeat(0)))), held)


class Scaleout:
    """Pressure by worker, few moves that fit; an endpoint is where it goes to by the next tick."""

    def __init__(self, world: World) -> None:
        self._measured = Measured(world)
        self._planner = Planner()
        self._tick_s = world.settings.tick_s
        self._there = set(range(world.settings.workers))
        self._subjects = [
            Subject(slot, f"e{slot}", -1, rate, host=f"h{host}")
            for slot, (rate, host) in enumerate(zip(world.rates, world.hosts, strict=True))
        ]
        placement = place_all(self._subjects, range(world.settings.workers))
        self.where = [placement[subject.slot] for subject in self._subjects]
        for subject in self._subjects:
            subject.worker = placement[subject.slot]
        self.planning_s: list[float] = []

    def plan(self, now: float, counts: Sequence[int], workers: Sequence[int], held: frozenset[int]) -> None:
        self._measured.look(now, counts, held)
        subjects = self._subjects
        for slot, load in self._measured.rates.known("messages"):
            subjects[slot].load = load
        until = now + self._tick_s
        there = set(workers)
        gone = self._there - there
        self._there = there
        begun = time.process_time()
        moves = [move for worker in sorted(gone) for move in evacuate(subjects, worker, workers)]
        for move in moves:
            self._make(move, now)
        while now < until:
            moves = self._planner.plan(now, subjects, workers, 0)
            self.planning_s.append(time.process_time() - begun)
            if not moves:
                break
            for move in moves:
                self._make(move, now)
            now += MOVE_S
            begun = time.process_time()

    def _make(self, move: Move, now: float) -> None:
        self._subjects[move.slot].worker = self.where[move.slot] = move.target
        self._planner.note_moved(move.slot, now)


class RoundRobin:
    """The next endpoint to the next worker; those of one that is lost in turn to those that are there."""

    def __init__(self, world: World) -> None:
        self._workers = list(range(world.settings.workers))
        self._homes = [slot % len(self._workers) for slot in range(world.settings.endpoints)]
        self.where = list(self._homes)
        self.planning_s: list[float] = []

    def plan(self, now: float, counts: Sequence[int], workers: Sequence[int], held: frozenset[int]) -> None:
        lost = set(self._workers) - set(workers)
        self.where = [
            workers[slot // len(self._workers) % len(workers)] if home in lost else home
            for slot, home in enumerate(self._homes)
        ]


class Rendezvous:
    """The worker whose hash with the endpoint's name is the highest.

    Highest first, the workers are in random order for each endpoint; it is drawn only as far as it is needed.
    """

    def __init__(self, world: World) -> None:
        self._workers = list(range(world.settings.workers))
        self._homes = [self._nth(slot, 0) for slot in range(world.settings.endpoints)]
        self.where = list(self._homes)
        self.planning_s: list[float] = []

    def plan(self, now: float, counts: Sequence[int], workers: Sequence[int], held: frozenset[int]) -> None:
        lost = set(self._workers) - set(workers)
        self.where = [
            next(each for nth in count(1) if (each := self._nth(slot, nth)) not in lost)
            if home in lost
            else home
            for slot, home in enumerate(self._homes)
        ]

    def _nth(self, slot: int, nth: int) -> int:
        digest = hashlib.blake2b(f"e{slot} {nth}".encode(), digest_size=8).digest()
        return self._workers[int.from_bytes(digest) % len(self._workers)]


class Greedy:
    """Places all endpoints afresh in every tick."""

    def __init__(self, world: World) -> None:
        self._measured = Measured(world)
        self.where = _listed(place(dict(enumerate(world.rates)), range(world.settings.workers)))
        self.planning_s: list[float] = []

    def plan(self, now: float, counts: Sequence[int], workers: Sequence[int], held: frozenset[int]) -> None:
        self._measured.look(now, counts, held)
        weights = dict(self._measured.rates.known("messages"))
        begun = time.process_time()
        placement = place(weights, workers)
        self.planning_s.append(time.process_time() - begun)
        self.where = _listed(placement)


def place(weights: Mapping[int, float], workers: Sequence[int]) -> dict[int, int]:
    """Spread slots over workers, heaviest first, each to the least loaded worker.

    The greedy rule (longest processing time first; Graham, 1969) is at most a third above the best possible load.

    Args:
        weights: each slot's weight.
        workers: ids of the workers; at least one.

    Returns:
        Each slot's worker. Equal weights are spread evenly, and the same input gives the same placement.
    """
    loads = [(0.0, 0, worker) for worker in workers]
    heapq.heapify(loads)
    placement: dict[int, int] = {}
    for slot in sorted(weights, key=lambda slot: (-weights[slot], slot)):
        load, count, worker = heapq.heappop(loads)
        placement[slot] = worker
        heapq.heappush(loads, (load + weights[slot], count + 1, worker))
    return placement


def _listed(placement: Mapping[int, int]) -> list[int]:
    return [placement[slot] for slot in range(len(placement))]


POLICIES: dict[str, Callable[[World], Policy]] = {
    "scaleout": Scaleout,
    "round-robin": RoundRobin,
    "rendezvous": Rendezvous,
    "greedy": Greedy,
}
