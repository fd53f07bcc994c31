"""Which endpoint to move where: what relieves a worker the most for its cost, a move or an exchange of two."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from msgspec import Struct

from scaleout.core.board import Board, Subject, lightest

TARGETS = 4
"""How many of the workers with the most room are looked at."""
NEIGHBOURS = 2
"""How many endpoints on each side of the wanted load are looked at."""
EXCHANGED = 48
"""How many endpoints of a worker are looked at for an exchange."""
HANDFUL = 7
"""The most endpoints that come back for one in an exchange."""
LIGHTER = 0.8
"""The heaviest of a handful, in what is to come back."""
EXCHANGE_TARGETS = 2
HANDFUL_TARGETS = 16
"""How many of the workers with the most room are looked at for an exchange, and for a handful."""
ALIKE = 0.9
"""Choices that are so near to the best are as good: the hosts decide."""


class Costs(Struct, frozen=True):
    """What a move must be worth, in shares of a worker."""

    each: float = 0.0005
    """Any move: what it relieves its worker of has to be more."""
    load: float = 0.1
    """For the load that is moved: its part of it."""
    exchange: float = 0.02
    """An exchange, besides, for each that comes back: it is more moves for the relief of one."""

    def over(self, times: float) -> Costs:
        """What a move must be worth where its relief is expected to last so many times as long."""
        return Costs(self.each, self.load / times, self.exchange / times)


class Choice(Struct):
    """A move, or an exchange with endpoints that go the other way."""

    worth: float
    subject: Subject
    target: int
    """Index of a worker."""
    back: Sequence[Subject] = ()


def choose(board: Board, source: int, costs: Costs, ahead: float = 0.0, *, back: int = 1) -> Choice | None:
    """The best move away from a worker that has too much.

    Args:
        board: where everything is; stays as it is.
        source: index of the worker.
        costs: what a move must be worth.
        ahead: what the worker will soon have besides, in shares.
        back: how many endpoints may come back in an exchange; none, no exchange.

    Returns:
        The move, or an exchange; None: nothing is worth it.
    """
    partners = HANDFUL_TARGETS if back > 1 else EXCHANGE_TARGETS if back else 0
    targets = lightest(board, max(TARGETS, partners), but=[source])
    moves = [
        choice
        for target in targets[:TARGETS]
        for subject in _near(board.members(source), _wanted(board, source, target, ahead))
        if (choice := _move(board, source, target, subject, costs, ahead)) is not None
    ]
    if not moves:
        moves = [
            choice
            for target in targets[:partners]
            for choice in _exchanges(board, source, target, costs, ahead, min(back, HANDFUL))
        ]
    if not moves:
        return None
    best = max(choice.worth for choice in moves)
    alike = [choice for choice in moves if choice.worth >= ALIKE * best]
    return max(alike, key=lambda choice: (_spreading(board, source, choice), choice.worth))


def _wanted(board: Board, source: int, target: int, ahead: float) -> list[float]:
    """The loads that would be best to move: all that is too much, what makes both equal, all there is room for."""
    over = board.loads[source] + ahead * board.share - board.own(source)
    room = board.own(target) - board.loads[target]
    return [over, (over + room) / 2, room]


def _near(members: Sequence[Subject], loads: Sequence[float]) -> Iterator[Subject]:
    seen: set[int] = set()
    for load in loads:
        at = bisect_left(members, load, key=_load)
        for near in range(max(at - NEIGHBOURS, 0), min(at + NEIGHBOURS, len(members))):
            if near not in seen:
                seen.add(near)
                yield members[near]


def _move(
    board: Board, source: int, target: int, subject: Subject, costs: Costs, ahead: float
) -> Choice | None:
    if board.must_stay(subject, source) or not board.is_allowed(subject, target):
        return None
    load, carried = subject.load, board.loads[source] + ahead * board.share
    before = carried - board.own(source)
    left = carried - load - board.own(source, without=subject)
    there = board.loads[target] + load - max(board.own(target), load)
    relief = (before - max(left, there, 0.0)) / board.share
    worth = relief - costs.load * load / board.share
    return Choice(worth, subject, target) if worth > costs.each else None


def _exchanges(
    board: Board, source: int, target: int, costs: Costs, ahead: float, most: int
) -> Iterator[Choice]:
    mine = board.members(source)
    theirs = [each for each in board.members(target) if not board.must_stay(each, target)]
    carried = board.loads[source] + ahead * board.share
    before = carried - board.own(source)
    for subject in mine[-EXCHANGED:]:
        if board.must_stay(subject, source) or not board.is_allowed(subject, target):
            continue
        left_own = board.own(source, without=subject)
        there_own = max(board.own(target), subject.load)
        for wanted in _wanted(board, source, target, ahead):
            for back in _returns(theirs, subject.load - wanted, most):
                returned = sum(each.load for each in back)
                moved = subject.load - returned
                if moved <= 0 or not all(board.is_allowed(each, source) for each in back):
                    continue
                left = carried - moved - left_own
                there = board.loads[target] + moved - there_own
                relief = (before - max(left, there, 0.0)) / board.share
                cost = costs.load * (subject.load + returned) / board.share + costs.exchange * len(back)
                if relief - cost > costs.each:
                    yield Choice(relief - cost, subject, target, back)


def _returns(theirs: Sequence[Subject], load: float, most: int) -> Iterator[Sequence[Subject]]:
    """What could come back in an exchange: one endpoint of about that load, or a handful of lighter ones."""
    yield from ((each,) for each in _near(theirs, [load]))
    if most < 2:
        return
    handful: list[Subject] = []
    left, at = load, bisect_left(theirs, load * LIGHTER, key=_load)
    while len(handful) < most and (at := bisect_left(theirs, left, hi=at, key=_load) - 1) >= 0:
        if theirs[at].apart is None:
            handful.append(theirs[at])
            left -= theirs[at].load
    if len(handful) > 1:
        yield handful


def _spreading(board: Board, source: int, choice: Choice) -> int:
    """How much better the endpoints of a host are spread by it."""
    host = choice.subject.host
    return board.crowd(host, source) - board.crowd(host, choice.target) if host else 0


def _load(subject: Subject) -> float:
    return subject.load
