"""Permits to connect to hosts with a budget, which the supervisor grants over all workers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from scaleout.core.wire import Ask, AttemptEnded, ConnectionEnded, Report


class Permit:
    """The right to one attempt, and to the connection that comes of it.

    What is said about it is said once; a host without a budget isn't told anything.
    """

    def __init__(self, permits: Permits, ticket: int, report: Callable[[Report], None] | None) -> None:
        self._permits = permits
        self._ticket = ticket
        self._report = report

    async def exchange(self, uri: str) -> None:
        """Give it back, and wait for one to connect elsewhere, as a redirect wants it."""
        self.give_back()
        other = await self._permits.obtain(uri)
        self._ticket, self._report = other._ticket, other._report

    def attempt_ended(self) -> None:
        """The connection is open."""
        if self._report is not None:
            self._report(AttemptEnded(self._ticket))

    def give_back(self) -> None:
        """The connection is gone, or its attempt has failed."""
        if self._report is not None:
            self._report(ConnectionEnded(self._ticket))
            self._report = None


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

    def limit(self, hosts: Collection[str]) -> None:
        """Set the hosts (or host:port) with a budget."""
        self._budgeted = frozenset(hosts)

    def budget_of(self, uri: str) -> str | None:
        """The budget that a URI falls under: of its host and port, or of its host."""
        if not self._budgeted:
            return None
        parts = urlsplit(uri)
        host = (parts.hostname or "").lower()
        shown = f"[{host}]" if ":" in host else host
        port = parts.port or (443 if parts.scheme.lower() == "wss" else 80)
        return next((name for name in (f"{shown}:{port}", shown) if name in self._budgeted), None)

    async def obtain(self, uri: str) -> Permit:
        """Wait until this worker may connect."""
        host = self.budget_of(uri)
        ticket = next(self._tickets)
        if host is None:
            return Permit(self, ticket, None)
        granted = self._waiting[ticket] = asyncio.get_running_loop().create_future()
        self._report(Ask(ticket, host))
        try:
            await granted
        except asyncio.CancelledError:
            self._report(ConnectionEnded(ticket))
            raise
        finally:
            del self._waiting[ticket]
        return Permit(self, ticket, self._report)

    def granted(self, ticket: int) -> None:
        """The supervisor has granted one."""
        waiting = self._waiting.get(ticket)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
