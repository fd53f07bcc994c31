"""The supervisor's part of a move: who is told what, and the one outcome of each failure."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from scaleout.config import Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.core.marks import Assignment, NumbersMark
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
    Offered,
    Tails,
    Take,
)
from scaleout.core.wire import Command, Release, StateChange
from scaleout.errors import MoveError
from scaleout.supervisor import splicing
from scaleout.supervisor.duties import Duties
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.splicing import Splicing
from scaleout.supervisor.status import EndpointStatus

GROUPS = ((),)
MARK = NumbersMark(7, ((None, 12),))


class Peer:
    """A worker process that is told things, and dies when the test says so."""

    def __init__(self, worker: int) -> None:
        self.worker = worker
        self.told: asyncio.Queue[Command] = asyncio.Queue()
        self.control = SimpleNamespace(send=self.told.put_nowait)
        self.is_dead = False

    def explain_death(self) -> str:
        return "killed by SIGKILL"

    async def next(self) -> Command:
        async with asyncio.timeout(5):
            return await self.told.get()


class Desk:
    """A splicing between two peers."""

    def __init__(self) -> None:
        self.giver, self.taker = Peer(0), Peer(1)
        self.status = EndpointStatus(
            slot=7, endpoint=Endpoint(uri="ws://h", name="a"), worker=0, state=EndpointState.LIVE, connects=3
        )
        self.actions: list[str] = []
        self.is_giver_busy = False
        self.splicing = Splicing(
            5,
            self.status,
            cast(WorkerProcess, self.giver),
            cast(WorkerProcess, self.taker),
            cast(Duties, self),
            lambda process: self.is_giver_busy,
        )
        self.running = asyncio.ensure_future(self.splicing.run())

    def assignment(self, status: EndpointStatus) -> Assignment:
        return Assignment(status.slot, status.endpoint, None, MARK)

    async def take_back(self, status: EndpointStatus) -> None:
        self.actions.append("taken back")

    def give(self, status: EndpointStatus) -> None:
        self.actions.append(f"given to {status.worker}")

    def say(self, peer: Peer, report: Any) -> None:
        self.splicing.on_report(cast(WorkerProcess, peer), report)

    def die(self, peer: Peer) -> None:
        peer.is_dead = True
        self.splicing.on_death(cast(WorkerProcess, peer))

    def bury(self, peer: Peer) -> None:
        self.splicing.on_burial(cast(WorkerProcess, peer))

    def hear(self, change: StateChange) -> None:
        """The endpoint's worker says how it is."""
        self.status.take(change)
        self.splicing.on_owner_state(self.status)

    def tails(self, *, is_last: bool = False, is_behind: bool = False) -> None:
        tails = Tails(5, (b"\1" * 8,), is_last, None, MARK, is_behind)
        self.splicing.on_tails(cast(WorkerProcess, self.giver), tails)

    # Steps, each as far as the one before it

    async def offered(self) -> None:
        assert await self.giver.next() == Offer(5, 7)
        self.say(self.giver, Offered(5, GROUPS))
        assert await self.taker.next() == Take(5, self.assignment(self.status), GROUPS)

    async def joined(self) -> None:
        await self.offered()
        self.tails()
        assert await self.taker.next() == Compare(5, (b"\1" * 8,), False, None, MARK)
        self.say(self.taker, CutWanted(5))
        assert await self.giver.next() == Cut(5)

    async def cut(self) -> None:
        await self.joined()
        self.tails(is_last=True)
        assert await self.taker.next() == Compare(5, (b"\1" * 8,), True, None, MARK)

    async def fails(self, reason: str) -> None:
        with pytest.raises(MoveError, match=reason):
            async with asyncio.timeout(5):
                await self.running


def play(story: Any) -> None:
    async def run() -> None:
        desk = Desk()
        await story(desk)
        assert desk.running.done()
        assert desk.giver.told.empty()
        assert desk.taker.told.empty()

    asyncio.run(run())


@pytest.mark.parametrize("is_uncertain", [False, True])
def test_a_move(is_uncertain: bool) -> None:
    async def story(desk: Desk) -> None:
        await desk.cut()
        change = StateChange(7, EndpointState.LIVE, 1, None)
        desk.splicing.on_state(cast(WorkerProcess, desk.taker), change)
        assert desk.status.worker == 0
        desk.say(desk.taker, Aligned(5, is_uncertain))
        assert await desk.running is is_uncertain
        assert await desk.taker.next() == GoLive(5)
        assert await desk.giver.next() == Release(7)
        assert (desk.status.worker, desk.status.moves, desk.status.connects) == (1, 1, 4)
        assert desk.status.state is EndpointState.LIVE

    play(story)


