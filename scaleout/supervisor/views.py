"""A live run as it looks from outside at a moment."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scaleout.control.views import EndpointView, MoveView, Status, WorkerView
from scaleout.core.lifecycle import EndpointState
from scaleout.secrets import Redactor
from scaleout.supervisor.meter import Meter
from scaleout.supervisor.moves import MoveRecord
from scaleout.supervisor.status import EndpointStatus, WorkerStatus
from scaleout.supervisor.supervisor import Supervisor

LOOK_INTERVAL_S = 1.0
"""Between two looks at the counts, of which the rates are made."""
RECENT_MOVES = 20


class Views:
    """Looks at a run.

    Args:
        supervisor: of the run.
        redact: what people are told may hold secrets.
    """

    def __init__(self, supervisor: Supervisor, redact: Redactor) -> None:
        self._supervisor = supervisor
        self._redact = redact
        self._messages, self._bytes = Meter(), Meter()

    @asynccontextmanager
    async def measuring(self) -> AsyncIterator[None]:
        """Measure rates, meanwhile."""
        task = asyncio.ensure_future(self._keep_looking())
        try:
            yield
        finally:
            task.cancel()

    async def _keep_looking(self) -> None:
        loop, supervisor = asyncio.get_running_loop(), self._supervisor
        while True:
            now = loop.time()
            counts = {each.slot: supervisor.ledger.counts(each.slot) for each in supervisor.endpoints}
            self._messages.look(now, {slot: each.received for slot, each in counts.items()})
            self._bytes.look(now, {slot: each.bytes for slot, each in counts.items()})
            await asyncio.sleep(LOOK_INTERVAL_S)

    def status(self) -> Status:
        """The run at this moment."""
        supervisor = self._supervisor
        endpoints = tuple(map(self._endpoint, supervisor.endpoints))
        held: defaultdict[int, list[EndpointView]] = defaultdict(list)
        for each in endpoints:
            held[each.worker].append(each)
        return Status(
            workers=tuple(_worker(worker, held[worker.id]) for worker in supervisor.workers),
            endpoints=endpoints,
            totals=self.totals(),
            moves=supervisor.endpoints.moves,
            recent_moves=tuple(map(self.move, tuple(supervisor.moves.records)[-RECENT_MOVES:])),
        )

    def totals(self) -> dict[str, int]:
        """The books, by term."""
        totals = self._supervisor.ledger.total().to_mapping()
        return {term: value for term, value in totals.items() if isinstance(value, int)}

    def _endpoint(self, status: EndpointStatus) -> EndpointView:
        return EndpointView(
            name=status.endpoint.name,
            worker=status.worker,
            state=status.state.value,
            rate=round(self._messages.rate(status.slot), 3),
            bytes_rate=round(self._bytes.rate(status.slot), 3),
            cpu=round(status.load.cpu, 4),
            received=self._supervisor.ledger.counts(status.slot).received,
            reason=self._redact.optional(status.last_error),
            since=status.since,
            stall=status.stall.value if status.stall is not None else None,
            connects=status.connects,
            moves=status.moves,
            moving_to=status.moving_to,
            streams=tuple(map(self._redact, status.endpoint.streams)),
            processors=status.processors if status.state is EndpointState.LIVE else 0,
        )

    def move(self, record: MoveRecord) -> MoveView:
        """A move, for people."""
        return MoveView(
            at=record.at,
            endpoint=record.endpoint,
            source=record.source,
            target=record.target,
            why=record.why,
            problem=self._redact.optional(record.problem),
            uncertain=record.uncertain,
        )


def _worker(worker: WorkerStatus, endpoints: list[EndpointView]) -> WorkerView:
    return WorkerView(
        id=worker.id,
        state="retiring" if worker.is_retiring else worker.state.value,
        endpoints=len(endpoints),
        rate=round(sum(each.rate for each in endpoints), 3),
        utilisation=round(worker.utilisation, 4),
        restarts=worker.restarts,
        cpu_s=round(worker.cpu_s, 3),
        received=worker.received,
        lag_s=round(worker.lag_s, 6),
        backlog_bytes=worker.backlog_bytes,
    )
