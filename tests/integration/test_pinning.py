"""A run whose workers keep to cores of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from scaleout import machine
from scaleout.simulator import SimulatorConfig, SimulatorProcess

pytestmark = pytest.mark.skipif(not machine.can_pin(), reason="this system can't pin")


def helpers_of(worker: psutil.Process) -> list[psutil.Process]:
    return [child for child in worker.children() if "spawn_main" in " ".join(child.cmdline())]


def cores_of(process: psutil.Process) -> list[list[int]]:
    """Of each thread."""
    return [psutil.Process(thread.id).cpu_affinity() for thread in process.threads()]


def test_workers_keep_to_a_core_each_and_helpers_to_none(launch: Callable[..., Any], tmp_path: Path) -> None:
    cores = list(machine.cores_of_run())
    (tmp_path / "hot.py").write_text("def same(message: bytes) -> bytes:\n    return message\n")
    with SimulatorProcess(SimulatorConfig(endpoints=2, rate=1_000)) as simulator:
        endpoints: list[dict[str, Any]] = [
            {"name": f"feed-{worker}", "uri": simulator.endpoints[worker].uri, "worker": worker}
            for worker in range(2)
        ]
        endpoints[0] |= {"processor": "hot:same", "processors": 1}
        run = launch({"endpoints": endpoints}, "--pin")
        run.wait_until(lambda: run.size() > 100_000)
        run.wait_until(lambda: helpers_of(run.workers[0]) or helpers_of(run.workers[1]))
        pins = [cores[worker % len(cores)] for worker in range(2)]
        found = [{core for thread in cores_of(worker) for core in thread} for worker in run.workers]
        assert sorted(map(sorted, found)) == sorted([pin] for pin in pins)
        [helper] = [*helpers_of(run.workers[0]), *helpers_of(run.workers[1])]
        run.wait_until(lambda: helper.cpu_affinity() == cores)
        beside = [core for core in cores if core not in pins] or cores
        assert all(thread == beside for thread in cores_of(psutil.Process(run.process.pid)))
        assert run.stop() == 0, run.stderr
    assert "pin:" not in run.stderr
    assert run.summary["balanced"]
