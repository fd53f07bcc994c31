"""Permits to connect to hosts with a budget, which the supervisor grants over all workers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection

from scaleout.core.hosts import budget_of
from scaleout.core.wire import Ask, AttemptEnded, ConnectionEnded, Report, TakenOver


class Permit:
    """The right to one attempt, and to the connection that comes of it.

    What is said about it is said once; a host without a budget isn't told anything.
    """

    def __init__(
        self,
        permits: Permits,
        ticket: int,
        report: Callable[[Report], None] | None,
        *,
        is_spare: bool = False,
    ) -> None:
        self._permits = permits
        self._ticket = ticket
        self._report = report
        self._is_spare = is_spare
        self._on_recall: Callable[[], None] | None = None

    async def exchange(self, uri: str) -> None:
        """Give it back, and wait for one to connect elsewhere, as a redirect wants it."""
        self.give_back()
        other = await self._permits.obtain(uri, is_spare=self._is_spare)
        self._ticket, self._report = other._ticket, other._report

    def attempt_ended(self, on_recall: Callable[[], None]) -> None:
        """The connection is open.

        Args:
            on_recall: ends it, where it is a spare whose place is needed.
        """
        if self._report is not None:
            self._on_recall = on_recall
            self._permits.hold(self._ticket, self)
            self._report(AttemptEnded(self._ticket))

    def take_over(self, old: Permit) -> None:
        """The connection delivers in the place of an old one, which is about to end."""
        self._is_spare, old._is_spare = False, True
        report = self._report or old._report
        if report is not None:
            report(TakenOver(self._ticket, old._ticket))

    def come_first(self) -> None:
        """The connection, where it is a spare, delivers in the place of another worker's."""
        if self._is_spare:
            self._is_spare = False
            if self._report is not None:
                self._report(TakenOver(self._ticket, None))

    def give_back(self) -> None:
        """The connection is gone, or its attempt has failed."""
        if self._report is not None:
            self._permits.let_go(self._ticket)
            self._report(ConnectionEnded(self._ticket))
            self._report = None

    def recall(self) -> None:
        """Its place is needed, unless it has taken over meanwhile."""
        if self._is_spare and self._on_recall is not None:
            self._on_recall()


class Permits:
    """Asks the supervisor.

    Args:
        report: tells it something.
    """

    def __init__(self, report: Callable[[Report], None]) -> None:
        self._report = report
        self._budgeted: frozenset[str] = frozenset()
        self._tickets = itertools.count()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._open: dict[int, Permit] = {}

    def limit(self, hosts: Collection[str]) -> None:
        """Set the hosts (or host:port) with a budget."""
        self._budgeted = frozenset(hosts)

    async def obtain(self, uri: str, *, is_spare: bool = False) -> Permit:
        """Wait until this worker may connect.

        Args:
            uri: where to.
            is_spare: whether another connection is there that delivers.
        """
        host = budget_of(uri, self._budgeted)
        ticket = next(self._tickets)
        if host is None:
            return Permit(self, ticket, None, is_spare=is_spare)
        granted = self._waiting[ticket] = asyncio.get_running_loop().create_future()
        self._report(Ask(ticket, host, is_spare))
        try:
            await granted
        except asyncio.CancelledError:
            self._report(ConnectionEnded(ticket))
            raise
        finally:
            del self._waiting[ticket]
        return Permit(self, ticket, self._report, is_spare=is_spare)

    def granted(self, ticket: int) -> None:
        """The supervisor has granted one."""
        waiting = self._waiting.get(ticket)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def hold(self, ticket: int, permit: Permit) -> None:
        """Hold the permit of an open connection, in case it is recalled."""
        self._open[ticket] = permit

    def let_go(self, ticket: int) -> None:
        """It is given back."""
        self._open.pop(ticket, None)

    def recalled(self, ticket: int) -> None:
        """The supervisor wants one back."""
        permit = self._open.get(ticket)
        if permit is not None:
            permit.recall()
