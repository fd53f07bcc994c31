"""States of endpoints and workers: legal steps, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from scaleout.core.lifecycle import (
    EndpointState,
    WorkerState,
    connection_step,
    endpoint_step,
    state_of_all,
    worker_step,
)
from scaleout.errors import IllegalTransitionError

E, W = EndpointState, WorkerState
State = TypeVar("State", EndpointState, WorkerState)

CONNECTION_STEPS = {
    (E.WAITING, E.CONNECTING),
    (E.WAITING, E.ENDED),
    (E.CONNECTING, E.LIVE),
    (E.CONNECTING, E.BACKOFF),
    (E.CONNECTING, E.QUARANTINED),
    (E.CONNECTING, E.ENDED),
    (E.CONNECTING, E.WAITING),
    (E.LIVE, E.BACKOFF),
    (E.LIVE, E.QUARANTINED),
    (E.LIVE, E.ENDED),
    (E.LIVE, E.WAITING),
    (E.BACKOFF, E.CONNECTING),
    (E.BACKOFF, E.ENDED),
    (E.BACKOFF, E.WAITING),
    (E.QUARANTINED, E.CONNECTING),
    (E.QUARANTINED, E.ENDED),
    (E.QUARANTINED, E.WAITING),
}
WORKER_STEPS = {
    (W.STARTING, W.READY),
    (W.STARTING, W.STOPPING),
    (W.STARTING, W.DEAD),
    (W.READY, W.STOPPING),
    (W.READY, W.DEAD),
    (W.STOPPING, W.ENDED),
    (W.STOPPING, W.DEAD),
    (W.DEAD, W.STARTING),
    (W.DEAD, W.ENDED),
    (W.ENDED, W.STARTING),
}


def check_step(
    take: Callable[[State, State], State], state: State, target: State, legal: set[tuple[State, State]]
) -> None:
    if (state, target) in legal:
        assert take(state, target) is target
        return
    with pytest.raises(IllegalTransitionError, match=f"from {state.value} to {target.value}"):
        take(state, target)


@pytest.mark.parametrize("state", E)
@pytest.mark.parametrize("target", E)
def test_steps_of_a_connection(state: EndpointState, target: EndpointState) -> None:
    check_step(connection_step, state, target, CONNECTION_STEPS)


@pytest.mark.parametrize("state", E)
@pytest.mark.parametrize("target", E)
def test_steps_of_an_endpoint(state: EndpointState, target: EndpointState) -> None:
    legal: set[tuple[EndpointState, EndpointState]] = {
        (before, after) for before in E for after in E if before is not E.ENDED
    }
    check_step(endpoint_step, state, target, legal)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], E.WAITING),
        ([E.LIVE], E.LIVE),
        ([E.LIVE, E.ENDED], E.LIVE),
        ([E.ENDED, E.ENDED], E.ENDED),
        ([E.LIVE, E.CONNECTING], E.CONNECTING),
        ([E.BACKOFF, E.CONNECTING, E.LIVE], E.BACKOFF),
        ([E.QUARANTINED, E.BACKOFF, E.LIVE], E.QUARANTINED),
    ],
)
def test_an_endpoint_is_where_its_worst_connection_is(
    states: list[EndpointState], expected: EndpointState
) -> None:
    assert state_of_all(states) is expected


@pytest.mark.parametrize("state", W)
@pytest.mark.parametrize("target", W)
def test_steps_of_a_worker(state: WorkerState, target: WorkerState) -> None:
    check_step(worker_step, state, target, WORKER_STEPS)


def reachable(start: State, steps: set[tuple[State, State]]) -> set[State]:
    seen = {start}
    while more := {target for state, target in steps if state in seen} - seen:
        seen |= more
    return seen


def test_every_state_is_reached_and_every_life_can_end() -> None:
    of_connections = set(E) - {E.PAUSED}
    assert reachable(E.WAITING, CONNECTION_STEPS) == of_connections
    assert reachable(W.STARTING, WORKER_STEPS) == set(W)
    assert all(E.ENDED in reachable(state, CONNECTION_STEPS) for state in of_connections)
    assert all(W.ENDED in reachable(state, WORKER_STEPS) for state in W)


def test_states_are_named_as_users_see_them() -> None:
    assert [state.value for state in E] == [
        "waiting",
        "connecting",
        "live",
        "backoff",
        "quarantined",
        "paused",
        "ended",
    ]
    assert [state.value for state in W] == ["starting", "ready", "stopping", "dead", "ended"]
