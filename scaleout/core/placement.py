"""Which endpoints move to which worker, as the measured loads ask for it: a few at a time, none for noise."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from msgspec import Struct

from scaleout.core.board import Board, Move, Subject
from scaleout.core.choosing import Choice, Costs, choose
from scaleout.core.pressure import SETTLED, Pressure
from scaleout.core.rates import Measure, say_load

OVERDUE_S = 60.0
"""A move of which nothing is seen or heard for so long is no longer counted on."""
LASTING_S = 120.0
"""What has lasted so long is taken to go on for twice as long as what has just come, and so on in proportion:
relief may cost so much more."""
LASTING_MOST = 8.0
"""In proportion up to here."""


class Limits(Struct, frozen=True):
    """When endpoints are moved, and how many."""

    tolerance: float = 0.02
    """How far above its share a worker may stay for good, in shares."""
    swings: float = 3.0
    """How many standard deviations of a worker's own swings are let be besides."""
    patience: float = 0.2
    """What is above that adds up to so many shares times seconds before anything is moved: 20 % for a second,
    2 % for ten."""
    at_once: int = 8
    """Moves that run at the same time."""
    per_minute: int = 60
    cooldown_s: float = 60.0
    """For how long an endpoint stays where it has been moved; twice as long after each move that failed or was
    uncertain."""
    longest_cooldown_s: float = 3600.0
    costs: Costs = Costs()


class _Step(Struct):
    """A move on the board."""

    subject: Subject
    source: int
    target: int
    why: str


class _Record(Struct):
    """What has become of an endpoint's moves."""

    until: float = 0.0
    strikes: int = 0


