"""The conservation law of messages holds at any time, after any fault."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scaleout.core.ledger import Counts, Entry, Ledger, Remains

SLOTS = range(3)
OUTCOMES = ("delivered", "filtered", "dead_lettered", "dropped", "duplicates")


def is_lawful(counts: Counts) -> bool:
    outcomes: int = sum(getattr(counts, outcome) for outcome in OUTCOMES)
    return counts.received == outcomes + counts.lost + counts.in_flight


class Report(NamedTuple):
    """What a batch says: entries, and words where these are enough."""

    entries: tuple[Entry, ...] = ()
    plain: bytes = b""


def words_of(entries: list[Entry]) -> bytes:
    """The words of entries that have one result for each message delivered, and nothing out of the ordinary."""
    words: list[int] = []
    for entry in entries:
        assert entry == Entry(
            entry.slot,
            entry.received,
            entry.delivered,
            entry.filtered,
            results=entry.delivered,
            bytes=entry.bytes,
        )
        words += [entry.slot, entry.received, entry.delivered, entry.filtered, entry.bytes]
    return array("I", words).tobytes()


@dataclass
class Worker:
    """A worker as it is: what it has read, what it has told, and what is still on its way through the pipe."""

    run: int
    read: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    reported: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    open: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    taken: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    """Received, by the reports that have been taken; likewise"""
    resolved: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    pipe: list[tuple[Report, tuple[Entry, ...]]] = field(default_factory=list)
    """Reports, and the entries that say all that is in each."""


class LedgerMachine(RuleBasedStateMachine):
    """Two workers that read, report and die; an aggregator that takes reports and writes them, or can't."""

    @initialize()
    def start(self) -> None:
        self.ledger = Ledger()
        self.workers = [Worker(0), Worker(1)]
        self.runs = 2
        self.is_total_first = False
        self.unwritten: list[tuple[Report, tuple[Entry, ...]]] = []
        self.read_before = dict.fromkeys(SLOTS, 0)
        self.expected = {slot: Counts() for slot in SLOTS}

    @rule(which=st.integers(0, 1), slot=st.sampled_from(SLOTS), count=st.integers(1, 50))
    def read(self, which: int, slot: int, count: int) -> None:
        self.workers[which].read[slot] += count

    @rule(which=st.integers(0, 1), data=st.data())
    def send_a_batch(self, which: int, data: st.DataObject) -> None:
        worker = self.workers[which]
        entries: list[Entry] = []
        plain: list[Entry] = []
        for slot in data.draw(st.sets(st.sampled_from(SLOTS))):
            is_plain = data.draw(st.booleans())
            received = data.draw(st.integers(0, worker.read[slot] - worker.reported[slot]))
            left = worker.open[slot] + received
            outcomes = {}
            for outcome in data.draw(st.permutations(OUTCOMES[:2] if is_plain else OUTCOMES)):
                outcomes[outcome] = data.draw(st.integers(0, left))
                left -= outcomes[outcome]
            results = outcomes["delivered"] * (1 if is_plain else 2)
            entry = Entry(slot, received, results=results, bytes=received * 7, **outcomes)
            (plain if is_plain else entries).append(entry)
            worker.reported[slot] += received
            worker.open[slot] = left
        worker.pipe.append((Report(tuple(entries), words_of(plain)), (*entries, *plain)))

    @precondition(lambda self: any(worker.pipe for worker in self.workers))
    @rule(data=st.data())
    def take_a_batch(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from([worker for worker in self.workers if worker.pipe]))
        self._take(worker)

    def _take(self, worker: Worker) -> None:
        report, entries = worker.pipe.pop(0)
        self.ledger.report(worker.run, report.entries)
        self.ledger.report_plain(worker.run, report.plain)
        for entry in entries:
            worker.resolved[entry.slot] += entry.resolved
            worker.taken[entry.slot] += entry.received
            self.expected[entry.slot].received += entry.received
            self.expected[entry.slot].bytes += entry.bytes
        self.unwritten.append((report, entries))

    @precondition(lambda self: self.unwritten)
    @rule(written=st.booleans())
    def write_a_batch(self, written: bool) -> None:
        self._settle(written)

    def _settle(self, written: bool) -> None:
        report, entries = self.unwritten.pop(0)
        self.ledger.settle(report.entries, written=written)
        self.ledger.settle_plain(report.plain, written=written)
        for entry in entries:
            counts = self.expected[entry.slot]
            for name in OUTCOMES[1:]:
                setattr(counts, name, getattr(counts, name) + getattr(entry, name))
            if written:
                counts.delivered += entry.delivered
                counts.results += entry.results
            else:
                counts.dropped += entry.delivered

    @rule(which=st.integers(0, 1), data=st.data())
    def die(self, which: int, data: st.DataObject) -> None:
        worker = self.workers[which]
        for _ in range(data.draw(st.integers(0, len(worker.pipe)))):
            self._take(worker)
        tally = {slot: count for slot, count in worker.read.items() if count}
        remains = self.ledger.close_run(worker.run, tally)
        lost = {slot: worker.read[slot] - worker.resolved[slot] for slot in SLOTS}
        unreported = {slot: worker.read[slot] - worker.taken[slot] for slot in SLOTS}
        assert remains == Remains(sum(unreported.values()), sum(lost.values()))
        for slot in SLOTS:
            self.expected[slot].lost += lost[slot]
            self.expected[slot].received += unreported[slot]
            self.read_before[slot] += worker.read[slot]
        self.workers[which] = Worker(self.runs)
        self.runs += 1

    @invariant()
    def the_law_holds(self) -> None:
        """Whichever is asked for first."""
        self.is_total_first = not self.is_total_first
        if self.is_total_first:
            self._the_total_is_right()
        self._each_endpoint_is_right()
        self._the_total_is_right()

    def _each_endpoint_is_right(self) -> None:
        for slot in SLOTS:
            counts = self.ledger.counts(slot)
            assert is_lawful(counts)
            assert counts.in_flight >= 0
            assert counts == self.expected[slot]

    def _the_total_is_right(self) -> None:
        total = self.ledger.total()
        assert is_lawful(total)
        for name in Counts.__struct_fields__:
            assert getattr(total, name) == sum(getattr(self.expected[slot], name) for slot in SLOTS)
        assert self.ledger.is_balanced == all(counts.is_balanced for counts in self.expected.values())

    def teardown(self) -> None:
        """At the end of all workers, and of all writing, nothing is in flight and nothing is missing."""
        if not hasattr(self, "ledger"):
            return
        for worker in self.workers:
            while worker.pipe:
                self._take(worker)
            self.ledger.close_run(worker.run, {slot: count for slot, count in worker.read.items() if count})
            for slot in SLOTS:
                self.read_before[slot] += worker.read[slot]
        while self.unwritten:
            self._settle(True)
        assert self.ledger.is_balanced
        assert {slot: self.ledger.counts(slot).received for slot in SLOTS} == self.read_before


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=40)


