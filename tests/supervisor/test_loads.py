"""What endpoints and workers cost, from what is in the tallies."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from scaleout.config import Endpoint
from scaleout.core.lifecycle import EndpointState
from scaleout.core.rates import Load
from scaleout.supervisor.loads import Loads
from scaleout.supervisor.process import WorkerProcess
from scaleout.supervisor.roster import Roster
from scaleout.supervisor.staff import Staff
from scaleout.supervisor.status import WorkerStatus


class Process:
    """A worker process with a tally that the test fills."""

    def __init__(self, worker: int, run: int) -> None:
        self.worker, self.run, self.own_cpu_s = worker, run, 0.0
        self.counts: dict[int, tuple[int, int, int]] = {}
        self.tally: Any = SimpleNamespace(loads=lambda: self.counts)


class Desk:
    def __init__(self) -> None:
        self.roster = Roster([Endpoint(uri="ws://h", name=name) for name in "ab"], {0: 0, 1: 1}, {})
        for status in self.roster:
            status.state = EndpointState.LIVE
        self.processes = [Process(0, 1), Process(1, 2)]
        self.workers = {0: WorkerStatus(id=0), 1: WorkerStatus(id=1)}
        staff: Any = SimpleNamespace(processes=self.processes, ever=self.workers)
        self.loads = Loads(self.roster, cast(Staff, staff), 10.0)


def test_rates_are_those_of_all_workers_that_had_it() -> None:
    desk = Desk()
    desk.loads.look(100.0)
    desk.processes[0].counts = {0: (100, 13_100, 2_000_000)}
    desk.processes[1].counts = {0: (20, 2_620, 0), 1: (4, 40, 0)}
    desk.loads.look(102.0)
    load = desk.roster[0].load
    assert load.messages == pytest.approx(60)
    assert load.bytes == pytest.approx(7860)
    assert load.cpu == pytest.approx(0.001)
    assert (desk.roster[1].load.messages, desk.roster[1].load.bytes) == pytest.approx((2, 20))


def test_the_death_of_a_process_is_no_fall_of_its_counts() -> None:
    desk = Desk()
    desk.loads.look(100.0)
    desk.processes[0].counts = {0: (1000, 1000, 0)}
    desk.loads.look(101.0)
    desk.loads.note_buried(cast(WorkerProcess, desk.processes[0]))
    desk.processes[0] = Process(0, 3)
    desk.processes[0].counts = {0: (1000, 1000, 0)}
    desk.loads.look(102.0)
    assert desk.roster[0].load.messages == pytest.approx(1000)


def test_one_that_is_not_connected_keeps_its_load() -> None:
    desk = Desk()
    desk.loads.look(100.0)
    desk.processes[0].counts = {0: (1000, 1000, 0)}
    desk.loads.look(101.0)
    desk.roster[0].state = EndpointState.BACKOFF
    desk.loads.look(150.0)
    assert desk.roster[0].load.messages == pytest.approx(1000)


def test_what_an_earlier_run_measured_is_the_first_load() -> None:
    desk = Desk()
    desk.loads.restore({1: Load(500.0, 5000.0, 0.1)})
    assert desk.roster[1].load.messages == 500
    desk.loads.look(100.0)
    assert desk.roster[1].load.messages == pytest.approx(500)


def test_utilisation_is_the_share_of_a_core() -> None:
    desk = Desk()
    for second in range(20):
        desk.processes[0].own_cpu_s = 0.75 * second
        desk.loads.look(100.0 + second)
    assert desk.workers[0].utilisation == pytest.approx(0.75, abs=0.01)
    assert desk.workers[1].utilisation == 0
