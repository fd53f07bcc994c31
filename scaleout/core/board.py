"""Who is where under which load, on paper: where moves are tried before they are made."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence

from msgspec import Struct


class Subject(Struct):
    """An endpoint, as far as its placement goes."""

    slot: int
    name: str
    worker: int
    """Where it is."""
    load: float
    """Per second, in the measure that is balanced."""
    host: str = ""
    pinned: int | None = None
    """The one worker it may be in; without effect while there is no such worker."""
    apart: str | None = None
    """Those of one group go to different workers as far as there are enough."""
    movable: bool = True
    """False while it can't be moved: quarantined, paused, being moved."""
    target: int | None = None
    """Where it is being moved to."""


class Move(Struct, frozen=True):
    """An endpoint is to go from one worker to another."""

    slot: int
    source: int
    target: int
    why: str
    """A sentence with names and numbers."""


class Board:
    """The load of every worker and its fair share of the whole.

    The share is the mean, but for what no placement can change: an endpoint that is heavier than the share of
    the others fills a worker by itself, and so do endpoints that are pinned; the mean is that of the rest. So
    a worker has too much only where something could be done about it.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        workers: Sequence[int],
        underway: Mapping[int, int] | None = None,
        resting: Container[int] = frozenset(),
    ) -> None:
        """
        Args:
            subjects: all endpoints; those of workers that are not among `workers` are left out.
            workers: ids of the workers.
            underway: slots that are being moved, and where to, beside those that say so themselves.
            resting: slots that stay where they are.
        """
        self.workers = list(workers)
        self._subjects = subjects
        self._underway = underway or {}
        self._resting = resting
        self._index = {worker: index for index, worker in enumerate(workers)}
        self.loads = [0.0] * len(workers)
        self.marks = [0] * len(workers)
        """Changes with the endpoints of a worker, and with which of them are pinned; says nothing else."""
        self._pinned = [0.0] * len(workers)
        self.astray: list[Subject] = []
        """Pinned to another worker than they are in."""
        self._groups: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._count()
        self.share = 0.0
        self._giants: list[list[Subject]] = [[] for _ in workers]
        self._divide()
        self._present: list[list[Subject]] = []
        self._members: dict[int, list[Subject]] = {}
        self._hosts: dict[int, Counter[str]] = {}

    @property
    def mean(self) -> float:
        """Load of all over the number of workers."""
        return sum(self.loads) / len(self.loads) if self.loads else 0.0

    def excess(self, at: int) -> float:
        """By how much the worker at an index is above its share (negative: below), in shares."""
        if not self.share:
            return 0.0
        if not self._giants[at] and not self._pinned[at]:
            return self.loads[at] / self.share - 1.0
        return (self.loads[at] - self.own(at)) / self.share

    def own(self, at: int, *, without: Subject | None = None) -> float:
        """What a worker may carry: its share, or what fills it by itself."""
        giants = self._giants[at]
        if without is not None and without in giants:
            giants = [each for each in giants if each is not without]
        return max(self.share, self._pinned[at], max((each.load for each in giants), default=0.0))

    def must_stay(self, subject: Subject, at: int) -> bool:
        """Whether it fills its worker by itself, and so is left there: others are moved away from it."""
        return self._giants[at] == [subject] and not self._pinned[at]

    def members(self, at: int) -> list[Subject]:
        """What can be moved away from a worker, the lightest first."""
        found = self._members.get(at)
        if found is None:
            found = [each for each in self._at(at) if self._is_free(each) and self._is_here(each)]
            found.sort(key=_weight)
            self._members[at] = found
        return found

    def is_allowed(self, subject: Subject, to: int) -> bool:
        """Whether a worker may take an endpoint: one of its group is not there, or there are more than workers."""
        if subject.apart is None:
            return True
        group = self._groups[subject.apart]
        return group[to] < -(-group.total() // len(self.workers))

    def group(self, subject: Subject, at: int) -> int:
        """How many of an endpoint's group a worker has."""
        return self._groups[subject.apart][at] if subject.apart is not None else 0

    def crowd(self, host: str, at: int) -> int:
        """How many endpoints of a host a worker has."""
        counts = self._hosts.get(at)
        if counts is None:
            counts = self._hosts[at] = Counter(each.host for each in self._at(at))
        return counts[host]

    def crowded(self) -> list[tuple[Subject, int]]:
        """Endpoints that could be apart from others of their group and aren't, with the index they are at."""
        found = []
        for name, group in self._groups.items():
            most = -(-group.total() // len(self.workers))
            for at, count in group.items():
                mine = [each for each in self.members(at) if each.apart == name] if count > most else []
                found += [(each, at) for each in mine[: count - most]]
        return found

    def move(self, subject: Subject, source: int, target: int) -> None:
        """Make a move on paper."""
        self.loads[source] -= subject.load
        self.loads[target] += subject.load
        for at, sign in ((source, -1), (target, 1)):
            self.marks[at] += sign * self._mark(subject, at)
            if subject.apart is not None:
                self._groups[subject.apart][at] += sign
            if at in self._hosts:
                self._hosts[at][subject.host] += sign
        if subject in self._giants[source]:
            self._giants[source].remove(subject)
            self._giants[target].append(subject)
        if subject.pinned == self.workers[target]:
            self._pinned[target] += subject.load
        self._members[source] = [each for each in self.members(source) if each is not subject]

    def index(self, worker: int | None) -> int | None:
        """Where a worker stands in the lists; None: it isn't there."""
        return None if worker is None else self._index.get(worker)

    def _place(self, subject: Subject) -> int:
        going = self._underway.get(subject.slot, subject.target)
        return subject.worker if going is None else going

    def _count(self) -> None:
        index, loads, marks, underway = self._index, self.loads, self.marks, self._underway
        for subject in self._subjects:
            going = subject.target
            if underway and subject.slot in underway:
                going = underway[subject.slot]
            at = index.get(subject.worker if going is None else going)
            if at is None:
                continue
            loads[at] += subject.load
            marks[at] += self._mark(subject, at)
            if subject.pinned is not None and subject.pinned in index:
                if index[subject.pinned] == at:
                    self._pinned[at] += subject.load
                elif self._is_here(subject):
                    self.astray.append(subject)
            if subject.apart is not None:
                self._groups[subject.apart][at] += 1

    def _mark(self, subject: Subject, at: int) -> int:
        is_fixed = subject.pinned is not None and subject.pinned == self.workers[at]
        return -1 - subject.slot if is_fixed else subject.slot + 1

    def _divide(self) -> None:
        """Find the share: take away what fills a worker until nothing does."""
        total, count = sum(self.loads), len(self.workers)
        if total <= 0:
            return
        heavy = max((each.load for each in self._subjects), default=0.0)
        if max(heavy, max(self._pinned)) > total / count:
            units = [load for load in self._pinned if load > 0]
            units += (each.load for each in self._subjects if self._is_counted(each))
            for unit in heapq.nlargest(count - 1, units):
                if unit <= total / count:
                    break
                total, count = total - unit, count - 1
        self.share = max(total, 0.0) / count
        if heavy > self.share:
            for each in self._subjects:
                if each.load > self.share and self._is_counted(each):
                    self._giants[self._index[self._place(each)]].append(each)

    def _is_counted(self, subject: Subject) -> bool:
        return self._is_free(subject) and self._place(subject) in self._index

    def _is_free(self, subject: Subject) -> bool:
        return subject.pinned is None or subject.pinned not in self._index

    def _is_here(self, subject: Subject) -> bool:
        return (
            subject.movable
            and subject.target is None
            and subject.slot not in self._underway
            and subject.slot not in self._resting
        )

    def _at(self, at: int) -> list[Subject]:
        """All endpoints of a worker when the board was laid out."""
        if not self._present:
            self._present = [[] for _ in self.workers]
            for each in self._subjects:
                index = self._index.get(self._place(each))
                if index is not None:
                    self._present[index].append(each)
        return self._present[at]


def lightest(board: Board, count: int, but: Iterable[int] = ()) -> list[int]:
    """The indexes of the workers with the most room."""
    left_out = set(but)
    return heapq.nsmallest(
        count, (at for at in range(len(board.workers)) if at not in left_out), key=board.excess
    )


def _weight(subject: Subject) -> tuple[float, int]:
    return subject.load, subject.slot
