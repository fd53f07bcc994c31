from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scaleout.worker.flag import Flag

Run = Callable[[Awaitable[Any]], Any]


def test_waiting_ends_when_it_is_set(run: Run) -> None:
    async def wait() -> str:
        flag = Flag()
        asyncio.get_running_loop().call_soon(flag.set)
        await flag.wait()
        assert flag.is_set()
        return repr(flag)

    assert run(wait()) == "<Flag: set>"


def test_what_is_set_is_not_waited_for(run: Run) -> None:
    async def wait() -> None:
        flag = Flag()
        flag.set()
        await asyncio.wait_for(flag.wait(), 1)
        await asyncio.wait_for(flag.wait(), 1)

    run(wait())


def test_who_was_woken_stays_so_when_it_is_cleared(run: Run) -> None:
    async def wait() -> None:
        flag = Flag()
        waiting = asyncio.ensure_future(flag.wait())
        await asyncio.sleep(0)
        assert repr(flag) == "<Flag: not set, awaited>"
        flag.set()
        flag.clear()
        await asyncio.wait_for(waiting, 1)
        assert not flag.is_set()

    run(wait())


def test_waiting_can_be_cut_short_and_begun_anew(run: Run) -> None:
    async def wait() -> None:
        flag = Flag()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await flag.wait()
        waiting = asyncio.ensure_future(flag.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        flag.set()  # in the same turn: nothing to wake any more, or woken and cancelled
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        await flag.wait()

    run(wait())


def test_one_task_waits_at_a_time(run: Run) -> None:
    async def wait() -> None:
        flag = Flag()
        waiting = asyncio.ensure_future(flag.wait())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one task at a time"):
            await flag.wait()
        flag.set()
        await waiting

    run(wait())
