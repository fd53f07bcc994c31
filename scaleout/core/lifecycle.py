"""States of an endpoint and of a worker: one transition table each; an illegal transition raises.

An endpoint's state as its worker and the supervisor see it:

    WAITING ──→ CONNECTING ──→ LIVE ──→ BACKOFF ──→ CONNECTING …
       ↑             │           │         │
       └─────────────┴───────────┴─────────┴──→ ENDED     (back to WAITING when the worker dies)

A worker's:

    STARTING ──→ READY ──→ STOPPING ──→ ENDED
        │          │          │
        └──────────┴──────────┴──→ DEAD ──→ STARTING       (or ENDED, for good; STARTING may stop, too)
"""

from __future__ import annotations

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
    ENDED = "ended"
    """For good."""


class WorkerState(Enum):
    """Where a worker process is."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    DEAD = "dead"
    """Ended out of turn; it will be started again."""
    ENDED = "ended"
    """In good order, or for good."""


_ENDPOINT_STEPS: dict[EndpointState, frozenset[EndpointState]] = {
    EndpointState.WAITING: frozenset({EndpointState.CONNECTING, EndpointState.ENDED}),
    EndpointState.CONNECTING: frozenset(
        {EndpointState.LIVE, EndpointState.BACKOFF, EndpointState.ENDED, EndpointState.WAITING}
    ),
    EndpointState.LIVE: frozenset({EndpointState.BACKOFF, EndpointState.ENDED, EndpointState.WAITING}),
    EndpointState.BACKOFF: frozenset({EndpointState.CONNECTING, EndpointState.ENDED, EndpointState.WAITING}),
    EndpointState.ENDED: frozenset(),
}

_WORKER_STEPS: dict[WorkerState, frozenset[WorkerState]] = {
    WorkerState.STARTING: frozenset({WorkerState.READY, WorkerState.STOPPING, WorkerState.DEAD}),
    WorkerState.READY: frozenset({WorkerState.STOPPING, WorkerState.DEAD}),
    WorkerState.STOPPING: frozenset({WorkerState.ENDED, WorkerState.DEAD}),
    WorkerState.DEAD: frozenset({WorkerState.STARTING, WorkerState.ENDED}),
    WorkerState.ENDED: frozenset(),
}

_State = TypeVar("_State", EndpointState, WorkerState)


def _step(table: dict[_State, frozenset[_State]], subject: str, state: _State, target: _State) -> _State:
    if target not in table[state]:
        raise IllegalTransitionError(f"{subject} can't go from {state.value} to {target.value}")
    return target


def endpoint_step(state: EndpointState, target: EndpointState) -> EndpointState:
    """The state after a step of an endpoint.

    Raises:
        IllegalTransitionError: the table has no such step.
    """
    return _step(_ENDPOINT_STEPS, "an endpoint", state, target)


def worker_step(state: WorkerState, target: WorkerState) -> WorkerState:
    """The state after a step of a worker.

    Raises:
        IllegalTransitionError: the table has no such step.
    """
    return _step(_WORKER_STEPS, "a worker", state, target)
