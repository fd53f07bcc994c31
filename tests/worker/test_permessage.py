"""A plain function is called for a turn at a time: the loop goes on, and order and counts stay."""

from __future__ import annotations

import asyncio
import time
from typing import Any


class Tap:
    def __init__(self) -> None:
        self.holders: list[object] = []

    def pause_reading(self, holder: object) -> None:
        self.holders.append(holder)

    def resume_reading(self, holder: object) -> None:
        self.holders.remove(holder)


def numbers(start: int, stop: int) -> list[bytes]:
    return [b"%d" % number for number in range(start, stop)]


def test_a_slow_function_gives_the_loop_its_turns(desk: Any, run: Any) -> None:
    def slow(message: int) -> int:
        time.sleep(0.005)
        return message

    async def scenario() -> None:
        done = desk(slow)
        tap = Tap()
        done.pipeline.attach(tap)
        longest = 0.0
        done.receive(*numbers(0, 150))
        assert tap.holders == [done.pipeline.valve]
        done.receive(*numbers(150, 160))  # what was under way when the connection was paused
        loop = asyncio.get_running_loop()
        draining = asyncio.ensure_future(done.drain())
        while not draining.done():
            before = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - before)
        await draining
        assert longest < 0.5
        assert tap.holders == []
        assert done.data == numbers(0, 160)
        assert done.counts == (160, 160, 0, 0)

    run(scenario())


def test_a_fast_function_is_done_at_once_and_delivered_as_one(desk: Any, run: Any) -> None:
    async def scenario() -> None:
        done = desk(lambda message: message)
        for _ in range(5):
            done.receive(*numbers(0, 2000))
        assert done.counts == (10_000, 10_000, 0, 0)
        assert [batch.all_entries[0].delivered for batch in done.channel.batches] == [2000] * 5

    run(scenario())


def test_what_still_waits_when_the_time_to_drain_is_over_is_dead(desk: Any, run: Any) -> None:
    def slow(message: int) -> int:
        time.sleep(0.02)
        return message

    async def scenario() -> None:
        done = desk(slow)
        done.receive(*numbers(0, 200))
        await done.drain(0.3)
        await done.drain(0.3)  # nothing is left
        received, delivered, filtered, dead = done.counts
        assert (received, filtered) == (200, 0)
        assert 0 < delivered < 100
        assert delivered + dead == 200
        letters = [letter for batch in done.channel.batches for letter in batch.dead_letters]
        assert [letter.payload for letter in letters] == numbers(delivered, 200)
        assert {letter.reason for letter in letters} == {
            "still waiting to be processed 0.3 s after the run was stopped"
        }

    run(scenario())
