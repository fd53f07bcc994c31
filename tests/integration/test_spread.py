"""An endpoint hotter than a core: spread over helper processes, every message delivered once, in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from scaleout import Control
from scaleout.simulator import RateChange, SimulatorConfig, SimulatorProcess

COUNT = 20_000

BUSY = """
import time

import msgspec

class Trade(msgspec.Struct):
    seq: int

def busy(trade: Trade) -> int:
    ends_at = time.perf_counter() + 50e-6
    while time.perf_counter() < ends_at:
        pass
    return trade.seq

def picky(trade: Trade) -> int | None:
    if trade.seq % 1_000 == 7:
        raise ValueError(f"number {trade.seq}")
    return busy(trade) if trade.seq % 3 else None
"""


@pytest.fixture(autouse=True)
def processor(tmp_path: Path) -> None:
    (tmp_path / "hot.py").write_text(BUSY)


def helpers_of(run: Any) -> list[psutil.Process]:
    """The helper processes of a run, oldest first."""
    found = [
        child
        for worker in run.workers
        for child in worker.children()
        if "spawn_main" in " ".join(child.cmdline())
    ]
    return sorted(found, key=lambda child: child.create_time())


def numbers_of(run: Any) -> list[int]:
    return [int(number) for number in run.data()["hot"]]


def check_books(run: Any, received: int, dead: int = 0, filtered: int = 0) -> None:
    totals = run.summary["totals"]
    assert run.summary["balanced"]
    assert totals["received"] == received + totals["duplicates"]
    assert (totals["dead_lettered"], totals["filtered"]) == (dead, filtered)
    assert totals["delivered"] == received - dead - filtered
    assert run.summary["moves"] or not totals["duplicates"]
    assert totals["lost"] == totals["in_flight"] == 0


def test_every_message_is_delivered_once_and_in_order(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, firehose=True, count=COUNT)) as simulator:
        endpoint = {
            "name": "hot",
            "uri": simulator.endpoints[0].uri,
            "processor": "hot:picky",
            "processors": 2,
            "reconnect": "on_error",
        }
        run = launch({"endpoints": [endpoint], "workers": 1, "dead_letters": "dead.db"})
        assert run.wait() == 0, run.stderr
    assert numbers_of(run) == [n for n in range(COUNT) if n % 3 and n % 1_000 != 7]
    dead = [n for n in range(COUNT) if n % 1_000 == 7]
    check_books(run, COUNT, len(dead), sum(n % 3 == 0 and n % 1_000 != 7 for n in range(COUNT)))
    assert [letter["reason"] for letter in run.dead_letters()] == [f"ValueError: number {n}" for n in dead]
    (worker,) = run.summary["workers"]
    assert worker["cpu_s"] > COUNT * 2 / 3 * 40e-6


def test_nothing_is_lost_while_helpers_are_killed(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=8_000, lossless=True)) as simulator:
        endpoint = {
            "name": "hot",
            "uri": simulator.endpoints[0].uri,
            "processor": "hot:busy",
            "processors": 2,
        }
        run = launch({"endpoints": [endpoint], "workers": 1})
        for kills in range(4):
            size = run.size()
            run.wait_until(lambda size=size: run.size() > size + 50_000 and len(helpers_of(run)) == 2)
            os.kill(helpers_of(run)[kills % 2].pid, signal.SIGKILL)
        run.wait_until(lambda: run.stderr.count("a helper process died (killed by SIGKILL)") == 4)
        assert run.stop() == 0, run.stderr
    numbers = numbers_of(run)
    assert numbers == list(range(len(numbers)))
    check_books(run, len(numbers))
    assert run.summary["workers"][0]["restarts"] == 0
    assert run.summary["endpoints"]["hot"]["connects"] == 1


def test_helpers_end_with_a_worker_that_is_killed(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=2_000)) as simulator:
        endpoint = {
            "name": "hot",
            "uri": simulator.endpoints[0].uri,
            "processor": "hot:busy",
            "processors": 2,
        }
        run = launch({"endpoints": [endpoint], "workers": 1})
        run.wait_until(lambda: run.size() and len(helpers_of(run)) == 2)
        before = helpers_of(run)
        run.workers[0].kill()
        _, alive = psutil.wait_procs(before, timeout=10)
        assert not alive
        run.wait_until(lambda: run.workers and len(helpers_of(run)) == 2)
        last = helpers_of(run)
        assert run.stop() == 0, run.stderr
        assert not psutil.wait_procs(last, timeout=0)[1]
    numbers = numbers_of(run)
    assert numbers == sorted(set(numbers))
    assert run.summary["balanced"]


def test_auto_follows_a_rate_that_rises_and_its_helpers_go_along_in_a_move(
    launch: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # paths of sockets are short
    control = Control("s")
    changes = (RateChange(at_s=1.0, factor=34),)
    with SimulatorProcess(
        SimulatorConfig(endpoints=1, rate=500, changes=changes, lossless=True)
    ) as simulator:
        endpoint = {
            "name": "hot",
            "uri": simulator.endpoints[0].uri,
            "processor": "hot:busy",
            "processors": "auto",
        }
        run = launch({"endpoints": [endpoint], "workers": 2, "control": "s"})
        run.wait_until(lambda: run.size() > 10_000)
        assert not helpers_of(run)
        run.wait_until(lambda: helpers_of(run))
        size = run.size()
        run.wait_until(lambda: run.size() > size + 500_000)
        hot = control.status().endpoints[0]
        assert hot.processors
        control.move("hot", 1 - hot.worker)
        moved = control.status().endpoints[0]
        assert (moved.worker, moved.processors) == (1 - hot.worker, hot.processors)
        size = run.size()
        run.wait_until(lambda: run.size() > size + 500_000)
        assert run.stop() == 0, run.stderr
    numbers = numbers_of(run)
    assert numbers == list(range(len(numbers)))
    check_books(run, len(numbers))
    assert "messages/s at" in run.stderr and "µs each" in run.stderr
