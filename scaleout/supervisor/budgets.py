"""Budgets of hosts: connects are granted here, over all workers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping

from scaleout.config import Endpoint, Host
from scaleout.core.budget import HostBudget
from scaleout.core.hosts import budget_of, connections_of
from scaleout.core.wire import Ask, AttemptEnded, BudgetReport, TakenOver

Tell = Callable[[int, int], None]
"""Told the worker's run and its ticket."""


class Budgets:
    """Answers the workers' questions whether they may connect.

    Args:
        hosts: what all workers together may ask of each host.
        grant: called with each connect that may begin.
        recall: called with each spare that must end, for its place is needed.
    """

    def __init__(self, hosts: Mapping[str, Host], grant: Tell, recall: Tell) -> None:
        self._grant = grant
        self._recall = recall
        self._budgets = {
            name: HostBudget(
                (host.connects.count, host.connects.period) if host.connects is not None else None,
                host.concurrent,
                name,
            )
            for name, host in hosts.items()
        }
        self._numbers = itertools.count()
        self._tickets: dict[tuple[int, int], tuple[HostBudget, int]] = {}
        """By the worker's run and its ticket."""
        self._keys: dict[int, tuple[int, int]] = {}
        """The other way round."""
        self._timers: dict[HostBudget, asyncio.TimerHandle] = {}
        self._kept: dict[int, int] = {}
        """Places for first connections, by slot."""

    def expect(self, slot: int, endpoint: Endpoint) -> None:
        """Keep places for the first connections of an endpoint.

        When its streams become fewer they stay kept, for its connections may be as many as before.
        """
        host = budget_of(endpoint.uri, self._budgets)
        if host is not None:
            kept = self._kept.get(slot, 0)
            self._kept[slot] = max(kept, connections_of(endpoint))
            self._budgets[host].reserve(self._kept[slot] - kept)

    def lack(self, endpoint: Endpoint) -> str | None:
        """Why an endpoint never gets a second connection for each of its own; None: it may."""
        host = budget_of(endpoint.uri, self._budgets)
        places = self._budgets[host].spare_places if host is not None else None
        needed = connections_of(endpoint)
        if places is None or places >= needed:
            return None
        return (
            f"{host} has {places} of its places left over, and {needed} are needed: `concurrent` is too low"
        )

    def follow(self, run: int, report: BudgetReport) -> None:
        """Follow what a worker says about a connect."""
        key = (run, report.ticket)
        if isinstance(report, TakenOver):
            if report.instead_of is not None:
                # The old one first, lest another spare takes a place in between.
                self._rank((run, report.instead_of), is_spare=True)
            self._rank(key, is_spare=False)
            return
        if isinstance(report, Ask):
            budget = self._budgets[report.host]
            number = next(self._numbers)
            self._tickets[key] = budget, number
            self._keys[number] = key
            budget.ask(number, is_spare=report.is_spare)
        elif key not in self._tickets:
            return
        else:
            budget, number = self._tickets[key]
            if isinstance(report, AttemptEnded):
                budget.attempt_ended(number, self._now)
            else:
                self._forget(key)
        self._hand_out(budget)

    def _rank(self, key: tuple[int, int], *, is_spare: bool) -> None:
        if key in self._tickets:  # else its host has no budget
            budget, number = self._tickets[key]
            budget.rank(number, is_spare=is_spare)
            self._hand_out(budget)

    def forget_run(self, run: int) -> None:
        """A worker is dead, and with it all its connections."""
        concerned = {self._tickets[key][0] for key in self._tickets if key[0] == run}
        for key in [key for key in self._tickets if key[0] == run]:
            self._forget(key)
        for budget in concerned:
            self._hand_out(budget)

    def _forget(self, key: tuple[int, int]) -> None:
        budget, number = self._tickets.pop(key)
        del self._keys[number]
        budget.forget(number, self._now)

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _hand_out(self, budget: HostBudget) -> None:
        for number in budget.grants(self._now):
            self._grant(*self._keys[number])
        for number in budget.recalls():
            self._recall(*self._keys[number])
        timer = self._timers.pop(budget, None)
        if timer is not None:
            timer.cancel()
        next_at = budget.next_at(self._now)
        if next_at is not None:
            self._timers[budget] = asyncio.get_running_loop().call_at(next_at, self._hand_out, budget)

    def close(self) -> None:
        """Grant nothing any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
