"""Rotation of the real program: connections are replaced while messages come, and none is lost or repeated."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from scaleout.simulator import Faults, SimulatorConfig, SimulatorProcess

DURATION_S = float(os.environ.get("SCALEOUT_SOAK_S", "9"))
NOTHING = dict.fromkeys(("gaps", "missed", "repeats", "backwards", "uncertain"), 0)


class Numbered(msgspec.Struct):
    seq: int


def numbers(lines: list[bytes]) -> list[int]:
    return [msgspec.json.decode(line, type=Numbered).seq for line in lines]


@pytest.mark.parametrize("shift", [0.0, 0.3], ids=["in step", "shifted"])
def test_a_rotation_every_two_seconds_loses_and_repeats_nothing(
    launch: Callable[..., Any], shift: float
) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=2, rate=1000, zipf=0.0, shift=shift)) as simulator:
        endpoints = [
            {"name": name, "uri": uri, "rotate_after": 2, "sequence": "seq"}
            for name, uri in simulator.endpoints
        ]
        run = launch({"endpoints": endpoints, "duration": DURATION_S})
        assert run.wait(DURATION_S + 30) == 0, run.stderr
        connections = simulator.connections
    summary = run.summary
    assert summary["balanced"]
    for name, lines in run.data().items():
        got = numbers(lines)
        assert got == list(range(got[0], got[0] + len(got))), run.stderr
        assert len(got) > 500 * (DURATION_S - 2.5)
        books = summary["endpoints"][name]
        assert books["connects"] >= DURATION_S / 4
        assert {key: books[key] for key in NOTHING} == NOTHING
        assert books["last_error"] is None
    assert len(connections) > 2 * DURATION_S / 4


def test_a_goodbye_moves_before_the_connection_ends(launch: Callable[..., Any]) -> None:
    faults = Faults(disconnect="close", disconnect_every_s=6.0, goodbye_before_s=4.0)
    with SimulatorProcess(
        SimulatorConfig(endpoints=1, dialect="binance", rate=200, shift=0.2, faults=faults)
    ) as simulator:
        ((name, uri),) = simulator.endpoints
        endpoint = {"name": name, "uri": uri, "goodbye": {"e": "serverShutdown"}, "sequence": "data.t"}
        run = launch({"endpoints": [endpoint], "duration": 13})
        assert run.wait() == 0, run.stderr
    books = run.summary["endpoints"][name]
    assert books["connects"] >= 3
    assert {key: books[key] for key in NOTHING} == NOTHING
    assert books["filtered"] >= 2
    assert books["last_error"] is None
