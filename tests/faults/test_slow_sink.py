"""Sinks that stall, fill up or go away: intake stops, memory stays bounded, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from scaleout.simulator import SimulatorConfig, SimulatorProcess

STALL_S = float(os.environ.get("SCALEOUT_STALL_S", "6"))
GROWTH_BYTES = 64 * 2**20


def test_a_fifo_nobody_reads(tmp_path: Path, launch: Callable[..., Any]) -> None:
    fifo = tmp_path / "out.fifo"
    os.mkfifo(fifo)
    received: list[int] = []
    with SimulatorProcess(SimulatorConfig(endpoints=4, firehose=True)) as simulator:
        endpoints = [{"name": name, "uri": uri} for name, uri in simulator.endpoints]
        run = launch({"endpoints": endpoints, "sink": "out.fifo"})
        with fifo.open("rb") as reader:
            received.append(int(json.loads(reader.readline())["data"]["seq"]))  # it runs
            settled = time.monotonic() + 1.5
            run.wait_until(lambda: time.monotonic() > settled)
            before = run.memory_bytes
            over = time.monotonic() + STALL_S
            highest = 0

            def stalled() -> bool:
                nonlocal highest
                highest = max(highest, run.memory_bytes)
                return time.monotonic() > over

            run.wait_until(stalled, STALL_S + 30)
            assert highest - before < GROWTH_BYTES
            counts = read_until_the_end(reader, run)
    summary = run.summary
    assert summary["balanced"]
    assert summary["totals"]["lost"] == summary["totals"]["dropped"] == 0
    assert sum(counts.values()) == summary["totals"]["delivered"] - 1  # the line read first
    for name, books in summary["endpoints"].items():
        assert books["connects"] == 1, (name, books)


def read_until_the_end(reader: Any, run: Any) -> dict[str, int]:
    """Take what was held back and some more, stop the run, and see that each endpoint is without a gap."""
    threading.Timer(2.0, run.process.terminate).start()
    last: dict[str, int] = {}
    counts: dict[str, int] = {}
    for line in reader:
        record = json.loads(line)
        name, number = record["endpoint"], record["data"]["seq"]
        if name in last:
            assert number == last[name] + 1
        last[name] = number
        counts[name] = counts.get(name, 0) + 1
    assert run.wait() == 0, run.stderr
    return counts


def test_a_full_disk(tmp_path: Path, launch: Callable[..., Any]) -> None:
    """A file size limit stands in for the disk: the kernel refuses the write the same way."""
    limit = 2_000_000
    with SimulatorProcess(SimulatorConfig(endpoints=2, firehose=True, count=30_000)) as simulator:
        endpoints = [{"name": name, "uri": uri, "reconnect": "on_error"} for name, uri in simulator.endpoints]
        run = launch({"endpoints": endpoints, "sink": "out.jsonl"})
        run.wait_until(lambda: (tmp_path / "out.jsonl").exists())
        process = psutil.Process(run.process.pid)
        process.rlimit(psutil.RLIMIT_FSIZE, (limit, -1))
        run.wait_until(lambda: "trying again" in run.stderr)
        assert (tmp_path / "out.jsonl").stat().st_size <= limit
        run.lines()  # whole lines, while it waits
        process.rlimit(psutil.RLIMIT_FSIZE, (-1, -1))
        assert run.wait() == 0, run.stderr
    assert run.summary["balanced"]
    assert run.summary["totals"]["delivered"] == 60_000
    for lines in run.data().values():
        assert [json.loads(line)["seq"] for line in lines] == list(range(30_000))
    assert "works again" in run.stderr


def test_head_ends_the_run_quietly(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=2, rate=5_000)) as simulator:
        endpoints = [{"uri": uri} for _, uri in simulator.endpoints]
        run = launch({"endpoints": endpoints, "sink": "-"}, stdout=subprocess.PIPE)
        head = subprocess.Popen(["head", "-n", "3"], stdin=run.process.stdout, stdout=subprocess.PIPE)
        run.process.stdout.close()
        out, _ = head.communicate(timeout=30)
        assert len(out.splitlines()) == 3
        assert run.wait() == 0, run.stderr
    assert "Traceback" not in run.stderr
    assert "rror" not in run.stderr
    assert run.summary["balanced"]
