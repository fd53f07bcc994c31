"""Whatever happens while an endpoint moves, each message comes once, and in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from tests.worker.moving.team import untouched_logging
from tests.worker.moving.world import Plan, Server, World, play
from tests.worker.peers import run_fast

SEEDS = int(os.environ.get("SCALEOUT_SEEDS", "80"))
"""Random stories of each kind."""


@pytest.fixture(autouse=True)
def logging_is_as_before() -> Iterator[None]:
    with untouched_logging():
        yield


def steady(rate: float, until_s: float) -> list[float]:
    return [n / rate for n in range(1, int(rate * until_s))]


def tell(
    times: list[float],
    plans: list[Plan],
    story: Callable[[World], Any],
    *,
    of: dict[str, Any] | None = None,
    **keys: Any,
) -> World:
    worlds: list[World] = []

    async def main() -> None:
        worlds.append(await play(Server(times, plans, **(of or {})), story, **keys))

    run_fast(main())
    return worlds[0]


LAGS = [0.0, 0.02, 0.3, 2.0]


@pytest.mark.parametrize("rate", [0.7, 5, 200])
@pytest.mark.parametrize("shifts", [(0.0, 0.0), (0.0, 0.3), (0.3, 0.0), (1.5, 0.0), (0.0, 1.5)])
def test_a_move(rate: float, shifts: tuple[float, float]) -> None:
    async def story(world: World) -> None:
        other = world.hire()
        await asyncio.sleep(3)
        for _ in range(3):
            aligned = await world.move_to(other)
            assert aligned is not None and not aligned.is_uncertain
            other = world.members[1 - other.number]
            await asyncio.sleep(4)

    world = tell(steady(rate, 200), [Plan(lag=shifts[n % 2]) for n in range(50)], story)
    got = world.numbered()
    assert got == list(range(got[0], got[0] + len(got)))
    assert world.uncertain == 0


def random_times(rng: Random, until_s: float) -> list[float]:
    """Bursts and pauses."""
    times: list[float] = []
    at = 0.0
    while at < until_s and len(times) < 4_000:
        gap = rng.choice([0.0005, 0.002, 0.01, 0.05, 0.3, 1.0, 3.0])
        for _ in range(rng.randint(1, 60)):
            at += gap * rng.uniform(0.5, 1.5)
            times.append(at)
            if gap >= 0.3 and rng.random() < 0.5:
                break
    return times


def random_lags(rng: Random) -> list[tuple[float, float, float]]:
    choices = [0.0, 0.0, 0.002, 0.02, 0.1, 0.5]
    return [(rng.choice(choices), rng.choice(choices), rng.choice(choices)) for _ in range(3)]


def check(world: World, *, is_unbroken: bool, streams: int = 1) -> None:
    for stream in range(streams):
        got = world.numbered(stream)
        assert all(one < other for one, other in pairwise(got)), "repeated, or out of order"
        if is_unbroken and got:
            assert got == list(range(got[0], got[-1] + 1, streams)), "lost"


PROCESSORS: dict[str, dict[str, Any]] = {
    "none": {},
    "batched": {"linger": 0.05},
    "dropping": {"backpressure": "drop_oldest", "high_water": 100_000},
    "async": {"processor": "tests.worker.moving.processors:slow"},
    "unordered": {"processor": "tests.worker.moving.processors:slow", "ordered": False},
}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_any_number_of_moves_and_of_moves_given_up(seed: int) -> None:
    rng = Random(seed)
    greetings = rng.choice([0, 0, 1, 20])
    plans = [
        Plan(
            lag=rng.choice([0.0, 0.01, 0.1, 0.5, 1.0, 2.0]),
            opens_in=rng.choice([0.0, 0.05, 1.0]),
            greetings=greetings,
        )
        for _ in range(20)
    ]

    async def story(world: World) -> None:
        await asyncio.sleep(rng.uniform(0.2, 4))
        world.hire()
        for _ in range(rng.randint(1, 4)):
            other = next(each for each in world.members if each is not world.owner)
            await world.move_to(other, rng.choice(["", "", "joined", "cut", "aligned"]))
            await asyncio.sleep(rng.choice([0.0, 0.3, 12.0]))

    keys = PROCESSORS[rng.choice(list(PROCESSORS)[:4])]
    world = tell(random_times(rng, 120), plans, story, lags=random_lags(rng), **keys)
    assert world.output
    if world.uncertain:
        assert greetings  # which look like messages that only one of both has
        got = world.numbered()
        assert set(got) == set(range(got[0], max(got) + 1)), "lost"
    else:
        check(world, is_unbroken=True)


@pytest.mark.parametrize("processor", list(PROCESSORS))
@pytest.mark.parametrize("lag", [0.0, 0.05])
def test_moves_of_a_busy_feed(processor: str, lag: float) -> None:
    async def story(world: World) -> None:
        world.hire()
        await asyncio.sleep(0.5)
        for _ in range(8):
            other = next(each for each in world.members if each is not world.owner)
            assert await world.move_to(other)
            await asyncio.sleep(0.2)

    plans = [Plan(lag=lag * (n % 2)) for n in range(20)]
    world = tell(steady(1_000, 5), plans, story, lags=[(0.001, 0.001, 0.002)], **PROCESSORS[processor])
    if processor == "unordered":
        got = sorted(world.numbered())
        assert got == list(range(got[0], got[0] + len(got)))
    else:
        check(world, is_unbroken=True)
    assert world.uncertain == 0


@pytest.mark.alone  # what async calls take is measured in real time
@pytest.mark.parametrize("processor", ["none", "async"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_giver_is_killed(seed: int, processor: str) -> None:
    """What it has delivered comes no second time, unless that is said, and what the taker has is not lost."""
    rng = Random(seed)
    kill_after = rng.choice([0.0, 0.01, 0.03, 0.1, 0.5, 1.1, 2.0])
    plans = [Plan(lag=rng.choice([0.0, 0.01, 0.1, 0.5])) for _ in range(4)]
    gap = rng.choice([0.001, 0.01, 0.2])
    times = [0.5 + n * gap for n in range(int(8 / gap))]

    async def story(world: World) -> None:
        await asyncio.sleep(rng.uniform(1.0, 2.0))
        other = world.hire()
        moving = asyncio.ensure_future(world.move_to(other))
        await asyncio.sleep(kill_after)
        await world.members[0].kill()
        await moving
        await asyncio.sleep(2.0)

    keys = {"linger": rng.choice([0.0, 0.01, 0.1]), **PROCESSORS[processor]}
    world = tell(times, plans, story, lags=random_lags(rng), **keys)
    if not world.uncertain:
        check(world, is_unbroken=False)
    if len(world.server.connections) > 1:
        got = world.numbered()
        brought = world.brought_to(1)
        missing = set(range(got[0], got[-1] + 1)) - set(got)
        assert not missing & brought, "what the taker had was not delivered"


@pytest.mark.alone  # what async calls take is measured in real time
@pytest.mark.parametrize("seed", range(SEEDS))
def test_connections_are_lost_and_refused(seed: int) -> None:
    """What the giver's connections bring is delivered when it keeps the endpoint, and no move loses more."""
    rng = Random(seed)
    plans = [
        Plan(
            lives=rng.choice([0.3, 1.0, 3.0, 1e9]),
            opens_in=rng.choice([0.0, 0.05, 0.5]),
            refused=bool(n) and rng.random() < 0.1,
        )
        for n in range(60)
    ]
    goes = rng.random() < 0.5
    outcomes: list[object] = []

    async def story(world: World) -> None:
        await asyncio.sleep(rng.uniform(0.2, 1))
        world.hire()
        for _ in range(4):
            other = next(each for each in world.members if each is not world.owner)
            outcomes.append(await world.move_to(other, "" if goes else rng.choice(["cut", "aligned"])))
            await asyncio.sleep(rng.choice([0.0, 0.3, 1.0]))
        await asyncio.sleep(1.0)

    gap = rng.choice([0.002, 0.02, 0.3])
    keys: dict[str, Any] = {"standby": rng.random() < 0.3, **PROCESSORS[rng.choice(["none", "async"])]}
    world = tell([n * gap for n in range(int(60 / gap / 4))], plans, story, lags=random_lags(rng), **keys)
    if not world.uncertain:
        check(world, is_unbroken=False)
    got = set(world.numbered())
    assert got
    if goes:
        assert not {n for n in world.brought_to(0) & world.brought_to(1) if n < max(got)} - got
    else:
        assert not any(outcomes)
        assert not {n for n in world.brought_to(0) if n < max(got)} - got
