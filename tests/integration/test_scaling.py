"""`--workers auto` of the real program: workers come and go with the load, and the output doesn't show it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaleout.simulator import RateChange, SimulatorConfig, SimulatorProcess

Launch = Callable[..., Any]

CALM_S, BUSY_S = 4.0, 9.0
SCALING = {"min": 1, "max": 3, "up_at": 0.5, "down_at": 0.2, "up_after": "1s", "down_after": "3s"}
NOTHING = dict.fromkeys(("gaps", "missed", "repeats", "backwards", "uncertain", "lost", "in_flight"), 0)

PROCESSOR = """
from time import perf_counter
def work(message: dict) -> dict:
    until = perf_counter() + 40e-6
    while perf_counter() < until:
        pass
    return message
"""


class Numbered(msgspec.Struct):
    seq: int


@pytest.fixture(autouse=True)
def processor(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(PROCESSOR)


def endpoints_of(simulator: SimulatorProcess, **keys: object) -> list[dict[str, object]]:
    return [
        {"name": name, "uri": uri, "processor": "busy:work", "sequence": "seq", **keys}
        for name, uri in simulator.endpoints
    ]


def check_output(run: Any, names: list[str]) -> None:
    """Not one message is missing, comes twice or out of order, and the books say so."""
    summary, data = run.summary, run.data()
    assert summary["balanced"], run.stderr
    assert sorted(data) == sorted(names)
    for name, lines in data.items():
        numbers = [msgspec.json.decode(line, type=Numbered).seq for line in lines]
        assert numbers == list(range(len(numbers))), f"{name}:\n{run.stderr}"
        books = summary["endpoints"][name]
        assert {key: books[key] for key in NOTHING} == NOTHING, f"{name}:\n{run.stderr}"
        assert books["delivered"] == len(lines)


def test_a_load_that_rises_tenfold_and_falls_again_is_followed_without_loss(launch: Launch) -> None:
    changes = (RateChange(CALM_S, 10.0), RateChange(CALM_S + BUSY_S, 1.0))
    with SimulatorProcess(
        SimulatorConfig(endpoints=8, rate=2000, changes=changes, lossless=True)
    ) as simulator:
        run = launch(
            {
                "endpoints": endpoints_of(simulator),
                "workers": "auto",
                "scaling": SCALING,
                "rebalance": {"half_life": 2},
            }
        )
        run.wait_until(lambda: run.size() > 0)
        assert len(run.workers) == 1
        run.wait_until(lambda: len(run.workers) > 1, 60)
        run.wait_until(lambda: len(run.workers) == 1, 90)
        assert run.stop() == 0, run.stderr
    check_output(run, [name for name, _ in simulator.endpoints])
    assert run.summary["moves"] >= 2
    told = re.findall(
        r"(\d) workers? uses? 0\.\d\d of a core(?: each)?.*: (adding|retiring) (\d)", run.stderr
    )
    assert told[0][:2] == ("1", "adding"), run.stderr
    assert told[-1][1] == "retiring", run.stderr
    turns = [what for _, what, _ in told]
    assert turns == sorted(turns), "it went up and down again:\n" + run.stderr


def test_a_load_that_one_worker_can_bear_is_left_to_it(launch: Launch) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=8, rate=2000, lossless=True)) as simulator:
        scaling = {**SCALING, "up_after": "2s"}
        run = launch(
            {"endpoints": endpoints_of(simulator), "workers": "auto", "scaling": scaling, "duration": 8}
        )
        assert run.wait() == 0, run.stderr
    check_output(run, [name for name, _ in simulator.endpoints])
    assert (run.summary["moves"], len(run.summary["workers"])) == (0, 1)
