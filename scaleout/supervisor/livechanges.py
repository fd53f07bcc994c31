"""Changes to a run while it goes on: endpoints come and go, rest and move; workers become more or fewer."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence

from scaleout.config import Endpoint
from scaleout.core.changes import PLACEMENT, changed_keys
from scaleout.core.lifecycle import EndpointState, WorkerState
from scaleout.core.scaling import WorkerLoad
from scaleout.errors import ControlError, MoveError
from scaleout.monitor.text import plural
from scaleout.supervisor.balancer import Balancer
from scaleout.supervisor.budgets import Budgets
from scaleout.supervisor.duties import Duties
from scaleout.supervisor.moves import MoveRecord, Moves
from scaleout.supervisor.roster import Roster
from scaleout.supervisor.staff import Staff
from scaleout.supervisor.status import EndpointStatus, WorkerStatus

READY_WITHIN_S = 60.0
"""A worker that is added."""
WHERE_IT_STANDS = frozenset(
    {
        "uri",
        "streams",
        "cursor",
        "sequence",
        "sequence_key",
        "sequence_first",
        "sequence_previous",
    }
)
"""Keys without which cursor and numbers are of another feed."""
AGAIN_S = 11.0
"""So long after it has come to a worker that retires, everything can be moved away from it."""

_log = logging.getLogger("scaleout.supervisor")


class LiveChanges:
    """Makes them, one by one where they concern the same thing."""

    def __init__(
        self,
        roster: Roster,
        staff: Staff,
        duties: Duties,
        moves: Moves,
        balancer: Balancer,
        budgets: Budgets,
        on_removed: Callable[[], None],
    ) -> None:
        self._roster = roster
        self._staff = staff
        self._duties = duties
        self._moves = moves
        self._balancer = balancer
        self._budgets = budgets
        self._on_removed = on_removed
        self._scaling = asyncio.Lock()
        self._one_by_one: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By slot, what changes of one endpoint wait for."""
        self._is_number_fixed = False

    # Endpoints

    def add(self, endpoints: Sequence[Endpoint]) -> None:
        """Add endpoints, each to the worker with the least to do.

        Raises:
            ControlError: one of them can't be added; then none is.
        """
        known = [endpoint.name for endpoint in endpoints if self._roster.find(endpoint.name) is not None]
        if known:
            raise ControlError(f"there already: {', '.join(known)}")
        room = min((process.tally.slots for process in self._staff.processes), default=0)
        if len(self._roster.ever) + len(endpoints) > room > 0:
            raise ControlError(
                f"no room for more names: this run has had {len(self._roster.ever):,} endpoints, start it anew"
            )
        for endpoint, worker in zip(endpoints, self._balancer.homes_for(endpoints), strict=True):
            status = self._roster.add(endpoint, worker)
            self._budgets.expect(status.slot, endpoint)
            self._duties.give(status)
            _log.info("%s is added, on worker %d", endpoint.name, status.worker)

    async def remove(self, slot: int) -> None:
        """Take an endpoint away; what it has received is handed over first."""
        status = self._roster[slot]
        async with self._one_by_one[slot]:
            await self._let_go(status, "it is being removed")
            if slot in self._roster:
                self._roster.remove(slot)
                status.end()
                _log.info("%s is removed", status.endpoint.name)
                self._on_removed()

    async def pause(self, slot: int) -> None:
        """Close an endpoint's connections until `unpause`.

        Raises:
            ControlError: it can't be paused.
        """
        status = self._roster[slot]
        if status.is_at_rest:
            raise ControlError(f"{status.endpoint.name} is {status.state.value} already")
        async with self._one_by_one[slot]:
            await self._let_go(status, "it is being paused")
            if not status.is_at_rest:
                status.pause()
                _log.info("%s is paused", status.endpoint.name)

    def unpause(self, slot: int) -> None:
        """Connect an endpoint that is paused.

        Raises:
            ControlError: it isn't paused.
        """
        status = self._roster[slot]
        if status.state is not EndpointState.PAUSED:
            raise ControlError(f"{status.endpoint.name} isn't paused")
        self._give(status)

    async def change(self, slot: int, endpoint: Endpoint) -> None:
        """Go on with other settings of an endpoint; it reconnects where they concern more than its placement."""
        status = self._roster[slot]
        keys = changed_keys(status.endpoint, endpoint)
        if keys <= PLACEMENT:
            status.endpoint = endpoint
            return
        async with self._one_by_one[slot]:
            await self._let_go(status, "its settings change")
            if keys & WHERE_IT_STANDS:
                self._duties.forget(slot)
            status.endpoint = endpoint
            self._budgets.expect(slot, endpoint)
            if not status.is_at_rest:
                self._give(status)

    async def _let_go(self, status: EndpointStatus, reason: str) -> None:
        await self._moves.abort(status.slot, reason)
        if not status.is_at_rest:
            await self._duties.take_back(status)

    def _give(self, status: EndpointStatus) -> None:
        if status.worker not in self._staff.ids:
            status.worker = self._balancer.home_for(status.endpoint)
        status.wait()
        self._duties.give(status)

    # Where they are

    async def move(self, slot: int, worker: int) -> MoveRecord:
        """Move an endpoint to a worker.

        Raises:
            ControlError: it stays where it was.
        """
        status = self._roster[slot]
        why = f"{status.endpoint.name} from worker {status.worker} to {worker}: by command"
        try:
            return await self._moves.move(status, worker, why)
        except MoveError as exc:
            raise ControlError(f"{status.endpoint.name} stays where it is: {exc}") from None

    async def rebalance(self) -> Sequence[MoveRecord]:
        """Make all moves that are due."""
        return await self._balancer.rebalance()

    # Workers

    def worker_loads(self) -> Sequence[WorkerLoad] | None:
        """How busy each worker is; None while their number is fixed, or changes."""
        present = self._staff.present
        is_settled = not self._scaling.locked() and all(
            worker.state is WorkerState.READY for worker in present
        )
        if self._is_number_fixed or not is_settled:
            return None
        return [WorkerLoad(worker.utilisation, worker.lag_s) for worker in present]

    def endpoint_count(self) -> int:
        """How many endpoints there are that workers have something to do for."""
        return sum(not status.is_at_rest for status in self._roster)

    async def scale_by_hand(self, workers: int) -> None:
        """`scale`, on a person's word: from then on that is their number, whatever the load.

        Raises:
            ControlError: that can't be.
        """
        self._is_number_fixed = True
        await self.scale(workers)

    async def scale(self, workers: int) -> None:
        """Have so many workers; those that go give their endpoints away first.

        Raises:
            ControlError: that can't be.
        """
        if workers < 1:
            raise ControlError("at least one worker is needed")
        async with self._scaling:
            present = self._staff.present
            if workers > len(present):
                _log.info("adding %s", plural(workers - len(present), "worker"))
                self._staff.engage(workers - len(present))
                await self._wait_ready()
            leaving = sorted(present, key=lambda worker: worker.id)[workers:]
            for worker in leaving:
                worker.is_retiring = True
            for worker in reversed(leaving):
                await self._retire(worker)

    async def _wait_ready(self) -> None:
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                await self._staff.all_ready()
        except TimeoutError:
            raise ControlError(f"not all workers are ready within {READY_WITHIN_S:g} s") from None

    async def _retire(self, worker: WorkerStatus) -> None:
        _log.info("worker %d is retired", worker.id)
        for status in tuple(self._roster):
            if status.moving_to == worker.id:
                await self._moves.abort(status.slot, f"worker {worker.id} is retired")
            elif status.worker == worker.id:
                await self._moves.settled(status.slot)
        await self._balancer.empty(worker.id)
        if any(status.state is EndpointState.LIVE for status in self._roster.of_worker(worker.id)):
            await asyncio.sleep(AGAIN_S)
            await self._balancer.empty(worker.id)
        for status in self._roster.of_worker(worker.id):  # those that can't be spliced at the moment
            await self._moves.settled(status.slot)
            async with self._one_by_one[status.slot]:
                if status.worker == worker.id:
                    await self._rehouse(status)
        await self._staff.retire(worker)

    async def _rehouse(self, status: EndpointStatus) -> None:
        await self._let_go(status, "its worker is retired")
        status.worker = self._balancer.home_for(status.endpoint)
        if not status.is_at_rest:
            self._give(status)
