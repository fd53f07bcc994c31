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
ALIKE = 0.9
"""Choices that are so near to the best are as good: the hosts decide."""


class Costs(Struct, frozen=True):
    """What a move must be worth, in shares of a worker."""

    each: float = 0.0005
    """Any move: what it relieves its worker of has to be more."""
    load: float = 0.1
    """For the load that is moved: its part of it."""
    exchange: float = 0.02
    """An exchange, besides: it is two moves for the relief of one."""


class Choice(Struct):
    """A move, or an exchange with an endpoint that goes the other way."""

    worth: float
    subject: Subject
    target: int
    """Index of a worker."""
    back: Subject | None = None


def choose(
    board: Board, source: int, costs: Costs, ahead: float = 0.0, *, may_exchange: bool = True
) -> Choice | None:
    """The best move away from a worker that has too much.

    Args:
        board: where everything is; stays as it is.
        source: index of the worker.
        costs: what a move must be worth.
        ahead: what the worker will soon have besides, in shares.
        may_exchange: whether there is room for two moves.

    Returns:
        The move, or an exchange; None: nothing is worth it.
    """
    targets = lightest(board, TARGETS, but=[source])
    moves = [
        choice
        for target in targets
        for subject in _near(board.members(source), _wanted(board, source, target, ahead))
        if (choice := _move(board, source, target, subject, costs, ahead)) is not None
    ]
    if not moves and may_exchange:
        moves = [
            choice for target in targets[:2] for choice in _exchanges(board, source, target, costs, ahead)
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


def _exchanges(board: Board, source: int, target: int, costs: Costs, ahead: float) -> Iterator[Choice]:
    mine, theirs = board.members(source), board.members(target)
    carried = board.loads[source] + ahead * board.share
    before = carried - board.own(source)
    if not theirs:
        return
    for subject in mine[-EXCHANGED:]:
        if board.must_stay(subject, source) or not board.is_allowed(subject, target):
            continue
        for wanted in _wanted(board, source, target, ahead):
            for back in _near(theirs, [subject.load - wanted]):
                moved = subject.load - back.load
                if moved <= 0 or board.must_stay(back, target) or not board.is_allowed(back, source):
                    continue
                left = carried - moved - board.own(source, without=subject)
                there = board.loads[target] + moved - max(board.own(target), subject.load)
                relief = (before - max(left, there, 0.0)) / board.share
                worth = relief - costs.load * (subject.load + back.load) / board.share - costs.exchange
                if worth > costs.each:
                    yield Choice(worth, subject, target, back)


def _spreading(board: Board, source: int, choice: Choice) -> int:
    """How much better the endpoints of a host are spread by it."""
    host = choice.subject.host
    return board.crowd(host, source) - board.crowd(host, choice.target) if host else 0


def _load(subject: Subject) -> float:
    return subject.load
