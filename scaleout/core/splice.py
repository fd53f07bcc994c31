"""Finds where one connection's sequence of messages goes on in another's.

All connections to one feed see the same sequence, shifted in time. So the last messages of one (its *tail*) and all
that the other has received (its *shadow*) are two windows of one sequence, and the question is how far apart they
lie. A *placement* lays one over the other so that they agree wherever they overlap. If there is more than one,
because messages look alike, nothing can be said.

Messages are compared by their hashes, unsigned numbers of 64 bits; side by side in `bytes`, they are searched in C.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from enum import Enum
from itertools import islice
from typing import NamedTuple

_SIZE = 8
"""Bytes of a hash."""
_FEW = 64
"""Places to compare one by one; where there are more of them, that would take the square of the messages' count."""


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


class Meeting(NamedTuple):
    """What two windows have in common, and nothing else looks like."""

    messages: int
    in_tail: int = 0
    """Index of the first of them in the tail."""
    in_shadow: int = 0
    """The same in the shadow."""


def meeting(tail: Sequence[int], shadow: Sequence[int]) -> Meeting:
    """Find where two windows begin to have messages in common, whatever their order.

    Only messages that are in each window once are evidence: others may be equal by chance.
    """
    both = _once(tail) & _once(shadow)
    if not both:
        return Meeting(0)
    first = [next(index for index, each in enumerate(window) if each in both) for window in (tail, shadow)]
    return Meeting(len(both), *first)


def _once(window: Sequence[int]) -> set[int]:
    return {message for message, count in Counter(window).items() if count == 1}


def _pack(hashes: Sequence[int]) -> bytes:
    return (hashes if isinstance(hashes, array) else array("Q", hashes)).tobytes()


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
    for count, index in enumerate(_occurrences(head, first)):
        end_of_first = first[index * _SIZE :]
        if count == _FEW:
            yield from _borders_of_look_alikes(end_of_first, second)
            return
        if second.startswith(end_of_first):
            yield len(end_of_first) // _SIZE


def _borders_of_look_alikes(first: bytes, second: bytes) -> Iterator[int]:
    """The same in a time that grows with the count of messages, however many look alike (Knuth, Morris, Pratt)."""
    text, pattern = memoryview(first).cast("Q"), memoryview(second[: len(first)]).cast("Q")
    shorter = [0] * len(pattern)
    """For each beginning of the pattern, how much of it is its end, too."""
    matched = 0
    for index in range(1, len(pattern)):
        while matched and pattern[index] != pattern[matched]:
            matched = shorter[matched - 1]
        matched += pattern[index] == pattern[matched]
        shorter[index] = matched
    matched = 0
    for message in text:
        while matched and (matched == len(pattern) or message != pattern[matched]):
            matched = shorter[matched - 1]
        matched += message == pattern[matched]
    while matched:
        yield matched
        matched = shorter[matched - 1]


def _occurrences(part: bytes, whole: bytes) -> Iterator[int]:
    """The indexes, in messages, at which a sequence holds another."""
    at = whole.find(part)
    while at >= 0:
        if at % _SIZE == 0:
            yield at // _SIZE
        at = whole.find(part, at + 1)
