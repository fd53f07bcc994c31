"""Waiting for the first of several things."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from scaleout.supervisor.waiting import first_of

Run = Callable[[Awaitable[Any]], Any]


def test_tasks_go_on_and_coroutines_are_cancelled(run: Run) -> None:
    async def scenario() -> None:
        ended: list[str] = []

        async def wait(event: asyncio.Event, name: str) -> None:
            try:
                await event.wait()
            finally:
                ended.append(name)

        never, now = asyncio.Event(), asyncio.Event()
        task = asyncio.ensure_future(wait(never, "task"))
        now.set()
        await first_of(task, wait(never, "coroutine"), wait(now, "first"))
        await asyncio.sleep(0)
        assert ended == ["first", "coroutine"]
        assert not task.done()
        task.cancel()

    run(scenario())


def test_the_time_passes(run: Run) -> None:
    async def scenario() -> None:
        event = asyncio.Event()
        await first_of(event.wait(), timeout_s=0.001)
        assert not event.is_set()

    run(scenario())
