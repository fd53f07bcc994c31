"""An endpoint goes from one worker to another, over real connections: none is lost, none comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from scaleout.config import Endpoint
from scaleout.simulator import Simulator, SimulatorConfig
from tests.worker.moving.team import endpoint, team

Run = Callable[[Awaitable[Any]], Any]


def known(simulator: Simulator, identity: str) -> Endpoint:
    return endpoint(simulator.endpoints[0].uri, identity=identity)


@pytest.mark.parametrize("shifts", [(), (0.05, 0.0), (0.0, 0.05)])
@pytest.mark.parametrize("rate", [20_000, 300])
def test_back_and_forth(run: Run, rate: float, shifts: tuple[float, ...]) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=1, rate=rate, shifts=shifts)
        async with Simulator(config) as simulator, team(endpoint(simulator.endpoints[0].uri)) as pair:
            await pair.members[0].until(lambda: len(pair.lines) > 50)
            loop = asyncio.get_running_loop()
            took_s: list[float] = []
            for _ in range(6):
                began = loop.time()
                aligned = await pair.move()
                took_s.append(loop.time() - began)
                assert not aligned.is_uncertain
                await pair.wait_more(20)
            assert min(took_s) < 0.5
            await pair.stop()
            got = pair.numbers_out
            assert got == list(range(len(got)))

    run(scenario())


@pytest.mark.parametrize("shifts", [(), (0.05, 0.0), (0.0, 0.05)])
def test_messages_that_differ_are_spliced_by_their_identity(run: Run, shifts: tuple[float, ...]) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=1, rate=5_000, shifts=shifts, differs=True)
        async with Simulator(config) as simulator, team(known(simulator, "seq")) as pair:
            await pair.members[0].until(lambda: len(pair.lines) > 50)
            for _ in range(4):
                aligned = await pair.move()
                assert not aligned.is_uncertain
                await pair.wait_more(20)
            await pair.stop()
            got = pair.numbers_out
            assert got == list(range(len(got)))
            assert len({msgspec.json.decode(line)["conn"] for line in pair.lines}) == 5

    run(scenario())


def test_moves_that_are_given_up(run: Run) -> None:
    async def scenario() -> None:
        config = SimulatorConfig(endpoints=1, rate=5_000)
        async with Simulator(config) as simulator, team(endpoint(simulator.endpoints[0].uri)) as pair:
            await pair.members[0].until(lambda: len(pair.lines) > 50)
            for cut in (False, True, False, True):
                await pair.abandon(cut)
            await pair.stop()
            got = pair.numbers_out
            assert got == list(range(len(got)))
            assert pair.members[1].count("delivered") == 0

    run(scenario())
