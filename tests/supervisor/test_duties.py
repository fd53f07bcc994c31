"""What a worker is to run, and how an endpoint is given and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from scaleout.config import Endpoint
from scaleout.core.ledger import Entry
from scaleout.core.lifecycle import EndpointState
from scaleout.core.marks import CursorMark, NumbersMark
from scaleout.core.wire import Assign, Batch, Release, StateChange
from scaleout.supervisor.duties import Duties
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.roster import Roster
from scaleout.supervisor.staff import Staff
from scaleout.supervisor.statefile import StateFile


class Desk:
    """Two endpoints, of which worker 0 has both; its process is there."""

    def __init__(self) -> None:
        endpoints = [Endpoint(uri="ws://h", name=name) for name in "ab"]
        names: dict[int, str] = {}
        self.roster = Roster(endpoints, {0: 0, 1: 0}, names)
        self.told: list[Any] = []
        control = SimpleNamespace(send=self.told.append)
        self.process: Any = SimpleNamespace(control=control, has_duties=True)
        staff = SimpleNamespace(living=lambda worker: self.process if worker == 0 else None)
        self.is_stopping = False
        self.duties = Duties(
            self.roster, cast(Staff, staff), StateFile(None, names), lambda: self.is_stopping
        )

    def slots(self, worker: int) -> list[int]:
        return [assignment.slot for assignment in self.duties.of(worker).assignments]

    def release(self, slot: int) -> None:
        self.duties.note_released(cast(WorkerProcess, self.process), slot)


def run(story: Callable[[Desk], Any]) -> None:
    async def play() -> None:
        async with asyncio.timeout(5):
            await story(Desk())

    asyncio.run(play())


def test_an_endpoint_goes_on_with_as_many_helpers_as_it_had() -> None:
    desk = Desk()
    desk.roster[0].take(StateChange(0, EndpointState.CONNECTING, 0, None, processors=2))
    assert [each.processors for each in desk.duties.of(0).assignments] == [2, 0]


def test_a_worker_runs_what_is_neither_over_nor_at_rest() -> None:
    desk = Desk()
    assert desk.slots(0) == [0, 1]
    assert desk.slots(1) == []
    desk.roster[0].pause()
    assert desk.slots(0) == [1]
    desk.roster[1].end()
    assert desk.slots(0) == []
    desk.roster[0].wait()
    desk.is_stopping = True
    assert desk.slots(0) == []


def test_an_endpoint_goes_on_where_it_was_left() -> None:
    desk = Desk()
    marks = (NumbersMark(0, (("x", 5),)), NumbersMark(0, (("y", 7), ("x", 6))))
    for cursor, mark in zip((10, 11), marks, strict=True):
        desk.duties.note(Batch((Entry(0),), cursors=(CursorMark(0, cursor),), numbers=(mark,)))
    left = desk.duties.assignment(desk.roster[0])
    assert left.cursor == CursorMark(0, 11)
    assert left.numbers == NumbersMark(0, (("x", 6), ("y", 7)))
    desk.duties.forget(0)
    assert desk.duties.assignment(desk.roster[0]).cursor is None
    assert desk.duties.assignment(desk.roster[0]).numbers is None


def test_it_is_given_to_a_worker_that_knows_its_other_duties() -> None:
    desk = Desk()
    desk.duties.give(desk.roster[1])
    (assign,) = desk.told
    assert isinstance(assign, Assign)
    assert [assignment.slot for assignment in assign.assignments] == [1]
    desk.process.has_duties = False  # it will be among them
    desk.duties.give(desk.roster[1])
    assert len(desk.told) == 1


def test_it_is_taken_back_once_the_worker_has_let_it_go() -> None:
    async def story(desk: Desk) -> None:
        taking = asyncio.ensure_future(desk.duties.take_back(desk.roster[1]))
        again = asyncio.ensure_future(desk.duties.take_back(desk.roster[1]))
        await asyncio.sleep(0)
        assert desk.told == [Release(1)]
        assert desk.duties.is_leaving(1)
        assert desk.slots(0) == [0]  # also if the worker is restarted meanwhile
        desk.release(0)
        assert not taking.done()
        desk.release(1)
        await taking
        await again
        assert not desk.duties.is_leaving(1)

    run(story)


def test_a_worker_that_dies_has_let_it_go() -> None:
    async def story(desk: Desk) -> None:
        taking = asyncio.ensure_future(desk.duties.take_back(desk.roster[1]))
        await asyncio.sleep(0)
        desk.duties.note_buried(cast(WorkerProcess, desk.process))
        await taking

    run(story)


def test_nobody_has_it() -> None:
    async def story(desk: Desk) -> None:
        desk.roster[1].worker = 1
        await desk.duties.take_back(desk.roster[1])
        assert desk.told == []

    run(story)
