"""The outbox: batches by size and by time, back pressure, and nothing lost or out of order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.core.wire import DeadLetter, Drained
from scaleout.worker import outbox as outbox_module
from scaleout.worker.outbox import BULK_BYTES, FLUSH_BYTES, HIGH_WATER_BYTES, Outbox
from scaleout.worker.tray import Tray

Run = Callable[[Awaitable[Any]], Any]
MakeChannel = Callable[[], Any]


class HeldSource:
    """A connection, as far as it can be held back."""

    def __init__(self) -> None:
        self.is_held = False

    def pause_reading(self, holder: object) -> None:
        self.is_held = True

    def resume_reading(self, holder: object) -> None:
        self.is_held = False


def letter(payload: bytes = b"") -> DeadLetter:
    return DeadLetter(slot=0, stage="decode", reason="bad", payload=payload, is_text=True, received_at=1)


def outbox_on(channel: Any) -> Outbox:
    outbox = Outbox()
    outbox.send_through(channel)
    return outbox


def test_a_read_goes_out_at_once_without_linger(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        tray = Tray(3, received=2, delivered=1, filtered=1, results=1, bytes=9)
        outbox.put(tray, (b"a", b"b\n"), 0.0)
        (batch,) = channel.batches
        (entry,) = batch.all_entries
        assert (entry.slot, entry.received, entry.delivered, entry.filtered) == (3, 2, 1, 1)
        assert (entry.results, entry.bytes) == (1, 9)
        assert channel.bodies == [b"ab\n"]
        assert (tray.received, tray.delivered, tray.bytes, outbox.backlog_bytes) == (0, 0, 0, 0)

    run(scenario())


def test_small_reads_wait_for_each_other(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        first, second = Tray(0, delivered=1), Tray(1, delivered=1)
        outbox.put(first, (b"1\n",), 0.01)
        outbox.put(second, (b"2\n",), 0.01)
        first.delivered += 1
        outbox.put(first, (b"3\n",), 0.01)
        assert channel.sent == []
        await channel.was_sent.wait()
        assert channel.bodies == [b"1\n2\n3\n"]
        assert [(entry.slot, entry.delivered) for entry in channel.batches[0].all_entries] == [(0, 2), (1, 1)]

    run(scenario())


def test_a_full_batch_does_not_wait(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        outbox.put(Tray(0), (b"x" * (FLUSH_BYTES - 1),), 100.0)
        assert channel.sent == []
        outbox.put(Tray(1), (b"\n",), 100.0)
        assert [len(body) for body in channel.bodies] == [FLUSH_BYTES]

    run(scenario())


def test_the_shortest_linger_counts(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        outbox.put(Tray(0), (b"1\n",), 100.0)
        outbox.put(Tray(1), (b"2\n",), 0.001)
        outbox.put(Tray(2), (b"3\n",), 100.0)
        await channel.was_sent.wait()
        assert channel.bodies == [b"1\n2\n3\n"]
        outbox.put(Tray(0), (b"4\n",), 100.0)
        outbox.put(Tray(1), (b"5\n",), 0.0)
        assert channel.bodies[1:] == [b"4\n5\n"]

    run(scenario())


def test_a_wait_too_short_for_a_timer_is_one_all_the_same(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        for linger_s in (0.0001, 100.0, 0.00005):
            outbox.put(Tray(0), (b"1\n",), linger_s)
        assert channel.sent == []
        await channel.was_sent.wait()
        assert channel.bodies == [b"1\n" * 3]

    run(scenario())


def opened(slot: int) -> Tray:
    tray = Tray(slot, delivered=1)
    tray.is_open = True
    return tray


def test_large_pieces_wait_for_each_other(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        piece = b"x" * (BULK_BYTES // 2 - 1) + b"\n"
        outbox.put_together([opened(0)], [piece], 100.0)
        assert channel.sent == []
        outbox.put_together([opened(1)], [piece, b"\n" * (BULK_BYTES - 2 * len(piece))], 100.0)
        assert [len(body) for body in channel.bodies] == [BULK_BYTES]
        assert [entry.slot for entry in channel.batches[0].all_entries] == [0, 1]

    run(scenario())


def test_large_pieces_wait_no_longer_than_they_may(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        piece = b"x" * FLUSH_BYTES
        outbox.put_together([opened(0)], [piece], 0.001)
        await channel.was_sent.wait()
        assert channel.bodies == [piece]
        outbox.put_together([opened(0)], [piece], 100.0)
        outbox.put_together([opened(1)], [piece], 0.0)
        assert channel.bodies[1:] == [piece * 2]

    run(scenario())


def test_what_has_waited_takes_along_what_has_not(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        outbox.put_together([opened(0)], [b"x" * FLUSH_BYTES], 100.0)
        assert channel.bodies == []
        outbox.put_together([opened(1)], [b"\n"], 0.0)
        assert channel.bodies == [b"x" * FLUSH_BYTES + b"\n"]

    run(scenario())


def test_counts_without_results_go_out_too(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        outbox.put(Tray(0, received=1, filtered=1), (), 0.001)
        await channel.was_sent.wait()
        assert channel.batches[0].all_entries[0].filtered == 1

    run(scenario())


def test_a_full_pipe_holds_connections_back_until_it_is_empty(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        source, late = HeldSource(), HeldSource()
        outbox.valve.attach(source)
        channel.is_writable = False
        part = b"x" * (FLUSH_BYTES - 1) + b"\n"
        sent = 0
        while not source.is_held:
            assert sent <= HIGH_WATER_BYTES
            outbox.put(Tray(0, delivered=1), (part,), 0.0)
            sent += len(part)
        assert channel.sent == []
        outbox.valve.attach(late)
        assert (late.is_held, outbox.valve.is_closed, outbox.backlog_bytes) == (True, True, sent)
        outbox.flush()
        assert channel.sent == []
        channel.is_writable = True
        outbox.flush()
        assert not (source.is_held or late.is_held or outbox.valve.is_closed)
        assert channel.bodies == [part * (sent // len(part))]

    run(scenario())


def test_a_batch_never_grows_too_large_for_the_pipe(
    run: Run, sent_channel: MakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(outbox_module, "MAX_BATCH_BYTES", 3 * HIGH_WATER_BYTES)
        channel = sent_channel()
        outbox = outbox_on(channel)
        source = HeldSource()
        outbox.valve.attach(source)
        channel.is_writable = False
        part = b"x" * HIGH_WATER_BYTES
        for _ in range(2):
            outbox.put(Tray(0), (part,), 0.0)
        assert channel.sent == []
        outbox.put(Tray(0), (part,), 0.0)
        assert channel.bodies == [3 * part]
        assert (outbox.backlog_bytes, source.is_held) == (0, True)

    run(scenario())


def test_a_pipe_that_is_full_again_at_once_goes_on_holding_back(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        source = HeldSource()
        outbox.valve.attach(source)
        channel.is_writable = False
        outbox.put(Tray(0), (b"x" * HIGH_WATER_BYTES,), 0.0)
        assert source.is_held
        send = channel.send

        def send_and_fill(*message: Any) -> None:
            send(*message)
            channel.is_writable = False

        channel.send = send_and_fill
        channel.is_writable = True
        outbox.flush()
        assert len(channel.sent) == 1 and source.is_held
        channel.is_writable = True
        outbox.flush()
        assert not source.is_held

    run(scenario())


def test_dead_letters_of_empty_messages_fill_the_outbox_too(run: Run, sent_channel: MakeChannel) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        source = HeldSource()
        outbox.valve.attach(source)
        channel.is_writable = False
        tray = Tray(0)
        for _ in range(HIGH_WATER_BYTES // 100):
            outbox.put_dead_letter(letter())
            outbox.put(tray, (), 0.005)
        assert source.is_held

    run(scenario())


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("put"), st.integers(0, 2), st.sampled_from([0, 10, FLUSH_BYTES, HIGH_WATER_BYTES])
            ),
            st.tuples(st.just("letter"), st.integers(0, 2), st.just(0)),
            st.tuples(st.sampled_from(["block", "unblock", "flush"]), st.just(0), st.just(0)),
        ),
        max_size=30,
    ),
    st.sampled_from([0.0, 100.0]),
)
@settings(max_examples=60)
def test_nothing_is_lost_or_out_of_order(
    run: Run, sent_channel: MakeChannel, steps: list[tuple[str, int, int]], linger_s: float
) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = outbox_on(channel)
        trays = [Tray(slot) for slot in range(3)]
        body, letters, delivered = b"", [], [0, 0, 0]
        for number, (step, slot, size) in enumerate(steps):
            if step == "put":
                part = b"%d:%d\n" % (number, size) + b"x" * size
                body += part
                delivered[slot] += 1
                trays[slot].delivered += 1
                outbox.put(trays[slot], (part,), linger_s)
            elif step == "letter":
                letters.append(letter(b"%d" % number))
                outbox.put_dead_letter(letters[-1])
                outbox.put(trays[slot], (), linger_s)
            else:
                channel.is_writable = step != "block" and (step == "unblock" or channel.is_writable)
                outbox.flush()
        await outbox.finish(1.5)
        assert b"".join(channel.bodies) == body
        assert [each for batch in channel.batches for each in batch.dead_letters] == letters
        entries = [entry for batch in channel.batches for entry in batch.all_entries]
        for slot in range(3):
            assert sum(entry.delivered for entry in entries if entry.slot == slot) == delivered[slot]
        assert channel.sent[-1] == Drained(cpu=1.5)
        assert channel.is_closed

    run(scenario())


def test_messages_without_an_outcome_are_reported_when_asked(
    run: Callable[..., Any], sent_channel: Callable[[], Any]
) -> None:
    async def scenario() -> None:
        channel = sent_channel()
        outbox = Outbox()
        outbox.send_through(channel)
        tray, other = Tray(1), Tray(2)
        outbox.know(tray)
        outbox.know(other)
        tray.received = 3
        outbox.post_all()
        outbox.post_all()
        (batch,) = channel.batches
        assert [(entry.slot, entry.received) for entry in batch.all_entries] == [(1, 3)]

    run(scenario())
