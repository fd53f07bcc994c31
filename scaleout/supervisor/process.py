"""One run of a worker process: its start, its pipes, its heartbeat, and its end."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from typing import Protocol

from scaleout import signals
from scaleout.channel import Channel
from scaleout.core.wire import Drained, Heartbeat, Report, Result
from scaleout.tally import Allowance, Tally
from scaleout.worker.main import worker_main

START_TIMEOUT_S = 60.0
"""A worker that has not sent its first heartbeat by then is stuck."""
SECOND_LOOK_S = 1.0
"""A worker seems stuck, too, when it is this process that was held up: so look again."""
LAST_WORDS_TIMEOUT_S = 2.0
"""A dead worker's pipe that hasn't ended by then is held open by somebody else, a child of its processor's."""

_spawn = multiprocessing.get_context("spawn")


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
        self.lag_s = 0.0
        self.backlog_bytes = 0
        self.is_drained = False
        self.was_stuck = False
        self._allowance = allowance
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._watchdog: asyncio.TimerHandle | None = None
        self._fault: Exception | None = None
        self._process: SpawnProcess
        self.control: Channel[Report]
        self.results: Channel[Result]

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.worker} (pid {self.pid})>"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid or 0

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
        control, control_of_child = _spawn.Pipe(duplex=True)
        results, results_of_child = _spawn.Pipe(duplex=True)
        self._process = _spawn.Process(
            target=worker_main,
            args=(control_of_child, results_of_child, self.tally, self._allowance),
            name=f"scaleout-worker-{self.worker}",
            daemon=True,
        )
        # Only the child holds its ends open, so that its death is an end of file here.
        with control_of_child, results_of_child, signals.held_back(), _without_main_module():
            self._process.start()
        try:
            self.control = await Channel.open(control, Report, self._on_report, self._on_lost)
            self.results = await Channel.open(results, Result, self._on_result, self._on_lost)
        except OSError:
            self.kill()
            self._process.join()
            raise

    # What the worker says

    def _on_report(self, report: Report, body: memoryview) -> None:
        if isinstance(report, Heartbeat):
            self.cpu_s, self.lag_s, self.backlog_bytes = report.cpu, report.lag, report.backlog
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
        self._process.kill()

    # The end

    async def wait_dead(self) -> None:
        """Wait until the process is gone, and all it had reported has been taken."""
        dead: asyncio.Future[None] = self._loop.create_future()
        with _exit_descriptor(self._process) as descriptor:
            self._loop.add_reader(descriptor, _resolve, dead)
            try:
                await dead
            finally:
                self._loop.remove_reader(descriptor)
        self._disarm()
        self._process.join()
        try:
            async with asyncio.timeout(LAST_WORDS_TIMEOUT_S):
                await self.control.wait_lost()
        except TimeoutError:
            self.control.abort()
            await self.control.wait_lost()

    async def wait_last_words(self, is_held_back: Callable[[], bool]) -> None:
        """Wait until all that a dead worker had put into its results pipe has been read.

        Args:
            is_held_back: whether this side is not reading at the moment.
        """
        while True:
            try:
                async with asyncio.timeout(LAST_WORDS_TIMEOUT_S):
                    await self.results.wait_lost()
            except TimeoutError:
                if is_held_back():
                    continue
                self.results.abort()
                await self.results.wait_lost()
            return

    @property
    def exit_code(self) -> int | None:
        """The dead process's exit code; negative: the number of the signal that killed it."""
        return self._process.exitcode

    def explain_death(self) -> str:
        """Why the process is gone, in words."""
        if self.was_stuck:
            return f"stuck: no heartbeat for {self._heartbeat_timeout_s:g} s, killed"
        if self._fault is not None:
            return f"{self._fault}; killed"
        code = self.exit_code
        if code is not None and code < 0:
            return f"killed by {signals.name_of(-code)}"
        return f"exit code {code}"

    def release(self) -> None:
        """Let go of what the process leaves behind."""
        self.tally.close()
        self._process.close()


@contextmanager
def _exit_descriptor(process: SpawnProcess) -> Iterator[int]:
    """A descriptor that is readable once the process is gone.

    The sentinel of multiprocessing also waits for children of the process that inherited its other end, so a
    pidfd is better where the system has it.
    """
    assert process.pid is not None
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # another system, or no descriptors left
        yield process.sentinel
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Keep a spawn from importing this process's `__main__` in the child: workers don't need it.

    A program that calls `scaleout.run` at its top level, without the usual guard, would otherwise run again in
    each worker.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
