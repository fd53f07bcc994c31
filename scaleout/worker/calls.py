"""Single calls of an async processor: what one comes to, and its end when it takes too long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import cast

from scaleout.signatures import Processor
from scaleout.units import format_duration
from scaleout.worker.books import MAX_RESULTS, Failure


async def outcome_of(processor: Processor, *arguments: object) -> object:
    """What a call of an async processor comes to: what it returns, or an iterator of all that it yields.

    Raises:
        BaseException: whatever the processor raises.
    """
    called = processor.function(*arguments)
    if isinstance(called, AsyncIterator):
        return await _all_of(called)
    return await called  # type: ignore[misc]  # an async function's call is awaitable


def timed_out(timeout_s: float) -> Failure:
    """The outcome of a call that took longer than it may."""
    reason = f"took longer than {format_duration(timeout_s)} (timeout)"
    return Failure(TimeoutError(reason), (TimeoutError,))


async def _all_of(iterator: AsyncIterator[object]) -> object:
    results: list[object] = []
    async for result in iterator:
        results.append(result)
        if len(results) > MAX_RESULTS:  # which is too many, as will be found
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()
            break
    return iter(results)


def force_to_end(task: asyncio.Task[None]) -> None:
    """End a task that won't be cancelled; the loop would wait for it forever when it is closed."""
    with suppress(BaseException):
        cast(Coroutine[object, None, None], task.get_coro()).close()
    task.cancel()
