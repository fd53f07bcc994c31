"""Async processors: many at once, results in order, bounded, and cut off at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.worker import awaited

MakeDesk = Callable[..., Any]
Run = Callable[[Awaitable[Any]], Any]


class Gate:
    """Lets a test finish the calls of a processor one by one."""

    def __init__(self) -> None:
        self.calls: dict[int, asyncio.Future[object]] = {}
        self.called = asyncio.Event()

    async def processor(self, message: int) -> object:
        self.calls[message] = asyncio.get_running_loop().create_future()
        self.called.set()
        return await self.calls[message]

    async def wait_called(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.calls) < count:
                self.called.clear()
                await self.called.wait()


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


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_results_come_in_order_however_the_calls_end(
    desk: MakeDesk, run: Run, reads: list[int], random: Any
) -> None:
    async def scenario() -> None:
        gate = Gate()
        done = desk(gate.processor)
        numbers = list(range(sum(reads)))
        rest = iter(numbers)
        for size in reads:
            done.receive(*(b"%d" % next(rest) for _ in range(size)))
        await gate.wait_called(len(numbers))
        order = list(numbers)
        random.shuffle(order)
        ended = set()
        for number in order:
            gate.calls[number].set_result(number)
            ended.add(number)
            await settle()
            head = next((each for each in numbers if each not in ended), len(numbers))
            assert done.results == numbers[:head]
        await done.drain()
        assert done.counts == (len(numbers), len(numbers), 0, 0)

    run(scenario())


def test_no_more_calls_than_allowed_at_once(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        gate = Gate()
        done = desk(gate.processor)
        done.receive(*(b"%d" % number for number in range(awaited.MAX_CONCURRENCY + 50)))
        await gate.wait_called(awaited.MAX_CONCURRENCY)
        await settle()
        assert len(gate.calls) == awaited.MAX_CONCURRENCY
        gate.calls[awaited.MAX_CONCURRENCY - 1].set_result(
            1
        )  # not the head of the line: there is room all the same
        await settle()
        assert len(gate.calls) == awaited.MAX_CONCURRENCY + 1
        await done.drain(0.0)

    run(scenario())


@pytest.mark.parametrize(
    ("count", "size"), [(awaited.HIGH_WATER_MESSAGES + 1, 1), (5, awaited.HIGH_WATER_BYTES // 4)]
)
@pytest.mark.parametrize("is_batch", [False, True])
def test_connections_are_held_back_while_too_much_waits(
    desk: MakeDesk, run: Run, count: int, size: int, is_batch: bool
) -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()

        async def one(message: bytes) -> int:
            await go_on.wait()
            return len(message)

        async def batch(messages: list[bytes]) -> list[int]:
            await go_on.wait()
            return [len(message) for message in messages]

        done = desk(batch if is_batch else one)
        first, late = HeldSource(), HeldSource()
        done.pipeline.attach(first)
        done.receive(b"x" * size)
        assert not first.holders
        done.receive(*[b"x" * size] * (count - 1))
        assert len(first.holders) == 1
        done.pipeline.attach(late)
        assert late.holders == first.holders
        done.pipeline.detach(late)
        go_on.set()
        await done.drain()
        assert not first.holders
        assert done.counts == (count, count, 0, 0)

    run(scenario())


def test_calls_that_hang_at_the_end_are_cut_off(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        begun: list[int] = []
        cancelled: list[int] = []

        async def hang(message: int) -> int:
            begun.append(message)
            if message % 2 == 0:
                return message
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(message)
                raise
            return message

        done = desk(hang)
        count = 2 * awaited.MAX_CONCURRENCY + 51  # some hang, and some have not even begun
        done.receive(*(b"%d" % number for number in range(count)))
        await done.drain(0.01)
        dead = [int(payload) for payload in done.dead_payloads]
        assert sorted(dead + done.results) == list(range(count))
        assert {letter.reason for letter in done.dead} == {
            "still being processed 0.01 s after the run was stopped"
        }
        assert {letter.traceback for letter in done.dead} == {None}
        counts = done.counts
        assert counts == (count, len(done.results), 0, len(dead))
        begun_until_then = list(begun)
        await settle()
        assert cancelled and set(cancelled) <= set(dead)
        assert begun == begun_until_then
        assert done.counts == counts

    run(scenario())


def test_a_call_that_will_not_be_cancelled_does_not_hold_up_the_end(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        release = asyncio.Event()

        async def stubborn(message: int) -> int:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue
            return message

        done = desk(stubborn)
        done.receive(b"1")
        await done.drain(0.01)
        assert done.counts == (1, 0, 0, 1)
        release.set()
        await settle()
        assert done.counts == (1, 0, 0, 1)

    run(scenario())


def test_an_async_generator_that_fails_half_way_delivers_nothing(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        async def half(message: int) -> AsyncIterator[int]:
            yield message
            if message == 2:
                raise ValueError("half way")
            yield -message

        done = desk(half)
        done.receive(b"1", b"2", b"3")
        await done.drain()
        assert done.results == [1, -1, 3, -3]
        assert done.dead[0].reason == "ValueError: half way"
        assert "half way" in done.dead[0].traceback
        assert done.counts == (3, 2, 0, 1)

    run(scenario())


def test_a_call_that_cancels_itself_harms_nobody_else(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        async def cancel(message: int) -> int:
            task = asyncio.current_task()
            if message == 2 and task is not None:
                task.cancel()
            await asyncio.sleep(0)
            return message

        done = desk(cancel)
        done.receive(b"1", b"2", b"3")
        await done.drain()
        assert done.results == [1, 3]
        assert done.dead[0].reason == "CancelledError"

    run(scenario())


def test_a_partial_or_callable_object_is_awaited_too(desk: MakeDesk, run: Run) -> None:
    class Enricher:
        async def __call__(self, message: int) -> int:
            await asyncio.sleep(0)
            return message * 10

    async def scenario() -> None:
        done = desk(Enricher())
        done.receive(b"1", b"2")
        await done.drain()
        assert done.results == [10, 20]

    run(scenario())
