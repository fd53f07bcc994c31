"""What a call of an async processor comes to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from scaleout.signatures import inspect_processor
from scaleout.worker import calls
from scaleout.worker.calls import force_to_end, outcome_of, timed_out


async def double(message: object) -> object:
    return [message, message]


async def refuse(message: object) -> object:
    raise ValueError(message)


def test_a_function_returns_and_raises() -> None:
    assert asyncio.run(outcome_of(inspect_processor(double, "x:y"), 1)) == [1, 1]
    with pytest.raises(ValueError, match="no"):
        asyncio.run(outcome_of(inspect_processor(refuse, "x:y"), "no"))


def test_a_generator_is_collected_and_closed_when_it_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MAX_RESULTS", 10)
    ended: list[int] = []

    async def generate(message: int) -> AsyncIterator[int]:
        try:
            for number in range(message):
                yield number
        finally:
            ended.append(message)

    async def collect(count: int) -> list[object]:
        outcome = await outcome_of(inspect_processor(generate, "x:y"), count)
        assert ended[-1:] == [count]
        return list(outcome)  # type: ignore[call-overload,no-any-return]  # an iterator

    assert asyncio.run(collect(3)) == [0, 1, 2]
    assert len(asyncio.run(collect(10**9))) == 11


def test_a_timeout_explains_itself() -> None:
    failure = timed_out(5.0)
    assert failure.reason == "took longer than 5s (timeout)"
    assert failure.traceback is None


def test_a_task_that_will_not_be_cancelled_is_ended() -> None:
    async def stay() -> None:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def scenario() -> bool:
        task = asyncio.create_task(stay())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,), timeout=0)
        assert not task.done()
        force_to_end(task)
        await asyncio.wait((task,), timeout=5)
        return task.done()

    assert asyncio.run(scenario())
