"""Moves of endpoints of all kinds: with streams, numbers, cursors, differing messages; and other ways to move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scaleout.config import Backoff, Cursor, Heartbeat
from scaleout.core.lifecycle import EndpointState
from scaleout.core.movewire import CutWanted
from tests.worker.moving.team import untouched_logging
from tests.worker.moving.world import Plan, Server, World, play
from tests.worker.peers import run_fast


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


async def move_twice(world: World) -> None:
    await asyncio.sleep(2)
    other = world.hire()
    for _ in range(2):
        aligned = await world.move_to(other)
        assert aligned is not None, [each for member in world.members for each in member.reports[-3:]]
        other = world.members[0]
        await asyncio.sleep(2)


def assert_whole(world: World) -> None:
    got = world.numbered()
    assert got == list(range(got[0], got[0] + len(got)))
    assert world.uncertain == 0


@pytest.mark.parametrize("shifts", [(0.0, 0.0), (0.0, 0.2), (0.2, 0.0)])
def test_messages_that_differ_are_known_by_their_identity(shifts: tuple[float, float]) -> None:
    plans = [Plan(lag=shifts[n % 2]) for n in range(10)]
    world = tell(steady(200, 20), plans, move_twice, of={"differs": True}, identity="n")
    assert_whole(world)
    assert b'"conn":0' in world.output[0] and b'"conn":1' in b"".join(world.output)


def test_messages_that_differ_without_an_identity_move_uncertainly() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(2)
        aligned = await world.move_to(world.hire())
        assert aligned is not None and aligned.is_uncertain
        await asyncio.sleep(2)

    world = tell(steady(100, 40), [Plan()], story, of={"differs": True})
    assert world.uncertain == 1
    got = world.numbered()
    assert set(got) == set(range(got[0], max(got) + 1)), "lost"


@pytest.mark.parametrize("shifts", [(0.0, 0.0), (0.0, 0.3), (0.3, 0.0)])
@pytest.mark.parametrize("per_connection", [1, 2, 3])
def test_streams_over_connections(per_connection: int, shifts: tuple[float, float]) -> None:
    plans = [Plan(lag=shifts[n % 2]) for n in range(20)]
    keys = {
        "streams": ("a", "b", "c"),
        "streams_per_connection": per_connection,
        "subscribe": ("{streams}",),
    }
    world = tell(
        steady(100, 40),
        plans,
        move_twice,
        of={"streams": 3, "by_connection": -(-3 // per_connection)},
        **keys,
    )
    for stream in range(3):
        got = world.numbered(stream)
        expected = list(range(got[0], got[0] + 3 * len(got), 3))
        assert got == expected
    assert world.uncertain == 0
    assert len(world.server.connections) == 3 * -(-3 // per_connection)


def test_streams_that_are_mixed_differently() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(2)
        assert await world.move_to(world.hire())
        await asyncio.sleep(15)
        assert await world.move_to(world.members[0])

    plans = [Plan(lag=(n % 2) * 0.1, order=n % 2) for n in range(4)]
    world = tell(steady(200, 60), plans, story, of={"streams": 3})
    for stream in range(3):
        got = world.numbered(stream)
        assert got == list(range(got[0], got[0] + 3 * len(got), 3))
    assert world.uncertain == 0


@pytest.mark.parametrize("look_alikes", [1, 6])
@pytest.mark.parametrize("shifts", [(0.0, 0.5), (0.5, 0.0)])
def test_look_alikes(look_alikes: int, shifts: tuple[float, float]) -> None:
    plans = [Plan(lag=shifts[n % 2]) for n in range(4)]
    world = tell(steady(200, 60), plans, move_twice, of={"look_alikes": look_alikes})
    got = world.numbered()
    step = look_alikes + 1
    assert got == list(range(got[0], got[0] + step * len(got), step))
    assert abs(len(world.output) - step * len(got)) <= 2 * step


def test_messages_that_all_look_alike_move_all_the_same() -> None:
    world = tell(steady(50, 60), [Plan()], move_twice, of={"look_alikes": 10**9})
    assert world.uncertain == 2


@pytest.mark.parametrize("shifts", [(0.0, 0.0), (0.0, 0.3), (0.3, 0.0)])
@pytest.mark.parametrize("keys", [{}, {"sequence_key": "s"}])
def test_numbers_go_on(keys: dict[str, Any], shifts: tuple[float, float]) -> None:
    plans = [Plan(lag=shifts[n % 2]) for n in range(4)]
    streams = 1
    world = tell(steady(200, 30), plans, move_twice, of={"streams": streams}, sequence="n", **keys)
    assert_whole(world)
    for field in ("gaps", "missed", "repeats", "backwards"):
        assert [member.count(field) for member in world.members] == [0, 0], field


@pytest.mark.parametrize("shifts", [(0.0, 0.0), (0.0, 0.3), (0.3, 0.0)])
@pytest.mark.parametrize("given_up", [False, True])
def test_heartbeats_that_are_numbered_leave_no_gaps(given_up: bool, shifts: tuple[float, float]) -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(2)
        taker = world.hire()
        for _ in range(3):
            await world.move_to(taker, "aligned" if given_up else "")
            taker = taker if given_up else next(each for each in world.members if each is not world.owner)
            await asyncio.sleep(0.5)

    plans = [Plan(lag=shifts[n % 2]) for n in range(8)]
    keys = {"sequence": "n", "heartbeat": Heartbeat(match={"type": "heartbeat"})}
    world = tell(steady(200, 30), plans, story, of={"heartbeats": 3}, **keys)
    got = world.numbered()
    assert got == [n for n in range(got[0], got[-1] + 1) if n % 3]
    for field in ("gaps", "missed", "repeats", "backwards"):
        assert [member.count(field) for member in world.members] == [0, 0], field


def test_a_gap_while_the_giver_is_cut_is_found_once() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(2)
        await world.move_to(world.hire(), "aligned")
        await asyncio.sleep(1)

    skipped = [at for at in steady(200, 10) if not 2.05 < at < 2.0501]
    world = tell(skipped, [Plan()], story, sequence="n")
    assert sum(member.count("gaps") for member in world.members) == 0
    assert_whole(world)


def test_the_cursor_goes_along() -> None:
    world = tell(steady(200, 30), [Plan()], move_twice, cursor=Cursor(field="n", parameter="since"))
    assert_whole(world)
    assert world.cursor.value == world.numbered()[-1]
    uris = [dial for dial in world.server.uris if "since=" in dial]
    assert len(uris) == 2


def test_a_taker_that_reconnects_at_once_goes_on_from_the_givers_cursor() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(8.2)
        assert await world.move_to(world.hire())
        last = max(world.numbered())
        world.server.connections[1].peer.lose()
        await world.until(lambda: len(world.server.uris) == 3)
        assert world.server.uris[2].endswith(f"?since={last}")

    cursor = Cursor(field="n", parameter="since")
    tell([n * 3.0 for n in range(10)], [Plan()], story, cursor=cursor, backoff=Backoff(initial=0.01))


@pytest.mark.parametrize("shifts", [(0.0, 0.0), (0.0, 0.3), (0.3, 0.0)])
def test_overlap(shifts: tuple[float, float]) -> None:
    plans = [Plan(lag=shifts[n % 2]) for n in range(4)]
    world = tell(steady(200, 30), plans, move_twice, handover="overlap")
    got = world.numbered()
    wanted = [
        report for member in world.members for report in member.reports if isinstance(report, CutWanted)
    ]
    assert [report.is_guess for report in wanted] == [True, True], (
        "the giver has to have kept up with its feed"
    )
    assert set(got) == set(range(got[0], max(got) + 1)), "lost"
    assert 0 < len(got) - len(set(got)) < 500
    assert world.uncertain == 2


def test_overlap_of_a_silent_feed() -> None:
    world = tell([0.5], [Plan()], move_twice, handover="overlap")
    assert world.numbered() == [0]


def test_an_endpoint_that_is_not_connected_moves() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(1)
        assert world.owner.state is EndpointState.BACKOFF
        assert await world.move_to(world.hire())
        await asyncio.sleep(1)

    slow = Backoff(initial=1000.0, maximum=1000.0)
    world = tell(steady(100, 60), [Plan(refused=True), Plan()], story, backoff=slow)
    assert world.numbered()
