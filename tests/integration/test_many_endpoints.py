"""Many numbered endpoints on two workers: no gap and no repeat at any of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec

from scaleout.simulator import SimulatorConfig, SimulatorProcess

ENDPOINTS = 200
DURATION_S = float(os.environ.get("SCALEOUT_SOAK_S", "6"))


class Numbered(msgspec.Struct):
    seq: int


def test_two_hundred_endpoints_without_gap_or_repeat(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=ENDPOINTS, rate=20_000, zipf=1.0)) as simulator:
        endpoints = [{"name": name, "uri": uri} for name, uri in simulator.endpoints]
        run = launch({"endpoints": endpoints, "duration": DURATION_S})
        assert run.wait(DURATION_S + 30) == 0, run.stderr
        connections = {record.endpoint: record for record in simulator.connections}
    data = run.data()
    summary = run.summary
    assert summary["balanced"]
    decoder = msgspec.json.Decoder(Numbered)
    for name, lines in data.items():
        numbers = [decoder.decode(line).seq for line in lines]
        assert numbers == list(range(len(numbers))), name
        assert summary["endpoints"][name]["delivered"] == len(numbers)
        assert summary["endpoints"][name]["connects"] == 1
    assert {name for name, record in connections.items() if record.messages} >= data.keys()
    assert len(connections) == ENDPOINTS
    assert summary["totals"]["received"] > 10_000
    assert {worker["received"] > 0 for worker in summary["workers"]} == {True}
