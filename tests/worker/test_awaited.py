"""Async processors: as many at once as help, in order or as they are ready, bounded, and cut off at the end."""

from __future__ import annotations

import asyncio
import heapq
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaleout.worker import awaited, books, calls

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
@settings(max_examples=50)
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
        await settle()
        ended: set[int] = set()
        while len(ended) < len(numbers):
            number = random.choice([each for each in gate.calls if each not in ended])
            gate.calls[number].set_result(number)
            ended.add(number)
            await settle()
            head = next((each for each in numbers if each not in ended), len(numbers))
            assert done.results == numbers[:head]
        await done.drain()
        assert done.counts == (len(numbers), len(numbers), 0, 0)

    run(scenario())


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_without_order_results_come_as_they_are_ready(
    desk: MakeDesk, run: Run, reads: list[int], random: Any
) -> None:
    async def scenario() -> None:
        gate = Gate()
        done = desk(gate.processor, ordered=False)
        numbers = list(range(sum(reads)))
        rest = iter(numbers)
        for size in reads:
            done.receive(*(b"%d" % next(rest) for _ in range(size)))
        await settle()
        ended: list[int] = []
        while len(ended) < len(numbers):
            open_calls = [each for each in gate.calls if each not in ended]
            chosen = random.sample(open_calls, random.randint(1, len(open_calls)))
            for number in chosen:
                gate.calls[number].set_result(number)
            await settle()
            assert sorted(done.results[len(ended) :]) == sorted(chosen)
            ended.extend(chosen)
        await done.drain()
        assert done.counts == (len(numbers), len(numbers), 0, 0)

    run(scenario())


def test_without_order_what_ends_together_is_delivered_together(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        gate = Gate()
        done = desk(gate.processor, ordered=False)
        done.receive(*(b"%d" % number for number in range(5)))
        done.receive(*(b"%d" % number for number in range(5, 10)))
        await gate.wait_called(10)
        batches = len(done.channel.batches)
        for number in (7, 0, 9, 2):
            gate.calls[number].set_result(number)
        await settle()
        assert [batch.all_entries[0].delivered for batch in done.channel.batches[batches:]] == [2, 2]
        await done.drain(0.0)
        assert done.counts == (10, 4, 0, 6)

    run(scenario())


@pytest.mark.parametrize("maximum", [1, 3])
def test_no_more_calls_than_allowed_at_once(desk: MakeDesk, run: Run, maximum: int) -> None:
    async def scenario() -> None:
        gate = Gate()
        done = desk(gate.processor, max_concurrency=maximum)
        done.receive(*(b"%d" % number for number in range(maximum + 50)))
        await gate.wait_called(maximum)
        await settle()
        assert len(gate.calls) == maximum
        gate.calls[maximum - 1].set_result(1)  # not the head of the line, if there are several
        await settle()
        assert len(gate.calls) == maximum + 1
        await done.drain(0.0)

    run(scenario())


class Server:
    """Answers calls after a latency that depends on how many there are, by a clock of its own."""

    def __init__(self, latency_s: Callable[[int], float]) -> None:
        self.now = 0.0
        self._latency_s = latency_s
        self._calls: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def clock(self) -> float:
        return self.now

    async def call(self, message: int) -> int:
        self._count += 1
        answer = asyncio.get_running_loop().create_future()
        ends_at = self.now + self._latency_s(len(self._calls) + 1)
        heapq.heappush(self._calls, (ends_at, self._count, answer))
        await answer
        return message

    async def answer_until(self, until: float) -> None:
        while self._calls and self.now < until:
            self.now = self._calls[0][0]
            while self._calls and self._calls[0][0] <= self.now:
                heapq.heappop(self._calls)[2].set_result(None)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("latency_s", "rate", "least", "most"),
    [
        (lambda calls: 0.05, 100 / 0.05, 75, 100),
        (lambda calls: 0.05 * max(1.0, calls / 4), 4 / 0.05, 3, 10),
    ],
)
@pytest.mark.parametrize("ordered", [True, False])
def test_concurrency_adapts_to_the_server(
    desk: MakeDesk,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    latency_s: Callable[[int], float],
    rate: float,
    least: int,
    most: int,
    ordered: bool,
) -> None:
    async def scenario() -> None:
        server = Server(latency_s)
        monkeypatch.setattr(awaited, "monotonic", server.clock)
        done = desk(server.call, ordered=ordered)
        sent = 0
        for second in range(12):
            while done.pipeline.valve.is_closed is False:
                done.receive(*(b"%d" % number for number in range(sent, sent + 100)))
                sent += 100
            await asyncio.sleep(0)
            while done.pipeline.valve.is_closed and server.now < second + 1:
                await server.answer_until(server.now + 0.05)
        delivered = done.count("delivered")
        assert least <= done.pipeline.concurrency <= most
        assert delivered / server.now >= 0.8 * rate
        draining = asyncio.ensure_future(done.drain())
        while not draining.done():
            await server.answer_until(server.now + 1.0)
            await asyncio.sleep(0)
        assert done.counts == (sent, sent, 0, 0)
        assert sorted(done.results) == list(range(sent))

    run(scenario())


