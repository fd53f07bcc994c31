"""How an endpoint leaves a worker, and how a worker ends while one moves: the books balance."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from scaleout.config import Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.core.movewire import (
    Abandon,
    Aligned,
    Compare,
    Cut,
    CutWanted,
    GoLive,
    Keep,
    MoveFailed,
    Offer,
    Take,
)
from scaleout.core.wire import Ask, Assign, Batch, Grant, Release, Released, StateChange, TakenOver
from tests.worker.moving.team import untouched_logging
from tests.worker.moving.test_kinds import assert_whole, steady, tell
from tests.worker.moving.world import Member, Plan, World


@pytest.fixture(autouse=True)
def logging_is_as_before() -> Iterator[None]:
    with untouched_logging():
        yield


async def begin_move(world: World, *, until_cut: bool = True) -> tuple[Member, Member]:
    """The giver and the taker of a move that has come as far as the cut, and its last tails."""
    giver, taker = world.owner, world.hire()
    offered = await world.offer(taker)
    assert offered is not None
    world.have_taken(taker, offered)
    await world.until(lambda: taker.find(CutWanted, world.move))
    if until_cut:
        giver.send(Cut(world.move))
        await world.until(lambda: taker.find(Aligned, world.move))
    return giver, taker


@pytest.mark.parametrize("processor", ["", "tests.worker.moving.processors:slow"])
def test_an_endpoint_is_let_go_and_comes_back(processor: str) -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(1)
        owner = world.owner
        for round_ in range(1, 3):
            owner.send(Release(0))
            await world.until_released(owner, round_)
            assert isinstance(owner.results[-1], Released)
            owner.check_books()
            connection = world.server.connections[-1]
            assert connection.peer.close_codes == [1000]
            assert world.numbered()[-1] == max(world.brought_to(0)) or connection.waiting
            assert not owner.worker._outbox._known
            states = len([each for each in owner.reports if isinstance(each, StateChange)])
            await asyncio.sleep(1)
            assert len([each for each in owner.reports if isinstance(each, StateChange)]) == states
            owner.send(Assign((world.assignment,)))
            await asyncio.sleep(1)

    keys: dict[str, Any] = {"processor": processor} if processor else {}
    world = tell(steady(100, 20), [Plan()], story, **keys)
    got = world.numbered()
    assert got == sorted(set(got))


def test_what_is_not_there_is_released_at_once() -> None:
    async def story(world: World) -> None:
        world.owner.send(Release(3))
        await world.until(lambda: Released(3) in world.owner.results)

    tell(steady(100, 20), [Plan()], story)


def test_a_worker_stops_while_its_endpoint_is_cut() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(1)
        giver, taker = await begin_move(world)
        await asyncio.sleep(0.5)
        await giver.stop()
        assert max(world.numbered()) >= 145
        await taker.stop()
        assert taker.count("delivered") == 0
        assert taker.count("duplicates") == taker.count("received") > 40
        giver.is_dead = taker.is_dead = True

    assert_whole(tell(steady(100, 20), [Plan()], story))


def test_an_abandoned_taker_has_taken_nothing() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(1)
        giver, taker = await begin_move(world)
        await world.undo(giver, taker)
        taker.check_books()
        assert taker.count("duplicates") == taker.count("received") > 10
        assert world.server.connections[1].peer.close_codes == [1000]
        await asyncio.sleep(1)

    assert_whole(tell(steady(100, 20), [Plan()], story))


def test_what_the_taker_brings_is_counted_when_its_outcome_is_known() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(1)
        giver, taker = await begin_move(world)
        taker.send(GoLive(world.move))
        world.owner = taker
        await asyncio.sleep(1)
        giver.send(Release(0))
        await world.until_released(giver, 1)
        giver.check_books()
        assert 90 < giver.count("duplicates") < 110

    world = tell(steady(100, 20), [Plan()], story, linger=0.0)
    assert_whole(world)
    taker = world.members[1]
    assert taker.count("delivered") + taker.count("duplicates") == taker.count("received")
    assert taker.count("duplicates") >= 16


def test_what_is_held_is_bounded_and_nothing_of_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scaleout.worker.moving.gate.MAX_HELD", 50)

    async def story(world: World) -> None:
        await asyncio.sleep(1)
        giver, taker = await begin_move(world)
        await asyncio.sleep(2)
        connection = world.server.connections[0]
        assert not connection.peer.transport.is_reading_now
        assert len(connection.waiting) > 100
        await world.undo(giver, taker)
        await asyncio.sleep(1)
        assert connection.peer.transport.is_reading_now

    assert_whole(tell(steady(100, 20), [Plan()], story))


def test_a_shadow_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is held back when the giver's hashes don't come; after a while the move is given up."""
    monkeypatch.setattr("scaleout.worker.handover.shadow.MAX_SHADOW", 50)

    async def story(world: World) -> None:
        await asyncio.sleep(1)
        taker = world.hire()
        offered = await world.offer(taker)
        assert offered is not None
        taker.send(Take(world.move, world.assignment, offered.groups))  # and its tails go nowhere
        await world.until(lambda: taker.find(MoveFailed, world.move))
        assert not world.server.connections[1].peer.transport.is_reading_now
        assert "output" in taker.find(MoveFailed, world.move).reason
        await world.undo(world.owner, taker)
        assert taker.count("received") < 80

    assert_whole(tell(steady(100, 20), [Plan()], story))


