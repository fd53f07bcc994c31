# cython: annotation_typing=False
"""What a worker has done for one endpoint since its last batch, and how the trays of many fit into one."""

from __future__ import annotations

from collections.abc import Callable

from scaleout.core.ledger import Entry
from scaleout.core.marks import CursorMark, NumbersMark
from scaleout.core.movewire import Tails
from scaleout.core.plain import WORDS

_LARGEST_WORD = 2**32 - 1


class Tray:
    """Counts of one endpoint, in messages; see `Entry`."""

    def __init__(
        self,
        slot: int,
        received: int = 0,
        delivered: int = 0,
        filtered: int = 0,
        dead_lettered: int = 0,
        dropped: int = 0,
        duplicates: int = 0,
        results: int = 0,
        bytes: int = 0,
        retried: int = 0,
        gaps: int = 0,
        missed: int = 0,
        repeats: int = 0,
        backwards: int = 0,
        uncertain: int = 0,
    ) -> None:
        self.slot = slot
        self.received = received
        self.delivered = delivered
        self.filtered = filtered
        self.dead_lettered = dead_lettered
        self.dropped = dropped
        self.duplicates = duplicates
        self.results = results
        self.bytes = bytes
        self.retried = retried
        self.gaps = gaps
        self.missed = missed
        self.repeats = repeats
        self.backwards = backwards
        self.uncertain = uncertain
        self.cursor: CursorMark | None = None
        self.numbers: Callable[[], NumbersMark | None] | None = None
        """Says how far the endpoint's numbered messages have come, where they have numbers."""
        self.tails: Callable[[], Tails | None] | None = None
        """Says what has been delivered since the last batch, while the endpoint is to move."""
        self.is_open = False

    def note(self, messages: int, size_bytes: int) -> None:
        """Count messages as received."""
        self.received += messages
        self.bytes += size_bytes

    def settle(self, messages: int, results: int) -> None:
        """Count messages that have come to one result each, or to none."""
        self.delivered += results
        self.filtered += messages - results
        self.results += results

    def is_plain(self) -> bool:
        """Whether the words of a plain entry say it all."""
        return (
            self.results == self.delivered
            and not (self.dead_lettered or self.dropped or self.duplicates or self.retried)
            and not (self.gaps or self.missed or self.repeats or self.backwards or self.uncertain)
            and self.received <= _LARGEST_WORD
            and self.delivered <= _LARGEST_WORD
            and self.filtered <= _LARGEST_WORD
            and self.bytes <= _LARGEST_WORD
        )

    def take(self) -> Entry:
        """Empty the tray."""
        entry = Entry(
            self.slot,
            self.received,
            self.delivered,
            self.filtered,
            self.dead_lettered,
            self.dropped,
            self.duplicates,
            self.results,
            self.bytes,
            self.retried,
            self.gaps,
            self.missed,
            self.repeats,
            self.backwards,
            self.uncertain,
        )
        self.empty()
        return entry

    def empty(self) -> None:
        """Begin anew."""
        self.received = self.delivered = self.filtered = self.dead_lettered = self.dropped = 0
        self.duplicates = self.results = self.bytes = self.retried = 0
        self.gaps = self.missed = self.repeats = self.backwards = self.uncertain = 0
        self.cursor = None
        self.is_open = False


def with_marks(trays: list[Tray]) -> list[Tray]:
    """Those that say, or can tell, more than counts."""
    found: list[Tray] = []
    for tray in trays:
        if tray.cursor is not None or tray.numbers is not None or tray.tails is not None:
            found.append(tray)
    return found


def take_all(trays: list[Tray]) -> tuple[bytes, tuple[Entry, ...]]:
    """Empty the trays; what they held, as words where these are enough (see `core.plain`)."""
    plain: list[Tray] = []
    others: list[Entry] = []
    for tray in trays:
        if tray.is_plain():
            plain.append(tray)
        else:
            others.append(tray.take())
    words = memoryview(bytearray(4 * WORDS * len(plain))).cast("I")
    at = 0
    for tray in plain:
        words[at] = tray.slot
        words[at + 1] = tray.received
        words[at + 2] = tray.delivered
        words[at + 3] = tray.filtered
        words[at + 4] = tray.bytes
        at += WORDS
        tray.empty()
    return bytes(words), tuple(others)
