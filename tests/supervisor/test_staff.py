"""Values that come into a live run are hidden by all of its processes, those to come included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scaleout import machine, secrets
from scaleout.config import Config
from scaleout.core.ledger import Ledger
from scaleout.core.wire import Command, Hide, Setup
from scaleout.supervisor import staff
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.ending import Ending
from scaleout.supervisor.staff import Staff
from scaleout.supervisor.status import WorkerStatus


class FakeProcess:
    """A worker process that only notes what it is told."""

    def __init__(self, worker: int, run: int, *given: object) -> None:
        self.worker, self.run = worker, run
        self.results = self
        self.control = self
        self.told: list[Command] = []

    async def start(self) -> None:
        """It is there already."""

    def send(self, command: Command) -> None:
        self.told.append(command)


@pytest.fixture
def staff_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[Config], Staff]:
    """Makes a staff whose processes only note what they are told."""
    monkeypatch.setattr(staff, "WorkerProcess", FakeProcess)
    monkeypatch.setattr(secrets, "_learnt", {})

    def make(config: Config) -> Staff:
        ledger = Ledger()
        aggregator = Aggregator(ledger, [], None)
        monkeypatch.setattr(aggregator.valve, "attach", lambda results: None)
        office: Any = None
        return Staff(config, lambda: 1, ledger, aggregator, Ending(1.0), office, None)

    return make


@pytest.mark.parametrize("pin", [False, True])
def test_a_worker_is_told_its_core(
    run: Any, staff_of: Callable[[Config], Staff], pin: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "can_pin", lambda: True)
    monkeypatch.setattr(machine, "cores_of_run", lambda: (3, 5))

    async def scenario() -> None:
        workers = staff_of(Config(pin=pin))
        told = []
        for id in range(3):
            process: Any = await workers.start(WorkerStatus(id=id))
            told += [(each.core, each.cores) for each in process.told]
        assert told == ([(3, (3, 5)), (5, (3, 5)), (3, (3, 5))] if pin else [(None, ())] * 3)

    run(scenario())


def test_a_system_that_can_not_pin_is_told_of_once(
    run: Any,
    staff_of: Callable[[Config], Staff],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(machine, "can_pin", lambda: False)

    async def scenario() -> None:
        workers = staff_of(Config(pin=True))
        workers._ending.stop("at once")
        await workers.run()

    run(scenario())
    said = [record.message for record in caplog.records if "pin" in record.message]
    assert said == ["pin: this system can't keep processes to cores; the run goes on without"]


def test_secrets_that_come_into_the_run(run: Any, staff_of: Callable[[Config], Staff]) -> None:
    async def scenario() -> None:
        workers = staff_of(Config(secrets=("hunter22",)))
        first: Any = await workers.start(WorkerStatus(id=0))
        workers.hide(["swordfish", "hunter22"])
        workers.hide(["swordfish"])
        second: Any = await workers.start(WorkerStatus(id=1))
        assert isinstance(first.told[0], Setup) and first.told[0].secrets == ("hunter22",)
        assert first.told[1:] == [Hide(("swordfish",))]
        assert [each.secrets for each in second.told] == [("hunter22", "swordfish")]
        assert secrets.learnt() == ("swordfish",)

    run(scenario())
