"""What is known of a run at a moment: one small Struct for each endpoint and worker, and the run's summary."""

from __future__ import annotations

import time

from msgspec import Struct, structs
from msgspec.structs import asdict

from scaleout.config import Endpoint
from scaleout.core.ledger import Counts
from scaleout.core.lifecycle import EndpointState, Stall, WorkerState, endpoint_step, worker_step
from scaleout.core.rates import Load
from scaleout.core.wire import StateChange

SUMMARY_VERSION = 1


class EndpointStatus(Struct):
    """An endpoint, over all workers that have had it."""

    slot: int
    endpoint: Endpoint
    worker: int
    state: EndpointState = EndpointState.WAITING
    connects: int = 0
    last_error: str | None = None
    connects_before: int = 0
    """Connections opened by workers that are gone."""
    stall: Stall | None = None
    since: float | None = None
    """Unix time of the last change of state."""
    moves: int = 0
    """To other workers, so far."""
    moving_to: int | None = None
    """The worker that is about to have it."""
    processors: int = 0
    """Helper processes that process its messages, or did when it was last heard of."""
    load: Load = Load()
    """As measured lately."""

    @property
    def is_at_rest(self) -> bool:
        """Whether no worker is to run it."""
        return self.state in (EndpointState.PAUSED, EndpointState.ENDED)

    def take(self, change: StateChange) -> None:
        """Follow what the worker reports."""
        self._enter(change.state)
        self.stall = change.stall
        self.processors = change.processors
        if change.streams is not None:
            self.endpoint = structs.replace(self.endpoint, streams=change.streams)
        self.connects = self.connects_before + change.connects
        if change.error is not None:
            self.last_error = change.error

    def _enter(self, state: EndpointState) -> None:
        if state is not self.state:
            self.state = endpoint_step(self.state, state)
            self.since = time.time()

    def pause(self) -> None:
        """No worker has it, because a person wants it so."""
        self._enter(EndpointState.PAUSED)
        self.stall = None
        self.connects_before = self.connects

    def end(self) -> None:
        """It is over for good."""
        if self.state is not EndpointState.ENDED:
            self._enter(EndpointState.ENDED)
            self.stall = None

    def wait(self) -> None:
        """It is about to be given to a worker."""
        self._enter(EndpointState.WAITING)
        self.stall = None
        self.connects_before = self.connects

    def arrive(self, worker: int) -> None:
        """It has moved to that worker, which is connected."""
        self.worker = worker
        self.moves += 1
        self.connects_before = self.connects

    def lose_worker(self, reason: str) -> None:
        """The worker died."""
        if not self.is_at_rest:
            self.wait()
            self.last_error = f"its worker died: {reason}"

    def summary(self, counts: Counts) -> EndpointSummary:
        """What it has come to, with its books."""
        return EndpointSummary(
            counts=counts,
            connects=self.connects,
            state=self.state,
            last_error=self.last_error,
            stall=self.stall,
            since=self.since,
            moves=self.moves,
        )


class WorkerStatus(Struct):
    """A worker, over all its processes."""

    id: int
    state: WorkerState = WorkerState.STARTING
    restarts: int = 0
    cpu_before_s: float = 0.0
    """CPU seconds of processes that are gone."""
    cpu_s: float = 0.0
    lag_s: float = 0.0
    backlog_bytes: int = 0
    received: int = 0
    """Messages received by all of its processes."""
    was_ready: bool = False
    utilisation: float = 0.0
    """Share of a core that it uses, as measured lately."""
    is_retiring: bool = False
    """Whether it gives its endpoints away."""
    is_retired: bool = False
    """Whether it has given them away, for good or until it is needed again."""

    def enter(self, state: WorkerState) -> None:
        """Take a step."""
        self.state = worker_step(self.state, state)
        self.was_ready = self.was_ready or state is WorkerState.READY

    def summary(self) -> WorkerSummary:
        """What it has come to."""
        return WorkerSummary(id=self.id, cpu_s=self.cpu_s, restarts=self.restarts, received=self.received)


class WorkerSummary(Struct, frozen=True):
    """A worker in the summary."""

    id: int
    cpu_s: float
    restarts: int
    received: int


class EndpointSummary(Struct, frozen=True):
    """An endpoint in the summary."""

    counts: Counts
    connects: int
    state: EndpointState
    last_error: str | None
    stall: Stall | None = None
    since: float | None = None
    """Unix time of the last change of state."""
    moves: int = 0
    """To other workers."""

    def to_mapping(self) -> dict[str, object]:
        """The endpoint under the names of the summary's contract."""
        return self.counts.to_mapping() | {
            "connects": self.connects,
            "moves": self.moves,
            "state": self.state.value,
            "stall": self.stall.value if self.stall is not None else None,
            "since": self.since,
            "last_error": self.last_error,
        }


class Summary(Struct, frozen=True):
    """What a run came to; `to_mapping` is what `--summary` writes."""

    duration_s: float
    workers: tuple[WorkerSummary, ...]
    aggregator_cpu_s: float
    totals: Counts
    endpoints: dict[str, EndpointSummary]
    """By name."""

    @property
    def balanced(self) -> bool:
        """Whether every message received is accounted for."""
        return all(endpoint.counts.is_balanced for endpoint in self.endpoints.values())

    @property
    def moves(self) -> int:
        """Moves of endpoints between workers."""
        return sum(endpoint.moves for endpoint in self.endpoints.values())

    def to_mapping(self) -> dict[str, object]:
        """The summary under the names of its contract."""
        return {
            "version": SUMMARY_VERSION,
            "duration_s": round(self.duration_s, 3),
            "balanced": self.balanced,
            "moves": self.moves,
            "aggregator": {"cpu_s": round(self.aggregator_cpu_s, 3)},
            "workers": [asdict(worker) | {"cpu_s": round(worker.cpu_s, 3)} for worker in self.workers],
            "totals": self.totals.to_mapping(),
            "endpoints": {name: endpoint.to_mapping() for name, endpoint in self.endpoints.items()},
        }