@pytest.mark.parametrize(
    ("keys", "count", "size"),
    [
        ({}, 1001, 1),
        ({}, 5, 2**20),
        ({"high_water": 7, "low_water": 0}, 8, 1),
        ({"high_water": 7, "low_water": 7}, 8, 1),
        ({"high_water_bytes": 1000}, 11, 100),
    ],
)
@pytest.mark.parametrize("is_batch", [False, True])
def test_connections_are_held_back_while_too_much_waits(
    desk: MakeDesk, run: Run, keys: dict[str, int], count: int, size: int, is_batch: bool
) -> None:
    async def scenario() -> None:
        go_on = asyncio.Event()

        async def one(message: bytes) -> int:
            await go_on.wait()
            return len(message)

        async def batch(messages: list[bytes]) -> list[int]:
            await go_on.wait()
            return [len(message) for message in messages]

        done = desk(batch if is_batch else one, **keys)
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
        count = 251  # some hang, and some have not even begun
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


async def wait_for_dead_letters(done: Any, count: int) -> None:
    async with asyncio.timeout(10):
        while done.count("dead_lettered") < count:
            done.channel.was_sent.clear()
            await done.channel.was_sent.wait()


def test_connections_are_let_go_below_the_low_water(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        gate = Gate()
        done = desk(gate.processor, high_water=5, low_water=3)
        source = HeldSource()
        done.pipeline.attach(source)
        done.receive(*(b"%d" % number for number in range(6)))
        await settle()
        for number in range(4):
            assert source.holders
            gate.calls[number].set_result(number)
            await settle()
        assert not source.holders
        await done.drain(0.0)

    run(scenario())


# Timeouts


@pytest.mark.parametrize("ordered", [True, False])
def test_a_message_that_takes_too_long_is_dead(desk: MakeDesk, run: Run, ordered: bool) -> None:
    async def scenario() -> None:
        cancelled: list[int] = []

        async def sometimes(message: int) -> int:
            if message % 2:
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.append(message)
            return message

        done = desk(sometimes, timeout=0.02, ordered=ordered)
        done.receive(*(b"%d" % number for number in range(100)))
        await done.drain()
        assert sorted(done.results) == list(range(0, 100, 2))
        assert sorted(map(int, done.dead_payloads)) == list(range(1, 100, 2))
        assert {(each.stage, each.reason, each.traceback) for each in done.dead} == {
            ("process", "took longer than 20ms (timeout)", None)
        }
        assert sorted(cancelled) == list(range(1, 100, 2))
        assert done.counts == (100, 50, 0, 50)
        assert done.pipeline.zombies == 0

    run(scenario())


def test_a_batch_that_takes_too_long_is_dead(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        async def hang(messages: list[int]) -> list[int]:
            if 2 in messages:
                await asyncio.Event().wait()
            return messages

        done = desk(hang, timeout=0.02)
        done.receive(b"1", b"2")
        done.receive(b"3", b"4")
        await done.drain()
        assert done.counts == (4, 2, 0, 2)
        assert done.results == [3, 4]

    run(scenario())


def test_calls_that_end_in_time_are_left_alone(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        async def nap(message: int) -> int:
            await asyncio.sleep(0.001)
            return message

        done = desk(nap, timeout=5.0)
        done.receive(*(b"%d" % number for number in range(200)))
        await done.drain()
        assert done.counts == (200, 200, 0, 0)

    run(scenario())


def test_zombies_take_up_room_until_they_end(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        release = asyncio.Event()
        begun: list[int] = []

        async def stubborn(message: int) -> int:
            begun.append(message)
            while message < 3 and not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue
            return message

        done = desk(stubborn, timeout=0.01, max_concurrency=3)
        done.receive(*(b"%d" % number for number in range(10)))
        await wait_for_dead_letters(done, 3)
        await settle()
        zombies, begun_by_then = done.pipeline.zombies, list(begun)
        release.set()
        await done.drain()
        assert zombies == 3
        assert begun_by_then == [0, 1, 2]
        assert [letter.reason for letter in done.dead] == ["took longer than 10ms (timeout)"] * 3
        assert done.results == list(range(3, 10))
        assert done.counts == (10, 7, 0, 3)
        assert done.pipeline.zombies == 0

    run(scenario())


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_timeout_is_noticed_behind_a_blocked_loop_but_answers_come_first(
    desk: MakeDesk, run: Run, blocks: int
) -> None:
    async def scenario() -> None:
        gate = Gate()
        loop = asyncio.get_running_loop()

        def block(times: int) -> None:
            time.sleep(0.4)
            if times > 1:
                loop.call_later(0, block, times - 1)
            else:
                gate.calls[1].set_result(1)  # as if the answer had been waiting in the socket

        async def call(message: int) -> object:
            if message == 0:
                block(blocks)
                return 0
            return await gate.processor(message)

        done = desk(call, timeout=0.1)
        done.receive(b"1", b"2", b"0")
        await done.drain()
        assert done.results == [1, 0]
        assert done.dead_payloads == [b"2"]
        assert done.counts == (3, 2, 0, 1)

    run(scenario())


# The end


def test_cancelled_calls_clean_up(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        cleaned: list[int] = []

        async def hang(message: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.001)
                cleaned.append(message)

        done = desk(hang)
        done.receive(*(b"%d" % number for number in range(5)))
        await done.drain(0.5)
        assert sorted(cleaned) == list(range(5))
        assert done.counts == (5, 0, 0, 5)

    run(scenario())


def test_a_generator_is_closed_when_it_is_cut_off(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        closed = []

        async def endless(message: int) -> AsyncIterator[int]:
            try:
                while True:
                    yield message
                    await asyncio.sleep(0.001)
            finally:
                closed.append(message)

        done = desk(endless, timeout=0.05)
        done.receive(b"1")
        await done.drain()
        assert closed == [1]
        assert done.counts == (1, 0, 0, 1)

    run(scenario())


@pytest.mark.parametrize("ordered", [True, False])
def test_the_loop_ends_although_calls_will_not(desk: MakeDesk, ordered: bool) -> None:
    async def scenario() -> tuple[int, ...]:
        async def stubborn(message: int) -> int:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    continue

        done = desk(stubborn, ordered=ordered)
        done.receive(*(b"%d" % number for number in range(250)))
        await done.drain(0.05)
        counts: tuple[int, ...] = done.counts
        return counts

    assert asyncio.run(scenario()) == (250, 0, 0, 250)


# Misbehaviour


async def raises(message: int) -> object:
    raise ValueError("no")


async def exits(message: int) -> object:
    sys.exit(3)


async def interrupts(message: int) -> object:
    raise KeyboardInterrupt


async def recurses(message: int) -> object:
    return await recurses(message)


async def unencodable(message: int) -> object:
    return {message: object()}


async def blocks(message: int) -> object:
    time.sleep(0.2)  # noqa: ASYNC251
    return None


async def generates_and_exits(message: int) -> AsyncIterator[int]:
    yield message
    sys.exit(3)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (raises, "ValueError: no"),
        (exits, "SystemExit: 3"),
        (interrupts, "KeyboardInterrupt"),
        (recurses, "RecursionError: maximum recursion depth exceeded"),
        (unencodable, "TypeError: "),
        (generates_and_exits, "SystemExit: 3"),
    ],
)
def test_whatever_a_call_does_it_harms_its_message_alone(
    desk: MakeDesk, run: Run, function: Callable[[int], Any], reason: str, ordered: bool
) -> None:
    async def awaitable(message: int) -> object:
        return await function(message) if message == 2 else message

    async def generator(message: int) -> AsyncIterator[object]:
        if message != 2:
            yield message
        else:
            async for result in function(message):
                yield result

    async def scenario() -> None:
        is_generator = function is generates_and_exits
        done = desk(generator if is_generator else awaitable, ordered=ordered)
        done.receive(b"1", b"2", b"3")
        await done.drain()
        assert done.results == [1, 3]
        assert done.dead[0].reason.startswith(reason)
        assert done.counts == (3, 2, 0, 1)

    run(scenario())


def test_a_call_that_blocks_the_loop_delays_its_neighbours_only(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        done = desk(blocks)
        done.receive(b"1", b"2", b"3")
        await done.drain()
        assert done.counts == (3, 0, 3, 0)

    run(scenario())


def test_a_generator_without_an_end_is_closed(
    desk: MakeDesk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        closed = []

        async def endless(message: int) -> AsyncIterator[int]:
            try:
                while True:
                    yield message
            finally:
                closed.append(message)

        done = desk(endless)
        done.receive(b"1")
        done.pipeline.in_turn(lambda: closed.append(2))
        await done.drain()
        assert closed == [1, 2]
        assert done.dead[0].reason.startswith("ValueError: more than 1,000 results")
        assert done.counts == (1, 0, 0, 1)

    monkeypatch.setattr(calls, "MAX_RESULTS", 1000)
    monkeypatch.setattr(books, "MAX_RESULTS", 1000)
    run(scenario())


# Actions in turn


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.booleans(),
    st.randoms(use_true_random=False),
)
@settings(max_examples=50)
def test_actions_are_done_in_turn(
    desk: MakeDesk, run: Run, reads: list[int], ordered: bool, random: Any
) -> None:
    async def scenario() -> None:
        gate = Gate()
        done = desk(gate.processor, ordered=ordered)
        seen: list[list[int]] = []
        befores = []
        rest = iter(range(100))
        received: list[int] = []
        for size in reads:
            numbers = [next(rest) for _ in range(size)]
            if numbers:
                done.receive(*(b"%d" % number for number in numbers))
            received.extend(numbers)
            befores.append(list(received))
            done.pipeline.in_turn(lambda: seen.append(list(done.results)))
        await settle()
        ended: set[int] = set()
        while len(ended) < len(received):
            number = random.choice([each for each in gate.calls if each not in ended])
            gate.calls[number].set_result(number)
            ended.add(number)
            await settle()
            assert len(seen) == sum(ended >= set(before) for before in befores)
        await done.drain()
        if ordered:
            assert seen == befores
        else:
            assert all(set(results) >= set(before) for results, before in zip(seen, befores, strict=True))
        assert len(seen) == len(reads)

    run(scenario())


def test_actions_are_done_between_two_parts_of_a_turn(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        gate = Gate()
        done = desk(gate.processor)
        seen: list[list[int]] = []
        done.receive(b"1")
        done.pipeline.in_turn(lambda: seen.append(list(done.results)))
        done.receive(b"2")
        await gate.wait_called(2)
        gate.calls[2].set_result(2)
        gate.calls[1].set_result(1)
        await done.drain()
        assert seen == [[1]]
        assert done.results == [1, 2]
        done.pipeline.in_turn(lambda: seen.append(list(done.results)))
        assert seen == [[1], [1, 2]]

    run(scenario())


def test_actions_are_done_when_the_calls_before_them_are_cut_off(desk: MakeDesk, run: Run) -> None:
    async def scenario() -> None:
        gate = Gate()
        done = desk(gate.processor)
        seen: list[int] = []
        done.receive(*(b"%d" % number for number in range(50)))
        done.pipeline.in_turn(lambda: seen.append(done.count("dead_lettered")))
        await done.drain(0.0)
        assert seen == [50]

    run(scenario())


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_a_plain_function_s_pipeline_does_them_in_turn_too(
    desk: MakeDesk, run: Run, is_cut_off: bool
) -> None:
    async def scenario() -> None:
        def slow(message: int) -> int:
            time.sleep(0.001)
            return message

        done = desk(slow)
        seen: list[int] = []

        def look() -> None:
            seen.append(done.count("delivered") + done.count("dead_lettered"))

        done.pipeline.in_turn(look)
        for size in (3, 200, 50):
            done.receive(*(b"%d" % number for number in range(size)))
            done.pipeline.in_turn(look)
            done.pipeline.in_turn(look)
        assert seen == [0, 3, 3]
        await done.drain(0.0 if is_cut_off else 10.0)
        assert seen == [0, 3, 3, 203, 203, 253, 253]

    run(scenario())
