"""What each endpoint and each worker costs at the moment, from the tallies that the workers keep."""

from __future__ import annotations

import asyncio

from scaleout.core.lifecycle import EndpointState
from scaleout.core.rates import Load, Rates
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.roster import Roster
from scaleout.supervisor.staff import Staff

LOOK_EVERY_S = 1.0
UTILISATION_HALF_LIFE_S = 2.0


class Loads:
    """Measures, and notes what it finds in the endpoints' and the workers' status.

    Args:
        roster: the endpoints.
        staff: the workers.
        half_life_s: after which a measurement counts half.
    """

    def __init__(self, roster: Roster, staff: Staff, half_life_s: float) -> None:
        self.rates = Rates(half_life_s)
        self._roster = roster
        self._staff = staff
        self._past: dict[int, tuple[int, int, int]] = {}
        """By slot, what processes that are gone have counted."""
        self._cpu: dict[int, tuple[float, float]] = {}
        """By process, when it was looked at last, and its CPU seconds then, without those of its helpers."""

    def restore(self, loads: dict[int, Load]) -> None:
        """Begin with what was measured by an earlier run."""
        for slot, load in loads.items():
            self.rates.restore(slot, load)
            self._roster[slot].load = load

    async def keep_looking(self) -> None:
        """Look at intervals, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look(asyncio.get_running_loop().time())

    def look(self, now: float) -> None:
        """Take the counts of this moment."""
        counts = {status.slot: self._past.get(status.slot, (0, 0, 0)) for status in self._roster}
        for process in self._staff.processes:
            _add(counts, process.tally.loads())
        held = {status.slot for status in self._roster if status.state is not EndpointState.LIVE}
        self.rates.look(now, counts, held)
        for status in self._roster:
            status.load = self.rates.load(status.slot)
        self._look_at_workers(now)

    def _look_at_workers(self, now: float) -> None:
        before, self._cpu = self._cpu, {}
        for process in self._staff.processes:
            looked_at, cpu_s = before.get(process.run, (now, process.own_cpu_s))
            self._cpu[process.run] = now, process.own_cpu_s
            if now > looked_at:
                worker = self._staff.ever[process.worker]
                weight = 2 ** -((now - looked_at) / UTILISATION_HALF_LIFE_S)
                share = (process.own_cpu_s - cpu_s) / (now - looked_at)
                worker.utilisation = weight * worker.utilisation + (1 - weight) * share

    def note_buried(self, process: WorkerProcess) -> None:
        """Keep what a dead process has counted."""
        _add(self._past, process.tally.loads())


def _add(counts: dict[int, tuple[int, int, int]], more: dict[int, tuple[int, int, int]]) -> None:
    for slot, (messages, size, cpu_ns) in more.items():
        before = counts.get(slot, (0, 0, 0))
        counts[slot] = before[0] + messages, before[1] + size, before[2] + cpu_ns
