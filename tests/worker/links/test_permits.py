"""Permits: each is asked for, and given back, exactly once, whatever happens between."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from scaleout.core.wire import Ask, AttemptEnded, ConnectionEnded, Report, TakenOver
from scaleout.worker.links.permits import Permits
from tests.worker.peers import run_fast, settle

URI = "wss://feed.test/stream"


class Supervisor:
    """Hears what is reported; grants by hand."""

    def __init__(self, *hosts: str) -> None:
        self.reports: list[Report] = []
        self.permits = Permits(self.reports.append)
        self.permits.limit(hosts)

    def grant_all(self) -> None:
        for report in self.reports:
            if isinstance(report, Ask):
                self.permits.granted(report.ticket)


def test_a_host_without_a_budget_is_not_reported() -> None:
    async def main() -> None:
        supervisor = Supervisor("other.test")
        permit = await supervisor.permits.obtain(URI)
        permit.attempt_ended(lambda: None)
        permit.give_back()
        assert supervisor.reports == []

    run_fast(main())


def test_a_permit_is_waited_for_and_given_back_once() -> None:
    async def main() -> None:
        supervisor = Supervisor("feed.test")
        obtaining = asyncio.create_task(supervisor.permits.obtain(URI))
        await settle()
        assert supervisor.reports == [Ask(0, "feed.test")] and not obtaining.done()
        supervisor.grant_all()
        supervisor.grant_all()
        permit = await obtaining
        permit.attempt_ended(lambda: None)
        permit.give_back()
        permit.give_back()
        permit.attempt_ended(lambda: None)
        supervisor.permits.granted(0)
        assert supervisor.reports == [Ask(0, "feed.test"), AttemptEnded(0), ConnectionEnded(0)]

    run_fast(main())


@pytest.mark.parametrize("is_granted", [False, True])
def test_who_does_not_wait_any_more_says_so(is_granted: bool) -> None:
    async def main() -> None:
        supervisor = Supervisor("feed.test")
        obtaining = asyncio.create_task(supervisor.permits.obtain(URI))
        await settle()
        if is_granted:
            supervisor.grant_all()  # at the same time
        obtaining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await obtaining
        supervisor.grant_all()  # too late
        assert supervisor.reports == [Ask(0, "feed.test"), ConnectionEnded(0)]

    run_fast(main())


@pytest.mark.parametrize(
    ("elsewhere", "more"),
    [
        (URI + "/other", [Ask(1, "feed.test"), ConnectionEnded(1)]),
        ("wss://other.test/", [Ask(1, "other.test"), ConnectionEnded(1)]),
        ("wss://third.test/", []),
    ],
)
def test_a_redirect_needs_a_permit_of_its_own(elsewhere: str, more: list[Report]) -> None:
    async def main() -> None:
        supervisor = Supervisor("feed.test", "other.test")
        obtaining = asyncio.create_task(supervisor.permits.obtain(URI))
        await settle()
        supervisor.grant_all()
        permit = await obtaining
        exchanging = asyncio.create_task(permit.exchange(elsewhere))
        await settle()
        assert supervisor.reports == [Ask(0, "feed.test"), ConnectionEnded(0), *more[:1]]
        supervisor.grant_all()
        await exchanging
        permit.give_back()
        assert supervisor.reports == [Ask(0, "feed.test"), ConnectionEnded(0), *more]

    run_fast(main())


def test_an_exchange_that_is_given_up_leaves_nothing_to_give_back() -> None:
    async def main() -> None:
        supervisor = Supervisor("feed.test")
        obtaining = asyncio.create_task(supervisor.permits.obtain(URI))
        await settle()
        supervisor.grant_all()
        permit = await obtaining
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await permit.exchange(URI)
        permit.give_back()
        asked = [Ask(0, "feed.test"), ConnectionEnded(0), Ask(1, "feed.test"), ConnectionEnded(1)]
        assert supervisor.reports == asked

    run_fast(main())


def test_a_spare_says_what_it_is_wherever_it_is_sent_and_when_it_takes_over() -> None:
    async def main() -> None:
        supervisor = Supervisor("feed.test", "other.test")
        first = asyncio.create_task(supervisor.permits.obtain(URI))
        spare = asyncio.create_task(supervisor.permits.obtain(URI, is_spare=True))
        await settle()
        supervisor.grant_all()
        permit = await spare
        exchanging = asyncio.create_task(permit.exchange("wss://other.test/"))
        await settle()
        supervisor.grant_all()
        await exchanging
        permit.take_over(await first)
        assert supervisor.reports == [
            Ask(0, "feed.test"),
            Ask(1, "feed.test", is_spare=True),
            ConnectionEnded(1),
            Ask(2, "other.test", is_spare=True),
            TakenOver(2, instead_of=0),
        ]

    run_fast(main())


@pytest.mark.parametrize(
    ("old", "new", "is_said"),
    [
        ("wss://feed.test/", "wss://other.test/", True),
        ("wss://other.test/", "wss://feed.test/", True),
        ("wss://other.test/", "wss://other.test/", False),
    ],
)
def test_it_is_said_where_either_host_has_a_budget(old: str, new: str, is_said: bool) -> None:
    async def main() -> None:
        supervisor = Supervisor("feed.test")
        obtaining = [
            asyncio.create_task(supervisor.permits.obtain(uri, is_spare=uri is new)) for uri in (old, new)
        ]
        await settle()
        supervisor.grant_all()
        first, spare = [await each for each in obtaining]
        spare.take_over(first)
        assert (TakenOver(1, instead_of=0) in supervisor.reports) is is_said

    run_fast(main())


def test_a_recall_ends_an_open_spare_and_no_other_connection() -> None:
    async def main() -> None:
        supervisor = Supervisor("feed.test")
        obtaining = [
            asyncio.create_task(supervisor.permits.obtain(URI, is_spare=number > 0)) for number in range(4)
        ]
        await settle()
        supervisor.grant_all()
        permits = [await each for each in obtaining]
        ended: list[int] = []
        for number in (0, 1, 2):
            permits[number].attempt_ended(partial(ended.append, number))
        permits[1].take_over(permits[0])
        permits[2].give_back()
        for ticket in range(5):
            supervisor.permits.recalled(ticket)
        assert ended == [0]  # the one that was taken over from; the others are first, given back, or not open

    run_fast(main())
