"""The fault matrix of the wall clock: it jumps by an hour, forth and back, and only `received_at` shows it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaleout.simulator import Dialogue, Faults, SimulatorConfig, SimulatorProcess

ROOT = Path(__file__).parents[2]
HOUR_S = 3600

JUMPING_CLOCK = """
import os, time

_here = os.path.dirname(__file__)

def _jumped_s():
    return 3600 * (os.path.exists(f"{_here}/ahead") - os.path.exists(f"{_here}/behind"))

def _shifted(clock, units):
    return lambda: clock() + _jumped_s() * units

time.time, time.time_ns = _shifted(time.time, 1), _shifted(time.time_ns, 10**9)
"""
"""Imported by every Python process that is started with its directory in the path."""


def test_a_clock_that_jumps_and_jumps_back(tmp_path: Path, launch: Callable[..., Any]) -> None:
    clock = tmp_path / "clock"
    clock.mkdir()
    (clock / "sitecustomize.py").write_text(JUMPING_CLOCK)
    path = os.pathsep.join([str(clock), str(ROOT)])
    steady = SimulatorConfig(endpoints=3, rate=300, zipf=0, dialogue=Dialogue(heartbeat_every_s=0.2))
    closing = SimulatorConfig(endpoints=1, rate=100, faults=Faults(disconnect_after=40))
    keys = {
        "stale_after": 1.5,
        "ping_interval": 0.3,
        "ping_timeout": 0.5,
        "heartbeat": {"send": "ping", "every": 0.5, "match": {"type": "heartbeat"}},
        "rotate_after": HOUR_S,
    }
    with SimulatorProcess(steady) as simulator, SimulatorProcess(closing) as unsteady:
        endpoints: list[dict[str, object]] = [
            {"name": name, "uri": uri, **keys} for name, uri in simulator.endpoints
        ]
        backoff = {"initial": 0.1, "maximum": 0.1}
        endpoints.append({"name": "closing", "uri": unsteady.endpoints[0].uri, "backoff": backoff})
        run = launch({"endpoints": endpoints, "heartbeat_timeout": 3.0}, environment={"PYTHONPATH": path})

        def wait_for_more(messages: int = 250) -> None:
            goal = sum(record.messages for record in simulator.connections) + messages
            run.wait_until(lambda: sum(record.messages for record in simulator.connections) >= goal)

        wait_for_more()
        for jump in ("ahead", "behind"):
            (clock / jump).touch()
            wait_for_more()
            (clock / jump).unlink()
            wait_for_more()
        assert run.stop() == 0, run.stderr
        connections, reconnects = simulator.connections, unsteady.connections
    summary = run.summary
    assert summary["balanced"]
    assert [worker["restarts"] for worker in summary["workers"]] == [0, 0]
    assert len(connections) == 3
    assert 3 < summary["duration_s"] < 60
    lines = [json.loads(line) for line in run.lines()]
    for endpoint in endpoints[:3]:
        books = summary["endpoints"][endpoint["name"]]
        assert (books["connects"], books["state"], books["last_error"]) == (1, "live", None)
        mine = [line for line in lines if line["endpoint"] == endpoint["name"]]
        assert [line["data"]["seq"] for line in mine] == list(range(len(mine)))
        times = [line["received_at"] / 1e9 for line in mine]
        jumps = [after - before for before, after in itertools.pairwise(times)]
        hours = [round(jump / HOUR_S) for jump in jumps if abs(jump) > HOUR_S / 2]
        assert hours == [1, -1, -1, 1]
    assert len(reconnects) >= 4
    assert summary["endpoints"]["closing"]["connects"] == len(reconnects)
    assert "1001" in summary["endpoints"]["closing"]["last_error"]
