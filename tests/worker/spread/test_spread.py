"""An endpoint whose messages are processed by helpers: in order, bounded, and without loss when one dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaleout.errors import SendError
from scaleout.worker.backlog import Backlog
from scaleout.worker.spread import sizing
from scaleout.worker.spread.line import MAX_DEATHS

MakeDesk = Callable[..., Any]
Run = Callable[[Awaitable[Any]], Any]

SAME = "def process(number: int) -> int:\n    return number\n"
BATCH = "def process(numbers: list[int]) -> list[int]:\n    return numbers\n"


class HeldSource:
    """A connection, as far as it can be held back."""

    def __init__(self) -> None:
        self.holders: set[object] = set()

    def pause_reading(self, holder: object) -> None:
        self.holders.add(holder)

    def resume_reading(self, holder: object) -> None:
        self.holders.discard(holder)


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def work_off(desk: Any, stand_ins: Any) -> None:
    """Let the stand-ins answer until nothing is left."""
    async with asyncio.timeout(10):
        draining = asyncio.ensure_future(desk.drain())
        while not draining.done():
            for each in stand_ins:
                if each.given and each.is_ready:
                    each.answer()
            await asyncio.sleep(0)
        await draining


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 2**32))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_results_come_in_order_however_helpers_answer_and_die(
    spread_desk: MakeDesk, run: Run, stand_ins: Any, reads: list[int], seed: int
) -> None:
    async def scenario() -> None:
        stand_ins.clear()
        random = Random(seed)
        desk = spread_desk(SAME, processors=3)
        await settle()
        expected: list[int] = []
        rest = iter(range(1_000))
        for size in reads:
            numbers = [next(rest) for _ in range(size)]
            desk.receive_numbers(*numbers)
            expected += numbers
            if random.random() < 0.3:
                mark = -len(expected)
                desk.pipeline.in_turn(lambda mark=mark: desk.inlet.books.insert(b'{"data":%d}\n' % mark))
                expected.append(mark)
            busy = [each for each in stand_ins if each.given and each.is_ready]
            for each in random.sample(busy, random.randint(0, len(busy))):
                each.die() if random.random() < 0.1 else each.answer()
            await settle()
        await work_off(desk, stand_ins)
        found = [int(line.rpartition(b'"data":')[2][:-1]) for line in desk.lines]
        assert found == expected
        received = sum(reads)
        assert desk.count("received") == desk.count("delivered") == received

    run(scenario())


def test_nothing_is_counted_before_it_is_answered(spread_desk: MakeDesk, run: Run, stand_ins: Any) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME)
        desk.outbox.know(desk.inlet.books.tray)
        await settle()
        desk.receive_numbers(*range(10))
        await stand_ins.until_given()
        desk.outbox.post_all()
        assert desk.counts == (10, 0, 0, 0)
        await work_off(desk, stand_ins)
        assert desk.counts == (10, 10, 0, 0)
        assert desk.results == list(range(10))

    run(scenario())


def test_what_is_done_in_turn_may_have_more_done(spread_desk: MakeDesk, run: Run, stand_ins: Any) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors=1)
        stage = desk.pipeline
        seen: list[tuple[str, int]] = []

        def note(name: str) -> None:
            seen.append((name, stage._line.messages))

        def more() -> None:
            note("more")
            stage.in_turn(lambda: note("last"))

        desk.receive_numbers(1)
        stage.in_turn(more)
        desk.receive_numbers(2)
        await settle()
        assert stand_ins[0].given[0].messages == 2
        batches = len(desk.channel.batches)
        stand_ins[0].answer()
        assert seen == [("more", 2), ("last", 2)]
        assert len(desk.channel.batches) == batches + 1
        assert desk.results == [1, 2]
        await desk.drain()

    run(scenario())


def test_the_helper_with_the_least_to_do_is_given_the_next_batch(
    spread_desk: MakeDesk, run: Run, stand_ins: Any
) -> None:
    async def scenario() -> None:
        desk = spread_desk(BATCH)
        await settle()
        loads = []
        for read in range(5):
            desk.receive_numbers(*range(read, read + 250))
            loads.append([len(each.given) for each in stand_ins])
        assert loads == [[1, 0], [1, 1], [2, 1], [2, 2], [2, 2]]
        assert desk.pipeline._line.waiting == 250
        stand_ins[1].answer()
        assert [len(each.given) for each in stand_ins] == [2, 2]
        await work_off(desk, stand_ins)

    run(scenario())


def test_batches_take_some_milliseconds(spread_desk: MakeDesk, run: Run, stand_ins: Any) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, high_water=100_000)
        await settle()
        desk.receive_numbers(*range(5_000))
        sizes = []
        while any(each.given for each in stand_ins):
            for each in stand_ins:
                if each.given:
                    sizes.append(each.given[0].messages)
                    each.answer()
        assert sizes[0] == int(sizing.BATCH_S / sizing.FIRST_GUESS_S)
        assert max(sizes) <= sizing.MAX_BATCH
        assert sizes[-2] == pytest.approx(sizing.BATCH_S / 50e-6, rel=0.05)
        await work_off(desk, stand_ins)
        assert desk.results == list(range(5_000))

    run(scenario())


def test_single_messages_are_gathered(spread_desk: MakeDesk, run: Run, stand_ins: Any) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors=1, linger=0.005)
        await settle()
        desk.receive_numbers(1)
        desk.receive_numbers(2)
        assert not stand_ins[0].given
        await stand_ins.until_given()
        assert stand_ins[0].given[0].messages == 2
        await work_off(desk, stand_ins)
        assert desk.results == [1, 2]


def test_single_messages_are_not_gathered_where_results_may_not_wait(
    spread_desk: MakeDesk, run: Run, stand_ins: Any
) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors=1, linger=0.0)
        await settle()
        desk.receive_numbers(1)
        assert stand_ins[0].given[0].messages == 1
        await work_off(desk, stand_ins)

    run(scenario())


@pytest.mark.parametrize(
    ("keys", "size"), [({"high_water": 10, "low_water": 4}, 1), ({"high_water_bytes": 40}, 4)]
)
def test_connections_are_held_back_while_too_much_is_in_the_line(
    spread_desk: MakeDesk, run: Run, stand_ins: Any, keys: dict[str, int], size: int
) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors=1, **keys)
        await settle()
        source, late = HeldSource(), HeldSource()
        desk.inlet.attach(source)
        desk.receive(*[b"1" * size] * 10)
        assert not source.holders
        desk.receive(b"1" * size)
        assert source.holders
        desk.inlet.attach(late)
        assert late.holders
        held_at = []
        while source.holders:
            await stand_ins.until_given()
            held_at.append(desk.pipeline._line.messages)
            stand_ins[0].answer()
        assert min(held_at) >= 3
        assert desk.pipeline._line.messages < 4
        assert not late.holders
        await work_off(desk, stand_ins)

    run(scenario())


def test_what_comes_while_no_helper_is_ready_waits(spread_desk: MakeDesk, run: Run, stand_ins: Any) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME)
        desk.receive_numbers(1, 2, 3)
        assert not stand_ins
        await settle()
        await work_off(desk, stand_ins)
        assert desk.results == [1, 2, 3]

    run(scenario())


def test_a_dead_helper_is_replaced_and_its_batches_processed_by_others(
    spread_desk: MakeDesk, run: Run, stand_ins: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors=2)
        await settle()
        desk.receive_numbers(*range(100))
        await stand_ins.until_given(4)
        stand_ins[0].die()
        await settle()
        assert len(stand_ins) == 3
        await work_off(desk, stand_ins)
        assert desk.counts == (100, 100, 0, 0)
        assert desk.results == list(range(100))
        assert desk.pipeline.cpu_s == 3 * 0.25

    with caplog.at_level(logging.WARNING, "scaleout"):
        run(scenario())
    assert caplog.messages == ["a helper process died (killed by SIGKILL)"]


def test_a_message_that_kills_its_helpers_goes_to_the_dead_letters_alone(
    spread_desk: MakeDesk, run: Run, stand_ins: Any
) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors=1)
        await settle()
        desk.receive_numbers(*range(20))
        draining = asyncio.ensure_future(desk.drain())
        while not draining.done():
            for each in stand_ins:
                if each.given and each.is_ready:
                    has_poison = any(
                        b"13" in part.payloads for segment in each.given[0].segments for part in segment
                    )
                    each.die("killed by SIGSEGV") if has_poison else each.answer()
            await asyncio.sleep(0)
        await draining
        assert desk.counts == (20, 19, 0, 1)
        assert desk.results == [number for number in range(20) if number != 13]
        (letter,) = desk.dead
        assert letter.payload == b"13"
        assert letter.reason == f"{MAX_DEATHS} processes died while they processed it: killed by SIGSEGV"
        assert len(stand_ins) == MAX_DEATHS + 1

    run(scenario())


def test_what_takes_too_long_at_the_end_is_dead(spread_desk: MakeDesk, run: Run, stand_ins: Any) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors=2)
        await settle()
        desk.receive_numbers(*range(200))
        done: list[int] = []
        desk.pipeline.in_turn(lambda: done.append(desk.so_far("dead_lettered")))
        await stand_ins.until_given(4)
        stand_ins[0].answer()
        delivered = len(desk.results)
        await desk.drain(0.05)
        assert desk.counts == (200, delivered, 0, 200 - delivered)
        assert desk.dead[0].reason == "still being processed 0.05 s after the run was stopped"
        assert done == [200 - delivered]
        for each in stand_ins:  # an answer that comes too late is not counted again
            while each.given:
                each.answer()
        desk.outbox.post_all()
        assert desk.counts == (200, delivered, 0, 200 - delivered)

    run(scenario())


def test_behind_a_policy_that_drops(spread_desk: MakeDesk, run: Run, stand_ins: Any) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors=1, backpressure="drop_oldest", high_water=10)
        desk.inlet.stage = desk.pipeline = backlog = Backlog(desk.inlet.books, desk.pipeline)
        await settle()
        source = HeldSource()
        desk.inlet.attach(source)
        for number in range(40):
            desk.receive_numbers(number)
        assert not source.holders
        await work_off(desk, stand_ins)
        assert backlog.cpu_s == 0.25
        assert desk.count("dropped") == 40 - 11 - 10
        assert desk.results == [*range(11), *range(30, 40)]

    run(scenario())


def test_what_a_processor_sends_is_sent_by_the_worker(
    spread_desk: MakeDesk, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    source = (
        "from scaleout import Context\n"
        "def process(number: int, context: Context) -> str:\n"
        "    context.send(f'\\u00fc{number}' if number % 2 else b'%d' % number)\n"
        "    try:\n"
        "        context.send(5)\n"
        "    except Exception as exc:\n"
        "        return f'{type(exc).__name__}: {exc}'\n"
    )

    async def scenario() -> None:
        desk = spread_desk(source, processors=1)

        def refuse(message: object) -> None:
            raise SendError("desk is not connected")

        desk.receive_numbers(1, 2, 3)
        await desk.until(lambda: len(desk.lines) == 3)
        assert desk.replies == ["ü1", b"2", "ü3"]
        assert set(desk.results) == {"SendError: sends str and bytes alone, not int"}
        desk.pipeline._send = refuse
        desk.receive_numbers(4, 5)
        await desk.drain()
        assert desk.counts == (5, 5, 0, 0)

    with caplog.at_level(logging.WARNING, "scaleout"):
        run(scenario())
    assert caplog.messages == ["a message of the processor can't be sent: desk is not connected"]


# auto


def test_the_worker_itself_has_the_time(spread_desk: MakeDesk, run: Run, stand_ins: Any) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors="auto")
        await settle()
        desk.receive_numbers(*range(100))
        assert desk.results == list(range(100))
        assert (stand_ins, desk.pipeline.cpu_s) == ([], 0.0)
        done: list[int] = []
        desk.pipeline.in_turn(lambda: done.append(1))
        assert done == [1]
        await desk.drain()
        assert desk.counts == (100, 100, 0, 0)

    run(scenario())


def observe(desk: Any, processors: int) -> None:
    """Let the next look find that there should be so many processors."""

    def found(now: float, messages: int, busy_s: float) -> bool:
        assert busy_s >= 0 and messages >= 0
        has_changed: bool = desk.pipeline._spreading.processors != processors
        desk.pipeline._spreading.processors = processors
        return has_changed

    desk.pipeline._spreading.observe = found
    desk.pipeline._look()


@pytest.mark.parametrize("source", [SAME, BATCH])
def test_to_helpers_and_back_in_order(
    spread_desk: MakeDesk, run: Run, stand_ins: Any, source: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        desk = spread_desk(source, processors="auto")
        desk.receive_numbers(0, 1)
        observe(desk, 2)
        desk.receive_numbers(2, 3)
        assert desk.results == [0, 1, 2, 3]
        await settle()
        desk.receive_numbers(4, 5)
        await stand_ins.until_given()
        assert desk.results == [0, 1, 2, 3]
        observe(desk, 0)
        desk.receive_numbers(6)
        desk.pipeline.in_turn(lambda: desk.inlet.books.insert(b'{"data":-1}\n'))
        desk.receive_numbers(7)
        assert len(desk.results) == 4
        for each in stand_ins:
            while each.given:
                each.answer()
        found = [int(line.rpartition(b'"data":')[2][:-1]) for line in desk.lines]
        assert found == [0, 1, 2, 3, 4, 5, 6, -1, 7]
        assert all(each.is_retired for each in stand_ins)
        desk.receive_numbers(8)
        assert len(desk.lines) == 10
        await desk.drain()
        assert desk.counts[:2] == (9, 9)
        assert desk.pipeline.cpu_s == 0.5

    with caplog.at_level(logging.INFO, "scaleout"):
        run(scenario())
    assert [message.partition(",")[0] for message in caplog.messages] == ["2 processors", "no processors"]


def test_it_goes_on_with_as_many_helpers_as_it_had(spread_desk: MakeDesk, run: Run, stand_ins: Any) -> None:
    async def scenario() -> None:
        told: list[int] = []
        desk = spread_desk(SAME, processors="auto", had=2, on_resize=lambda: told.append(1))
        assert desk.pipeline.processors == 2
        desk.receive_numbers(0, 1)
        await stand_ins.until_given()
        assert desk.results == []
        observe(desk, 1)
        assert (desk.pipeline.processors, len(told)) == (1, 1)
        observe(desk, 0)
        for each in stand_ins:
            while each.given:
                each.answer()
        assert (desk.pipeline.processors, len(told)) == (0, 2)
        assert desk.results == [0, 1]
        await desk.drain()

    run(scenario())


def test_helpers_that_die_on_the_way_back(spread_desk: MakeDesk, run: Run, stand_ins: Any) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors="auto")
        observe(desk, 1)
        await settle()
        desk.receive_numbers(*range(3))
        await stand_ins.until_given()
        observe(desk, 0)
        desk.receive_numbers(3)
        stand_ins[0].die()
        await settle()
        assert desk.results == []
        while stand_ins[-1].given:
            stand_ins[-1].answer()
        assert desk.results == [0, 1, 2, 3]
        assert len(stand_ins) == 2
        await desk.drain()

    run(scenario())


def test_helpers_are_booked_behind_what_the_worker_was_slow_with(
    spread_desk: MakeDesk, run: Run, stand_ins: Any
) -> None:
    source = "import time\ndef process(number: int) -> int:\n    time.sleep(0.02)\n    return number\n"

    async def scenario() -> None:
        desk = spread_desk(source, processors="auto")
        desk.receive_numbers(*range(20))
        assert len(desk.results) < 20
        observe(desk, 1)
        await asyncio.sleep(0)
        desk.receive_numbers(20, 21)
        stand_ins[0].answer()
        assert len(desk.results) < 20
        await work_off(desk, stand_ins)
        assert desk.results == list(range(22))
        assert 0.2 <= desk.pipeline._local.busy_s < 0.4  # beside what was looked at before

    run(scenario())


def test_the_last_helper_is_retired_while_another_goes_on(
    spread_desk: MakeDesk, run: Run, stand_ins: Any
) -> None:
    async def scenario() -> None:
        desk = spread_desk(SAME, processors="auto")
        observe(desk, 2)
        await settle()
        desk.receive_numbers(*range(100))
        await stand_ins.until_given(4)
        observe(desk, 1)
        first, second = stand_ins
        second.answer()
        second.answer()
        assert not second.given
        first.answer()
        assert len(first.given) == 2
        await work_off(desk, stand_ins)
        assert desk.results == list(range(100))

    run(scenario())
