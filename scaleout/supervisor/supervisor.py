"""Keeps the workers running, gives them their endpoints, and brings the run to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from scaleout.config import Config
from scaleout.core.ledger import Ledger
from scaleout.core.lifecycle import EndpointState, WorkerState
from scaleout.core.placement import place
from scaleout.core.restarts import RestartPolicy
from scaleout.core.wire import (
    Answer,
    Ask,
    Assign,
    Assignment,
    AttemptEnded,
    Batch,
    Command,
    ConnectionEnded,
    Grant,
    LimitReached,
    NumbersMark,
    Ready,
    Report,
    Result,
    Setup,
    StateChange,
    Stop,
)
from scaleout.errors import WorkerError
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.budgets import Budgets
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.questions import Questions
from scaleout.supervisor.retries import Retries
from scaleout.supervisor.statefile import StateFile
from scaleout.supervisor.status import EndpointStatus, Summary, WorkerStatus
from scaleout.tally import Allowance

HEARTBEATS_PER_TIMEOUT = 10
MAX_HEARTBEAT_INTERVAL_S = 0.5
WORKER_SHARE_OF_DRAIN = 0.8
"""A stopping worker gives its processors so much of the time to drain, and has the rest to hand over."""
STILLBORN_LIMIT = 5
"""So many deaths before a worker was ever ready mean that it never will be."""

_log = logging.getLogger("scaleout.supervisor")


async def first_of(*waits: Awaitable[object], timeout_s: float | None = None) -> None:
    """Wait for the first of several, or for the time to pass.

    Futures and tasks go on after the wait; what was given as a coroutine is cancelled.
    """
    futures = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait, future in zip(waits, futures, strict=True):
            if wait is not future:
                future.cancel()


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
        self._budgets = Budgets(config.hosts, self._grant)
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
        self._stopping = asyncio.Event()
        self._killed = asyncio.Event()

    # From outside

    def stop(self, reason: str) -> None:
        """Stop reading, drain, end."""
        if not self._stopping.is_set():
            _log.info("stopping: %s", reason)
            self._stopping.set()
            asyncio.get_running_loop().call_later(self.config.drain_timeout, self._killed.set)

    def kill(self, reason: str) -> None:
        """End at once; what is in flight stays so, or is lost with its worker."""
        self.stop(reason)
        self._killed.set()

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
        return self._killed.is_set()

    @property
    def is_stopping(self) -> bool:
        """Whether the run is coming to its end."""
        return self._stopping.is_set()

    async def run(self) -> None:
        """Run until stopped, or until all endpoints have ended for good.

        Raises:
            WorkerError: a worker can't be started.
        """
        timer = None
        if self.config.duration is not None:
            reason = f"{self.config.duration:g} s have passed, as asked"
            timer = asyncio.get_running_loop().call_later(self.config.duration, self.stop, reason)
        saving = asyncio.ensure_future(self._state.keep_saving())
        try:
            async with asyncio.TaskGroup() as tasks:
                for worker in self.workers:
                    tasks.create_task(self._keep_running(worker), name=f"worker {worker.id}")
        except* WorkerError as group:
            raise group.exceptions[0] from None
        finally:
            if timer is not None:
                timer.cancel()
            if self._allowance is not None:
                self._allowance.close()
            self._budgets.close()
        await first_of(self._drain(), self._killed.wait())
        saving.cancel()
        self._state.save()

    async def _drain(self) -> None:
        await self.aggregator.drain()
        await self.retries.settled()

    # Workers

    async def _keep_running(self, worker: WorkerStatus) -> None:
        """Start the worker, stay with it until it is dead, and again, until the run is stopped."""
        policy = RestartPolicy()
        burial: asyncio.Task[None] | None = None
        while True:
            try:
                process = await self._start(worker)
            except OSError as exc:
                await self._mourn(worker, f"can't be started: {exc.strerror or exc}", policy)
            else:
                burial = await self._accompany(worker, process, burial, policy)
            if self.is_stopping:
                break
            worker.restarts += 1
            worker.enter(WorkerState.STARTING)
        if burial is not None:
            await burial
        worker.enter(WorkerState.ENDED)

    async def _accompany(
        self,
        worker: WorkerStatus,
        process: WorkerProcess,
        burial: asyncio.Task[None] | None,
        policy: RestartPolicy,
    ) -> asyncio.Task[None]:
        """Stay with the process until it is dead, and may be restarted; returns its burial, which goes on."""
        try:
            reason = await self._stay_with(worker, process, burial)
        finally:
            process.kill()
            self._processes.pop(process.run, None)
            self._budgets.forget_run(process.run)
            self._questions.forget_run(process.run, process.explain_death())
        # While a sink lags, a worker's last word may still be unread in its pipe.
        has_ended_well = process.is_drained or (self.is_stopping and process.exit_code == 0)
        if has_ended_well:
            reason = "the run had to end before their results were taken"
        burial = asyncio.ensure_future(self._bury(worker, process, reason, burial))
        if not has_ended_well:
            await self._mourn(worker, reason, policy)
        return burial

    async def _mourn(self, worker: WorkerStatus, reason: str, policy: RestartPolicy) -> None:
        """Note the death of a worker, and wait until it may be restarted."""
        worker.enter(WorkerState.DEAD)
        for status in self._endpoints_of(worker):
            status.lose_worker(reason)
        if self.is_stopping:
            _log.error("worker %d died (%s)", worker.id, reason)
            return
        if not worker.was_ready and worker.restarts + 1 >= STILLBORN_LIMIT:
            deaths = worker.restarts + 1
            raise WorkerError(f"worker {worker.id} died {deaths} times before it was ready: {reason}")
        delay = policy.delay_after_death(asyncio.get_running_loop().time())
        when = f" in {delay:g} s" if delay else ""
        _log.error("worker %d died (%s), restarting%s", worker.id, reason, when)
        await first_of(self._stopping.wait(), timeout_s=delay)

    async def _start(self, worker: WorkerStatus) -> WorkerProcess:
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

    async def _stay_with(
        self, worker: WorkerStatus, process: WorkerProcess, burial: asyncio.Task[None] | None
    ) -> str:
        """Give the process its endpoints, and wait for its end; returns why it ended."""
        death = asyncio.ensure_future(process.wait_dead())
        if burial is not None:
            # The last results of the process before come first, so that each endpoint's order holds.
            await first_of(burial, death, self._stopping.wait())
        process.control.send(
            Assign(
                tuple(
                    self._assignment(status)
                    for status in self._endpoints_of(worker)
                    if status.state is not EndpointState.ENDED and not self.is_stopping
                )
            )
        )
        await first_of(process.control.drain(), death)
        await first_of(self._stopping.wait(), death)
        if not death.done():
            worker.enter(WorkerState.STOPPING)
            process.control.send(Stop())
            await first_of(self._killed.wait(), death)
            process.kill()
        await death
        return process.explain_death()

    async def _bury(
        self, worker: WorkerStatus, process: WorkerProcess, reason: str, before: asyncio.Task[None] | None
    ) -> None:
        """Read what a dead process left in its pipe, and close its books, after those of the one before."""
        if before is not None:
            await before
        await process.wait_last_words(lambda: self.aggregator.valve.is_closed and not self._killed.is_set())
        self.aggregator.valve.detach(process.results)
        remains = self.ledger.close_run(process.run, process.tally.read())
        self.retries.forget_run(process.run, reason)
        worker.received += remains.unreported
        worker.cpu_before_s += process.cpu_s
        worker.cpu_s = worker.cpu_before_s
        process.release()
        if remains.lost:
            _log.error("%d messages died with worker %d (%s)", remains.lost, worker.id, reason)

    def _endpoints_of(self, worker: WorkerStatus) -> Sequence[EndpointStatus]:
        return [status for status in self.endpoints if status.worker == worker.id]

    # What workers say

    def on_report(self, process: WorkerProcess, report: Report) -> None:
        """Follow a report."""
        worker = self.workers[process.worker]
        if isinstance(report, StateChange):
            self._change_state(report)
        elif isinstance(report, Ready):
            if worker.state is WorkerState.STARTING:
                worker.enter(WorkerState.READY)
        elif isinstance(report, Ask | AttemptEnded | ConnectionEnded):
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

    def _follow_written(self, number: int, batch: Batch) -> None:
        for mark in batch.cursors:
            self._state.note(number, mark)
        self.retries.note_written(batch)

    def _change_state(self, change: StateChange) -> None:
        self.endpoints[change.slot].take(change)
        if all(status.state is EndpointState.ENDED for status in self.endpoints):
            self.stop("all endpoints have ended")

    def _assignment(self, status: EndpointStatus) -> Assignment:
        slot = status.slot
        numbers = self._numbers.get(slot)
        mark = NumbersMark(slot, tuple(numbers.items())) if numbers is not None else None
        return Assignment(slot, status.endpoint, self._state.cursor(slot), mark)

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