def test_hashes_go_with_the_results_that_they_are_of() -> None:
    """So a worker's death leaves no doubt about what was delivered."""

    async def story(world: World) -> None:
        await asyncio.sleep(1)
        giver = world.owner
        await world.offer(giver)
        await asyncio.sleep(3)
        noted = [batch for batch in giver.results if isinstance(batch, Batch) and batch.tails]
        assert len(noted) > 20
        for batch in noted[1:]:
            delivered = sum(entry.delivered for entry in batch.all_entries)
            assert delivered == sum(len(group) // 8 for tails in batch.tails for group in tails.groups)

    for keys in ({}, {"linger": 0.0}, {"processor": "tests.worker.moving.processors:slow", "linger": 0.0}):
        tell(steady(40, 20), [Plan()], story, **keys)


def test_a_taker_goes_live_before_anything_was_compared() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(1)
        taker = world.hire()
        offered = await world.offer(taker)
        assert offered is not None
        await world.owner.kill()
        taker.send(Take(world.move, world.assignment, offered.groups))
        taker.send(GoLive(world.move))
        world.owner = taker
        await asyncio.sleep(1)

    world = tell(steady(100, 20), [Plan()], story, lags=[(0.001, 0.001, 0.001)])
    got = world.numbered()
    assert got == sorted(set(got))
    assert got[-1] > 150


def test_an_endpoint_that_is_not_there_cannot_be_offered() -> None:
    async def story(world: World) -> None:
        world.owner.send(Offer(7, 3))
        await world.until(lambda: world.owner.find(MoveFailed, 7))
        world.owner.send(Take(8, world.assignment, ((),)))
        await world.until(lambda: world.owner.find(MoveFailed, 8))
        for command in (Cut(99), Keep(99), GoLive(99), Abandon(99), Compare(99, (b"",))):
            world.owner.send(command)  # of a move that is past
        await asyncio.sleep(1)

    assert_whole(tell(steady(100, 20), [Plan()], story))


def test_an_endpoint_that_ends_cannot_be_offered() -> None:
    async def story(world: World) -> None:
        await world.until(lambda: world.owner.state is EndpointState.ENDED)
        world.owner.send(Offer(7, 0))
        await world.until(lambda: world.owner.find(MoveFailed, 7))
        assert world.owner.find(MoveFailed, 7).reason == "it has ended"

    tell(steady(100, 20), [Plan(lives=0.5)], story, reconnect="never")


def test_a_taker_whose_processor_is_missing_says_so() -> None:
    async def story(world: World) -> None:
        taker = world.hire()
        await world.offer(taker)
        world.endpoint = _without_processor(world)
        taker.send(Take(world.move, world.assignment, ((),)))
        await world.until(lambda: taker.find(MoveFailed, world.move))
        assert "no_such_module" in taker.find(MoveFailed, world.move).reason
        assert taker.state is None

    tell(steady(100, 20), [Plan()], story)


def _without_processor(world: World) -> Endpoint:
    return msgspec.structs.replace(world.endpoint, processor="no_such_module:f")


def test_a_takers_connection_is_a_spare_until_it_goes_live() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(1)
        giver, taker = world.owner, world.hire()
        offered = await world.offer(taker)
        assert offered is not None
        taker.worker._permits.limit(("feed.test",))
        world.have_taken(taker, offered)
        await world.until(lambda: any(isinstance(each, Ask) for each in taker.reports))
        (ask,) = (each for each in taker.reports if isinstance(each, Ask))
        assert ask.is_spare
        taker.send(Grant(ask.ticket))
        await world.until(lambda: taker.find(CutWanted, world.move))
        giver.send(Cut(world.move))
        await world.until(lambda: taker.find(Aligned, world.move))
        assert not any(isinstance(each, TakenOver) for each in taker.reports)
        taker.send(GoLive(world.move))
        giver.send(Release(0))
        world.owner = taker
        await world.until(lambda: TakenOver(ask.ticket, None) in taker.reports)
        await asyncio.sleep(1)

    assert_whole(tell(steady(100, 20), [Plan()], story))


def test_a_taker_that_waits_for_a_spare_permit_asks_for_a_first_one_when_it_goes_live() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(1)
        giver, taker = world.owner, world.hire()
        offered = await world.offer(taker)
        assert offered is not None
        taker.worker._permits.limit(("feed.test",))
        taker.send(Take(world.move, world.assignment, offered.groups))
        await world.until(lambda: any(isinstance(each, Ask) for each in taker.reports))
        giver.send(Release(0))
        taker.send(GoLive(world.move))
        await world.until(lambda: sum(isinstance(each, Ask) for each in taker.reports) == 2)
        asks = [each for each in taker.reports if isinstance(each, Ask)]
        assert [each.is_spare for each in asks] == [True, False]
        taker.send(Grant(asks[1].ticket))
        world.owner = taker
        await asyncio.sleep(1)

    world = tell(steady(100, 20), [Plan()], story)
    assert world.numbered()[-1] > 150
