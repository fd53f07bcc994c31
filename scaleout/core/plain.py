# cython: annotation_typing=False
"""What most endpoints have done since the last batch: received messages, and filtered them or had one result each.

Where many endpoints share a batch, each with a message or two, an `Entry` for each would cost more than these.
So for them a batch has a few words of 32 bits in the machine's own order, `WORDS` for each endpoint: its slot, then
received, delivered, filtered, and bytes received.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

WORDS = 5
_COLUMNS = 4


class Sum(NamedTuple):
    """What one endpoint's entries add up to, in messages and bytes."""

    received: int
    delivered: int
    filtered: int
    bytes: int


class Sums:
    """Adds entries up, by slot."""

    def __init__(self) -> None:
        self._cells = array("q")
        self._size = 0

    def add(self, plain: bytes, is_news: bool, is_outcome: bool) -> None:
        """Add entries.

        Args:
            plain: their words.
            is_news: whether to add what was received.
            is_outcome: whether to add what was delivered and filtered.
        """
        count = len(plain) // (4 * WORDS)
        if not count:
            return
        words = memoryview(plain).cast("I")
        step, columns = WORDS, _COLUMNS
        slots = self._size
        for index in range(count):
            if words[index * step] >= slots:
                slots = words[index * step] + 1
        self._make_room(slots)
        cells = memoryview(self._cells)
        for index in range(count):
            at = index * step
            cell = words[at] * columns
            if is_news:
                cells[cell] += words[at + 1]
                cells[cell + 3] += words[at + 4]
            if is_outcome:
                cells[cell + 1] += words[at + 2]
                cells[cell + 2] += words[at + 3]

    def _make_room(self, slots: int) -> None:
        if slots > self._size:
            self._cells.extend([0] * (_COLUMNS * (slots - self._size)))
            self._size = slots

    def take(self, slot: int) -> Sum:
        """An endpoint's sum, which begins anew."""
        if slot >= self._size:
            return Sum(0, 0, 0, 0)
        start = slot * _COLUMNS
        found = Sum(*self._cells[start : start + _COLUMNS])
        for cell in range(start, start + _COLUMNS):
            self._cells[cell] = 0
        return found

    def slots(self) -> list[int]:
        """Those whose sum isn't zero."""
        cells = self._cells
        return [slot for slot in range(self._size) if any(cells[slot * _COLUMNS : (slot + 1) * _COLUMNS])]


def received_in(plain: bytes) -> int:
    """Messages received, over all entries."""
    return sum(memoryview(plain).cast("I")[1::WORDS]) if plain else 0


def entries_in(plain: bytes) -> Iterator[tuple[int, Sum]]:
    """Each entry: its slot, and what it says."""
    words = memoryview(plain).cast("I")
    for at in range(0, len(words), WORDS):
        yield words[at], Sum(words[at + 1], words[at + 2], words[at + 3], words[at + 4])
