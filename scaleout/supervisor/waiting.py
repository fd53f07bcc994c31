"""Waiting for the first of several things."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


async def first_of(*waits: Awaitable[object], timeout_s: float | None = None) -> None:
    """Wait for the first of several, or for the time to pass.

    Futures and tasks go on after the wait; what was given as a coroutine is cancelled.
    """
    futures = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait, future in zip(waits, futures, strict=True):
            if wait is not future:
                future.cancel()
