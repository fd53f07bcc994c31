"""Keeps a run going: its workers, its endpoints, and what goes between them; and brings it to its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from scaleout.config import Config
from scaleout.core.hosts import shortages
from scaleout.core.ledger import Ledger
from scaleout.core.movewire import MoveReport
from scaleout.core.wire import (
    Answer,
    Assign,
    Batch,
    BudgetReport,
    Command,
    Grant,
    LimitReached,
    Ready,
    Recall,
    Released,
    Report,
    Result,
    StateChange,
)
from scaleout.errors import WorkerError
from scaleout.machine import usable_cores
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.balancer import Balancer, first_placement
from scaleout.supervisor.budgets import Budgets
from scaleout.supervisor.duties import Duties
from scaleout.supervisor.ending import Ending
from scaleout.supervisor.livechanges import LiveChanges
from scaleout.supervisor.loads import Loads
from scaleout.supervisor.moves import Moves
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.questions import Questions
from scaleout.supervisor.retries import Retries
from scaleout.supervisor.roster import SPARE_SLOTS, Roster
from scaleout.supervisor.scaler import Scaler
from scaleout.supervisor.staff import Staff
from scaleout.supervisor.statefile import StateFile
from scaleout.supervisor.status import Summary, WorkerStatus
from scaleout.supervisor.waiting import first_of
from scaleout.tally import Allowance

REMEMBER_EVERY_S = 10.0
"""Between two notes of the measured rates in the state file."""

_log = logging.getLogger("scaleout.supervisor")


class Supervisor:
    """Runs a configuration on worker processes.

    Args:
        config: a checked configuration.
        workers: how many, to begin with.
        ledger: the books.
        aggregator: takes the results.
        names: is told each endpoint's name, by slot.
    """

    def __init__(
        self,
        config: Config,
        workers: int,
        ledger: Ledger,
        aggregator: Aggregator,
        names: dict[int, str],
    ) -> None:
        self.config = config
        self.ledger = ledger
        self.aggregator = aggregator
        self.started_at = time.monotonic()
        self._ending = Ending(config.drain_timeout)
        self._drained = asyncio.Event()
        self._allowance = _allowance_of(config)
        self._state = StateFile(config.state, names)
        known = self._state.loads([endpoint.name for endpoint in config.endpoints])
        placement = first_placement(config.endpoints, workers, known, config.rebalance.by)
        self.endpoints = Roster(config.endpoints, placement, names)
        self.staff = Staff(
            config,
            lambda: len(self.endpoints.ever) + SPARE_SLOTS,
            ledger,
            aggregator,
            self._ending,
            self,
            self._allowance,
        )
        self.staff.engage(workers)
        self._budgets = Budgets(config.hosts, self._grant, self._recall)
        for status in self.endpoints:
            self._budgets.expect(status.slot, status.endpoint)
        self._questions = Questions()
        self._duties = Duties(self.endpoints, self.staff, self._state, lambda: self.is_stopping)
        self.loads = Loads(self.endpoints, self.staff, config.rebalance.half_life)
        self.loads.restore(known)
        self.moves = Moves(
            self.staff,
            self._duties,
            self._budgets.lack,
            lambda: aggregator.valve.is_closed,
            lambda status, record: self.balancer.note(status, record),
        )
        self.balancer = Balancer(config, self.endpoints, self.staff, self.moves)
        self.changes = LiveChanges(
            self.endpoints,
            self.staff,
            self._duties,
            self.moves,
            self.balancer,
            self._budgets,
            self._stop_if_all_have_ended,
        )
        self.retries = Retries(config, self._slots, self._process_of, self._questions)
        aggregator.on_written = self._follow_written

    # From outside

    @property
    def workers(self) -> Sequence[WorkerStatus]:
        """Those that there are."""
        return self.staff.present

    def stop(self, reason: str) -> None:
        """Stop reading, drain, end."""
        self._ending.stop(reason)
        self.moves.stop()

    def kill(self, reason: str) -> None:
        """End at once; what is in flight stays so, or is lost with its worker."""
        self._ending.kill(reason)
        self.moves.stop()

    async def drained(self) -> None:
        """Wait until the run has drained."""
        await self._drained.wait()

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
        return self.staff.process_of(self.endpoints[slot].worker)

    def _slots(self) -> dict[str, int]:
        return {status.endpoint.name: status.slot for status in self.endpoints}

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
        services = [
            self._state.keep_saving(),
            self.loads.keep_looking(),
            self.balancer.keep_balancing(),
            self._keep_remembering(),
        ]
        if self.config.workers == "auto":
            scaler = Scaler(self.config.scaling, usable_cores(), self.changes)
            services.append(scaler.keep_scaling())
        keeping = list(map(asyncio.ensure_future, services))
        try:
            await self.staff.run()
        except* WorkerError as group:
            raise group.exceptions[0] from None
        finally:
            if timer is not None:
                timer.cancel()
            if self._allowance is not None:
                self._allowance.close()
            self._budgets.close()
            for each in keeping:
                each.cancel()
        await first_of(self._drain(), self._ending.out_of_time())
        self._remember()
        self._state.save()
        self._drained.set()

    async def _drain(self) -> None:
        await self.aggregator.drain()
        await self.retries.settled()

    async def _keep_remembering(self) -> None:
        while True:
            await asyncio.sleep(REMEMBER_EVERY_S)
            self._remember()

    def _remember(self) -> None:
        """Note the measured rates for the next run."""
        rates = self.loads.rates
        self._state.note_loads(
            {status.endpoint.name: status.load for status in self.endpoints if rates.is_known(status.slot)}
        )

    # Workers

    def duties_of(self, worker: WorkerStatus) -> Assign:
        """The endpoints that a worker is to run: none once the run is stopping."""
        return self._duties.of(worker.id)

    def lose(self, worker: WorkerStatus, reason: str) -> None:
        """A worker runs its endpoints no more."""
        for status in self.endpoints.of_worker(worker.id):
            status.lose_worker(reason)

    def forget(self, process: WorkerProcess) -> None:
        """A process is dead: nothing may be asked of it, or promised to it."""
        self._budgets.forget_run(process.run)
        self._questions.forget_run(process.run, process.explain_death())
        self.moves.forget(process)

    def note_buried(self, process: WorkerProcess, reason: str) -> None:
        """All that a dead process had said has been taken."""
        self.loads.note_buried(process)
        self.retries.forget_run(process.run, reason)
        self._duties.note_buried(process)
        self.moves.note_buried(process)

    # What workers say

    def on_report(self, process: WorkerProcess, report: Report) -> None:
        """Follow a report."""
        worker = self.staff.ever[process.worker]
        if isinstance(report, StateChange):
            self._change_state(process, report)
        elif isinstance(report, Ready):
            self.staff.note_ready(worker)
        elif isinstance(report, BudgetReport):
            self._budgets.follow(process.run, report)
        elif isinstance(report, Answer):
            self._questions.take(report)
        elif isinstance(report, MoveReport):
            self.moves.on_report(process, report)
        elif isinstance(report, LimitReached):
            self.stop(f"{self.config.limit} messages received, as asked")
        worker.cpu_s = worker.cpu_before_s + process.cpu_s
        worker.lag_s = process.lag_s
        worker.backlog_bytes = process.backlog_bytes

    def _grant(self, run: int, ticket: int) -> None:
        self.staff.tell(run, Grant(ticket))

    def _recall(self, run: int, ticket: int) -> None:
        self.staff.tell(run, Recall(ticket))

    def _follow_written(self, number: int, batch: Batch) -> None:
        for mark in batch.cursors:
            self._state.note(number, mark)
        self.retries.note_written(batch)

    def _change_state(self, process: WorkerProcess, change: StateChange) -> None:
        status = self.endpoints[change.slot]
        if status.worker != process.worker or self._duties.is_leaving(change.slot):
            self.moves.on_state(process, change)
            return
        status.take(change)
        self.moves.on_owner_state(status)
        if change.streams is not None:
            self._budgets.expect(change.slot, status.endpoint)
        self._stop_if_all_have_ended()

    def _stop_if_all_have_ended(self) -> None:
        if self.endpoints.has_ended:
            self.stop("all endpoints have ended")

    def on_result(self, process: WorkerProcess, result: Result, body: memoryview) -> None:
        """Pass a batch on."""
        if isinstance(result, Batch):
            self.staff.ever[process.worker].received += result.received
            self.retries.note_returned(result)
            self._duties.note(result)
            self.aggregator.take(process.run, result, body)
            for tails in result.tails:
                self.moves.on_tails(process, tails)
        elif isinstance(result, Released):
            self._duties.note_released(process, result.slot)

    # The end

    def summary(self) -> Summary:
        """What the run has come to."""
        return Summary(
            duration_s=time.monotonic() - self.started_at,
            workers=tuple(worker.summary() for worker in self.staff.ever.values()),
            aggregator_cpu_s=time.process_time(),
            totals=self.ledger.total(),
            endpoints={
                status.endpoint.name: status.summary(self.ledger.counts(status.slot))
                for status in self.endpoints.ever
            },
        )


def _allowance_of(config: Config) -> Allowance | None:
    """What may be received, in a run with a limit."""
    if config.limit is None:
        return None
    allowance = Allowance()
    allowance.grant(config.limit)
    return allowance
