"""The workers are looked at in time, and their number is changed, one change at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from scaleout.config import Scaling
from scaleout.core.scaling import WorkerLoad
from scaleout.errors import ControlError
from scaleout.supervisor.scaler import LOOK_EVERY_S, Scaler

Run = Callable[..., Any]


class ScriptedHouse:
    """Workers that are as busy as they are told to be."""

    def __init__(self, workers: int, share: float, endpoints: int = 8) -> None:
        self.workers = workers
        self.share = share
        self.endpoints = endpoints
        self.is_changing = False
        self.looks = 0
        self.asked: list[int] = []
        self.refusal: ControlError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.was_asked = asyncio.Event()

    def worker_loads(self) -> Sequence[WorkerLoad] | None:
        self.looks += 1
        return None if self.is_changing else [WorkerLoad(self.share)] * self.workers

    def endpoint_count(self) -> int:
        return self.endpoints

    async def scale(self, workers: int) -> None:
        self.asked.append(workers)
        self.was_asked.set()
        await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        self.workers = workers


async def look_until_asked(scaler: Scaler, house: ScriptedHouse, begin: int = 0) -> int:
    for now in range(begin, begin + 100):
        if house.asked:
            return now
        await scaler.look(now)
    raise AssertionError("nothing was asked for")


def test_what_is_decided_is_done_and_told(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scaleout.scaling")

    async def scenario() -> None:
        house = ScriptedHouse(2, 0.9)
        await look_until_asked(Scaler(Scaling(), 8, house), house)
        assert (house.asked, house.workers) == ([4], 4)

    run(scenario())
    assert caplog.messages == ["2 workers use 0.90 of a core each: adding 2"]


def test_more_workers_than_endpoints_are_not_asked_for(run: Run) -> None:
    async def scenario() -> None:
        house = ScriptedHouse(2, 0.9, endpoints=3)
        await look_until_asked(Scaler(Scaling(), 8, house), house)
        assert house.asked == [3]

    run(scenario())


def test_a_change_that_cannot_be_is_told_and_tried_again(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        house = ScriptedHouse(1, 0.9)
        house.refusal = ControlError("not all workers are ready within 60 s")
        scaler = Scaler(Scaling(), 8, house)
        now = await look_until_asked(scaler, house)
        house.asked.clear()
        assert await look_until_asked(scaler, house, now) == now + 10

    run(scenario())
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert (
        warnings
        == ["the number of workers can't be changed, trying again: not all workers are ready within 60 s"] * 2
    )


def test_workers_that_are_changing_are_not_judged(run: Run) -> None:
    async def scenario() -> None:
        house = ScriptedHouse(1, 0.9)
        scaler = Scaler(Scaling(), 8, house)
        for now in range(100):
            house.is_changing = now % 9 > 1
            await scaler.look(now)
        assert house.asked == []

    run(scenario())


def test_nothing_is_looked_at_while_a_change_is_made(run: Run) -> None:
    async def scenario() -> None:
        house = ScriptedHouse(1, 1.0)
        house.gate.clear()
        keeping = asyncio.ensure_future(Scaler(Scaling(up_after=0.05), 8, house).keep_scaling())
        await house.was_asked.wait()
        looks = house.looks
        await asyncio.sleep(0.05)  # five looks, if there were any
        assert (house.looks, house.asked) == (looks, [2])
        house.was_asked.clear()
        house.gate.set()
        await house.was_asked.wait()
        assert house.asked[:2] == [2, 4]
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    run(scenario())


def test_it_looks_every_second_or_more_often_where_patience_is_short(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def note(delay: float) -> None:
        pauses.append(delay)
        raise asyncio.CancelledError

    async def scenario() -> None:
        for up_after in (5.0, 60.0, 0.5):
            with contextlib.suppress(asyncio.CancelledError):
                await Scaler(Scaling(up_after=up_after), 8, ScriptedHouse(1, 0.5)).keep_scaling()

    monkeypatch.setattr(asyncio, "sleep", note)
    run(scenario())
    assert pauses == [LOOK_EVERY_S, LOOK_EVERY_S, 0.1]
