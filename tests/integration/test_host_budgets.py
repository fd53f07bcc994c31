"""Budgets of a host over all workers: never exceeded, not even when all workers are killed again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from scaleout.simulator import ConnectionRecord, Faults, SimulatorConfig, SimulatorProcess

SOAK = "SCALEOUT_SOAK_S" in os.environ
ENDPOINTS = 500 if SOAK else 60
RATE, PERIOD_S = 20, 1.0
STORMS = 4 if SOAK else 3


def busiest(times: Sequence[float], period_s: float) -> int:
    """The most events within any half-open window of that length."""
    times = sorted(times)
    most = start = 0
    for end, time in enumerate(times):
        while time - times[start] >= period_s:
            start += 1
        most = max(most, end - start + 1)
    return most


def most_at_once(connections: Sequence[ConnectionRecord]) -> int:
    events = [(record.opened_at, 1) for record in connections]
    events += [(record.closed_at, -1) for record in connections if record.closed_at is not None]
    most = now = 0
    for _, change in sorted(events):
        now += change
        most = max(most, now)
    return most


def kill_all(run: Any) -> None:
    for worker in run.workers:
        os.kill(worker.pid, signal.SIGKILL)


def test_connects_stay_within_the_budget_whatever_happens_to_the_workers(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=ENDPOINTS, rate=ENDPOINTS, zipf=0.0)) as simulator:
        endpoints = [{"name": name, "uri": uri} for name, uri in simulator.endpoints]
        run = launch(
            {
                "endpoints": endpoints,
                "hosts": {"127.0.0.1": {"connects": f"{RATE}/s"}},
                "defaults": {"backoff": {"initial": 0.01, "maximum": 0.02}},
            }
        )
        for storm in range(1, STORMS + 1):
            # In the middle of it: some are connected, some wait, some are on their way.
            run.wait_until(lambda goal=storm * 30: len(simulator.attempts) >= goal)
            kill_all(run)
        run.wait_until(
            lambda: sum(record.closed_at is None for record in simulator.connections) == ENDPOINTS,
            timeout_s=120,
        )
        assert run.stop() == 0, run.stderr
        attempts = [attempt.at for attempt in simulator.attempts]
    assert busiest(attempts, PERIOD_S) <= RATE
    assert len(attempts) >= ENDPOINTS + 30 * (STORMS - 1)
    # It isn't slower than it has to be either.
    assert len(attempts) / (max(attempts) - min(attempts)) > 0.3 * RATE
    assert run.summary["balanced"]


def test_connections_stay_within_the_budget(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=30, rate=1000, zipf=0.0)) as simulator:
        endpoints = [{"name": name, "uri": uri, "rotate_after": 1} for name, uri in simulator.endpoints]
        run = launch({"endpoints": endpoints, "hosts": {"127.0.0.1": {"concurrent": 12}}})
        run.wait_until(lambda: len(simulator.connections) >= 12)
        kill_all(run)
        run.wait_until(lambda: len(simulator.connections) >= 24)
        size = run.size()
        run.wait_until(lambda: run.size() > size + 500_000)
        assert run.stop() == 0, run.stderr
        connections = simulator.connections
    assert most_at_once(connections) <= 12


@pytest.mark.parametrize("concurrent", [6, 8])
def test_standbys_take_no_place_that_a_first_connection_needs(
    launch: Callable[..., Any], concurrent: int
) -> None:
    """Each endpoint loses its connections again and again; those without a standby reconnect at once."""
    config = SimulatorConfig(
        endpoints=6,
        rate=600,
        zipf=0.0,
        faults=Faults(disconnect="eof", disconnect_every_s=1.5, disconnect_jitter=0.5),
    )
    with SimulatorProcess(config) as simulator:
        endpoints = [
            {"name": name, "uri": uri, "standby": True, "backoff": {"initial": 0.02, "maximum": 0.05}}
            for name, uri in simulator.endpoints
        ]
        run = launch(
            {"endpoints": endpoints, "hosts": {"127.0.0.1": {"concurrent": concurrent}}, "duration": 7}
        )
        assert run.wait() == 0, run.stderr
        connections = simulator.connections
    assert concurrent - 1 <= most_at_once(connections) <= concurrent
    ended_at = max(record.closed_at or 0.0 for record in connections)
    shares = [
        share_without([record for record in connections if record.endpoint == name], ended_at)
        for name, _ in simulator.endpoints
    ]
    assert max(shares) < 0.05, shares
    assert ("leaves no room for the standby of" in run.stderr) is (concurrent == 6)
    assert run.summary["balanced"]


def share_without(connections: Sequence[ConnectionRecord], ended_at: float) -> float:
    """The share of the time without a connection, from the first one to the end."""
    began_at = until = min(record.opened_at for record in connections)
    absent_s = 0.0
    for record in sorted(connections, key=lambda record: record.opened_at):
        absent_s += max(0.0, record.opened_at - until)
        until = max(until, ended_at if record.closed_at is None else record.closed_at)
    return (absent_s + ended_at - until) / (ended_at - began_at)


def test_a_standby_makes_room_for_a_stream_that_is_added(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=3, rate=300, zipf=0.0)) as simulator:
        last, _ = simulator.endpoints[2]
        base = simulator.endpoints[0][1].rpartition("/")[0]
        paths = [uri.rpartition("/")[2] for _, uri in simulator.endpoints]
        endpoint = {
            "name": "all",
            "uri": f"{base}/{{stream}}",
            "streams": paths[:2],
            "standby": True,
        }
        run = launch({"endpoints": [endpoint], "hosts": {"127.0.0.1": {"concurrent": 4}}, "control": "s"})
        run.wait_until(lambda: len(simulator.connections) == 4)
        command = [sys.executable, "-m", "scaleout", "streams", "--control", "s", "all", "--add", paths[2]]
        subprocess.run(command, cwd=run.directory, check=True, timeout=20)
        run.wait_until(lambda: any(record.endpoint == last for record in simulator.connections))
        assert run.stop() == 0, run.stderr
        connections = simulator.connections
    assert most_at_once(connections) == 4
    assert "its place is needed" in run.stderr
    assert run.summary["balanced"]
