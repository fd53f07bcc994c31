"""Workers that die or hang: restarted, their endpoints back, the others untouched, the books exact."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from scaleout.simulator import ConnectionRecord, SimulatorConfig, SimulatorProcess

RESTARTED_WITHIN_S = 3.0


def numbers_of(run: Any) -> dict[str, list[int]]:
    return {name: [json.loads(line)["seq"] for line in lines] for name, lines in run.data().items()}


def holders(connections: list[ConnectionRecord]) -> dict[str, list[ConnectionRecord]]:
    found: dict[str, list[ConnectionRecord]] = {}
    for record in sorted(connections, key=lambda record: record.opened_at):
        found.setdefault(record.endpoint, []).append(record)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_or_stopped_under_load(number: signal.Signals, launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=16, rate=40_000, zipf=0.5)) as simulator:
        endpoints = [{"name": name, "uri": uri} for name, uri in simulator.endpoints]
        run = launch(
            {
                "endpoints": endpoints,
                "defaults": {"backoff": {"initial": 0.05, "maximum": 0.1}},
                "heartbeat_timeout": 2.0,
            }
        )
        run.wait_until(lambda: (run.directory / "out.jsonl").exists() and len(run_data(run)) == 16)
        victim = run.workers[0]
        os.kill(victim.pid, number)
        struck_at = time.time()
        run.wait_until(
            lambda: sum(len(all_of) > 1 for all_of in holders(simulator.connections).values()) == 8
        )
        back_at = max(all_of[1].opened_at for all_of in holders(simulator.connections).values() if all_of[1:])
        heartbeat_s = 0 if number == signal.SIGKILL else 3.5
        assert back_at - struck_at < RESTARTED_WITHIN_S + heartbeat_s
        known = len(run_data(run))
        size = (run.directory / "out.jsonl").stat().st_size
        run.wait_until(lambda: (run.directory / "out.jsonl").stat().st_size > 1.5 * size)
        assert known == 16
        assert run.stop() == 0, run.stderr
        connections = holders(simulator.connections)
    assert not victim.is_running()
    summary = run.summary
    check_books(summary)
    assert summary["balanced"]
    assert sorted(worker["restarts"] for worker in summary["workers"]) == [0, 1]
    restarted = {name for name, all_of in connections.items() if len(all_of) == 2}
    for name, numbers in numbers_of(run).items():
        books = summary["endpoints"][name]
        assert len(numbers) == books["delivered"]
        jumps = [(a, b) for a, b in itertools.pairwise(numbers) if b != a + 1]
        if name in restarted:
            check_one_gap(numbers, jumps, connections[name], books["lost"])
            assert books["connects"] == 2
            assert "worker died" in books["last_error"]
        else:
            assert jumps == []
            assert books["lost"] == 0
            assert books["connects"] == 1


def run_data(run: Any) -> dict[str, list[bytes]]:
    """The endpoints with whole lines so far."""
    found: dict[str, list[bytes]] = {}
    with (run.directory / "out.jsonl").open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                found.setdefault(json.loads(line)["endpoint"], []).append(line)
    return found


def check_books(summary: Any) -> None:
    for books in [summary["totals"], *summary["endpoints"].values()]:
        outcomes = ("delivered", "filtered", "dead_lettered", "dropped", "duplicates", "lost", "in_flight")
        assert books["received"] == sum(books[outcome] for outcome in outcomes)


def check_one_gap(
    numbers: list[int], jumps: list[tuple[int, int]], records: list[ConnectionRecord], lost: int
) -> None:
    """The only gap lies between the two connections, and what is lost was sent on the first."""
    assert len(jumps) <= 1
    assert numbers == sorted(set(numbers))
    first, second = records
    assert second.first is not None
    before = [number for number in numbers if number < second.first]
    assert first.last is not None
    never_written = first.last - before[-1]
    assert 0 <= lost <= never_written  # what the kernel still held was never read


def test_orphans_end_with_their_supervisor(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=4, rate=1000)) as simulator:
        endpoints = [{"name": name, "uri": uri} for name, uri in simulator.endpoints]
        run = launch({"endpoints": endpoints})
        run.wait_until(lambda: len(run.workers) == 2 and (run.directory / "out.jsonl").exists())
        family = psutil.Process(run.process.pid).children(recursive=True)
        run.process.kill()
        run.wait()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert not alive
    run.lines()


def test_an_orphan_whose_loop_is_stuck_ends_too(tmp_path: Path, launch: Callable[..., Any]) -> None:
    (tmp_path / "stuck.py").write_text("import time\ndef stick(message: str): time.sleep(600)\n")
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=100)) as simulator:
        endpoints = [{"uri": simulator.endpoints[0].uri, "processor": "stuck:stick"}]
        run = launch({"endpoints": endpoints, "workers": 1, "heartbeat_timeout": 100})
        run.wait_until(lambda: any(record.messages for record in simulator.connections))
        family = psutil.Process(run.process.pid).children(recursive=True)
        run.process.kill()
        run.wait()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive


def test_a_stuck_processor_is_restarted_and_the_neighbour_worker_goes_on(
    tmp_path: Path, launch: Callable[..., Any]
) -> None:
    (tmp_path / "stuck.py").write_text(
        "import pathlib, time\n"
        "def once(message: str):\n"
        "    if not pathlib.Path('stuck').exists():\n"
        "        pathlib.Path('stuck').touch()\n"
        "        time.sleep(600)\n"
        "    return message\n"
    )
    with SimulatorProcess(SimulatorConfig(endpoints=2, rate=2000, zipf=0)) as simulator:
        endpoints: list[dict[str, object]] = [{"name": name, "uri": uri} for name, uri in simulator.endpoints]
        endpoints[0]["processor"] = "stuck:once"
        run = launch({"endpoints": endpoints, "heartbeat_timeout": 2.0})
        name = endpoints[0]["name"]
        run.wait_until(lambda: (run.directory / "out.jsonl").exists() and name in run_data(run))
        assert run.stop() == 0, run.stderr
    summary = run.summary
    assert summary["balanced"]
    assert sum(worker["restarts"] for worker in summary["workers"]) == 1
    assert summary["endpoints"][name]["lost"] > 0
    assert "no heartbeat" in summary["endpoints"][name]["last_error"]
    other = str(endpoints[1]["name"])
    numbers = numbers_of_raw(run, other)
    assert numbers == list(range(len(numbers)))


def numbers_of_raw(run: Any, name: str) -> list[int]:
    return [json.loads(line)["seq"] for line in run.data()[name]]


def test_deaths_while_the_sink_takes_nothing(tmp_path: Path, launch: Callable[..., Any]) -> None:
    """A process that dies before the last one's results are read doesn't make them forgotten."""
    fifo = tmp_path / "out.fifo"
    os.mkfifo(fifo)
    with SimulatorProcess(SimulatorConfig(endpoints=1, firehose=True)) as simulator:
        endpoints = [{"name": "a", "uri": simulator.endpoints[0].uri}]
        run = launch({"endpoints": endpoints, "sink": "out.fifo", "workers": 1, "view": "plain"})
        with fifo.open("rb") as reader:
            reader.readline()
            run.wait_until(lambda: "sink lags" in run.stderr)
            for deaths in (1, 2, 3):
                run.workers[0].kill()
                run.wait_until(
                    lambda deaths=deaths: run.stderr.count("restarting") == deaths and len(run.workers) == 1
                )
            run.process.terminate()
            lines = 1 + sum(1 for _ in reader)
        assert run.wait() == 0, run.stderr
    totals = run.summary["totals"]
    assert run.summary["balanced"]
    assert totals["delivered"] == lines
    assert totals["in_flight"] == 0
