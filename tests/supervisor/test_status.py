"""What is known of endpoints and workers, and the summary that is made of it."""

from __future__ import annotations

import json

import msgspec
import pytest

from scaleout.config import Endpoint
from scaleout.core.ledger import Counts
from scaleout.core.lifecycle import EndpointState, Stall, WorkerState
from scaleout.core.wire import StateChange
from scaleout.errors import IllegalTransitionError
from scaleout.supervisor.status import EndpointStatus, EndpointSummary, Summary, WorkerStatus, WorkerSummary


def endpoint(**known: object) -> EndpointStatus:
    status = EndpointStatus(slot=0, endpoint=Endpoint(uri="ws://feed"), worker=0)
    for name, value in known.items():
        setattr(status, name, value)
    return status


def change(state: EndpointState, connects: int = 0, error: str | None = None) -> StateChange:
    return StateChange(slot=0, state=state, connects=connects, error=error)


def test_an_endpoint_follows_its_worker() -> None:
    status = endpoint()
    status.take(change(EndpointState.CONNECTING))
    status.take(change(EndpointState.BACKOFF, 0, "refused"))
    status.take(change(EndpointState.CONNECTING))
    status.take(change(EndpointState.LIVE, 1))
    assert (status.state, status.connects, status.last_error) == (EndpointState.LIVE, 1, "refused")


def test_connects_are_counted_over_all_workers() -> None:
    status = endpoint()
    for connects in (1, 1):
        status.take(change(EndpointState.CONNECTING))
        status.take(change(EndpointState.LIVE, connects))
        status.take(change(EndpointState.BACKOFF, connects))
        status.take(change(EndpointState.CONNECTING, connects))
        status.take(change(EndpointState.LIVE, connects + 1))
        status.lose_worker("killed by SIGKILL")
        assert status.state is EndpointState.WAITING
    assert (status.connects, status.last_error) == (4, "its worker died: killed by SIGKILL")


def test_since_is_the_time_of_the_last_change_of_state(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((100.0, 200.0, 300.0))
    monkeypatch.setattr("scaleout.supervisor.status.time.time", lambda: next(clock))
    status = endpoint()
    assert status.since is None
    status.take(change(EndpointState.CONNECTING))
    status.take(change(EndpointState.QUARANTINED, 0, "HTTP 401"))
    status.take(change(EndpointState.QUARANTINED, 0, "HTTP 401"))
    assert status.since == 200.0
    known = status.summary(Counts()).to_mapping()
    assert (known["state"], known["since"], known["last_error"]) == ("quarantined", 200.0, "HTTP 401")
    status.lose_worker("exit code 1")
    assert status.since == 300.0


def test_a_stall_is_known_until_it_ends_or_the_worker_does() -> None:
    status = endpoint()
    status.take(change(EndpointState.LIVE))
    status.take(StateChange(0, EndpointState.LIVE, 1, None, Stall.HEARTBEATS))
    assert status.summary(Counts()).to_mapping()["stall"] == "only heartbeats"
    status.take(change(EndpointState.LIVE, 1))
    assert status.summary(Counts()).to_mapping()["stall"] is None
    status.take(StateChange(0, EndpointState.LIVE, 1, None, Stall.SILENT))
    status.lose_worker("exit code 1")
    assert status.stall is None


def test_streams_that_have_changed_are_those_of_the_next_worker() -> None:
    status = endpoint(endpoint=Endpoint(uri="ws://feed", streams=("a", "b")))
    status.take(change(EndpointState.LIVE))
    assert status.endpoint.streams == ("a", "b")
    status.take(StateChange(0, EndpointState.LIVE, 1, None, streams=("a", "c")))
    assert status.endpoint.streams == ("a", "c")
    status.lose_worker("exit code 1")
    assert status.endpoint.streams == ("a", "c")


def test_an_endpoint_that_has_ended_does_not_care_for_its_worker() -> None:
    status = endpoint(state=EndpointState.ENDED, connects=1)
    status.lose_worker("exit code 1")
    assert (status.state, status.last_error) == (EndpointState.ENDED, None)
    with pytest.raises(IllegalTransitionError):
        status.take(change(EndpointState.CONNECTING))


def test_an_endpoint_without_a_connection_yet_loses_its_worker() -> None:
    status = endpoint()
    status.lose_worker("exit code 1")
    assert status.state is EndpointState.WAITING


def test_a_worker_remembers_that_it_was_ready() -> None:
    worker = WorkerStatus(id=0)
    worker.enter(WorkerState.DEAD)
    worker.enter(WorkerState.STARTING)
    assert not worker.was_ready
    worker.enter(WorkerState.READY)
    worker.enter(WorkerState.DEAD)
    assert worker.was_ready


COUNTS = Counts(received=10, delivered=5, filtered=2, dead_lettered=1, lost=2, results=7, bytes=99)


def summary(counts: Counts) -> Summary:
    return Summary(
        duration_s=1.23456,
        workers=(WorkerSummary(id=0, cpu_s=0.98765, restarts=1, received=10),),
        aggregator_cpu_s=0.12345,
        totals=counts,
        endpoints={"feed": EndpointSummary(counts, connects=3, state=EndpointState.LIVE, last_error=None)},
    )


def test_the_summary_has_the_keys_of_its_contract() -> None:
    law = {
        "received": 10,
        "delivered": 5,
        "filtered": 2,
        "dead_lettered": 1,
        "dropped": 0,
        "duplicates": 0,
        "lost": 2,
        "in_flight": 0,
    }
    besides = {
        "results": 7,
        "bytes": 99,
        "retried": 0,
        "gaps": 0,
        "missed": 0,
        "repeats": 0,
        "backwards": 0,
        "uncertain": 0,
    }
    ledger = law | besides
    known = {"connects": 3, "moves": 0, "state": "live", "stall": None, "since": None, "last_error": None}
    assert json.loads(msgspec.json.encode(summary(COUNTS).to_mapping())) == {
        "version": 1,
        "duration_s": 1.235,
        "balanced": True,
        "moves": 0,
        "aggregator": {"cpu_s": 0.123},
        "workers": [{"id": 0, "cpu_s": 0.988, "restarts": 1, "received": 10}],
        "totals": ledger,
        "endpoints": {"feed": ledger | known},
    }


def test_a_message_in_flight_unbalances_the_summary() -> None:
    assert not summary(Counts(received=2, delivered=1)).balanced


def test_endpoints_that_cancel_out_are_not_balanced() -> None:
    short, long = Counts(received=2, delivered=1), Counts(received=1, delivered=2)
    total = Counts(received=3, delivered=3)
    made = summary(total)
    both = {
        name: EndpointSummary(counts, connects=1, state=EndpointState.LIVE, last_error=None)
        for name, counts in (("short", short), ("long", long))
    }
    assert not msgspec.structs.replace(made, endpoints=both).balanced
