"""An endpoint goes from one worker to another, over real connections: none is lost, none comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from scaleout.simulator import Simulator, SimulatorConfig
from tests.worker.moving.team import endpoint, team

Run = Callable[[Awaitable[Any]], Any]


@pytest.mark.parametrize("shifts", [(), (0.05, 0.0), (0.0, 0.05)])
@pytest.mark.parametrize("rate", [20_000, 300])
def test_back_and_forth(run: Run, rate: float, shifts: tuple[float, ...]) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=1, rate=rate, shifts=shifts)
        async with Simulator(config) as simulator, team(endpoint(simulator.endpoints[0].uri)) as pair:
            await pair.members[0].until(lambda: len(pair.lines) > 50)
            loop = asyncio.get_running_loop()
            for _ in range(6):
                began = loop.time()
                aligned = await pair.move()
                print(loop.time() - began, len(pair.lines))
                assert not aligned.is_uncertain
                await pair.members[pair.owner].until(
                    lambda more=len(pair.lines) + 20: len(pair.lines) > more  # noqa: B008
                )
            await pair.stop()
            got = pair.numbers_out
            assert got == list(range(len(got)))

    run(scenario())
