"""A loop that is held up, and one that isn't."""

from __future__ import annotations

import asyncio
import time

from bench.lag import LagMeter


def test_a_loop_that_was_stuck_was_late() -> None:
    async def be_stuck() -> float:
        meter = LagMeter()
        await asyncio.sleep(0.005)
        time.sleep(0.05)  # noqa: ASYNC251
        await asyncio.sleep(0.005)
        lag = meter.take()
        meter.stop()
        return lag.lag_ms

    assert asyncio.run(be_stuck()) >= 40


def test_asking_begins_anew_and_sees_a_loop_that_is_stuck_still() -> None:
    async def be_stuck() -> tuple[float, float]:
        meter = LagMeter()
        time.sleep(0.2)  # noqa: ASYNC251
        first = meter.take()
        await asyncio.sleep(0.005)
        meter.take()
        await asyncio.sleep(0.005)
        second = meter.take()
        meter.stop()
        return first.lag_ms, second.lag_ms

    first, second = asyncio.run(be_stuck())
    assert first >= 190 > second
