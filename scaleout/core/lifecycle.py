"""States of an endpoint and of a worker: one transition table each; an illegal transition raises.

A connection's state:

    WAITING ──→ CONNECTING ──→ LIVE ──→ BACKOFF or QUARANTINED ──→ CONNECTING …
       ↑             │           │                  │
       └─────────────┴───────────┴──────────────────┴──→ ENDED     (back to WAITING when the worker dies)

An endpoint with several connections is where the one is that is worst off; one without any may be PAUSED.

A worker's:

    STARTING ──→ READY ──→ STOPPING ──→ ENDED
        │          │          │
        └──────────┴──────────┴──→ DEAD ──→ STARTING       (or ENDED; STARTING may stop, too)

A worker that was retired has ENDED, and may be started again.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TypeVar

from scaleout.errors import IllegalTransitionError


class EndpointState(Enum):
    """Where an endpoint is."""

    WAITING = "waiting"
    """No worker has it yet, or its worker is being restarted."""
    CONNECTING = "connecting"
    LIVE = "live"
    BACKOFF = "backoff"
    """Between two attempts."""
    QUARANTINED = "quarantined"
    """Refused again and again: probed rarely, until it recovers or a person releases it."""
    PAUSED = "paused"
    """By a person, until a person ends it."""
    ENDED = "ended"
    """For good."""


class Stall(Enum):
    """Why an endpoint that is live brings no data."""

    SILENT = "server silent"
    HEARTBEATS = "only heartbeats"
    LAG = "loop blocked"
    """This side's event loop was held up: nothing is known of the server."""
    BACKPRESSURE = "channel full"
    """This side doesn't read, because what comes after it can't take more."""


class WorkerState(Enum):
    """Where a worker process is."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    DEAD = "dead"
    """Ended out of turn; it will be started again."""
    ENDED = "ended"
    """In good order: with the run, or because it was retired."""


_CONNECTION_STEPS: dict[EndpointState, frozenset[EndpointState]] = {
    EndpointState.WAITING: frozenset({EndpointState.CONNECTING, EndpointState.ENDED}),
    EndpointState.CONNECTING: frozenset(
        {
            EndpointState.LIVE,
            EndpointState.BACKOFF,
            EndpointState.QUARANTINED,
            EndpointState.ENDED,
            EndpointState.WAITING,
        }
    ),
    EndpointState.LIVE: frozenset(
        {
            EndpointState.BACKOFF,
            EndpointState.QUARANTINED,
            EndpointState.ENDED,
            EndpointState.WAITING,
        }
    ),
    EndpointState.BACKOFF: frozenset({EndpointState.CONNECTING, EndpointState.ENDED, EndpointState.WAITING}),
    EndpointState.QUARANTINED: frozenset(
        {EndpointState.CONNECTING, EndpointState.ENDED, EndpointState.WAITING}
    ),
    EndpointState.PAUSED: frozenset(),
    EndpointState.ENDED: frozenset(),
}

_WORKER_STEPS: dict[WorkerState, frozenset[WorkerState]] = {
    WorkerState.STARTING: frozenset({WorkerState.READY, WorkerState.STOPPING, WorkerState.DEAD}),
    WorkerState.READY: frozenset({WorkerState.STOPPING, WorkerState.DEAD}),
    WorkerState.STOPPING: frozenset({WorkerState.ENDED, WorkerState.DEAD}),
    WorkerState.DEAD: frozenset({WorkerState.STARTING, WorkerState.ENDED}),
    WorkerState.ENDED: frozenset({WorkerState.STARTING}),
}

_State = TypeVar("_State", EndpointState, WorkerState)


def _step(table: dict[_State, frozenset[_State]], subject: str, state: _State, target: _State) -> _State:
    if target not in table[state]:
        raise IllegalTransitionError(f"{subject} can't go from {state.value} to {target.value}")
    return target


def connection_step(state: EndpointState, target: EndpointState) -> EndpointState:
    """The state after a step of one connection of an endpoint.

    Raises:
        IllegalTransitionError: the table has no such step.
    """
    return _step(_CONNECTION_STEPS, "a connection", state, target)


def endpoint_step(state: EndpointState, target: EndpointState) -> EndpointState:
    """The state after a step of an endpoint, whose connections come and go.

    Raises:
        IllegalTransitionError: it has ended for good.
    """
    if state is EndpointState.ENDED:
        raise IllegalTransitionError(f"an endpoint can't go from {state.value} to {target.value}")
    return target


_URGENCY = (
    EndpointState.QUARANTINED,
    EndpointState.BACKOFF,
    EndpointState.WAITING,
    EndpointState.CONNECTING,
    EndpointState.LIVE,
    EndpointState.PAUSED,
    EndpointState.ENDED,
)


def state_of_all(states: Iterable[EndpointState]) -> EndpointState:
    """The state of an endpoint with several connections: that of the one that is worst off."""
    return min(states, key=_URGENCY.index, default=EndpointState.WAITING)


def worker_step(state: WorkerState, target: WorkerState) -> WorkerState:
    """The state after a step of a worker.

    Raises:
        IllegalTransitionError: the table has no such step.
    """
    return _step(_WORKER_STEPS, "a worker", state, target)
