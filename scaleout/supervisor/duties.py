"""Which endpoints a worker is to run, and where each of them was left: given to workers, and taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scaleout.core.marks import Assignment, CursorMark, NumbersMark
from scaleout.core.wire import Assign, Batch, Release
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.roster import Roster
from scaleout.supervisor.staff import Staff
from scaleout.supervisor.statefile import StateFile
from scaleout.supervisor.status import EndpointStatus


class Duties:
    """Gives endpoints to workers, and takes them back.

    Args:
        roster: the endpoints.
        staff: the workers.
        state: where the endpoints were left by an earlier run.
        is_stopping: whether the run is coming to its end.
    """

    def __init__(
        self, roster: Roster, staff: Staff, state: StateFile, is_stopping: Callable[[], bool]
    ) -> None:
        self._roster = roster
        self._staff = staff
        self._state = state
        self._is_stopping = is_stopping
        self._cursors: dict[int, CursorMark] = {}
        self._numbers: dict[int, dict[str | int | None, int]] = {}
        """By slot, what the messages of each key are expected to start with."""
        self._leaving: dict[int, tuple[WorkerProcess, asyncio.Future[None]]] = {}
        """By slot: who is to let it go, and what waits for that."""

    # How far the endpoints have come

    def note(self, batch: Batch) -> None:
        """Take note of a batch, which is to be written."""
        for cursor in batch.cursors:
            self._cursors[cursor.slot] = cursor
        for mark in batch.numbers:
            self._numbers.setdefault(mark.slot, {}).update(mark.expected)

    def assignment(self, status: EndpointStatus) -> Assignment:
        """An endpoint as it is to be gone on with."""
        slot = status.slot
        numbers = self._numbers.get(slot)
        mark = NumbersMark(slot, tuple(numbers.items())) if numbers is not None else None
        cursor = self._cursors.get(slot) or self._state.cursor(slot)
        return Assignment(slot, status.endpoint, cursor, mark, status.processors)

    def forget(self, slot: int) -> None:
        """An endpoint begins anew: how far it has come says nothing any more."""
        self._cursors.pop(slot, None)
        self._numbers.pop(slot, None)
        self._state.forget(slot)

    # Giving

    def of(self, worker: int) -> Assign:
        """What a worker is to run: nothing once the run is stopping."""
        if self._is_stopping():
            return Assign(())
        return Assign(
            tuple(
                self.assignment(status)
                for status in self._roster.of_worker(worker)
                if not status.is_at_rest and status.slot not in self._leaving
            )
        )

    def give(self, status: EndpointStatus) -> None:
        """Have the endpoint's worker run it: at once, or as soon as it is ready."""
        process = self._staff.living(status.worker)
        if process is not None and process.has_duties and not self._is_stopping():
            process.control.send(Assign((self.assignment(status),)))

    # Taking back

    def is_leaving(self, slot: int) -> bool:
        """Whether a worker is letting the endpoint go."""
        return slot in self._leaving

    async def take_back(self, status: EndpointStatus) -> None:
        """Have the endpoint's worker let it go; returns when all it has delivered has been taken."""
        slot = status.slot
        if slot in self._leaving:
            await asyncio.wait((self._leaving[slot][1],))
            return
        process = self._staff.living(status.worker)
        if process is None or not process.has_duties:
            return
        released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leaving[slot] = process, released
        try:
            process.control.send(Release(slot))
            await released
        finally:
            del self._leaving[slot]

    def note_released(self, process: WorkerProcess, slot: int) -> None:
        """A worker has let an endpoint go."""
        leaving = self._leaving.get(slot)
        if leaving is not None and leaving[0] is process and not leaving[1].done():
            leaving[1].set_result(None)

    def note_buried(self, process: WorkerProcess) -> None:
        """A worker is dead, and all it had delivered has been taken."""
        for slot in tuple(self._leaving):
            self.note_released(process, slot)
