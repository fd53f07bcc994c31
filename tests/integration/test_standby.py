"""A standby of the real program: it takes over when the connection is reset, and nothing is missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from scaleout.simulator import Faults, SimulatorConfig, SimulatorProcess

DURATION_S = float(os.environ.get("SCALEOUT_SOAK_S", "12"))


class Numbered(msgspec.Struct):
    seq: int


def test_a_standby_takes_over(launch: Callable[..., Any]) -> None:
    """Connections end 5 s after their opening, which is not that of their standby."""
    faults = Faults(disconnect="eof", disconnect_every_s=5.0)
    config = SimulatorConfig(endpoints=2, rate=1000, zipf=0.0, shift=0.2, faults=faults)
    with SimulatorProcess(config) as simulator:
        endpoints = [
            {"name": name, "uri": uri, "standby": True, "backoff": {"initial": 0.1, "maximum": 0.2}}
            for name, uri in simulator.endpoints
        ]
        run = launch({"endpoints": endpoints, "duration": DURATION_S})
        assert run.wait(DURATION_S + 30) == 0, run.stderr
    summary = run.summary
    assert summary["balanced"]
    for name, lines in run.data().items():
        got = [msgspec.json.decode(line, type=Numbered).seq for line in lines]
        assert got == list(range(got[0], got[0] + len(got))), run.stderr
        assert len(got) > 500 * (DURATION_S - 3)
        books = summary["endpoints"][name]
        assert books["connects"] >= 4
        assert books["duplicates"] > 1000
        assert books["uncertain"] == 0
        assert books["state"] == "live"
