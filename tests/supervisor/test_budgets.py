"""The supervisor's side of the host budgets: who is granted what, and what a dead worker gives back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs

from scaleout.config import Endpoint, Host, Rate
from scaleout.core.wire import Ask, AttemptEnded, ConnectionEnded, TakenOver
from scaleout.supervisor.budgets import Budgets


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(main(), 20)

    asyncio.run(bounded())


def make(**hosts: Host) -> tuple[Budgets, list[tuple[int, int]], asyncio.Event]:
    granted: list[tuple[int, int]] = []
    news = asyncio.Event()

    def grant(run: int, ticket: int) -> None:
        granted.append((run, ticket))
        news.set()

    def recall(run: int, ticket: int) -> None:
        raise AssertionError("no place is missing")

    return Budgets(hosts, grant, recall), granted, news


def test_workers_share_the_places_in_the_order_in_which_they_ask() -> None:
    async def main() -> None:
        budgets, granted, _ = make(h=Host(concurrent=2))
        for worker, ticket in ((1, 0), (2, 0), (2, 1), (1, 1)):
            budgets.follow(worker, Ask(ticket, "h"))
        assert granted == [(1, 0), (2, 0)]
        budgets.follow(1, AttemptEnded(0))
        assert len(granted) == 2
        budgets.follow(1, ConnectionEnded(0))
        assert granted[2:] == [(2, 1)]
        budgets.follow(1, ConnectionEnded(0))  # said twice
        assert len(granted) == 3

    run(main)


def test_it_is_known_whether_an_endpoint_may_have_a_second_connection() -> None:
    one = Endpoint(name="one", uri="ws://h/1")
    four = Endpoint(name="four", uri="ws://h/{stream}", streams=("a", "b", "c", "d"))
    budgets, _, _ = make(h=Host(concurrent=7))
    budgets.expect(0, one)
    budgets.expect(1, four)
    assert budgets.lack(one) is None
    assert budgets.lack(four) == (
        "h has 2 of its places left over, and 4 are needed: `concurrent` is too low"
    )
    assert budgets.lack(Endpoint(name="elsewhere", uri="ws://other/1")) is None


def test_a_dead_worker_gives_back_its_places_and_its_turns() -> None:
    async def main() -> None:
        budgets, granted, _ = make(h=Host(concurrent=2))
        for ticket in range(3):
            budgets.follow(1, Ask(ticket, "h"))
        for ticket in range(2):
            budgets.follow(2, Ask(ticket, "h"))
        budgets.follow(1, AttemptEnded(0))
        assert granted == [(1, 0), (1, 1)]
        budgets.forget_run(1)
        assert granted == [(1, 0), (1, 1), (2, 0), (2, 1)]
        budgets.forget_run(1)

    run(main)


def test_who_changed_their_mind_is_passed_over() -> None:
    async def main() -> None:
        budgets, granted, _ = make(h=Host(concurrent=1))
        for ticket in range(3):
            budgets.follow(1, Ask(ticket, "h"))
        budgets.follow(1, ConnectionEnded(1))
        budgets.follow(1, ConnectionEnded(0))
        assert granted == [(1, 0), (1, 2)]

    run(main)


def test_spares_wait_or_end_where_every_place_is_needed_also_once_streams_are_added() -> None:
    async def main() -> None:
        granted: list[tuple[int, int]] = []
        recalled: list[tuple[int, int]] = []
        budgets = Budgets(
            {"h": Host(concurrent=4)},
            lambda run, ticket: granted.append((run, ticket)),
            lambda run, ticket: recalled.append((run, ticket)),
        )
        endpoint = Endpoint(uri="ws://h/{stream}", streams=("a", "b"))
        budgets.expect(0, endpoint)
        budgets.expect(1, Endpoint(uri="ws://elsewhere/"))
        budgets.follow(1, Ask(0, "h"))
        for ticket in (1, 2, 3):
            budgets.follow(1, Ask(ticket, "h", is_spare=True))
        assert granted == [(1, 0), (1, 1), (1, 2)]
        budgets.expect(0, structs.replace(endpoint, streams=("a", "b", "c", "d")))
        budgets.expect(0, endpoint)
        for ticket in (0, 1, 2):
            budgets.follow(1, AttemptEnded(ticket))
        assert recalled == []
        for ticket in (4, 5, 6):
            budgets.follow(2, Ask(ticket, "h"))
        assert granted[3:] == [(2, 4)] and recalled == [(1, 1), (1, 2)]
        for ticket in (1, 2):
            budgets.follow(1, ConnectionEnded(ticket))
        assert granted[4:] == [(2, 5), (2, 6)]

    run(main)


def test_a_spare_that_takes_over_makes_room_for_another_once_the_old_one_has_ended() -> None:
    async def main() -> None:
        budgets, granted, _ = make(h=Host(concurrent=2), i=Host(concurrent=2))
        budgets.expect(0, Endpoint(uri="ws://h/"))
        budgets.follow(1, Ask(0, "h"))
        for ticket in (1, 2):
            budgets.follow(1, Ask(ticket, "h", is_spare=True))
        for ticket in (0, 1):
            budgets.follow(1, AttemptEnded(ticket))
        budgets.follow(1, TakenOver(1, instead_of=0))
        assert granted == [(1, 0), (1, 1)]
        budgets.follow(1, ConnectionEnded(0))
        assert granted[2:] == [(1, 2)]
        budgets.follow(1, AttemptEnded(2))
        budgets.follow(1, Ask(3, "h", is_spare=True))
        budgets.follow(1, TakenOver(9, instead_of=1))  # by a connection to a host without a budget
        budgets.follow(1, ConnectionEnded(1))
        assert len(granted) == 3
        budgets.follow(1, TakenOver(2, instead_of=9))
        assert granted[3:] == [(1, 3)]

    run(main)


def test_a_rate_holds_over_workers_and_deaths() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        budgets, granted, news = make(h=Host(connects=Rate(2, 0.1)))
        began = loop.time()
        for ticket in range(3):
            budgets.follow(1, Ask(ticket, "h"))
            budgets.follow(2, Ask(ticket, "h"))
        assert granted == [(1, 0), (2, 0)]
        budgets.forget_run(1)  # what it was granted may have reached the host all the same
        assert len(granted) == 2
        budgets.follow(2, AttemptEnded(0))
        while len(granted) < 4:
            news.clear()
            await news.wait()
        assert loop.time() - began >= 0.1
        assert granted[2:] == [(2, 1), (2, 2)]

    run(main)


def test_hosts_are_told_apart_and_closing_grants_nothing() -> None:
    async def main() -> None:
        budgets, granted, news = make(h=Host(connects=Rate(1, 0.02)), i=Host(concurrent=1))
        budgets.follow(1, Ask(0, "h"))
        budgets.follow(1, Ask(1, "i"))
        budgets.follow(1, Ask(2, "h"))
        assert granted == [(1, 0), (1, 1)]
        budgets.follow(1, ConnectionEnded(0))
        budgets.close()
        news.clear()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(news.wait(), 0.05)
        assert len(granted) == 2

    run(main)