def test_the_giver_can_not_offer_it() -> None:
    async def story(desk: Desk) -> None:
        assert await desk.giver.next() == Offer(5, 7)
        desk.say(desk.giver, MoveFailed(5, "it has ended"))
        await desk.fails("worker 0: it has ended")
        assert await desk.giver.next() == Keep(5)

    play(story)


@pytest.mark.parametrize("step", ["offered", "joined", "cut"])
def test_the_taker_can_not_go_on(step: str) -> None:
    async def story(desk: Desk) -> None:
        await getattr(desk, step)()
        desk.say(desk.taker, MoveFailed(5, "no connection: refused"))
        await desk.fails("no connection: refused")
        assert await desk.giver.next() == Keep(5)
        assert await desk.taker.next() == Abandon(5)
        assert (desk.status.worker, desk.status.moves) == (0, 0)

    play(story)


@pytest.mark.parametrize("step", ["offered", "joined", "cut"])
def test_the_taker_dies(step: str) -> None:
    async def story(desk: Desk) -> None:
        await getattr(desk, step)()
        desk.die(desk.taker)
        await desk.fails("worker 1 died: killed by SIGKILL")
        assert await desk.giver.next() == Keep(5)
        assert desk.status.worker == 0

    play(story)


@pytest.mark.parametrize("step", ["offered", "joined"])
def test_the_giver_dies_and_the_taker_inherits(step: str) -> None:
    async def story(desk: Desk) -> None:
        await getattr(desk, step)()
        desk.die(desk.giver)
        assert desk.status.worker == 1  # the giver's next process is not to have it
        await asyncio.sleep(0)
        assert desk.taker.told.empty()  # its last words are still to come
        desk.tails()
        assert await desk.taker.next() == Compare(5, (b"\1" * 8,), False, None, MARK)
        desk.bury(desk.giver)
        assert await desk.taker.next() == Compare(5, (b"",), True, None, MARK, is_cut_short=True)
        desk.say(desk.taker, Aligned(5))
        assert await desk.running is False
        assert await desk.taker.next() == GoLive(5)
        assert (desk.status.worker, desk.status.moves) == (1, 1)

    play(story)


def test_what_the_taker_says_after_the_giver_has_died_is_newer() -> None:
    async def story(desk: Desk) -> None:
        await desk.offered()
        connecting = StateChange(7, EndpointState.CONNECTING, 0, None)
        desk.splicing.on_state(cast(WorkerProcess, desk.taker), connecting)
        desk.die(desk.giver)
        desk.hear(StateChange(7, EndpointState.LIVE, 1, None))
        desk.bury(desk.giver)
        await desk.taker.next()
        desk.say(desk.taker, Aligned(5))
        assert await desk.running is False
        assert await desk.taker.next() == GoLive(5)
        assert desk.status.state is EndpointState.LIVE

    play(story)


def test_the_giver_dies_and_the_feed_ends() -> None:
    async def story(desk: Desk) -> None:
        await desk.offered()
        desk.die(desk.giver)
        desk.hear(StateChange(7, EndpointState.ENDED, 1, None))
        await desk.fails("it has ended for good")
        assert await desk.taker.next() == Abandon(5)
        assert desk.actions == []  # it doesn't begin anew
        assert desk.status.state is EndpointState.ENDED

    play(story)


def test_the_giver_dies_when_all_is_said() -> None:
    async def story(desk: Desk) -> None:
        await desk.cut()
        desk.die(desk.giver)
        desk.bury(desk.giver)
        desk.say(desk.taker, Aligned(5))
        assert await desk.running is False
        assert await desk.taker.next() == GoLive(5)
        assert (desk.status.worker, desk.status.moves) == (1, 1)

    play(story)


def test_the_giver_dies_before_the_taker_knows() -> None:
    async def story(desk: Desk) -> None:
        assert await desk.giver.next() == Offer(5, 7)
        desk.die(desk.giver)
        await desk.fails("worker 0 died")
        assert desk.status.worker == 0

    play(story)


def test_the_giver_dies_and_the_taker_fails_then() -> None:
    async def story(desk: Desk) -> None:
        await desk.offered()
        desk.die(desk.giver)
        desk.say(desk.taker, MoveFailed(5, "refused"))
        await desk.fails("refused")
        assert await desk.taker.next() == Abandon(5)
        assert desk.actions == ["taken back", "given to 1"]  # it begins anew there

    play(story)


