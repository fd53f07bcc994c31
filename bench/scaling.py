"""One run of scaleout on saturated connections, and what its workers and its aggregator use meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench import processes
from bench.errors import BenchError
from bench.measure import SATURATED, Cores
from bench.pinning import all_but, starting_on
from scaleout import Control
from scaleout.errors import ControlError
from scaleout.simulator import SimulatorConfig, SimulatorProcess

CONNECTIONS = 8
SETTLE_S = 1.0
START_WITHIN_S = 30.0
END_WITHIN_S = 60.0
SPOOL_DIRECTORY = Path("build")


class Turn(msgspec.Struct, frozen=True):
    """What was done in a time, with some number of workers."""

    messages: int
    seconds: float
    workers_cpu_s: float
    """Of all workers together."""
    aggregator_cpu_s: float
    """Of the supervisor's process, which has the aggregator."""
    generator_load: float
    """Share of its core that the generator has used."""
    own_cores: int
    """How many scaleout could use."""

    @property
    def messages_per_cpu_s(self) -> float:
        """Of all processes."""
        return self.messages / (self.workers_cpu_s + self.aggregator_cpu_s)

    @property
    def is_limited_by_generator(self) -> bool:
        """Whether scaleout had to wait for a generator that couldn't do more."""
        own_load = (self.workers_cpu_s + self.aggregator_cpu_s) / self.seconds / self.own_cores
        return self.generator_load >= SATURATED and own_load < SATURATED


def measure(workers: int, seconds: float, cores: Cores | None) -> Turn:
    """Run scaleout with so many workers.

    Raises:
        BenchError: it failed.
    """
    own_cores = all_but(cores.generator) if cores is not None else ()
    with (
        SimulatorProcess(SimulatorConfig(endpoints=CONNECTIONS, firehose=True)) as simulator,
        tempfile.TemporaryDirectory(dir=SPOOL_DIRECTORY) as name,
    ):
        if cores is not None:
            for pid in simulator.pids:
                os.sched_setaffinity(pid, {cores.generator})
        config = {
            "endpoints": [{"name": name, "uri": uri} for name, uri in simulator.endpoints],
            "defaults": {"processor": "bench.workload:on_trade"},
            "workers": workers,
            "sink": "out.jsonl",
            "control": "run.sock",
            "rebalance": {"enabled": False},
            "view": "none",
            "log_level": "error",
        }
        with starting_on(own_cores):
            started = _start(Path(name), config)
        with _ending(started) as process:
            control = Control(Path(name) / "run.sock")
            _await_live(control)
            time.sleep(SETTLE_S)
            before = _look(control, process.pid, simulator.pids)
            time.sleep(seconds)
            after = _look(control, process.pid, simulator.pids)
    return Turn(
        messages=after.delivered - before.delivered,
        seconds=after.at_s - before.at_s,
        workers_cpu_s=after.workers_cpu_s - before.workers_cpu_s,
        aggregator_cpu_s=after.aggregator_cpu_s - before.aggregator_cpu_s,
        generator_load=(after.generator_cpu_s - before.generator_cpu_s) / (after.at_s - before.at_s),
        own_cores=len(own_cores) or os.cpu_count() or 1,
    )


def _start(directory: Path, config: dict[str, object]) -> subprocess.Popen[bytes]:
    (directory / "feeds.json").write_text(json.dumps(config))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    command = [sys.executable, "-m", "scaleout", "feeds.json"]
    return subprocess.Popen(command, cwd=directory, env=environment)


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    with process:
        try:
            yield process
        finally:
            process.terminate()
            code = process.wait(END_WITHIN_S)
    if code != 0:
        raise BenchError(f"the run ended with exit code {code}")


def _await_live(control: Control) -> None:
    deadline_s = time.monotonic() + START_WITHIN_S
    while True:
        try:
            if all(each.state == "live" for each in control.status().endpoints):
                return
        except ControlError:
            pass
        if time.monotonic() > deadline_s:
            raise BenchError(f"the endpoints were not live within {START_WITHIN_S:g} s")
        time.sleep(0.05)


class _Look(NamedTuple):
    """What the run has come to at a moment."""

    at_s: float
    delivered: int
    workers_cpu_s: float
    aggregator_cpu_s: float
    generator_cpu_s: float


def _look(control: Control, supervisor: int, generator: list[int]) -> _Look:
    others = [pid for pid in processes.peak_rss_bytes(supervisor) if pid != supervisor]
    delivered = control.status().totals["delivered"]
    return _Look(time.monotonic(), delivered, _cpu_s(others), _cpu_s([supervisor]), _cpu_s(list(generator)))


def _cpu_s(pids: list[int]) -> float:
    used_s = processes.cpu_s(pids)
    if used_s is None:
        raise BenchError("this system doesn't tell the CPU time of other processes")
    return used_s
