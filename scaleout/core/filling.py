"""Endpoints given to workers all at once: at the start, and when a worker goes."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence

from scaleout.core.board import Move, Subject


def place_all(subjects: Iterable[Subject], workers: Sequence[int]) -> dict[int, int]:
    """Spread endpoints over workers from nothing: by that rule, with pins, groups and hosts.

    Args:
        subjects: the endpoints with the loads to expect; where they are doesn't matter.
        workers: ids of the workers; at least one.

    Returns:
        Each slot's worker.
    """
    subjects = list(subjects)
    filling = Filling(workers, subjects)
    pinned = [each for each in subjects if each.pinned in filling.workers]
    for each in pinned:
        assert each.pinned is not None
        filling.add(each, each.pinned)
    placement = {each.slot: each.pinned for each in pinned if each.pinned is not None}
    for each in sorted(subjects, key=_heaviest_first):
        if each.slot not in placement:
            placement[each.slot] = filling.put(each)
    return placement


def evacuate(subjects: Sequence[Subject], worker: int, workers: Sequence[int]) -> list[Move]:
    """Where the endpoints of a worker that retires go, the heaviest first.

    Args:
        subjects: all endpoints.
        worker: the one that retires.
        workers: ids of the workers; it may be among them. Without any other there is no move.
    """
    others = [each for each in workers if each != worker]
    if not others:
        return []
    filling = Filling(others, subjects)
    leaving = []
    for each in subjects:
        at = each.worker if each.target is None else each.target
        if at != worker:
            filling.add(each, at)
        elif each.worker == worker:
            leaving.append(each)
    moves = []
    for each in sorted(leaving, key=_heaviest_first):
        target = each.pinned if each.pinned in filling.workers else None
        target = filling.put(each) if target is None else filling.add(each, target)
        why = f"{each.name} from worker {worker} to {target}: worker {worker} retires"
        moves.append(Move(each.slot, worker, target, why))
    return moves


class Filling:
    """Workers that are filled one endpoint after another, each put where the least is."""

    SLACK = 0.005
    """Workers whose loads differ by no more (in shares) are as good: the hosts decide."""
    ALIKE = 4
    """How many of those are looked at."""

    def __init__(self, workers: Sequence[int], subjects: Iterable[Subject]) -> None:
        """
        Args:
            workers: their ids, all empty.
            subjects: all endpoints that there are.
        """
        self.workers = frozenset(workers)
        self._loads = dict.fromkeys(workers, (0.0, 0))
        self._heap: list[tuple[float, int, int]] | None = None
        self._hosts: Counter[tuple[int, str]] = Counter()
        self._groups: Counter[tuple[int, str]] = Counter()
        total, sizes = 0.0, Counter[str]()
        for each in subjects:
            total += each.load
            if each.apart is not None:
                sizes[each.apart] += 1
        self._slack = self.SLACK * total / len(workers)
        self._most = {group: -(-size // len(workers)) for group, size in sizes.items()}

    def add(self, subject: Subject, worker: int) -> int:
        """Count an endpoint where it is; that worker."""
        if worker in self._loads:
            load, count = self._loads[worker]
            self._loads[worker] = load + subject.load, count + 1
            self._count(subject, worker)
            self._heap = None
        return worker

    def put(self, subject: Subject) -> int:
        """Find a worker for an endpoint."""
        if self._heap is None:
            self._heap = [(load, count, worker) for worker, (load, count) in self._loads.items()]
            heapq.heapify(self._heap)
        heap = self._heap
        taken: list[tuple[float, int, int]] = []
        best: tuple[float, int, int] | None = None
        fewest = -1
        while heap and len(taken) < self.ALIKE + (len(self.workers) if best is None else 0):
            entry = heapq.heappop(heap)
            taken.append(entry)
            if best is not None and entry[0] > best[0] + self._slack:
                break
            if not self._is_allowed(subject, entry[2]):
                continue
            there = self._hosts[entry[2], subject.host] if subject.host else 0
            if best is None or there < fewest:
                best, fewest = entry, there
            if not there:
                break
        chosen = best if best is not None else min(taken)
        load, count, worker = chosen
        for entry in taken:
            heapq.heappush(heap, entry if entry is not chosen else (load + subject.load, count + 1, worker))
        self._loads[worker] = load + subject.load, count + 1
        self._count(subject, worker)
        return worker

    def _is_allowed(self, subject: Subject, worker: int) -> bool:
        return subject.apart is None or self._groups[worker, subject.apart] < self._most[subject.apart]

    def _count(self, subject: Subject, worker: int) -> None:
        if subject.host:
            self._hosts[worker, subject.host] += 1
        if subject.apart is not None:
            self._groups[worker, subject.apart] += 1


def _heaviest_first(subject: Subject) -> tuple[float, int]:
    return -subject.load, subject.slot
