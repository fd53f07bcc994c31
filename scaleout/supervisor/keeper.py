"""Keeps a worker running: one process after another, until the run is stopped, or the worker is retired."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from scaleout.core.lifecycle import WorkerState
from scaleout.core.restarts import RestartPolicy
from scaleout.core.wire import Assign, Stop
from scaleout.errors import WorkerError
from scaleout.supervisor.ending import Ending
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.status import WorkerStatus
from scaleout.supervisor.waiting import first_of

STILLBORN_LIMIT = 5
"""So many deaths before a worker was ever ready mean that it never will be."""

_log = logging.getLogger("scaleout.supervisor")


class House(Protocol):
    """What a keeper has of its supervisor."""

    async def start(self, worker: WorkerStatus) -> WorkerProcess:
        """Start a process for the worker.

        Raises:
            OSError: the system can't give what that takes.
        """

    def duties_of(self, worker: WorkerStatus) -> Assign:
        """The endpoints that the worker is to run."""

    def lose(self, worker: WorkerStatus, reason: str) -> None:
        """The worker runs its endpoints no more."""

    def forget(self, process: WorkerProcess) -> None:
        """The process is dead: nothing may be asked of it, or promised to it."""

    async def bury(self, process: WorkerProcess, reason: str) -> None:
        """Read what a dead process left in its pipe, and close its books."""


class Keeper:
    """Keeps one worker running.

    Args:
        worker: what is known of it.
        house: its supervisor.
        ending: of the run.
    """

    def __init__(self, worker: WorkerStatus, house: House, ending: Ending) -> None:
        self._worker = worker
        self._house = house
        self._ending = ending
        self._policy = RestartPolicy()
        self._burial: asyncio.Task[None] | None = None
        """Of the process before, which goes on while the next one starts."""
        self._retiring = asyncio.Event()
        self._retire_timeout_s: float | None = None

    @property
    def _is_over(self) -> bool:
        return self._ending.is_stopping or self._retiring.is_set()

    async def _over(self) -> None:
        await first_of(self._ending.stopping(), self._retiring.wait())

    def retire(self, timeout_s: float) -> None:
        """Stop the worker for good, while the run goes on; it has so long to drain."""
        self._retire_timeout_s = timeout_s
        self._retiring.set()

    async def keep(self) -> None:
        """Start the worker, stay with it until it is dead, and again, until the run is stopped or it is retired.

        Raises:
            WorkerError: it can't be started.
        """
        worker = self._worker
        while True:
            try:
                process = await self._house.start(worker)
            except OSError as exc:
                await self._mourn(f"can't be started: {exc.strerror or exc}")
            else:
                await self._accompany(process)
            if self._is_over:
                break
            worker.restarts += 1
            worker.enter(WorkerState.STARTING)
        if self._burial is not None:
            await self._burial
        worker.enter(WorkerState.ENDED)

    async def _accompany(self, process: WorkerProcess) -> None:
        """Stay with the process until it is dead, and may be restarted; its burial goes on."""
        try:
            reason = await self._stay_with(process)
        finally:
            process.kill()
            self._house.forget(process)
        # While a sink lags, a worker's last word may still be unread in its pipe.
        has_ended_well = process.is_drained or (self._is_over and process.exit_code == 0)
        if has_ended_well:
            reason = "the run had to end before their results were taken"
        self._burial = asyncio.ensure_future(self._bury(process, reason, self._burial))
        if not has_ended_well:
            await self._mourn(reason)

    async def _stay_with(self, process: WorkerProcess) -> str:
        """Give the process its endpoints, and wait for its end; returns why it ended."""
        death = asyncio.ensure_future(process.wait_dead())
        if self._burial is not None:
            # The last results of the process before come first, so that each endpoint's order holds.
            await first_of(self._burial, death, self._over())
        process.control.send(self._house.duties_of(self._worker))
        process.has_duties = True
        await first_of(process.control.drain(), death)
        await first_of(self._over(), death)
        if not death.done():
            self._worker.enter(WorkerState.STOPPING)
            process.control.send(Stop())
            await first_of(self._ending.out_of_time(), death, timeout_s=self._retire_timeout_s)
            process.kill()
        await death
        return process.explain_death()

    async def _mourn(self, reason: str) -> None:
        """Note the death of the worker, and wait until it may be restarted."""
        worker = self._worker
        worker.enter(WorkerState.DEAD)
        self._house.lose(worker, reason)
        if self._is_over:
            _log.error("worker %d died (%s)", worker.id, reason)
            return
        if not worker.was_ready and worker.restarts + 1 >= STILLBORN_LIMIT:
            deaths = worker.restarts + 1
            raise WorkerError(f"worker {worker.id} died {deaths} times before it was ready: {reason}")
        delay = self._policy.delay_after_death(asyncio.get_running_loop().time())
        when = f" in {delay:g} s" if delay else ""
        _log.error("worker %d died (%s), restarting%s", worker.id, reason, when)
        await first_of(self._over(), timeout_s=delay)

    async def _bury(self, process: WorkerProcess, reason: str, before: asyncio.Task[None] | None) -> None:
        """Close the books of a dead process, after those of the one before."""
        if before is not None:
            await before
        await self._house.bury(process, reason)
