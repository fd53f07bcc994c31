"""A keeper with a house that does as the test says: who is started, lost, forgotten and buried, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from scaleout.core.lifecycle import WorkerState
from scaleout.core.wire import Assign, Stop
from scaleout.errors import WorkerError
from scaleout.supervisor.ending import Ending
from scaleout.supervisor.keeper import STILLBORN_LIMIT, Keeper
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.status import WorkerStatus

Run = Callable[[Awaitable[Any]], Any]


class FakeProcess:
    """A process that lives until it is told to stop, or killed, or dies by itself."""

    def __init__(self, log: list[str], run: int, obeys: bool) -> None:
        self.log = log
        self.run = run
        self.is_drained = False
        self.exit_code = -9
        self.control = self
        self.told = asyncio.Event()
        self._obeys = obeys
        self._dead = asyncio.Event()

    def send(self, command: object) -> None:
        self.log.append(f"{self.run} told {type(command).__name__}")
        self.told.set()
        if isinstance(command, Stop) and self._obeys:
            self.is_drained = True
            self.exit_code = 0
            self.die()

    async def drain(self) -> None:
        pass

    def die(self) -> None:
        self._dead.set()

    def kill(self) -> None:
        self._dead.set()

    async def wait_dead(self) -> None:
        await self._dead.wait()

    def explain_death(self) -> str:
        return f"the end of {self.run}"


class FakeHouse:
    """Notes what its keeper does; starting fails so many times."""

    def __init__(self, *, refusals: int = 0, obeys: bool = True) -> None:
        self.log: list[str] = []
        self.started: asyncio.Queue[FakeProcess] = asyncio.Queue()
        self.may_bury = asyncio.Event()
        self.may_bury.set()
        self._refusals = refusals
        self._obeys = obeys
        self._runs = 0

    async def start(self, worker: WorkerStatus) -> WorkerProcess:
        if self._refusals:
            self._refusals -= 1
            raise OSError(24, "Too many open files")
        self._runs += 1
        process = FakeProcess(self.log, self._runs, self._obeys)
        self.started.put_nowait(process)
        return cast(WorkerProcess, process)

    def duties_of(self, worker: WorkerStatus) -> Assign:
        return Assign(())

    def lose(self, worker: WorkerStatus, reason: str) -> None:
        self.log.append(f"lost: {reason}")

    def forget(self, process: WorkerProcess) -> None:
        self.log.append(f"{process.run} forgotten")

    async def bury(self, process: WorkerProcess, reason: str) -> None:
        await self.may_bury.wait()
        self.log.append(f"{process.run} buried: {reason}")


def test_a_worker_that_is_stopped(run: Run) -> None:
    async def scenario() -> None:
        house, ending, worker = FakeHouse(), Ending(60), WorkerStatus(id=0)
        keeping = asyncio.ensure_future(Keeper(worker, house, ending).keep())
        await house.started.get()
        worker.enter(WorkerState.READY)
        ending.stop("test")
        await keeping
        assert house.log == [
            "1 told Assign",
            "1 told Stop",
            "1 forgotten",
            "1 buried: the run had to end before their results were taken",
        ]
        assert (worker.state, worker.restarts) == (WorkerState.ENDED, 0)

    run(scenario())


def test_one_that_died_is_restarted_and_its_results_come_first(run: Run) -> None:
    async def scenario() -> None:
        house, ending, worker = FakeHouse(), Ending(60), WorkerStatus(id=0)
        house.may_bury.clear()
        keeping = asyncio.ensure_future(Keeper(worker, house, ending).keep())
        first = await house.started.get()
        worker.enter(WorkerState.READY)
        first.die()
        second = await house.started.get()
        worker.enter(WorkerState.READY)
        house.may_bury.set()
        await second.told.wait()
        ending.stop("test")
        await keeping
        assert house.log[:5] == [
            "1 told Assign",
            "1 forgotten",
            "lost: the end of 1",
            "1 buried: the end of 1",
            "2 told Assign",
        ]
        assert worker.restarts == 1

    run(scenario())


def test_one_that_does_not_stop_is_killed_when_the_time_is_over(run: Run) -> None:
    async def scenario() -> None:
        house, ending, worker = FakeHouse(obeys=False), Ending(0.01), WorkerStatus(id=0)
        keeping = asyncio.ensure_future(Keeper(worker, house, ending).keep())
        await house.started.get()
        worker.enter(WorkerState.READY)
        ending.stop("test")
        await keeping
        assert house.log[-2:] == ["lost: the end of 1", "1 buried: the end of 1"]
        assert worker.state is WorkerState.ENDED

    run(scenario())


def test_one_that_can_not_be_started_yet(run: Run) -> None:
    async def scenario() -> None:
        house, ending, worker = FakeHouse(refusals=2), Ending(60), WorkerStatus(id=0)
        keeping = asyncio.ensure_future(Keeper(worker, house, ending).keep())
        await house.started.get()
        worker.enter(WorkerState.READY)
        ending.stop("test")
        await keeping
        assert house.log[:2] == ["lost: can't be started: Too many open files"] * 2
        assert worker.restarts == 2

    run(scenario())


def test_one_that_can_never_be_started(run: Run) -> None:
    async def scenario() -> None:
        house, worker = FakeHouse(refusals=STILLBORN_LIMIT), WorkerStatus(id=3)
        with pytest.raises(WorkerError, match=f"worker 3 died {STILLBORN_LIMIT} times before it was ready"):
            await Keeper(worker, house, Ending(60)).keep()

    run(scenario())
