"""The conservation law of messages holds at any time, after any fault."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass
class Worker:
    """A worker as it is: what it has read, what it has told, and what is still on its way through the pipe."""

    run: int
    read: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    reported: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    open: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    resolved: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SLOTS, 0))
    pipe: list[tuple[Entry, ...]] = field(default_factory=list)


class LedgerMachine(RuleBasedStateMachine):
    """Two workers that read, report and die; an aggregator that takes reports and writes them, or can't."""

    @initialize()
    def start(self) -> None:
        self.ledger = Ledger()
        self.workers = [Worker(0), Worker(1)]
        self.runs = 2
        self.unwritten: list[tuple[Entry, ...]] = []
        self.read_before = dict.fromkeys(SLOTS, 0)
        self.lost = dict.fromkeys(SLOTS, 0)

    @rule(which=st.integers(0, 1), slot=st.sampled_from(SLOTS), count=st.integers(1, 50))
    def read(self, which: int, slot: int, count: int) -> None:
        self.workers[which].read[slot] += count

    @rule(which=st.integers(0, 1), data=st.data())
    def send_a_batch(self, which: int, data: st.DataObject) -> None:
        worker = self.workers[which]
        entries = []
        for slot in data.draw(st.sets(st.sampled_from(SLOTS))):
            received = data.draw(st.integers(0, worker.read[slot] - worker.reported[slot]))
            left = worker.open[slot] + received
            outcomes = {}
            for outcome in data.draw(st.permutations(OUTCOMES)):
                outcomes[outcome] = data.draw(st.integers(0, left))
                left -= outcomes[outcome]
            entries.append(
                Entry(slot, received, results=outcomes["delivered"] * 2, bytes=received * 7, **outcomes)
            )
            worker.reported[slot] += received
            worker.open[slot] = left
        worker.pipe.append(tuple(entries))

    @precondition(lambda self: any(worker.pipe for worker in self.workers))
    @rule(data=st.data())
    def take_a_batch(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from([worker for worker in self.workers if worker.pipe]))
        self._take(worker)

    def _take(self, worker: Worker) -> None:
        entries = worker.pipe.pop(0)
        self.ledger.report(worker.run, entries)
        for entry in entries:
            worker.resolved[entry.slot] += entry.resolved
        self.unwritten.append(entries)

    @precondition(lambda self: self.unwritten)
    @rule(written=st.booleans())
    def write_a_batch(self, written: bool) -> None:
        self.ledger.settle(self.unwritten.pop(0), written=written)

    @rule(which=st.integers(0, 1), data=st.data())
    def die(self, which: int, data: st.DataObject) -> None:
        worker = self.workers[which]
        for _ in range(data.draw(st.integers(0, len(worker.pipe)))):
            self._take(worker)
        tally = {slot: count for slot, count in worker.read.items() if count}
        remains = self.ledger.close_run(worker.run, tally)
        lost = {slot: worker.read[slot] - worker.resolved[slot] for slot in SLOTS}
        assert remains.lost == sum(lost.values())
        assert 0 <= remains.unreported <= remains.lost
        for slot in SLOTS:
            self.lost[slot] += lost[slot]
            self.read_before[slot] += worker.read[slot]
        self.workers[which] = Worker(self.runs)
        self.runs += 1

    @invariant()
    def the_law_holds(self) -> None:
        for slot in SLOTS:
            counts = self.ledger.counts(slot)
            assert is_lawful(counts)
            assert counts.in_flight >= 0
            assert counts.lost == self.lost[slot]
            assert all(getattr(counts, name) >= 0 for name in counts.__struct_fields__)
        assert is_lawful(self.ledger.total())

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
        for entries in self.unwritten:
            self.ledger.settle(entries)
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
