"""Moves of the real program: endpoints change their workers while messages come, and the output doesn't show it."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaleout import Control
from scaleout.control.views import MoveView
from scaleout.errors import ControlError
from scaleout.simulator import SimulatorConfig, SimulatorProcess

DURATION_S = float(os.environ.get("SCALEOUT_SOAK_S", "8"))
RATE = float(os.environ.get("SCALEOUT_SOAK_RATE", "8000"))
EVERY_S = 0.2
NOTHING = dict.fromkeys(("gaps", "missed", "repeats", "backwards", "uncertain", "lost", "dead_lettered"), 0)
STEADY_S = float(os.environ.get("SCALEOUT_STEADY_S", "8"))

Launch = Callable[..., Any]


class Numbered(msgspec.Struct):
    seq: int


decode = msgspec.json.Decoder(Numbered).decode


def numbers_of(run: Any) -> dict[str, list[int]]:
    """The numbers of an endpoint's messages in the output, in order; records of gaps are left out."""
    return {
        name: [decode(line).seq for line in lines if line.startswith(b'{"seq"') or b'"seq"' in line]
        for name, lines in run.data().items()
    }


def assert_nothing_shows(run: Any, endpoints: int) -> None:
    """The output of each endpoint is without a gap, and so say the books."""
    found = numbers_of(run)
    assert len(found) == endpoints
    for name, got in found.items():
        assert got == list(range(got[0], got[0] + len(got))), f"{name}\n{run.stderr}"
        books = run.summary["endpoints"][name]
        assert {key: books[key] for key in NOTHING} == NOTHING, name


def config_for(simulator: SimulatorProcess, **keys: object) -> dict[str, object]:
    endpoints = [{"name": name, "uri": uri, "sequence": "seq"} for name, uri in simulator.endpoints]
    return {
        "endpoints": endpoints,
        "control": "run.sock",
        "rebalance": {"enabled": False},
        "defaults": {"gap_records": False, "backoff": {"initial": 0.05, "maximum": 0.5}},
        **keys,
    }


def control_of(run: Any) -> Control:
    control = Control(run.directory / "run.sock", timeout_s=60)

    def is_up() -> bool:
        try:
            return all(each.state == "live" for each in control.status().endpoints)
        except ControlError:
            return False

    run.wait_until(is_up)
    return control


@contextmanager
def forced_moves(control: Control, rng: random.Random) -> Iterator[list[Future[MoveView]]]:
    """Ask for a move of some endpoint every so often, whatever became of those before."""
    asked: list[Future[MoveView]] = []
    over = threading.Event()

    def keep_asking(pool: ThreadPoolExecutor) -> None:
        while not over.wait(EVERY_S):
            still = [each for each in control.status().endpoints if each.moving_to is None]
            if still:
                endpoint = rng.choice(still)
                asked.append(pool.submit(control.move, endpoint.name, 1 - endpoint.worker))

    with ThreadPoolExecutor(50) as pool, ThreadPoolExecutor(1) as asking:
        task = asking.submit(keep_asking, pool)
        try:
            yield asked
        finally:
            over.set()
            task.result()


def move_for_a_while(run: Any, seed: int) -> list[Future[MoveView]]:
    """Ask for moves, and see that each is made."""
    over = time.monotonic() + DURATION_S
    with forced_moves(control_of(run), random.Random(seed)) as asked:
        run.wait_until(lambda: time.monotonic() > over, DURATION_S + 30)
    for each in asked:
        each.result()
    return asked


def test_forced_moves_lose_and_repeat_nothing(launch: Launch) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=48, rate=RATE, zipf=1.2)) as simulator:
        run = launch(config_for(simulator))
        asked = move_for_a_while(run, seed=1)
        assert run.stop() == 0, run.stderr
    assert len(asked) > DURATION_S / EVERY_S * 0.5
    summary = run.summary
    assert summary["balanced"]
    assert summary["moves"] == len(asked)
    assert_nothing_shows(run, 48)


KINDS = """
import asyncio

def of_batch(messages: list[dict]) -> list[dict]:
    return messages

async def of_one(message: dict) -> dict:
    await asyncio.sleep(0)
    return message
"""


def test_moves_with_tls_a_budget_of_connections_and_other_kinds_of_processors(
    launch: Launch, tmp_path: Path
) -> None:
    (tmp_path / "kinds.py").write_text(KINDS)
    with SimulatorProcess(SimulatorConfig(endpoints=12, rate=RATE, zipf=1.2, tls=True)) as simulator:
        endpoints = [
            {"name": name, "uri": uri, "sequence": "seq", "processor": processor}
            for (name, uri), processor in zip(
                simulator.endpoints, cycle(("kinds:of_batch", "kinds:of_one")), strict=False
            )
        ]
        defaults = {"gap_records": False, "tls": {"ca": simulator.ca_file}}
        hosts = {"127.0.0.1": {"concurrent": 14}}
        run = launch(config_for(simulator, endpoints=endpoints, defaults=defaults, hosts=hosts))
        asked = move_for_a_while(run, seed=3)
        assert run.stop() == 0, run.stderr
    assert asked
    assert_nothing_shows(run, 12)


