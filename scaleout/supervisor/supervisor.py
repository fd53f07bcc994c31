"""Keeps the workers running, gives them their endpoints, and brings the run to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from scaleout.config import Config
from scaleout.core.hosts import shortages
from scaleout.core.ledger import Ledger
from scaleout.core.lifecycle import EndpointState, WorkerState
from scaleout.core.placement import place
from scaleout.core.wire import (
    Answer,
    Assign,
    Assignment,
    Batch,
    BudgetReport,
    Command,
    Grant,
    LimitReached,
    NumbersMark,
    Ready,
    Recall,
    Report,
    Result,
    Setup,
    StateChange,
)
from scaleout.errors import WorkerError
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.budgets import Budgets
from scaleout.supervisor.ending import Ending
from scaleout.supervisor.keeper import Keeper
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.questions import Questions
from scaleout.supervisor.retries import Retries
from scaleout.supervisor.statefile import StateFile
from scaleout.supervisor.status import EndpointStatus, Summary, WorkerStatus
from scaleout.supervisor.waiting import first_of
from scaleout.tally import Allowance

HEARTBEATS_PER_TIMEOUT = 10
MAX_HEARTBEAT_INTERVAL_S = 0.5
WORKER_SHARE_OF_DRAIN = 0.8
"""A stopping worker gives its processors so much of the time to drain, and has the rest to hand over."""

_log = logging.getLogger("scaleout.supervisor")


class Supervisor:
    """Runs a configuration on worker processes.

    Args:
        config: a checked configuration.
        workers: how many.
        ledger: the books.
        aggregator: takes the results.
    """

    def __init__(self, config: Config, workers: int, ledger: Ledger, aggregator: Aggregator) -> None:
        self.config = config
        self.ledger = ledger
        self.aggregator = aggregator
        placement = place(
            {slot: endpoint.weight for slot, endpoint in enumerate(config.endpoints)}, range(workers)
        )
        self.endpoints = [
            EndpointStatus(slot=slot, endpoint=endpoint, worker=placement[slot])
            for slot, endpoint in enumerate(config.endpoints)
        ]
        self.workers = [WorkerStatus(id=worker) for worker in range(workers)]
        self.started_at = time.monotonic()
        self._runs = 0
        self._processes: dict[int, WorkerProcess] = {}
        """Those that live, by run."""
        self._budgets = Budgets(config.hosts, self._grant, self._recall)
        for slot, endpoint in enumerate(config.endpoints):
            self._budgets.expect(slot, endpoint)
        self._state = StateFile(
            config.state, {status.slot: status.endpoint.name for status in self.endpoints}
        )
        self._numbers: dict[int, dict[str | int | None, int]] = {}
        """By slot, what the messages of each key are expected to start with."""
        self._questions = Questions()
        self.retries = Retries(config, self._process_of, self._questions)
        aggregator.on_written = self._follow_written
        self._allowance: Allowance | None = None
        if config.limit is not None:
            self._allowance = Allowance()
            self._allowance.grant(config.limit)
        self._ending = Ending(config.drain_timeout)

    # From outside

    def stop(self, reason: str) -> None:
        """Stop reading, drain, end."""
        self._ending.stop(reason)

    def kill(self, reason: str) -> None:
        """End at once; what is in flight stays so, or is lost with its worker."""
        self._ending.kill(reason)

    async def ask(self, slot: int, command: Callable[[int], Command]) -> str | None:
        """Ask the worker that has an endpoint.

        Args:
            slot: the endpoint's.
            command: makes the command, from the request's number.

        Returns:
            What is wrong, in words; None: it is done.
        """
        process = self._process_of(slot)
        if process is None:
            return "its worker is being restarted: try again"
        return await self._questions.ask(process, command)

    def _process_of(self, slot: int) -> WorkerProcess | None:
        """The process that has an endpoint, if it is ready to be asked."""
        worker = self.workers[self.endpoints[slot].worker]
        if worker.state is not WorkerState.READY:
            return None
        return next((each for each in self._processes.values() if each.worker == worker.id), None)

    @property
    def is_out_of_time(self) -> bool:
        """Whether a stopping run has drained for as long as it may."""
        return self._ending.is_out_of_time

    @property
    def is_stopping(self) -> bool:
        """Whether the run is coming to its end."""
        return self._ending.is_stopping

    async def run(self) -> None:
        """Run until stopped, or until all endpoints have ended for good.

        Raises:
            WorkerError: a worker can't be started.
        """
        for shortage in shortages(self.config):
            _log.warning("%s", shortage)
        timer = None
        if self.config.duration is not None:
            reason = f"{self.config.duration:g} s have passed, as asked"
            timer = asyncio.get_running_loop().call_later(self.config.duration, self.stop, reason)
        saving = asyncio.ensure_future(self._state.keep_saving())
        try:
            async with asyncio.TaskGroup() as tasks:
                for worker in self.workers:
                    keeper = Keeper(worker, self, self._ending)
                    tasks.create_task(keeper.keep(), name=f"worker {worker.id}")
        except* WorkerError as group:
            raise group.exceptions[0] from None
        finally:
            if timer is not None:
                timer.cancel()
            if self._allowance is not None:
                self._allowance.close()
            self._budgets.close()
        await first_of(self._drain(), self._ending.out_of_time())
        saving.cancel()
        self._state.save()

    async def _drain(self) -> None:
        await self.aggregator.drain()
        await self.retries.settled()

    # Workers

    async def start(self, worker: WorkerStatus) -> WorkerProcess:
        """Start a process for a worker, and tell it how to run.

        Raises:
            OSError: the system can't give what that takes.
        """
        self._runs += 1
        config = self.config
        process = WorkerProcess(
            worker.id, self._runs, len(self.endpoints), self._allowance, config.heartbeat_timeout, self
        )
        await process.start()
        self._processes[process.run] = process
        self.aggregator.valve.attach(process.results)
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
                secrets=config.secrets,
                budgeted=tuple(config.hosts),
            )
        )
        return process

    def duties_of(self, worker: WorkerStatus) -> Assign:
        """The endpoints that a worker is to run: none once the run is stopping."""
        return Assign(
            tuple(
                self._assignment(status)
                for status in self._endpoints_of(worker)
                if status.state is not EndpointState.ENDED and not self.is_stopping
            )
        )

    def _assignment(self, status: EndpointStatus) -> Assignment:
        slot = status.slot
        numbers = self._numbers.get(slot)
        mark = NumbersMark(slot, tuple(numbers.items())) if numbers is not None else None
        return Assignment(slot, status.endpoint, self._state.cursor(slot), mark)

    def _endpoints_of(self, worker: WorkerStatus) -> Sequence[EndpointStatus]:
        return [status for status in self.endpoints if status.worker == worker.id]

    def lose(self, worker: WorkerStatus, reason: str) -> None:
        """A worker runs its endpoints no more."""
        for status in self._endpoints_of(worker):
            status.lose_worker(reason)

    def forget(self, process: WorkerProcess) -> None:
        """A process is dead: nothing may be asked of it, or promised to it."""
        self._processes.pop(process.run, None)
        self._budgets.forget_run(process.run)
        self._questions.forget_run(process.run, process.explain_death())

    async def bury(self, process: WorkerProcess, reason: str) -> None:
        """Read what a dead process left in its pipe, and close its books."""
        valve = self.aggregator.valve
        await process.wait_last_words(lambda: valve.is_closed and not self.is_out_of_time)
        valve.detach(process.results)
        remains = self.ledger.close_run(process.run, process.tally.read())
        self.retries.forget_run(process.run, reason)
        worker = self.workers[process.worker]
        worker.received += remains.unreported
        worker.cpu_before_s += process.cpu_s
        worker.cpu_s = worker.cpu_before_s
        process.release()
        if remains.lost:
            _log.error("%d messages died with worker %d (%s)", remains.lost, worker.id, reason)

    # What workers say

    def on_report(self, process: WorkerProcess, report: Report) -> None:
        """Follow a report."""
        worker = self.workers[process.worker]
        if isinstance(report, StateChange):
            self._change_state(report)
        elif isinstance(report, Ready):
            if worker.state is WorkerState.STARTING:
                worker.enter(WorkerState.READY)
        elif isinstance(report, BudgetReport):
            self._budgets.follow(process.run, report)
        elif isinstance(report, Answer):
            self._questions.take(report)
        elif isinstance(report, LimitReached):
            self.stop(f"{self.config.limit} messages received, as asked")
        worker.cpu_s = worker.cpu_before_s + process.cpu_s
        worker.lag_s = process.lag_s
        worker.backlog_bytes = process.backlog_bytes

    def _grant(self, run: int, ticket: int) -> None:
        process = self._processes.get(run)
        if process is not None:
            process.control.send(Grant(ticket))

    def _recall(self, run: int, ticket: int) -> None:
        process = self._processes.get(run)
        if process is not None:
            process.control.send(Recall(ticket))

    def _follow_written(self, number: int, batch: Batch) -> None:
        for mark in batch.cursors:
            self._state.note(number, mark)
        self.retries.note_written(batch)

    def _change_state(self, change: StateChange) -> None:
        status = self.endpoints[change.slot]
        status.take(change)
        if change.streams is not None:
            self._budgets.expect(change.slot, status.endpoint)
        if all(status.state is EndpointState.ENDED for status in self.endpoints):
            self.stop("all endpoints have ended")

    def on_result(self, process: WorkerProcess, result: Result, body: memoryview) -> None:
        """Pass a batch on."""
        if isinstance(result, Batch):
            self.workers[process.worker].received += sum(entry.received for entry in result.entries)
            self.retries.note_returned(result)
            for mark in result.numbers:
                self._numbers.setdefault(mark.slot, {}).update(mark.expected)
            self.aggregator.take(process.run, result, body)

    # The end

    def summary(self) -> Summary:
        """What the run has come to."""
        return Summary(
            duration_s=time.monotonic() - self.started_at,
            workers=tuple(worker.summary() for worker in self.workers),
            aggregator_cpu_s=time.process_time(),
            totals=self.ledger.total(),
            endpoints={
                status.endpoint.name: status.summary(self.ledger.counts(status.slot))
                for status in self.endpoints
            },
        )