def test_a_report_is_in_flight_until_it_is_settled() -> None:
    ledger = Ledger()
    entries = (Entry(0, received=10, delivered=6, filtered=3, results=12, bytes=70),)
    ledger.report(7, entries)
    assert ledger.counts(0) == Counts(received=10, bytes=70)
    assert not ledger.is_balanced
    ledger.settle(entries)
    assert ledger.counts(0) == Counts(received=10, delivered=6, filtered=3, results=12, bytes=70)
    assert ledger.counts(0).in_flight == 1


def test_what_nobody_takes_is_dropped() -> None:
    ledger = Ledger()
    entries = (Entry(0, received=3, delivered=2, dead_lettered=1, results=2),)
    ledger.report(0, entries)
    ledger.settle(entries, written=False)
    assert ledger.counts(0) == Counts(received=3, dropped=2, dead_lettered=1)


def test_plain_entries_count_as_entries_do() -> None:
    ledger = Ledger()
    plain = words_of([Entry(2, received=10, delivered=6, filtered=3, results=6, bytes=70)])
    ledger.report_plain(7, plain)
    assert ledger.total() == Counts(received=10, bytes=70)
    assert not ledger.is_balanced
    ledger.settle_plain(plain)
    assert ledger.total() == Counts(received=10, delivered=6, filtered=3, results=6, bytes=70)
    assert ledger.counts(2).in_flight == 1
    assert ledger.close_run(7, {2: 12}) == Remains(unreported=2, lost=3)


def test_what_nobody_takes_of_plain_entries_is_dropped() -> None:
    ledger = Ledger()
    plain = words_of([Entry(0, received=3, delivered=2, filtered=1, results=2)])
    ledger.report_plain(0, plain)
    ledger.settle_plain(plain, written=False)
    assert ledger.counts(0) == Counts(received=3, dropped=2, filtered=1)


def test_plain_entries_of_one_endpoint_do_not_make_up_for_another() -> None:
    ledger = Ledger()
    ledger.report_plain(0, words_of([Entry(0, received=1), Entry(1, received=1)]))
    ledger.settle_plain(words_of([Entry(0, delivered=2, results=2)]))
    assert ledger.total().is_balanced
    assert not ledger.is_balanced


def test_what_a_worker_had_read_and_not_resolved_dies_with_it() -> None:
    ledger = Ledger()
    ledger.report(0, (Entry(4, received=10, delivered=8),))
    ledger.report(1, (Entry(4, received=5),))
    assert ledger.close_run(0, {4: 13, 5: 2}) == Remains(unreported=5, lost=7)
    assert ledger.counts(4).received == 18
    assert ledger.counts(4).lost == 5
    assert ledger.counts(5) == Counts(received=2, lost=2)
    assert ledger.counts(4).in_flight == 8 + 5
    assert ledger.close_run(1, {4: 5}) == Remains(unreported=0, lost=5)


def test_the_mapping_has_the_terms_of_the_law_in_its_order() -> None:
    mapping = Counts(received=9, delivered=4, lost=2, results=5, bytes=6).to_mapping()
    assert list(mapping) == [
        "received",
        "delivered",
        "filtered",
        "dead_lettered",
        "dropped",
        "duplicates",
        "lost",
        "in_flight",
        "results",
        "bytes",
        "retried",
        "gaps",
        "missed",
        "repeats",
        "backwards",
        "uncertain",
    ]
    assert mapping["in_flight"] == 3


def test_totals_add_up() -> None:
    ledger = Ledger()
    for slot in SLOTS:
        ledger.report(0, (Entry(slot, received=slot, bytes=1),))
    assert ledger.total() == Counts(received=3, bytes=3)


def test_a_balance_of_one_endpoint_does_not_make_up_for_another() -> None:
    ledger = Ledger()
    ledger.report(0, (Entry(0, received=1), Entry(1, received=1)))
    ledger.settle((Entry(0, delivered=2),))
    assert ledger.total().is_balanced
    assert not ledger.is_balanced


@pytest.mark.parametrize("entry", [Entry(3), Entry(1, 2, 3, 4, 5, 6, 7, 8, 9)])
def test_entries_survive_the_wire(entry: Entry) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(entry), type=Entry) == entry
