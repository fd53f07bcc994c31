"""Balances the workers: has endpoints moved as the measured rates ask for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from scaleout.config import Config, Endpoint
from scaleout.core.board import Move, Subject
from scaleout.core.filling import Filling, evacuate, place_all
from scaleout.core.hosts import host_of
from scaleout.core.lifecycle import EndpointState, WorkerState
from scaleout.core.placement import Limits, Planner
from scaleout.core.rates import Load, Measure
from scaleout.errors import MoveError
from scaleout.supervisor.moves import MoveRecord, Moves
from scaleout.supervisor.roster import Roster
from scaleout.supervisor.staff import Staff
from scaleout.supervisor.status import EndpointStatus

PLAN_EVERY_S = 1.0

_log = logging.getLogger("scaleout.moves")


class Balancer:
    """Plans moves, and has them made.

    Args:
        config: of the run.
        roster: the endpoints.
        staff: the workers.
        moves: makes the moves.
    """

    def __init__(self, config: Config, roster: Roster, staff: Staff, moves: Moves) -> None:
        rebalance = config.rebalance
        self._is_enabled = rebalance.enabled
        self._measure: Measure = rebalance.by
        self._planner = Planner(
            Limits(
                tolerance=rebalance.tolerance,
                at_once=rebalance.at_once,
                per_minute=rebalance.per_minute,
                cooldown_s=rebalance.cooldown,
            ),
            self._measure,
        )
        self._roster = roster
        self._staff = staff
        self._moves = moves
        self._tasks: set[asyncio.Task[MoveRecord | None]] = set()

    async def keep_balancing(self) -> None:
        """Plan at intervals, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PLAN_EVERY_S)
            if self._is_enabled and not self._moves.is_stopped:
                self._plan(loop.time())

    def _plan(self, now: float) -> list[asyncio.Task[MoveRecord | None]]:
        planned = self._planner.plan(now, self._subjects(), self.takers, len(self._tasks))
        return [self._begin(move) for move in planned]

    def _begin(self, move: Move) -> asyncio.Task[MoveRecord | None]:
        task = asyncio.get_running_loop().create_task(self._make(move))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _make(self, move: Move) -> MoveRecord | None:
        status = self._roster[move.slot]
        try:
            return await self._moves.move(status, move.target, move.why)
        except MoveError:
            self._planner.note_refused(move.slot)
            return None

    def note(self, status: EndpointStatus, record: MoveRecord) -> None:
        """Learn from what became of a move, by whomever."""
        now = asyncio.get_running_loop().time()
        if record.problem is not None:
            self._planner.note_failed(status.slot, now)
        elif record.uncertain:
            self._planner.note_uncertain(status.slot, now)
        else:
            self._planner.note_moved(status.slot, now)

    # What there is

    @property
    def takers(self) -> list[int]:
        """The workers that take endpoints."""
        return [
            worker.id
            for worker in self._staff.present
            if worker.state is WorkerState.READY and not worker.is_retiring
        ]

    def _subjects(self) -> list[Subject]:
        return [self._subject(status) for status in self._roster if status.state is not EndpointState.ENDED]

    def _subject(self, status: EndpointStatus) -> Subject:
        return subject(
            status.slot,
            status.endpoint,
            status.load,
            self._measure,
            worker=status.worker,
            movable=status.state is EndpointState.LIVE and status.moving_to is None,
            target=status.moving_to,
        )

    # By a person's word, or because the number of workers changes

    async def rebalance(self) -> list[MoveRecord]:
        """Make at once all moves that are due by now, and those that follow from them."""
        made: list[MoveRecord] = []
        while tasks := self._plan(asyncio.get_running_loop().time()):
            made += [record for record in await asyncio.gather(*tasks) if record is not None]
        return made

    async def empty(self, worker: int) -> None:
        """Have a worker that retires give its endpoints away."""
        others = [each for each in self.takers if each != worker]
        moves = evacuate(self._subjects(), worker, others)
        room = asyncio.Semaphore(self._planner.limits.at_once)

        async def make(move: Move) -> None:
            async with room:
                await self._make(move)

        await asyncio.gather(*map(make, moves))

    def homes_for(self, endpoints: Sequence[Endpoint]) -> list[int]:
        """The workers for endpoints that are added, each to the one with the least to do."""
        added = [subject(-1 - index, each, Load(), self._measure) for index, each in enumerate(endpoints)]
        present = self._subjects()
        takers = self.takers or self._staff.ids
        filling = Filling(takers, [*present, *added])
        for each in present:
            if each.worker in filling.workers:
                filling.add(each, each.worker)
        return [
            filling.add(each, each.pinned)
            if each.pinned is not None and each.pinned in filling.workers
            else filling.put(each)
            for each in added
        ]

    def home_for(self, endpoint: Endpoint) -> int:
        """The worker for an endpoint that is added, or has lost its own."""
        return self.homes_for((endpoint,))[0]


def subject(
    slot: int,
    endpoint: Endpoint,
    load: Load,
    measure: Measure,
    worker: int = -1,
    movable: bool = True,
    target: int | None = None,
) -> Subject:
    """An endpoint as the placement sees it."""
    return Subject(
        slot=slot,
        name=endpoint.name,
        worker=worker,
        load=load.by(measure),
        host=host_of(endpoint.uri),
        pinned=endpoint.worker,
        apart=endpoint.apart,
        movable=movable,
        target=target,
    )


def first_placement(
    endpoints: Sequence[Endpoint], workers: int, known: Mapping[int, Load], measure: Measure
) -> dict[int, int]:
    """Each slot's worker at the start: by what an earlier run has measured, else by the declared weights.

    Args:
        endpoints: by slot.
        workers: how many.
        known: what has been measured, by slot.
        measure: what is balanced.
    """
    measured = [load.by(measure) / endpoints[slot].weight for slot, load in known.items()]
    per_weight = sum(measured) / len(measured) if sum(measured) > 0 else 1.0
    subjects = []
    for slot, endpoint in enumerate(endpoints):
        each = subject(slot, endpoint, known.get(slot, Load()), measure)
        if slot not in known:
            each.load = endpoint.weight * per_weight
        subjects.append(each)
    return place_all(subjects, range(workers))
