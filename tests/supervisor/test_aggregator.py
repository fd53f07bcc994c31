"""The aggregator: what the sinks have taken is booked, and a sink that lags holds the workers back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from scaleout.channel import Channel
from scaleout.core.ledger import Entry, Ledger
from scaleout.core.wire import Batch, DeadLetter, Result
from scaleout.errors import SinkClosedError
from scaleout.supervisor.aggregator import HIGH_WATER_BYTES, Aggregator
from scaleout.supervisor.deadletters import DeadLetters
from scaleout.supervisor.writer import SinkWriter

Run = Callable[[Awaitable[Any]], Any]
MakeSink = Callable[..., Any]


class HeldChannel:
    """A worker's channel, as far as it can be held back."""

    def __init__(self) -> None:
        self.is_held = False

    def pause_reading(self, holder: object) -> None:
        self.is_held = True

    def resume_reading(self, holder: object) -> None:
        self.is_held = False


def held_channel() -> tuple[HeldChannel, Channel[Result]]:
    channel = HeldChannel()
    return channel, cast("Channel[Result]", channel)


def writer_to(sink: Any) -> SinkWriter:
    return SinkWriter(sink, lambda: None)


LETTER = DeadLetter(slot=0, stage="decode", reason="bad", payload=b"x", is_text=True, received_at=1)
ENTRY = Entry(slot=0, received=5, delivered=3, filtered=1, dead_lettered=1, results=3, bytes=50)
BATCH = Batch((ENTRY,), (LETTER,))


def test_a_batch_is_booked_once_all_sinks_have_it(run: Run, scripted_sink: MakeSink) -> None:
    async def scenario() -> None:
        ledger, quick, slow, letters = Ledger(), scripted_sink(), scripted_sink(), scripted_sink()
        slow.gate.clear()
        writers = [writer_to(quick), writer_to(slow)]
        dead_letters = DeadLetters(writer_to(letters), {0: "feed"})
        aggregator = Aggregator(ledger, writers, dead_letters)
        aggregator.take(1, BATCH, memoryview(b"1\n2\n3\n"))
        await writers[0].drain()
        await dead_letters.drain()
        counts = ledger.counts(0)
        assert (counts.received, counts.in_flight, counts.delivered) == (5, 5, 0)
        slow.gate.set()
        await aggregator.drain()
        assert (counts.delivered, counts.filtered, counts.dead_lettered, counts.in_flight) == (3, 1, 1, 0)
        assert quick.writes == slow.writes == [b"1\n2\n3\n"]
        assert (counts.results, counts.bytes, len(letters.writes)) == (3, 50, 1)
        await aggregator.close(10)
        assert quick.is_closed and slow.is_closed and letters.is_closed

    run(scenario())


def test_without_results_nothing_is_written(run: Run, scripted_sink: MakeSink) -> None:
    async def scenario() -> None:
        ledger, sink = Ledger(), scripted_sink()
        aggregator = Aggregator(ledger, [writer_to(sink)], None)
        aggregator.take(1, Batch((Entry(slot=0, received=2, filtered=1, dead_lettered=1),)), memoryview(b""))
        assert (ledger.total().filtered, ledger.total().dead_lettered, ledger.total().in_flight) == (1, 1, 0)
        await aggregator.close(10)
        assert sink.writes == []

    run(scenario())


def test_what_nobody_reads_any_more_is_dropped(run: Run, scripted_sink: MakeSink) -> None:
    async def scenario() -> None:
        ledger = Ledger()
        writers = [writer_to(scripted_sink(SinkClosedError("gone"))), writer_to(scripted_sink())]
        aggregator = Aggregator(ledger, writers, None)
        for _ in range(3):
            aggregator.take(1, BATCH, memoryview(b"1\n2\n3\n"))
            await aggregator.drain()
        total = ledger.total()
        assert (total.delivered, total.dropped, total.filtered, total.dead_lettered) == (0, 9, 3, 3)
        assert (total.in_flight, total.results) == (0, 0)
        await aggregator.close(10)

    run(scenario())


def test_dead_letters_that_nobody_reads_do_not_undo_a_delivery(run: Run, scripted_sink: MakeSink) -> None:
    async def scenario() -> None:
        ledger = Ledger()
        letters = DeadLetters(writer_to(scripted_sink(SinkClosedError("gone"))), {0: "feed"})
        aggregator = Aggregator(ledger, [writer_to(scripted_sink())], letters)
        aggregator.take(1, BATCH, memoryview(b"1\n2\n3\n"))
        await aggregator.drain()
        assert (ledger.total().delivered, ledger.total().dead_lettered, ledger.total().dropped) == (3, 1, 0)
        await aggregator.close(10)

    run(scenario())


def test_a_sink_that_lags_holds_all_workers_back(run: Run, scripted_sink: MakeSink) -> None:
    async def scenario() -> None:
        ledger, sink = Ledger(), scripted_sink()
        sink.gate.clear()
        aggregator = Aggregator(ledger, [writer_to(scripted_sink()), writer_to(sink)], None)
        (early, early_channel), (late, late_channel) = held_channel(), held_channel()
        (gone, gone_channel) = held_channel()
        aggregator.valve.attach(early_channel)
        aggregator.valve.attach(gone_channel)
        aggregator.valve.detach(gone_channel)
        body = memoryview(b"x" * 2**20)
        aggregator.take(1, Batch((Entry(slot=0, received=1, delivered=1),)), body)
        assert not early.is_held
        while not early.is_held:
            aggregator.take(1, Batch((Entry(slot=0, received=1, delivered=1),)), body)
            assert aggregator.pending_bytes <= HIGH_WATER_BYTES + 2**20
        aggregator.valve.attach(late_channel)
        assert late.is_held and not gone.is_held and aggregator.valve.is_closed
        sink.gate.set()
        await aggregator.drain()
        assert not (early.is_held or late.is_held or aggregator.valve.is_closed)
        assert ledger.total().in_flight == 0
        await aggregator.close(10)

    run(scenario())


@pytest.mark.parametrize("high_water_bytes", [1, 100, 2**20])
def test_how_much_may_wait_is_settable(run: Run, scripted_sink: MakeSink, high_water_bytes: int) -> None:
    async def scenario() -> None:
        sink = scripted_sink()
        sink.gate.clear()
        aggregator = Aggregator(Ledger(), [writer_to(sink)], None, high_water_bytes)
        aggregator.take(1, Batch((ENTRY,)), memoryview(b"x" * high_water_bytes))
        assert not aggregator.valve.is_closed
        aggregator.take(1, Batch((ENTRY,)), memoryview(b"x"))
        assert aggregator.valve.is_closed
        sink.gate.set()
        await aggregator.drain()
        assert not aggregator.valve.is_closed
        await aggregator.close(10)

    run(scenario())


def test_stuck_sinks_are_given_up_together(run: Run, scripted_sink: MakeSink) -> None:
    async def scenario() -> None:
        sinks = [scripted_sink() for _ in range(3)]
        for sink in sinks:
            sink.gate.clear()
        aggregator = Aggregator(Ledger(), [writer_to(sink) for sink in sinks], None)
        aggregator.take(1, Batch((ENTRY,)), memoryview(b"1\n2\n3\n"))
        await aggregator.close(0.02)
        assert aggregator.ledger.total().in_flight == 5
        for sink in sinks:
            sink.gate.set()

    run(scenario())
