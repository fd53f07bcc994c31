"""Moves of endpoints between workers: at most one for each endpoint at a time, and a record of each."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from scaleout.config import Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.core.movewire import MoveReport, Tails
from scaleout.core.wire import StateChange
from scaleout.errors import MoveError
from scaleout.supervisor.duties import Duties
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.splicing import Splicing
from scaleout.supervisor.staff import Staff
from scaleout.supervisor.status import EndpointStatus

LATE_S = 0.1
"""A worker whose loop is so late is busy, and so is one that uses so much of a core:"""
BUSY = 0.9
KEPT = 100
"""Records."""

_log = logging.getLogger("scaleout.moves")


class MoveRecord(Struct, frozen=True):
    """What became of a move."""

    at: float
    """Unix time of its end."""
    endpoint: str
    source: int
    """Id of the worker that had it."""
    target: int
    why: str
    took_s: float
    problem: str | None = None
    """Why it stayed where it was; None: it has moved."""
    uncertain: bool = False
    """Whether messages may be missing or repeated: nothing could be aligned, or wasn't to be."""


class Moves:
    """Moves endpoints, and tells those that wait for it what came of it.

    Args:
        staff: the workers.
        duties: what they are to run.
        lack: why an endpoint can't have a second connection beside its own; None: it can.
        is_held: whether the workers' results are held back, because a sink lags.
        on_moved: called after each move, and each attempt.
    """

    def __init__(
        self,
        staff: Staff,
        duties: Duties,
        lack: Callable[[Endpoint], str | None],
        is_held: Callable[[], bool],
        on_moved: Callable[[EndpointStatus, MoveRecord], None],
    ) -> None:
        self.records: deque[MoveRecord] = deque(maxlen=KEPT)
        """The latest, oldest first."""
        self._staff = staff
        self._duties = duties
        self._lack = lack
        self._is_held = is_held
        self._on_moved = on_moved
        self._numbers = itertools.count(1)
        self._splicings: dict[int, Splicing] = {}
        """By the move's number."""
        self._over: dict[int, asyncio.Future[None]] = {}
        """By slot, what waits for the end of a move."""
        self.is_stopped = False

    def __len__(self) -> int:
        return len(self._splicings)

    async def move(self, status: EndpointStatus, target: int, why: str) -> MoveRecord:
        """Move an endpoint to another worker.

        Raises:
            MoveError: it stays where it was.
        """
        source, began = status.worker, time.monotonic()
        self._check(status, target)
        status.moving_to = target
        over = self._over[status.slot] = asyncio.get_running_loop().create_future()
        uncertain, problem = False, None
        try:
            uncertain = await self._move(status, target)
        except MoveError as exc:
            problem = str(exc)
        finally:
            status.moving_to = None
            del self._over[status.slot]
            over.set_result(None)
        took_s = time.monotonic() - began
        record = MoveRecord(
            time.time(), status.endpoint.name, source, target, why, took_s, problem, uncertain
        )
        self._note(status, record)
        if problem is not None:
            raise MoveError(problem)
        return record

    def _check(self, status: EndpointStatus, target: int) -> None:
        if status.moving_to is not None:
            raise MoveError(f"it is moving to worker {status.moving_to} already")
        if status.state is EndpointState.ENDED:
            raise MoveError("it has ended for good")
        if status.worker == target:
            raise MoveError(f"worker {target} has it already")
        if self._duties.is_leaving(status.slot):
            raise MoveError("it is being closed")
        if self._staff.ever[target].is_retiring:
            raise MoveError(f"worker {target} is being retired")
        if self.is_stopped:
            raise MoveError("the run is coming to its end")

    def _note(self, status: EndpointStatus, record: MoveRecord) -> None:
        self.records.append(record)
        if record.problem is not None:
            _log.warning("not moved: %s; it stays because %s", record.why, record.problem)
        else:
            doubt = _doubt(status.endpoint) if record.uncertain else ""
            _log.info("moved in %.2f s%s: %s", record.took_s, doubt, record.why)
        self._on_moved(status, record)

    async def _move(self, status: EndpointStatus, target: int) -> bool:
        """Do it; returns whether it is uncertain."""
        if status.state is EndpointState.PAUSED:
            status.worker = target
            return False
        giver, taker = self._staff.process_of(status.worker), self._staff.process_of(target)
        if taker is None:
            raise MoveError(f"worker {target} isn't ready")
        if giver is None or status.endpoint.handover == "break" or status.state is not EndpointState.LIVE:
            return await self._break(status, target)
        if (lack := self._lack(status.endpoint)) is not None:
            raise MoveError(f"it needs a second connection for a moment: {lack}")
        number = next(self._numbers)
        splicing = self._splicings[number] = Splicing(
            number, status, giver, taker, self._duties, self._is_busy
        )
        try:
            return await splicing.run()
        finally:
            del self._splicings[number]

    def _is_busy(self, process: WorkerProcess) -> bool:
        """Whether a worker may not keep up with its feeds at the moment."""
        utilisation = self._staff.ever[process.worker].utilisation
        return self._is_held() or process.lag_s > LATE_S or utilisation > BUSY

    async def _break(self, status: EndpointStatus, target: int) -> bool:
        """Close here, then open there."""
        await self._duties.take_back(status)
        if self.is_stopped:
            raise MoveError("the run is coming to its end")
        if status.is_at_rest:
            raise MoveError(f"it is {status.state.value}")
        status.wait()
        status.arrive(target)
        self._duties.give(status)
        return False

    # What workers say

    def on_report(self, process: WorkerProcess, report: MoveReport) -> None:
        """Follow what a worker says about a move."""
        splicing = self._splicings.get(report.move)
        if splicing is not None:
            splicing.on_report(process, report)

    def on_tails(self, process: WorkerProcess, tails: Tails) -> None:
        """Follow what a giver has delivered."""
        splicing = self._splicings.get(tails.move)
        if splicing is not None:
            splicing.on_tails(process, tails)

    def on_state(self, process: WorkerProcess, change: StateChange) -> None:
        """Follow the state of an endpoint in a worker that doesn't have it yet."""
        for splicing in self._splicings.values():
            splicing.on_state(process, change)

    def on_owner_state(self, status: EndpointStatus) -> None:
        """Follow the state of an endpoint in the worker that has it."""
        for splicing in self._splicings.values():
            splicing.on_owner_state(status)

    def forget(self, process: WorkerProcess) -> None:
        """A process is dead."""
        for splicing in tuple(self._splicings.values()):
            splicing.on_death(process)

    def note_buried(self, process: WorkerProcess) -> None:
        """All that a dead process had said has been taken."""
        for splicing in tuple(self._splicings.values()):
            splicing.on_burial(process)

    # From outside

    async def abort(self, slot: int, reason: str) -> None:
        """An endpoint is not to move; wait until it doesn't."""
        for splicing in self._splicings.values():
            if splicing.status.slot == slot:
                splicing.abort(reason)
        await self.settled(slot)

    async def settled(self, slot: int) -> None:
        """Wait until an endpoint doesn't move."""
        while slot in self._over:
            await asyncio.wait((self._over[slot],))

    def stop(self) -> None:
        """The run is coming to its end: nothing moves any more."""
        self.is_stopped = True
        for splicing in self._splicings.values():
            splicing.abort("the run is coming to its end")


def _doubt(endpoint: Endpoint) -> str:
    """Why a move is uncertain, and what helps."""
    if endpoint.handover == "overlap":
        return ", overlapping"
    if endpoint.identity is None:
        return ", uncertain because nothing could be aligned (name `identity`, or choose another `handover`)"
    return f", uncertain because nothing could be aligned by {endpoint.identity}"
