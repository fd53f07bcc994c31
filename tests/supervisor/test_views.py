"""How a run looks: its workers with what they have, its endpoints, its books and its latest moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec import structs

from scaleout.config import Config, Endpoint
from scaleout.core.ledger import Entry, Ledger
from scaleout.core.lifecycle import EndpointState, Stall
from scaleout.core.rates import Load
from scaleout.secrets import Redactor
from scaleout.supervisor import views
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.moves import MoveRecord
from scaleout.supervisor.supervisor import Supervisor
from scaleout.supervisor.views import RECENT_MOVES, Views

Run = Callable[[Awaitable[Any]], Any]


def supervisor_of(*names: str) -> Supervisor:
    ledger = Ledger()
    endpoints = tuple(Endpoint(uri="ws://u:secret@h/?key=secret", name=name) for name in names)
    return Supervisor(Config(endpoints=endpoints), 2, ledger, Aggregator(ledger, [], None), {})


def test_the_status(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "LOOK_INTERVAL_S", 0.01)

    async def scenario() -> None:
        supervisor = supervisor_of("a", "b", "c")
        seen, ledger = Views(supervisor, Redactor(())), supervisor.ledger
        first, second, third = supervisor.endpoints
        first.worker = second.worker = 1
        third.worker = 0
        first.state, first.stall, first.last_error = EndpointState.LIVE, Stall.SILENT, "lost"
        first.moves, first.moving_to, first.load = 2, 0, Load(cpu=0.125)
        first.processors = second.processors = 3
        supervisor.workers[1].utilisation = 0.5
        supervisor.workers[0].is_retiring = True
        async with seen.measuring():
            async with asyncio.timeout(20):
                while not seen.status().endpoints[0].rate:
                    ledger.report(1, [Entry(0, received=3, bytes=300)])
                    await asyncio.sleep(0.001)
            status = seen.status()
        assert status.totals["received"] == status.totals["in_flight"] == ledger.counts(0).received
        a, b, _ = status.endpoints
        assert (a.name, a.state, a.stall, a.reason) == ("a", "live", "server silent", "lost")
        assert (a.moves, a.moving_to, a.cpu) == (2, 0, 0.125)
        assert (a.processors, b.processors) == (3, 0), "those of the second are not there at the moment"
        assert a.bytes_rate == pytest.approx(100 * a.rate, rel=0.001)
        assert (a.received, b.received, b.rate, b.bytes_rate) == (ledger.counts(0).received, 0, 0.0, 0.0)
        assert [(worker.id, worker.state, worker.endpoints) for worker in status.workers] == [
            (0, "retiring", 1),
            (1, "starting", 2),
        ]
        assert [(worker.rate, worker.utilisation) for worker in status.workers] == [(0.0, 0.0), (a.rate, 0.5)]

    run(scenario())


def test_moves(run: Run) -> None:
    async def scenario() -> None:
        supervisor = supervisor_of("a", "b")
        for number in range(30):
            supervisor.moves.records.append(
                MoveRecord(float(number), "a", 0, 1, "why", 0.1, "hunter22 failed")
            )
        first, second = supervisor.endpoints
        first.moves, second.moves = 3, 4
        supervisor.endpoints.remove(second.slot)
        status = Views(supervisor, Redactor(("hunter22",))).status()
        assert status.moves == 7, "those of endpoints that are gone count, too"
        assert [move.at for move in status.recent_moves] == [float(n) for n in range(30 - RECENT_MOVES, 30)]
        assert status.recent_moves[0].problem == "*** failed"
        assert [endpoint.name for endpoint in status.endpoints] == ["a"]

    run(scenario())


def test_secrets_stay_where_they_are(run: Run) -> None:
    async def scenario() -> None:
        supervisor = supervisor_of("a")
        status = supervisor.endpoints[0]
        status.last_error = "hunter22 is refused"
        status.endpoint = structs.replace(status.endpoint, streams=("user@hunter22",))
        seen = str(Views(supervisor, Redactor(("hunter22",))).status())
        assert "user@***" in seen and "*** is refused" in seen
        assert "hunter22" not in seen and "secret" not in seen

    run(scenario())
