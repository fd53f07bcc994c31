"""The workers of a run: each with its keeper, and with the process that it is at the moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from scaleout import machine, secrets
from scaleout.config import Config
from scaleout.core.ledger import Ledger
from scaleout.core.lifecycle import WorkerState
from scaleout.core.pinning import Pins
from scaleout.core.wire import Assign, Command, Hide, Setup
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.ending import Ending
from scaleout.supervisor.keeper import Keeper
from scaleout.supervisor.process import ProcessEvents, WorkerProcess
from scaleout.supervisor.status import WorkerStatus
from scaleout.tally import Allowance

HEARTBEATS_PER_TIMEOUT = 10
MAX_HEARTBEAT_INTERVAL_S = 0.5
WORKER_SHARE_OF_DRAIN = 0.8
"""A stopping worker gives its processors so much of the time to drain, and has the rest to hand over."""

_log = logging.getLogger("scaleout.supervisor")


class Office(ProcessEvents, Protocol):
    """What the staff has of its supervisor."""

    def duties_of(self, worker: WorkerStatus) -> Assign:
        """The endpoints that the worker is to run."""

    def lose(self, worker: WorkerStatus, reason: str) -> None:
        """The worker runs its endpoints no more."""

    def forget(self, process: WorkerProcess) -> None:
        """The process is dead: nothing may be asked of it, or promised to it."""

    def note_buried(self, process: WorkerProcess, reason: str) -> None:
        """All that a dead process had said has been taken; its tally is still there."""


class Staff:
    """Starts, keeps and retires workers.

    Args:
        config: of the run.
        slots: says how many endpoints a new process must have room for.
        ledger: the books.
        aggregator: takes the results.
        ending: of the run.
        office: the supervisor.
        allowance: what may still be received, in a run with a limit.
    """

    def __init__(
        self,
        config: Config,
        slots: Callable[[], int],
        ledger: Ledger,
        aggregator: Aggregator,
        ending: Ending,
        office: Office,
        allowance: Allowance | None,
    ) -> None:
        self.ever: dict[int, WorkerStatus] = {}
        """All workers that there ever were, by id."""
        self._config = config
        self._slots = slots
        self._ledger = ledger
        self._aggregator = aggregator
        self._ending = ending
        self._office = office
        self._allowance = allowance
        self._pins = Pins(machine.cores_of_run()) if config.pin and machine.can_pin() else None
        self._runs = 0
        self._processes: dict[int, WorkerProcess] = {}
        """Those that live, by run."""
        self._keepers: dict[int, Keeper] = {}
        self._keeping: dict[int, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._news = asyncio.Event()
        """A worker has become ready."""

    # Who there is

    @property
    def present(self) -> Sequence[WorkerStatus]:
        """The workers that aren't retired."""
        return [worker for worker in self.ever.values() if not worker.is_retired]

    @property
    def ids(self) -> list[int]:
        """Of the workers that aren't retired."""
        return [worker.id for worker in self.present]

    @property
    def processes(self) -> Sequence[WorkerProcess]:
        """Those that live."""
        return tuple(self._processes.values())

    def process(self, run: int) -> WorkerProcess | None:
        """The process of that number, if it lives."""
        return self._processes.get(run)

    def process_of(self, worker: int) -> WorkerProcess | None:
        """The process of a worker, if it is ready to be asked."""
        if worker not in self.ever or self.ever[worker].state is not WorkerState.READY:
            return None
        return self.living(worker)

    def living(self, worker: int) -> WorkerProcess | None:
        """The process of a worker, whether it is ready or not."""
        return next((each for each in self._processes.values() if each.worker == worker), None)

    def tell(self, run: int, command: Command) -> None:
        """Send a command to a process, if it still lives."""
        process = self._processes.get(run)
        if process is not None:
            process.control.send(command)

    def hide(self, values: Iterable[str]) -> None:
        """Have all processes, those to come included, blot out values that have come into the live run."""
        known = {*self._config.secrets, *secrets.learnt()}
        unknown = tuple(value for value in values if value not in known)
        if unknown:
            secrets.learn(unknown)
            for process in self.processes:
                process.control.send(Hide(unknown))

    # Life

    def engage(self, workers: int) -> None:
        """Have so many more workers, which begin with the run, or now: ids that are free, lowest first."""
        taken = set(self.ids)
        free = (id for id in range(len(taken) + workers) if id not in taken)
        for _, id in zip(range(workers), free, strict=False):
            worker = self.ever.setdefault(id, WorkerStatus(id=id))
            if worker.is_retired:
                worker.is_retired = worker.is_retiring = False
                worker.enter(WorkerState.STARTING)
            if self._tasks is not None:
                self._keep(worker, self._tasks)
        if self._tasks is not None:
            self._step_aside()

    async def run(self) -> None:
        """Keep all workers running, until the run is stopped.

        Raises:
            ExceptionGroup: of `WorkerError`: one can't be started.
        """
        if self._config.pin and self._pins is None:
            _log.warning("pin: this system can't keep processes to cores; the run goes on without")
        self._step_aside()
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for worker in self.present:
                    self._keep(worker, tasks)
                tasks.create_task(self._ending.stopping())
        finally:
            self._tasks = None
            self._use_all_cores()

    def _step_aside(self) -> None:
        """Leave the workers' cores to them, where there are others."""
        if self._pins is not None:
            self._keep_to(self._pins.beside(self.ids), self._pins.cores)

    def _use_all_cores(self) -> None:
        if self._pins is not None:
            self._keep_to(self._pins.cores, self._pins.cores)

    def _keep_to(self, cores: Sequence[int], cores_of_run: Sequence[int]) -> None:
        try:
            machine.keep_to(cores, cores_of_run)
        except OSError as exc:
            _log.warning("pin: the system refuses (%s)", exc.strerror or exc)

    def _keep(self, worker: WorkerStatus, tasks: asyncio.TaskGroup) -> None:
        keeper = self._keepers[worker.id] = Keeper(worker, self, self._ending)
        self._keeping[worker.id] = tasks.create_task(keeper.keep(), name=f"worker {worker.id}")

    async def retire(self, worker: WorkerStatus) -> None:
        """Stop a worker, which has given its endpoints away, and wait for its end."""
        worker.is_retired = True
        self._keepers[worker.id].retire(self._config.drain_timeout)
        await asyncio.wait((self._keeping[worker.id],))
        self._step_aside()
        _log.info("worker %d has ended", worker.id)

    async def all_ready(self) -> None:
        """Wait until all workers are ready."""
        while any(worker.state is not WorkerState.READY for worker in self.present):
            self._news.clear()
            await self._news.wait()

    def note_ready(self, worker: WorkerStatus) -> None:
        """A worker takes endpoints."""
        if worker.state is WorkerState.STARTING:
            worker.enter(WorkerState.READY)
            self._news.set()

    # What a keeper needs

    async def start(self, worker: WorkerStatus) -> WorkerProcess:
        """Start a process for a worker, and tell it how to run.

        Raises:
            OSError: the system can't give what that takes.
        """
        self._runs += 1
        config = self._config
        process = WorkerProcess(
            worker.id, self._runs, self._slots(), self._allowance, config.heartbeat_timeout, self._office
        )
        await process.start()
        self._processes[process.run] = process
        self._aggregator.valve.attach(process.results)
        process.control.send(
            Setup(
                worker=worker.id,
                envelope=config.envelope,
                log_level=config.log_level,
                log_format=config.log_format,
                heartbeat_interval=min(
                    MAX_HEARTBEAT_INTERVAL_S, config.heartbeat_timeout / HEARTBEATS_PER_TIMEOUT
                ),
                drain_timeout=config.drain_timeout * WORKER_SHARE_OF_DRAIN,
                secrets=(*config.secrets, *secrets.learnt()),
                budgeted=tuple(config.hosts),
                core=None if self._pins is None else self._pins.of_worker(worker.id),
                cores=() if self._pins is None else self._pins.cores,
            )
        )
        return process

    def duties_of(self, worker: WorkerStatus) -> Assign:
        """The endpoints that a worker is to run."""
        return self._office.duties_of(worker)

    def lose(self, worker: WorkerStatus, reason: str) -> None:
        """A worker runs its endpoints no more."""
        self._office.lose(worker, reason)

    def forget(self, process: WorkerProcess) -> None:
        """A process is dead: nothing may be asked of it, or promised to it."""
        process.is_dead = True
        self._processes.pop(process.run, None)
        self._office.forget(process)

    async def bury(self, process: WorkerProcess, reason: str) -> None:
        """Read what a dead process left in its pipe, and close its books."""
        valve = self._aggregator.valve
        await process.wait_last_words(lambda: valve.is_closed and not self._ending.is_out_of_time)
        valve.detach(process.results)
        self._office.note_buried(process, reason)
        remains = self._ledger.close_run(process.run, process.tally.read())
        worker = self.ever[process.worker]
        worker.received += remains.unreported
        worker.cpu_before_s += process.cpu_s
        worker.cpu_s = worker.cpu_before_s
        process.release()
        if remains.lost:
            _log.error("%d messages died with worker %d (%s)", remains.lost, worker.id, reason)
