"""Permits: each is asked for, and given back, exactly once, whatever happens between."""

from __future__ import annotations

import asyncio

import pytest

from scaleout.core.wire import Ask, AttemptEnded, ConnectionEnded, Report
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


@pytest.mark.parametrize(
    ("uri", "budget"),
    [
        ("wss://feed.test/x", "feed.test"),
        ("WSS://user:pw@FEED.test/x?y", "feed.test"),
        ("wss://feed.test:9443/x", "feed.test:9443"),
        ("ws://feed.test:443/", "feed.test"),
        ("wss://other.test:443/", "other.test:443"),
        ("wss://other.test/", "other.test:443"),
        ("ws://other.test/", None),
        ("ws://[::1]:8000/", "[::1]"),
        ("ws://sub.feed.test/", None),
    ],
)
def test_a_budget_is_of_the_host_and_port_or_of_the_host(uri: str, budget: str | None) -> None:
    supervisor = Supervisor("feed.test", "feed.test:9443", "other.test:443", "[::1]")
    assert supervisor.permits.budget_of(uri) == budget


def test_a_host_without_a_budget_is_not_reported() -> None:
    async def main() -> None:
        supervisor = Supervisor("other.test")
        permit = await supervisor.permits.obtain(URI)
        permit.attempt_ended()
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
        permit.attempt_ended()
        permit.give_back()
        permit.give_back()
        permit.attempt_ended()
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