class Planner:
    """Finds the moves that are due, a few at a time, and remembers what has become of them.

    Every move it has returned is to be followed by one of the `note_…` methods.
    Until then the endpoint counts as being where it goes to.
    """

    def __init__(self, limits: Limits | None = None, measure: Measure = "messages") -> None:
        """
        Args:
            limits: when endpoints are moved, and how many.
            measure: what the loads are, for the sentences.
        """
        self.limits = limits if limits is not None else Limits()
        self._measure: Measure = measure
        self._pressure = Pressure(self.limits.tolerance, self.limits.swings, self.limits.patience)
        self._records: dict[int, _Record] = {}
        self._underway: dict[int, tuple[int, float]] = {}
        self._moved: deque[float] = deque()

    def plan(
        self, now: float, subjects: Sequence[Subject], workers: Sequence[int], moving: int
    ) -> list[Move]:
        """The moves to begin at this moment.

        Args:
            now: of a monotonic clock, in seconds.
            subjects: all endpoints with what has been measured of them.
            workers: ids of the workers that take endpoints; not those that retire.
            moving: moves that are running.
        """
        self._settle(now, subjects)
        if len(workers) == 0:
            return []
        resting = {slot for slot in self._records if self.is_cooling(slot, now)}
        board = Board(subjects, workers, {slot: to for slot, (to, _) in self._underway.items()}, resting)
        excesses = [board.excess(at) for at in range(len(workers))]
        pressed = self._pressure.look(now, workers, excesses, board.marks)
        room = min(self.limits.at_once - moving, self.limits.per_minute - len(self._moved))
        moves: list[Move] = []
        for steps in self._due(board, pressed) if room > 0 else ():
            if len(moves) + len(steps) > room:
                break
            for step in steps:
                moves.append(self._begin(now, board, step))
        return moves

    def _begin(self, now: float, board: Board, step: _Step) -> Move:
        board.move(step.subject, step.source, step.target)
        for at in (step.source, step.target):
            self._pressure.moved(board.workers[at], board.excess(at), board.marks[at])
        self._underway[step.subject.slot] = (board.workers[step.target], now)
        self._moved.append(now)
        return Move(step.subject.slot, board.workers[step.source], board.workers[step.target], step.why)

    def note_moved(self, slot: int, now: float) -> None:
        """A move is done, by whomever: the endpoint stays there for a while."""
        self._underway.pop(slot, None)
        self._records[slot] = _Record(now + self.limits.cooldown_s)

    def note_failed(self, slot: int, now: float) -> None:
        """A move was given up: the endpoint is where it was, and is tried again after twice as long each time."""
        self._underway.pop(slot, None)
        record = self._records.setdefault(slot, _Record())
        record.strikes += 1
        pause_s = self.limits.cooldown_s * 2.0 ** min(record.strikes, 30)
        record.until = now + min(pause_s, self.limits.longest_cooldown_s)

    def note_refused(self, slot: int) -> None:
        """A move was not even begun."""
        self._underway.pop(slot, None)

    def note_uncertain(self, slot: int, now: float) -> None:
        """A move is done, and nobody knows whether something was lost: it is moved ever more rarely."""
        self.note_failed(slot, now)

    def is_cooling(self, slot: int, now: float) -> bool:
        """Whether an endpoint is to stay where it is for a while."""
        record = self._records.get(slot)
        return record is not None and now < record.until

    def _due(self, board: Board, pressed: list[int]) -> Iterator[list[_Step]]:
        """What to move, the most urgent first; each is tried on the board before the next is asked for."""
        for subject in board.astray:
            source, target = board.index(subject.worker), board.index(subject.pinned)
            if source is not None and target is not None:
                yield [self._step(board, subject, source, target, "it is pinned there")]
        for subject, source in board.crowded():
            target = min(
                range(len(board.workers)), key=lambda at: (board.group(subject, at), board.excess(at))
            )
            why = f"away from others of {subject.apart}"
            yield [self._step(board, subject, source, target, why)]
        limits = self.limits
        for source in sorted(pressed, key=board.excess, reverse=True):
            ahead = self._pressure.ahead(board.workers[source])
            costs, back = self._effort(board.workers[source])
            enough = limits.tolerance
            while board.excess(source) > max(enough - ahead, 0.0):
                choice = choose(board, source, costs, ahead, back=back)
                if choice is None:
                    break
                yield self._steps(board, source, choice)
                ahead, enough = 0.0, max(enough, SETTLED)
            self._pressure.calm(board.workers[source])

    def _effort(self, worker: int) -> tuple[Costs, int]:
        """What relief may cost, and how many endpoints may come back for it, as long as it has been wanted."""
        limits = self.limits
        lasting = 1.0 + self._pressure.lasting_s(worker) / LASTING_S
        back = min(limits.at_once, limits.per_minute) - 1
        return limits.costs.over(min(lasting, LASTING_MOST)), back if lasting > 2.0 else min(back, 1)

    def _steps(self, board: Board, source: int, choice: Choice) -> list[_Step]:
        subject, target, back = choice.subject, choice.target, choice.back
        before = board.loads[source]
        after = before - subject.load + sum(each.load for each in back)
        mean = board.mean
        why = (
            f"worker {board.workers[source]} carries {before / mean:.2f} of the mean, then {after / mean:.2f}"
        )
        if not back:
            return [self._step(board, subject, source, target, why)]
        what = ", ".join(each.name for each in back)
        return [
            self._step(board, subject, source, target, f"with {what} back, {why}"),
            *(self._step(board, each, target, source, f"in exchange for {subject.name}") for each in back),
        ]

    def _step(self, board: Board, subject: Subject, source: int, target: int, why: str) -> _Step:
        load = say_load(subject.load, self._measure)
        way = f"from worker {board.workers[source]} to {board.workers[target]}"
        return _Step(subject, source, target, f"{subject.name} ({load}) {way}: {why}")

    def _settle(self, now: float, subjects: Sequence[Subject]) -> None:
        """Forget the moves that can be seen to be over, and what has cooled down."""
        while self._moved and self._moved[0] <= now - 60.0:
            self._moved.popleft()
        if self._underway:
            found = {each.slot: each for each in subjects if each.slot in self._underway}
            for slot, (target, begun) in list(self._underway.items()):
                each = found.get(slot)
                is_idle = each is not None and each.movable and each.target is None
                if each is None or each.worker == target or (is_idle and now - begun > OVERDUE_S):
                    del self._underway[slot]
        forgiven = now - self.limits.longest_cooldown_s
        over = [
            slot for slot, each in self._records.items() if each.until <= (forgiven if each.strikes else now)
        ]
        for slot in over:
            del self._records[slot]
