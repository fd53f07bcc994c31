"""The open connections of a session: each is let go once, in the way that its end calls for."""

from __future__ import annotations

import asyncio
from random import Random
from typing import cast

from websockets.frames import CloseCode

from scaleout.config import Backoff, Endpoint
from scaleout.core.backoff import BackoffState
from scaleout.core.wire import AttemptEnded, ConnectionEnded, Report, TakenOver
from scaleout.logs import EndpointLogger
from scaleout.valve import Source
from scaleout.worker.inlet import Inlet
from scaleout.worker.links.link import Link
from scaleout.worker.links.openlinks import OpenLinks
from scaleout.worker.links.permits import Permit, Permits
from scaleout.worker.links.talk import Talk
from tests.worker.peers import Peer, run_fast, settle

ENDPOINT = Endpoint(uri="ws://feed.test/", name="feed", ping_interval=0)


class StandIn:
    """In the place of the inlet: knows what it would hold back."""

    def __init__(self) -> None:
        self.sources: set[Source] = set()
        self.attach = self.sources.add
        self.detach = self.sources.discard


class Heard(BackoffState):
    """Notes how long sessions lived, and with how many messages."""

    def __init__(self, lives: list[tuple[float, int]]) -> None:
        super().__init__(Backoff(), Random(1))
        self._lives = lives

    def session_ended(self, lived_s: float, messages: int) -> None:
        self._lives.append((lived_s, messages))


class Case:
    """Some links to peers."""

    def __init__(self) -> None:
        self.inlet = StandIn()
        self.reports: list[Report] = []
        self.lives: list[tuple[float, int]] = []
        self.links = OpenLinks(cast(Inlet, self.inlet), Heard(self.lives))

    def open(self, ticket: int, *, answers_close: bool = True) -> tuple[Link, Peer]:
        peer = Peer(ENDPOINT, answers_close=answers_close)
        permit = Permit(Permits(self.reports.append), ticket, self.reports.append)
        link = Link(peer.connection, Talk(ENDPOINT), permit, lambda *_: None, EndpointLogger("feed", ()))
        link.deliver_to(lambda *_: None)
        self.links.add(link)
        return link, peer


def test_the_first_is_the_one_that_has_been_there_longest() -> None:
    async def main() -> None:
        case = Case()
        assert case.links.first is None
        (old, _), (new, _) = case.open(1), case.open(2)
        assert case.links.first is old and list(case.links) == [old, new]
        assert case.inlet.sources == {old.connection, new.connection}
        case.links.close(old)
        assert case.links.first is new and case.inlet.sources == {new.connection}
        case.links.close_all()
        assert list(case.links) == [] and case.inlet.sources == set()
        await settle()
        assert case.reports[-2:] == [ConnectionEnded(1), ConnectionEnded(2)]

    run_fast(main())


def test_one_that_is_retired_ends_in_good_order_and_counts_as_a_session() -> None:
    async def main() -> None:
        case = Case()
        old, peer = case.open(1)
        await old.subscribe((), None)
        peer.say("1", "2")
        await asyncio.sleep(40)
        new, _ = case.open(2)
        case.links.retire(old, new)
        assert list(case.links) == [new] and case.inlet.sources == {new.connection}
        await settle()
        assert peer.close_codes == [1000] and case.lives == [(40.0, 2)]
        takeover = TakenOver(2, instead_of=1)
        assert case.reports == [AttemptEnded(1), AttemptEnded(2), takeover, ConnectionEnded(1)]

    run_fast(main())


def test_a_goodbye_waits_for_farewells_but_not_for_long() -> None:
    async def main() -> None:
        case = Case()
        (old, silent), (new, good) = case.open(1, answers_close=False), case.open(2)
        case.links.retire(old, new)
        await asyncio.sleep(0.5)
        await case.links.say_goodbye(CloseCode.GOING_AWAY)
        assert silent.loop.time() == 1.0
        _, deaf = case.open(3, answers_close=False)
        await case.links.say_goodbye(CloseCode.GOING_AWAY)
        assert silent.loop.time() == 2.0
        await settle()
        assert [peer.close_codes for peer in (silent, good, deaf)] == [[1000], [1001], [1001]]
        assert all(peer.is_lost for peer in (silent, good, deaf))
        ends = [report for report in case.reports if isinstance(report, ConnectionEnded)]
        assert sorted(end.ticket for end in ends) == [1, 2, 3]

    run_fast(main())


def test_what_a_goodbye_has_taken_may_be_closed_all_the_same() -> None:
    async def main() -> None:
        case = Case()
        link, _ = case.open(1)
        goodbye = asyncio.create_task(case.links.say_goodbye(CloseCode.GOING_AWAY))
        await asyncio.sleep(0)
        case.links.close(link)
        await goodbye
        assert case.reports == [AttemptEnded(1), ConnectionEnded(1)]

    run_fast(main())


def test_stopped_nothing_is_received_any_more() -> None:
    async def main() -> None:
        case = Case()
        link, peer = case.open(1)
        await link.subscribe((), None)
        peer.say("1")
        case.links.stop_receiving()
        peer.say("2")
        assert link.messages == 1
        late, peer = case.open(2)
        await late.subscribe((), None)
        peer.say("3")
        assert late.messages == 0
        case.links.close_all()

    run_fast(main())
