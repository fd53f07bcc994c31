"""The books: what became of every message, for each endpoint.

At any time, after any fault:

    received = delivered + filtered + dead_lettered + dropped + duplicates + lost + in_flight

Workers report what they have read and what became of it (`Entry`); an outcome counts once the sinks have
taken it. What a worker has read is also known from shared memory that outlives it, so that at the end of a
worker, however it came, the difference to what it reported is exactly what died with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from scaleout.core.plain import Sums, entries_in


class Entry(Struct, frozen=True, array_like=True):
    """What a worker did for one endpoint since its last report, in messages."""

    slot: int
    """The endpoint's number in this run."""
    received: int = 0
    delivered: int = 0
    """Messages whose results are in the batch that carries this entry."""
    filtered: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    duplicates: int = 0
    results: int = 0
    """Lines in the batch."""
    bytes: int = 0
    """Payload bytes received."""
    retried: int = 0
    """Of the received ones: dead letters that were tried again."""
    gaps: int = 0
    """Places where numbered messages are missing."""
    missed: int = 0
    """Messages missing there."""
    repeats: int = 0
    """Messages with the number of the one before."""
    backwards: int = 0
    """Places where the numbers step back."""
    uncertain: int = 0
    """Moves to another connection without an alignment of the two."""

    @property
    def resolved(self) -> int:
        """Messages whose outcome this entry reports."""
        return self.delivered + self.filtered + self.dead_lettered + self.dropped + self.duplicates


class Counts(Struct):
    """The books of one endpoint, or their total, in messages."""

    received: int = 0
    delivered: int = 0
    filtered: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    duplicates: int = 0
    lost: int = 0
    results: int = 0
    bytes: int = 0
    retried: int = 0
    gaps: int = 0
    missed: int = 0
    repeats: int = 0
    backwards: int = 0
    uncertain: int = 0

    @property
    def in_flight(self) -> int:
        """Messages received whose outcome is open."""
        return self.received - (
            self.delivered + self.filtered + self.dead_lettered + self.dropped + self.duplicates + self.lost
        )

    @property
    def is_balanced(self) -> bool:
        """Whether every message received has an outcome."""
        return self.in_flight == 0

    def add(self, other: Counts) -> None:
        """Add the other's counts to these."""
        for field in self.__struct_fields__:
            setattr(self, field, getattr(self, field) + getattr(other, field))

    def to_mapping(self) -> dict[str, object]:
        """The law's terms, then all else, by name."""
        found: dict[str, object] = {field: getattr(self, field) for field in _LAW}
        found["in_flight"] = self.in_flight
        return found | {field: getattr(self, field) for field in self.__struct_fields__ if field not in _LAW}


_LAW = ("received", "delivered", "filtered", "dead_lettered", "dropped", "duplicates", "lost")
_OBSERVED = ("bytes", "retried", "gaps", "missed", "repeats", "backwards", "uncertain")
"""What counts as soon as it is reported, as `received` does."""


class Remains(NamedTuple):
    """What a worker leaves behind at its end, in messages."""

    unreported: int
    """Read, but never reported."""
    lost: int
    """Read, and without a reported outcome."""


class Account(Struct):
    """What one worker has reported of one endpoint, in messages."""

    received: int = 0
    resolved: int = 0


class Ledger:
    """The books of a run, by slot."""

    def __init__(self) -> None:
        self._counts: dict[int, Counts] = {}
        self._accounts: dict[tuple[int, int], Account] = {}
        self._plain = Sums()
        """What isn't in the counts yet."""
        self._plain_of: dict[int, Sums] = {}
        """What each worker has reported, beside its accounts."""

    def counts(self, slot: int) -> Counts:
        """The books of one endpoint."""
        counts = self._counts.get(slot)
        if counts is None:
            counts = self._counts[slot] = Counts()
        plain = self._plain.take(slot)
        counts.received += plain.received
        counts.delivered += plain.delivered
        counts.results += plain.delivered
        counts.filtered += plain.filtered
        counts.bytes += plain.bytes
        return counts

    def _all_counts(self) -> Iterable[Counts]:
        for slot in self._plain.slots():
            self.counts(slot)
        return self._counts.values()

    def total(self) -> Counts:
        """The sum over all endpoints."""
        total = Counts()
        for counts in self._all_counts():
            total.add(counts)
        return total

    def report(self, worker_run: int, entries: Iterable[Entry]) -> None:
        """Take note of a worker's report; its outcomes stay open until `settle`."""
        for entry in entries:
            counts = self.counts(entry.slot)
            counts.received += entry.received
            for field in _OBSERVED:
                setattr(counts, field, getattr(counts, field) + getattr(entry, field))
            account = self._accounts.setdefault((worker_run, entry.slot), Account())
            account.received += entry.received
            account.resolved += entry.resolved

    def report_plain(self, worker_run: int, plain: bytes) -> None:
        """Likewise, where the report is the words of plain entries."""
        if not plain:
            return
        self._plain.add(plain, True, False)
        reported = self._plain_of.get(worker_run)
        if reported is None:
            reported = self._plain_of[worker_run] = Sums()
        reported.add(plain, True, True)

    def settle_plain(self, plain: bytes, *, written: bool = True) -> None:
        """Book the outcomes of plain entries, as `settle` does."""
        if written:
            self._plain.add(plain, False, True)
            return
        for slot, entry in entries_in(plain):
            counts = self.counts(slot)
            counts.filtered += entry.filtered
            counts.dropped += entry.delivered

    def settle(self, entries: Iterable[Entry], *, written: bool = True) -> None:
        """Book the outcomes of a report.

        Args:
            entries: the report.
            written: whether its results are in the sinks; if not, because nobody is left to take them, then
                what it would have delivered is dropped.
        """
        for entry in entries:
            counts = self.counts(entry.slot)
            counts.filtered += entry.filtered
            counts.dead_lettered += entry.dead_lettered
            counts.dropped += entry.dropped
            counts.duplicates += entry.duplicates
            if written:
                counts.delivered += entry.delivered
                counts.results += entry.results
            else:
                counts.dropped += entry.delivered

    def close_run(self, worker_run: int, read: Mapping[int, int]) -> Remains:
        """Book the end of a worker, from what it had read of each slot according to shared memory."""
        unreported = lost = 0
        plain = self._plain_of.pop(worker_run, None) or Sums()
        for slot, read_count in read.items():
            account = self._accounts.pop((worker_run, slot), None) or Account()
            reported = plain.take(slot)
            account.received += reported.received
            account.resolved += reported.delivered + reported.filtered
            counts = self.counts(slot)
            counts.received += read_count - account.received
            counts.lost += read_count - account.resolved
            unreported += read_count - account.received
            lost += read_count - account.resolved
        return Remains(unreported, lost)

    @property
    def is_balanced(self) -> bool:
        """Whether every message received has an outcome, for each endpoint."""
        return all(counts.is_balanced for counts in self._all_counts())
