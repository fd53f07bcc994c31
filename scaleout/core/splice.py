"""Finds where one connection's sequence of messages goes on in another's.

All connections to one feed see the same sequence, shifted in time. So the last messages of one (its *tail*) and all
that the other has received (its *shadow*) are two windows of one sequence, and the question is how far apart they
lie. A *placement* lays one over the other so that they agree wherever they overlap. If there is more than one,
because messages look alike, nothing can be said.

Messages are compared by their hashes, unsigned numbers of 64 bits; side by side in `bytes`, they are searched in C.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import NamedTuple

_SIZE = 8
"""Bytes of a hash."""


class Outcome(Enum):
    """What is known of where the tail ends in the shadow."""

    ALIGNED = "aligned"
    BEHIND = "behind"
    """It doesn't end there yet: the shadow's end lies within the tail, or the two have too little in common."""
    AMBIGUOUS = "ambiguous"
    """There is more than one possibility. More messages may leave only one."""


class Alignment(NamedTuple):
    """Where the tail ends in the shadow."""

    outcome: Outcome
    position: int | None = None
    """If aligned: index in the shadow of the first message after the tail."""


def align(tail: Sequence[int], shadow: Sequence[int], minimum: int) -> Alignment:
    """Find where the shadow goes on after the tail.

    A placement in which the shadow ends within the tail rivals one in which the tail ends within the shadow: either
    may be the true one.

    Args:
        tail: hashes of the last messages that the old connection delivered, oldest first.
        shadow: hashes of all messages that the new connection has received, oldest first.
        minimum: how many messages the two must have in common, at least 1.
    """
    old, new = _pack(tail), _pack(shadow)
    shortest = max(1, minimum)
    positions = list(islice(_positions(old, new, shortest), 2))
    if not positions:
        return Alignment(Outcome.BEHIND)
    if len(positions) > 1 or _may_end_within(new, old, shortest):
        return Alignment(Outcome.AMBIGUOUS)
    return Alignment(Outcome.ALIGNED, positions[0])


def common(tail: Sequence[int], shadow: Sequence[int]) -> int:
    """How many messages the two have in common, in the placement with the most of them."""
    old, new = _pack(tail), _pack(shadow)
    shorter, longer = sorted((old, new), key=len)
    if shorter and next(_occurrences(shorter, longer), None) is not None:
        return len(shorter) // _SIZE
    return max(max(_borders(old, new), default=0), max(_borders(new, old), default=0))


def leftover(tail: Sequence[int], shadow: Sequence[int]) -> list[int]:
    """Indexes of the shadow's messages that are not among the tail's, for when the two can't be aligned.

    A message that the tail has twice accounts for two of the shadow's.
    """
    known = Counter(tail)
    left: list[int] = []
    for index, message in enumerate(shadow):
        if known[message] > 0:
            known[message] -= 1
        else:
            left.append(index)
    return left


def matched(tail: Sequence[int], shadow: Sequence[int]) -> tuple[list[int], list[int]]:
    """Pair equal messages, one to one, whatever their order.

    A connection that carries several streams may mix them in another order than the next one does; each stream is
    the same in both.

    Returns:
        The indexes in the tail, and those in the shadow, of the messages that have a partner; in order.
    """
    places: dict[int, deque[int]] = {}
    for index, message in enumerate(tail):
        places.setdefault(message, deque()).append(index)
    of_tail: list[int] = []
    of_shadow: list[int] = []
    for index, message in enumerate(shadow):
        candidates = places.get(message)
        if candidates:
            of_tail.append(candidates.popleft())
            of_shadow.append(index)
    return sorted(of_tail), of_shadow


def _pack(hashes: Sequence[int]) -> bytes:
    return struct.pack(f"{len(hashes)}Q", *hashes)


def _positions(old: bytes, new: bytes, minimum: int) -> Iterator[int]:
    """The indexes in `new` at which `old` may end, in placements with at least so many messages in common."""
    for count in _borders(old, new):
        if count >= minimum and count * _SIZE < len(old):
            yield count
    if len(old) >= minimum * _SIZE:
        for index in _occurrences(old, new):
            yield index + len(old) // _SIZE


def _may_end_within(new: bytes, old: bytes, minimum: int) -> bool:
    """Whether there is a placement in which `new` ends before `old` does."""
    if minimum * _SIZE <= len(new) < len(old):
        end = len(old) - len(new)
        if any(index * _SIZE < end for index in _occurrences(new, old)):
            return True
    return any(count >= minimum and count * _SIZE < len(old) for count in _borders(new, old))


def _borders(first: bytes, second: bytes) -> Iterator[int]:
    """The counts of messages, but 0, by which `first` may end with the ones that `second` begins with."""
    head = second[:_SIZE]
    if not head:
        return
    first = first[-len(second) :]
    for index in _occurrences(head, first):
        end_of_first = first[index * _SIZE :]
        if second.startswith(end_of_first):
            yield len(end_of_first) // _SIZE


def _occurrences(part: bytes, whole: bytes) -> Iterator[int]:
    """The indexes, in messages, at which a sequence holds another."""
    at = whole.find(part)
    while at >= 0:
        if at % _SIZE == 0:
            yield at // _SIZE
        at = whole.find(part, at + 1)
