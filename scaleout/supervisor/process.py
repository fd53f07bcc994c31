"""One run of a worker process: its start, its pipes, its heartbeat, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from scaleout.channel import Channel
from scaleout.core.wire import Drained, Heartbeat, Report, Result
from scaleout.spawning import Child, spawn
from scaleout.tally import Allowance, Tally
from scaleout.worker.entry import worker_main

START_TIMEOUT_S = 60.0
"""A worker that has not sent its first heartbeat by then is stuck."""
SECOND_LOOK_S = 1.0
"""A worker seems stuck, too, when it is this process that was held up: so look again."""


class ProcessEvents(Protocol):
    """Who is told what a worker says."""

    def on_report(self, process: WorkerProcess, report: Report) -> None:
        """A report came."""

    def on_result(self, process: WorkerProcess, result: Result, body: memoryview) -> None:
        """A result came."""


class WorkerProcess:
    """A worker process that has been started.

    Args:
        worker: the worker's id, which its restarts share.
        run: number of this process among all that this supervisor has started.
        slots: how many endpoints the tally has room for.
        allowance: what may still be received, in a run with a limit.
        heartbeat_timeout_s: silence after which the process is taken for stuck and killed.
        events: who is told.
    """

    def __init__(
        self,
        worker: int,
        run: int,
        slots: int,
        allowance: Allowance | None,
        heartbeat_timeout_s: float,
        events: ProcessEvents,
    ) -> None:
        self.worker = worker
        self.run = run
        self.tally = Tally(slots)
        self.cpu_s = 0.0
        self.own_cpu_s = 0.0
        """Without its helpers."""
        self.lag_s = 0.0
        self.backlog_bytes = 0
        self.has_duties = False
        """Whether it has been told what to run: what comes after that it is to be told of its own."""
        self.is_dead = False
        self.is_drained = False
        self.was_stuck = False
        self._allowance = allowance
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._watchdog: asyncio.TimerHandle | None = None
        self._fault: Exception | None = None
        self._child: Child
        self.control: Channel[Report]
        self.results: Channel[Result]

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.worker} (pid {self.pid})>"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    async def start(self) -> None:
        """Spawn the process and take this end of its pipes.

        Raises:
            OSError: the system can't give what that takes: processes, descriptors, memory.
        """
        try:
            await self._spawn_with_pipes()
        except OSError:
            self.tally.close()
            raise
        self._arm(START_TIMEOUT_S)

    async def _spawn_with_pipes(self) -> None:
        name = f"scaleout-worker-{self.worker}"
        self._child, (control, results) = spawn(worker_main, name, 2, self.tally, self._allowance)
        try:
            self.control = await Channel.open(control, Report, self._on_report, self._on_lost)
            self.results = await Channel.open(results, Result, self._on_result, self._on_lost)
        except OSError:
            self.kill()
            self._child.join()
            raise

    # What the worker says

    def _on_report(self, report: Report, body: memoryview) -> None:
        if isinstance(report, Heartbeat):
            self.cpu_s, self.lag_s, self.backlog_bytes = report.cpu, report.lag, report.backlog
            self.own_cpu_s = report.own_cpu
        self._arm(self._heartbeat_timeout_s)
        self._events.on_report(self, report)

    def _on_result(self, result: Result, body: memoryview) -> None:
        if isinstance(result, Drained):
            self.is_drained = True
            self.cpu_s = result.cpu
        self._events.on_result(self, result, body)

    def _on_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._fault = exc
            self.kill()

    # Is it alive?

    def _arm(self, timeout_s: float, action: Callable[[], None] | None = None) -> None:
        self._disarm()
        self._watchdog = self._loop.call_later(timeout_s, action or self._suspect)

    def _disarm(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _suspect(self) -> None:
        self._arm(SECOND_LOOK_S, self._kill_stuck)

    def _kill_stuck(self) -> None:
        self._watchdog = None
        self.was_stuck = True
        self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._child.kill()

    # The end

    async def wait_dead(self) -> None:
        """Wait until the process is gone, and all it had reported has been taken."""
        await self._child.wait_dead()
        self._disarm()
        await self.control.wait_last_words()

    async def wait_last_words(self, is_held_back: Callable[[], bool]) -> None:
        """Wait until all that a dead worker had put into its results pipe has been read.

        Args:
            is_held_back: whether this side is not reading at the moment.
        """
        await self.results.wait_last_words(is_held_back)

    @property
    def exit_code(self) -> int | None:
        """The dead process's exit code; negative: the number of the signal that killed it."""
        return self._child.exit_code

    def explain_death(self) -> str:
        """Why the process is gone, in words."""
        if self.was_stuck:
            return f"stuck: no heartbeat for {self._heartbeat_timeout_s:g} s, killed"
        if self._fault is not None:
            return f"{self._fault}; killed"
        return self._child.explain_death()

    def release(self) -> None:
        """Let go of what the process leaves behind."""
        self.tally.close()
        self._child.release()