def test_the_taker_fails_and_the_giver_dies_at_the_same_moment() -> None:
    async def story(desk: Desk) -> None:
        await desk.offered()
        desk.say(desk.taker, MoveFailed(5, "refused"))
        desk.die(desk.giver)
        await desk.fails("refused")
        assert await desk.taker.next() == Abandon(5)
        assert desk.status.worker == 0  # it is restarted with its worker

    play(story)


@pytest.mark.parametrize("step", ["offered", "joined", "cut"])
def test_it_is_not_to_move_any_more(step: str) -> None:
    async def story(desk: Desk) -> None:
        await getattr(desk, step)()
        desk.splicing.abort("it is being removed")
        await desk.fails("it is being removed")
        assert await desk.giver.next() == Keep(5)
        assert await desk.taker.next() == Abandon(5)

    play(story)


def test_the_feed_ends() -> None:
    async def story(desk: Desk) -> None:
        await desk.offered()
        desk.status.end()
        desk.splicing.on_owner_state(desk.status)
        await desk.fails("it has ended for good")
        assert await desk.giver.next() == Keep(5)
        assert await desk.taker.next() == Abandon(5)

    play(story)


def test_the_giver_loses_its_connection_and_the_taker_has_one() -> None:
    async def story(desk: Desk) -> None:
        await desk.offered()
        live = StateChange(7, EndpointState.LIVE, 1, None)
        desk.splicing.on_state(cast(WorkerProcess, desk.taker), live)
        desk.hear(StateChange(7, EndpointState.BACKOFF, 3, "reset"))
        assert await desk.giver.next() == Cut(5)
        desk.tails(is_last=True)
        await desk.taker.next()
        desk.say(desk.taker, Aligned(5))
        assert await desk.running is False
        assert desk.status.state is EndpointState.LIVE
        assert [await desk.taker.next(), await desk.giver.next()] == [GoLive(5), Release(7)]

    play(story)


def test_what_is_delivered_before_the_taker_is_told_reaches_it_too() -> None:
    async def story(desk: Desk) -> None:
        assert await desk.giver.next() == Offer(5, 7)
        desk.tails()
        desk.say(desk.giver, Offered(5, GROUPS))
        assert isinstance(await desk.taker.next(), Take)
        assert await desk.taker.next() == Compare(5, (b"\1" * 8,), False, None, MARK)
        desk.splicing.abort("enough")
        await desk.fails("enough")
        assert [await desk.giver.next(), await desk.taker.next()] == [Keep(5), Abandon(5)]

    play(story)


@pytest.mark.parametrize("why", ["busy", "behind"])
def test_a_giver_that_does_not_keep_up_is_not_cut_on_a_guess(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splicing, "WATCH_EVERY_S", 0.005)
    monkeypatch.setattr(splicing, "CALM_S", 0.2)

    async def story(desk: Desk) -> None:
        loop = asyncio.get_running_loop()
        await desk.offered()
        desk.is_giver_busy = why == "busy"
        desk.say(desk.taker, CutWanted(5, is_guess=True))
        until = loop.time() + 0.5
        while loop.time() < until:
            desk.tails(is_behind=why == "behind")
            assert isinstance(await desk.taker.next(), Compare)
            await asyncio.sleep(0.01)
        assert desk.giver.told.empty()
        desk.is_giver_busy = False
        assert await desk.giver.next() == Cut(5)
        desk.splicing.abort("enough")
        await desk.fails("enough")
        assert [await desk.giver.next(), await desk.taker.next()] == [Keep(5), Abandon(5)]

    play(story)


def test_a_guess_may_become_certain() -> None:
    async def story(desk: Desk) -> None:
        desk.is_giver_busy = True
        await desk.offered()
        desk.say(desk.taker, CutWanted(5, is_guess=True))
        desk.say(desk.taker, CutWanted(5))
        assert await desk.giver.next() == Cut(5)
        desk.splicing.abort("enough")
        await desk.fails("enough")
        assert [await desk.giver.next(), await desk.taker.next()] == [Keep(5), Abandon(5)]

    play(story)


def test_nothing_is_said_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splicing, "JOIN_WITHIN_S", 0.05)

    async def story(desk: Desk) -> None:
        await desk.offered()
        await desk.fails("it could not be joined within 0.05 s")
        assert await desk.giver.next() == Keep(5)
        assert await desk.taker.next() == Abandon(5)

    play(story)
