"""Broadcasts to several connections each, at the rates that one simulator process is used at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.asyncio.client import connect

from scaleout.simulator import RateChange, Simulator, SimulatorConfig
from scaleout.simulator.dialects import trade_message

Run = Callable[[Coroutine[Any, Any, Any]], Any]
Take = Callable[..., Coroutine[Any, Any, Any]]


def trades(stream: int, start: int, stop: int) -> list[str]:
    return [trade_message(stream, sequence).decode() for sequence in range(start, stop)]


def test_all_connections_see_the_same_sequence_at_a_high_rate(run: Run, take: Take) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=6, rate=60_000, count=6000, lossless=True, shifts=(0.0, 0.03, 0.0))
        async with Simulator(config) as simulator:
            uris = [uri for _, uri in simulator.endpoints for _ in config.shifts]
            connections = await asyncio.gather(*(connect(uri, proxy=None, compression=None) for uri in uris))
            taken = await asyncio.gather(*map(take, connections))
        for place, got in enumerate(taken):
            assert got.messages == trades(place // 3, 6000 - len(got.messages), 6000)
            assert len(got.messages) > 1000

    run(scenario())


def test_a_load_rises_tenfold_and_falls_again(run: Run, take: Take) -> None:
    async def scenario() -> None:
        changes = (RateChange(0.3, 10.0), RateChange(0.6, 1.0))
        async with Simulator(SimulatorConfig(endpoints=1, rate=1000, changes=changes)) as simulator:
            loop = asyncio.get_running_loop()
            began = loop.time()
            got = await take(simulator.endpoints[0].uri, limit=3600)
            took = loop.time() - began
        assert got.messages == trades(0, 0, 3600)
        assert 0.85 < took < 3.0  # with 1,000 a second all the time: 3.6 s; with 10,000: 0.36 s

    run(scenario())
