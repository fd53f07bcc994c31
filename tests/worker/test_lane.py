"""Short ways and what they lead to: when messages are dealt with, in which order, and who answers for the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

import pytest

from scaleout.core.wire import Batch
from scaleout.worker.lane import ALONE_S, FLUSH_BYTES, FLUSH_MESSAGES, MOST_BYTES, SLOW_FLUSHES
from tests.worker.gathering import LONG_S, Worker
from tests.worker.peers import FastLoop, run_fast

MANY = 40
"""Messages that are enough to see what one of them costs."""


def loop() -> FastLoop:
    return cast(FastLoop, asyncio.get_running_loop())


def on_text(message: str) -> object:
    """Takes CPU time where that is asked for."""
    if message == "dear":
        ends_at = time.thread_time() + 0.0003
        while time.thread_time() < ends_at:
            pass
    if message == "late":
        loop().now += 0.02
    return message[:4] if message.startswith("long") else message


def worker(count: int = 2, *, linger_s: float = LONG_S) -> Worker:
    return Worker(count, on_text, linger_s=linger_s, loop=loop())


def run(scenario: Callable[[], None]) -> None:
    """Run without a pause: nothing happens by itself."""

    async def main() -> None:
        scenario()

    run_fast(main())


# When


def test_without_linger_nothing_waits() -> None:
    def scenario() -> None:
        made = worker(linger_s=0.0)
        made.receive(0, b"1", b"2")
        assert made.data_of(0) == ["1", "2"]
        made.receive(1, b"3")
        assert made.data_of(1) == ["3"]
        assert len(made.channel.sent) == 2

    run(scenario)


def test_messages_of_all_endpoints_wait_for_each_other() -> None:
    async def scenario() -> None:
        made = worker(3, linger_s=0.01)
        began = loop().time()
        made.receive(0, b"1")
        await asyncio.sleep(0.006)
        made.receive(1, b"2")
        made.receive(0, b"3")
        assert made.channel.sent == []
        await made.channel.was_sent.wait()
        assert loop().time() - began == pytest.approx(0.01)
        assert (made.data_of(0), made.data_of(1)) == (["1", "3"], ["2"])
        (batch,) = made.channel.batches
        assert [entry.slot for entry in batch.all_entries] == [0, 1]

    run_fast(scenario())


def test_what_was_settled_early_waits_for_the_rest_of_its_time_and_leaves_no_timer_behind() -> None:
    async def scenario() -> None:
        made = worker(linger_s=0.01)
        began = loop().time()
        made.receive(0, b"1")
        await asyncio.sleep(0.006)
        made.inlets[0].settle()
        assert made.channel.sent == []
        await made.channel.was_sent.wait()
        assert loop().time() - began == pytest.approx(0.01)
        assert made.data_of(0) == ["1"]
        made.channel.was_sent.clear()
        began = loop().time()
        made.receive(0, b"2")
        await made.channel.was_sent.wait()
        assert loop().time() - began == pytest.approx(0.01)

    run_fast(scenario())


@pytest.mark.parametrize(
    ("gathered", "enough"),
    [
        pytest.param([b"x" * (MOST_BYTES - 1)], b"y", id="bytes"),
        pytest.param([b"x" * (FLUSH_BYTES // 10)] * (FLUSH_MESSAGES - 1), b"y", id="messages"),
        pytest.param([b"x"] * FLUSH_MESSAGES, b"y" * FLUSH_BYTES, id="messages, but few bytes"),
    ],
)
def test_much_is_dealt_with_at_once(gathered: list[bytes], enough: bytes) -> None:
    def scenario() -> None:
        made = worker()
        for payload in gathered:
            made.receive(0, payload[: MOST_BYTES // len(gathered) - 1])
        assert made.inlets[0].lane is not None and made.inlets[0].lane.waiting == len(gathered)
        made.receive(1, enough)
        assert made.inlets[0].lane.waiting == 0
        made.outbox.flush()
        assert (len(made.data_of(0)), made.data_of(1)) == (len(gathered), [enough.decode()])
        made.receive(1, b"z")
        assert made.inlets[0].lane.waiting == 0
        assert made.data_of(1) == [enough.decode()], "what has gone out is counted no more"

    run(scenario)


def test_an_endpoint_with_nothing_to_settle_hurries_nobody() -> None:
    def scenario() -> None:
        made = worker()
        made.receive(0, b"1")
        made.inlets[1].settle()
        assert made.channel.sent == []
        assert made.outbox.backlog_bytes == 0
        made.inlets[0].settle()
        made.outbox.flush()
        assert made.data_of(0) == ["1"]

    run(scenario)


def test_few_results_of_much_payload_wait_for_each_other() -> None:
    async def scenario() -> None:
        made = worker(linger_s=0.01)
        began = loop().time()
        for _ in range(5):
            made.receive(0, b"long".ljust(MOST_BYTES))
        assert made.channel.sent == []
        await made.channel.was_sent.wait()
        assert loop().time() - began == pytest.approx(0.01)
        assert made.data_of(0) == ["long"] * 5

    run_fast(scenario())


# What the books say


def test_what_is_gathered_is_in_flight() -> None:
    def scenario() -> None:
        made = worker()
        made.receive(1, b"12", b"345")
        assert (made.tally.messages[1], made.tally.bytes[1]) == (2, 5)
        made.outbox.post_all()
        batch = made.channel.sent[0]
        assert isinstance(batch, Batch)
        (entry,) = batch.all_entries
        assert (entry.slot, entry.received, entry.bytes, entry.resolved) == (1, 2, 5, 0)
        made.inlets[1].settle()
        made.outbox.flush()
        counts = made.seen(1).counts
        assert (counts.received, counts.delivered, counts.in_flight) == (2, 2, 0)

    run(scenario)


def test_each_endpoint_answers_for_its_messages() -> None:
    def scenario() -> None:
        made = worker(3)
        for _ in range(MANY // 4):
            made.receive(0, b"dear", b"dear", b"dear")
            made.receive(1, b"dear")
        made.inlets[0].settle()
        much, little, nothing = made.tally.cpu_ns
        assert nothing == 0
        assert much + little > 0.5 * MANY * 300_000
        assert much == pytest.approx(3 * little, rel=0.01)

    run(scenario)


# Slow functions


def is_gathering(made: Worker, slot: int) -> bool:
    """Whether a message waits for others."""
    made.inlets[slot].settle()
    made.outbox.flush()
    before = len(made.data_of(slot))
    made.receive(slot, b"cheap")
    lane = made.inlets[slot].lane
    waits = lane is not None and lane.waiting == 1
    made.inlets[slot].settle()
    made.outbox.flush()
    assert made.data_of(slot)[before:] == ["cheap"]
    return waits


def test_dear_messages_are_not_gathered_for_a_while() -> None:
    async def scenario() -> None:
        made = worker(linger_s=0.01)
        assert is_gathering(made, 0) and is_gathering(made, 1)
        for _ in range(SLOW_FLUSHES):
            assert is_gathering(made, 1)
            made.receive(0, *[b"dear"] * MANY)
            made.inlets[0].settle()
        before = list(made.tally.cpu_ns)
        for slot in (0, 1) * (MANY // 2):  # each goes its own way, and pays for itself
            made.receive(slot, b"dear")
        assert all(now > 100_000 + then for now, then in zip(made.tally.cpu_ns, before, strict=True))
        assert not made.inlets[0].lane.waiting  # type: ignore[union-attr]
        await asyncio.sleep(ALONE_S)
        made.receive(0, b"cheap")  # the first one sees that it is time
        assert is_gathering(made, 0) and is_gathering(made, 1)
        made.outbox.flush()
        assert len(made.data_of(0)) == MANY * SLOW_FLUSHES + MANY // 2 + 3

    run_fast(scenario())


def test_what_is_late_goes_the_long_way_and_nothing_overtakes_it() -> None:
    async def scenario() -> None:
        made = worker(linger_s=0.01)
        made.receive(0, *[b"late"] * MANY, b"last")
        made.receive(1, b"other")
        made.inlets[0].settle()
        assert not made.inlets[0].is_idle, "the loop was to be let go meanwhile"
        for number in range(5):
            made.receive(0, b"%d" % number)
            made.inlets[0].settle()
            await asyncio.sleep(0.05)
        await made.drain()
        assert made.data_of(0) == [*["late"] * MANY, "last", *"01234"]
        assert made.data_of(1) == ["other"]
        assert is_gathering(made, 0), "once nothing waits there, it is the short way again"

    run_fast(scenario())


def test_late_messages_hold_their_connections_back() -> None:
    class Source:
        is_held = False

        def pause_reading(self, holder: object) -> None:
            self.is_held = True

        def resume_reading(self, holder: object) -> None:
            self.is_held = False

    async def scenario() -> None:
        made = worker()
        mine, other = Source(), Source()
        made.inlets[0].attach(mine)
        made.inlets[1].attach(other)
        made.receive(0, *[b"late"] * MANY)
        made.receive(1, b"other")
        made.inlets[0].settle()
        assert (mine.is_held, other.is_held) == (True, False)
        await made.drain()
        assert not mine.is_held

    run_fast(scenario())
