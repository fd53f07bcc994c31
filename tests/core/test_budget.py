"""Connects to one host, granted over all workers."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.budget import HostBudget


def asked(budget: HostBudget, count: int) -> HostBudget:
    for ticket in range(count):
        budget.ask(ticket)
    return budget


def test_without_limits_all_go_at_once() -> None:
    budget = asked(HostBudget(None, None), 5)
    assert budget.next_at(7) == 7
    assert budget.grants(7) == [0, 1, 2, 3, 4]
    assert budget.grants(7) == []
    assert budget.next_at(7) is None


def test_a_connect_comes_back_a_period_after_the_end_of_its_attempt() -> None:
    budget = asked(HostBudget((2, 10.0), None), 4)
    assert budget.grants(0) == [0, 1]
    assert budget.next_at(0) is None
    budget.attempt_ended(1, 3)
    assert budget.next_at(3) == 13
    budget.connection_ended(0, 4)
    assert budget.grants(12.9) == []
    assert budget.grants(13) == [2]
    assert budget.next_at(13) == 14
    assert budget.grants(14) == [3]
    assert budget.next_at(14) is None


def test_an_open_connection_keeps_its_place_and_not_its_connect() -> None:
    budget = asked(HostBudget((1, 10.0), 1), 2)
    assert budget.grants(0) == [0]
    budget.attempt_ended(0, 1)
    assert budget.next_at(100) is None
    assert budget.grants(100) == []
    budget.connection_ended(0, 101)
    assert budget.next_at(101) == 101
    assert budget.grants(101) == [1]


def test_a_failed_attempt_frees_its_place() -> None:
    budget = asked(HostBudget(None, 1), 2)
    assert budget.grants(0) == [0]
    budget.connection_ended(0, 1)
    assert budget.grants(1) == [1]


def test_a_dead_worker_leaves_nothing_behind() -> None:
    budget = asked(HostBudget((3, 10.0), 3), 6)
    assert budget.grants(0) == [0, 1, 2]
    budget.attempt_ended(0, 1)
    for open_connecting_or_queued in (0, 1, 3):
        budget.forget(open_connecting_or_queued, 2)
    assert budget.waiting == 2
    assert budget.next_at(2) == 11
    assert budget.grants(12) == [4, 5]
    budget.connection_ended(2, 12)
    assert repr(budget) == "<HostBudget the host: 0 waiting, 2 connecting, 0 open>"


def test_reports_about_forgotten_tickets_change_nothing() -> None:
    budget = asked(HostBudget((1, 10.0), 1), 3)
    budget.grants(0)
    budget.forget(0, 1)
    budget.attempt_ended(0, 5)
    budget.connection_ended(0, 6)
    budget.forget(0, 7)
    assert budget.next_at(7) == 11
    assert budget.grants(11) == [1]
    budget.attempt_ended(2, 12)
    budget.connection_ended(2, 12)
    assert budget.waiting == 1


def test_a_ticket_is_for_one_attempt() -> None:
    budget = HostBudget(None, None, "example.org")
    budget.ask(1)
    with pytest.raises(ValueError, match=r"ticket 1 for example\.org is in use"):
        budget.ask(1)
    budget.grants(0)
    with pytest.raises(ValueError, match="in use"):
        budget.ask(1)
    budget.attempt_ended(1, 0)
    with pytest.raises(ValueError, match="in use"):
        budget.ask(1)
    budget.connection_ended(1, 0)
    budget.ask(1)


def test_spares_have_only_the_places_that_first_connections_leave() -> None:
    budget = HostBudget(None, 4, "example.org")
    budget.reserve(2)
    assert budget.spare_places == 2
    for ticket in range(3):
        budget.ask(ticket, is_spare=True)
    assert budget.grants(0) == [0, 1] and budget.next_at(0) is None
    budget.ask(3)
    budget.ask(4)
    assert budget.grants(0) == [3, 4]
    budget.connection_ended(3, 1)
    assert budget.grants(1) == []
    budget.connection_ended(1, 1)
    assert budget.grants(1) == [2]


def test_a_spare_that_takes_over_leaves_its_place_to_the_old_connection() -> None:
    budget = HostBudget(None, 3)
    budget.reserve(2)
    budget.ask(0)
    for ticket in (1, 2):
        budget.ask(ticket, is_spare=True)
    assert budget.grants(0) == [0, 1]
    for ticket in (0, 1):
        budget.attempt_ended(ticket, 0)
    budget.rank(0, is_spare=True)
    budget.rank(1, is_spare=False)
    assert budget.grants(0) == []
    budget.connection_ended(0, 1)
    assert budget.grants(1) == [2]
    for unknown in (0, 3):
        budget.rank(unknown, is_spare=True)
    budget.connection_ended(2, 2)
    budget.ask(3, is_spare=True)
    assert budget.grants(2) == [3]


def test_spares_are_recalled_when_more_places_are_reserved_and_wanted() -> None:
    budget = HostBudget(None, 4)
    budget.reserve(1)
    budget.ask(0)
    for ticket in (1, 2, 3):
        budget.ask(ticket, is_spare=True)
    assert budget.grants(0) == [0, 1, 2, 3]
    budget.reserve(2)
    budget.ask(4)
    assert budget.recalls() == [], "none of them is open"
    for ticket in (0, 1, 2):
        budget.attempt_ended(ticket, 0)
    assert budget.recalls() == [1] and budget.recalls() == []
    budget.ask(5)
    assert budget.recalls() == [2]
    budget.ask(6)
    assert budget.recalls() == [], "one spare may stay"
    budget.rank(0, is_spare=True)
    budget.rank(1, is_spare=False)  # it has taken over before it heard of it
    assert budget.recalls() == [0]
    for ticket in (0, 2):
        budget.connection_ended(ticket, 1)
    assert budget.grants(1) == [4, 5] and budget.recalls() == []


def test_first_connections_have_their_connects_before_spares_that_wait_longer() -> None:
    budget = HostBudget((1, 10.0), None)
    assert budget.spare_places is None
    budget.ask(0)
    budget.ask(1, is_spare=True)
    budget.ask(2)
    assert budget.grants(0) == [0]
    budget.attempt_ended(0, 0)
    assert budget.grants(10) == [2]
    budget.attempt_ended(2, 10)
    budget.forget(1, 11)
    assert budget.waiting == 0
    budget.ask(1, is_spare=True)
    assert budget.grants(20) == [1]
    with pytest.raises(ValueError, match="in use"):
        budget.ask(1, is_spare=True)


@dataclass
class Host:
    """A host and the workers that connect to it, in a simulated time of whole numbers, so that nothing is rounded.

    An attempt takes as long as it likes, and the connect arrives at any time between its grant and its end; then
    the connection lives for a while, unless the attempt failed. Some tickets die, wherever they are. Spares
    that are open may take over from a first connection.
    """

    budget: HostBudget
    rng: Random
    longest_attempt: int
    longest_life: int
    spares: set[int] = field(default_factory=set)
    """Tickets that are no first connections, or none any more."""
    arrivals: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    granted: list[int] = field(default_factory=list)
    most_open: int = 0
    _events: list[tuple[int, int, str, int]] = field(default_factory=list)
    _alive: set[int] = field(default_factory=set)
    _open: set[int] = field(default_factory=set)
    _dead: set[int] = field(default_factory=set)
    _now: int = 0

    def at(self, time: int, what: str, ticket: int) -> None:
        heapq.heappush(self._events, (time, self.rng.randrange(1000), what, ticket))

    def run(self) -> None:
        while True:
            wake_at = self.budget.next_at(self._now)
            if wake_at != self._now:
                assert self.budget.grants(self._now) == [], "a grant that next_at didn't name"
            if wake_at is not None and (not self._events or wake_at <= self._events[0][0]):
                self._now = int(wake_at)
                granted = self.budget.grants(self._now)
                assert granted, "next_at named a time at which nothing was granted"
                for ticket in granted:
                    self._connect(ticket)
            elif self._events:
                self._now, _, what, ticket = heapq.heappop(self._events)
                self._happen(what, ticket)
            else:
                return

    def _connect(self, ticket: int) -> None:
        assert ticket not in self._dead
        self.granted.append(ticket)
        self._alive.add(ticket)
        if ticket in self.spares:
            assert {*self.asked} - {*self.granted} - self._dead <= self.spares, "a first connection waits"
            places = self.budget.spare_places
            assert places is None or len(self._alive & self.spares) <= places, "a spare too many"
        self.most_open = max(self.most_open, len(self._alive))
        ended_at = self._now + self.rng.randint(0, self.longest_attempt)
        self.at(
            self.rng.choice([self._now, ended_at, self.rng.randint(self._now, ended_at)]), "arrive", ticket
        )
        if self.rng.random() < 0.7:
            self.at(ended_at, "open", ticket)
            self.at(ended_at + self.rng.randint(0, self.longest_life), "take over", ticket)
            self.at(ended_at + self.rng.randint(0, self.longest_life), "close", ticket)
        else:
            self.at(ended_at, "close", ticket)

    def _happen(self, what: str, ticket: int) -> None:
        budget, now = self.budget, self._now
        if what == "ask":
            self.asked.append(ticket)
            budget.ask(ticket, is_spare=ticket in self.spares)
        elif what == "die":
            self._dead.add(ticket)
            self._alive.discard(ticket)
            self._open.discard(ticket)
            budget.forget(ticket, now)
        elif ticket in self._dead:
            return
        elif what == "arrive":
            self.arrivals.append(now)
        elif what == "open":
            self._open.add(ticket)
            budget.attempt_ended(ticket, now)
        elif what == "take over":
            self._take_over(ticket)
        else:
            self._alive.discard(ticket)
            self._open.discard(ticket)
            budget.connection_ended(ticket, now)

    def _take_over(self, ticket: int) -> None:
        olds = sorted(self._open - self.spares)
        if ticket in self._open & self.spares and olds:
            old = self.rng.choice(olds)
            self.spares ^= {ticket, old}
            self.budget.rank(old, is_spare=True)
            self.budget.rank(ticket, is_spare=False)


@given(
    connects=st.none() | st.tuples(st.integers(1, 5), st.integers(1, 50).map(float)),
    concurrent=st.none() | st.integers(1, 5),
    reserved=st.integers(0, 6),
    asks=st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=60),
    deaths=st.dictionaries(st.integers(0, 59), st.integers(0, 100), max_size=10),
    longest_attempt=st.sampled_from([0, 1, 10, 100]),
    longest_life=st.sampled_from([0, 10, 1000]),
    seed=st.integers(0, 2**32),
)
def test_no_host_ever_sees_more_than_it_allows_and_nobody_starves(
    connects: tuple[int, float] | None,
    concurrent: int | None,
    reserved: int,
    asks: list[tuple[int, bool]],
    deaths: dict[int, int],
    longest_attempt: int,
    longest_life: int,
    seed: int,
) -> None:
    spares = {ticket for ticket, (_, is_spare) in enumerate(asks) if is_spare}
    host = Host(HostBudget(connects, concurrent), Random(seed), longest_attempt, longest_life, {*spares})
    host.budget.reserve(reserved)
    now = 0
    for ticket, (pause, _) in enumerate(asks):
        now += pause
        host.at(now, "ask", ticket)
        if ticket in deaths:
            host.at(now + 1 + deaths[ticket], "die", ticket)
    host.run()
    if connects is not None:
        count, period = connects
        arrivals = sorted(host.arrivals)
        assert all(last - first >= period for first, last in zip(arrivals, arrivals[count:], strict=False))
    if concurrent is not None:
        assert host.most_open <= concurrent
    in_vain = spares if host.budget.spare_places == 0 else set()
    assert host.budget.waiting == len(in_vain - {*deaths})
    for kind in ({*host.asked} - spares, spares):
        assert [ticket for ticket in host.granted if ticket in kind] == [
            ticket
            for ticket in host.asked
            if ticket in kind and ticket not in in_vain and (ticket not in deaths or ticket in host.granted)
        ]


@dataclass
class Feeds:
    """Endpoints with standbys, on a host that has a place for each of them at the least."""

    budget: HostBudget
    firsts: list[int | None]
    spares: list[int | None]
    asked: int = 0
    waiting: set[int] = field(default_factory=set)

    def hand_out(self) -> None:
        for ticket in self.budget.grants(0):
            self.waiting.remove(ticket)
            self.budget.attempt_ended(ticket, 0)
        for ticket in self.budget.recalls():
            self.spares[self.spares.index(ticket)] = None
            self.lose(ticket)

    def ask(self, *, is_spare: bool) -> int:
        self.asked += 1
        self.waiting.add(self.asked)
        self.budget.ask(self.asked, is_spare=is_spare)
        self.hand_out()
        return self.asked

    def lose(self, ticket: int | None) -> None:
        if ticket is not None:
            self.waiting.discard(ticket)
            self.budget.forget(ticket, 0)
            self.hand_out()

    def lose_first(self, feed: int) -> None:
        old, spare = self.firsts[feed], self.spares[feed]
        self.firsts[feed] = self.spares[feed] = None
        if old is not None and spare is not None and spare not in self.waiting:
            self.firsts[feed] = spare
            for ticket, is_spare in ((old, True), (spare, False)):
                self.budget.rank(ticket, is_spare=is_spare)
                self.hand_out()
        else:
            self.lose(spare)
        self.lose(old)


@given(
    count=st.integers(1, 4),
    more=st.integers(0, 3),
    happenings=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["connect", "stand by", "lose", "lose spare", "add"])),
        min_size=20,
        max_size=60,
    ),
)
def test_a_first_connection_never_waits_for_a_place_that_spares_have(
    count: int, more: int, happenings: list[tuple[int, str]]
) -> None:
    budget = HostBudget(None, count + more)
    budget.reserve(count)
    feeds = Feeds(budget, [None] * count, [None] * count)
    for number, what in happenings:
        feed = number % len(feeds.firsts)
        if what == "add" and len(feeds.firsts) < count + more:
            feeds.firsts.append(None)
            feeds.spares.append(None)
            budget.reserve(1)
        elif what == "connect" and feeds.firsts[feed] is None:
            feeds.firsts[feed] = feeds.ask(is_spare=False)
        elif what == "stand by" and feeds.firsts[feed] is not None and feeds.spares[feed] is None:
            feeds.spares[feed] = feeds.ask(is_spare=True)
        elif what == "lose":
            feeds.lose_first(feed)
        elif what == "lose spare":
            spare, feeds.spares[feed] = feeds.spares[feed], None
            feeds.lose(spare)
        assert feeds.waiting <= {*feeds.spares}
        standing_by = {spare for spare in feeds.spares if spare is not None} - feeds.waiting
        assert not feeds.waiting or len(standing_by) >= count + more - len(feeds.firsts)