def test_a_move_that_its_hosts_budget_has_no_place_for_is_refused(launch: Launch) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=2, rate=RATE)) as simulator:
        run = launch(config_for(simulator, hosts={"127.0.0.1": {"concurrent": 2}}))
        control = control_of(run)
        endpoint = control.status().endpoints[0]
        with pytest.raises(ControlError, match="second connection for a moment: 127"):
            control.move(endpoint.name, 1 - endpoint.worker)
        assert run.stop() == 0, run.stderr


def test_moves_while_workers_are_killed(launch: Launch) -> None:
    rng = random.Random(2)
    with SimulatorProcess(SimulatorConfig(endpoints=48, rate=RATE, zipf=1.2)) as simulator:
        run = launch(config_for(simulator))
        control = control_of(run)
        over = time.monotonic() + DURATION_S
        with forced_moves(control, rng) as asked:
            while time.monotonic() < over:
                until = time.monotonic() + rng.uniform(1.0, 3.0)
                run.wait_until(lambda until=until: time.monotonic() > until and run.workers)
                rng.choice(run.workers).kill()
        control_of(run)
        assert run.stop() == 0, run.stderr
    outcomes = [each.exception() for each in asked]
    assert all(outcome is None or isinstance(outcome, ControlError) for outcome in outcomes)
    assert outcomes.count(None) > 0
    summary = run.summary
    assert summary["balanced"]
    for name, got in numbers_of(run).items():
        books = summary["endpoints"][name]
        assert got == sorted(set(got)), f"{name}: repeated or out of order\n{run.stderr}"
        missing = got[-1] - got[0] + 1 - len(got)
        assert books["missed"] == missing, f"{name}\n{run.stderr}"


def test_the_worst_placement_is_mended_and_then_nothing_moves(launch: Launch, tmp_path: Path) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=48, rate=RATE, zipf=1.2)) as simulator:
        names = [name for name, _ in simulator.endpoints]
        wrong = {name: {"messages": 1.0, "bytes": 1.0, "cpu": 0.0} for name in names}
        wrong[names[-1]]["messages"] = 100.0  # all others go to the other worker
        (tmp_path / "run.state.json").write_text(json.dumps({"version": 1, "cursors": {}, "rates": wrong}))
        run = launch(config_for(simulator, rebalance={"half_life": 2.0}, state="run.state.json"))
        control = control_of(run)
        began = time.monotonic()
        run.wait_until(lambda: ratio(control) <= 1.10, 15)
        mended_s = time.monotonic() - began
        moves = control.status().moves
        settled = time.monotonic() + 5
        run.wait_until(lambda: time.monotonic() > settled)
        before = control.status().moves
        over = time.monotonic() + STEADY_S
        run.wait_until(lambda: time.monotonic() > over, STEADY_S + 30)
        after = control.status()
        assert run.stop() == 0, run.stderr
    assert mended_s < 15
    assert moves <= 12, run.stderr
    assert after.moves == before, run.stderr
    for name, got in numbers_of(run).items():
        assert got == list(range(got[0], got[0] + len(got))), f"{name}\n{run.stderr}"


def ratio(control: Control) -> float:
    """The load of the busiest worker, of the mean."""
    status = control.status()
    loads = [
        sum(each.rate for each in status.endpoints if each.worker == worker.id) for worker in status.workers
    ]
    return max(loads) / (sum(loads) / len(loads)) if sum(loads) else 9.0


@pytest.mark.parametrize("handover", ["overlap", "break"])
def test_other_ways_to_move(launch: Launch, handover: str) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=500)) as simulator:
        config = config_for(simulator)
        config["defaults"] = {"handover": handover, "gap_records": False}
        run = launch(config)
        control = control_of(run)
        ((name, _),) = simulator.endpoints
        run.wait_until(lambda: all(each.state == "ready" for each in control.status().workers))
        for _ in range(2):
            control.move(name, 1 - control.status().endpoints[0].worker)
            run.wait_until(lambda: control.status().endpoints[0].state == "live")
        assert run.stop() == 0, run.stderr
    summary = run.summary
    assert summary["balanced"]
    assert summary["moves"] == 2
    got = numbers_of(run)[name]
    if handover == "overlap":
        assert set(got) == set(range(got[0], got[-1] + 1))  # repeated, perhaps, but none is missing
        assert summary["endpoints"][name]["uncertain"] == 2
    else:
        assert got == sorted(set(got))
        assert summary["endpoints"][name]["missed"] == got[-1] - got[0] + 1 - len(got)
