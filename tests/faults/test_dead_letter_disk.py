"""A disk without room for dead letters: intake stops, and no letter is lost or uncounted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from scaleout.simulator import SimulatorConfig, SimulatorProcess

LIMIT_BYTES = 1_000_000
COUNT = 20_000


def run_with_a_small_disk(directory: Path, launch: Callable[..., Any], simulator: SimulatorProcess) -> Any:
    """A run whose messages are all dead; a file size limit stands in for the disk."""
    (directory / "poison.py").write_text(
        "from scaleout import Reject\ndef never(message: bytes) -> None:\n    raise Reject('never')\n"
    )
    (name, uri), *_ = simulator.endpoints
    endpoint = {"name": name, "uri": uri, "processor": "poison:never", "reconnect": "on_error"}
    run = launch({"endpoints": [endpoint], "dead_letters": "dead.db", "drain_timeout": 2})
    run.wait_until(lambda: (directory / "dead.db").exists())
    process = psutil.Process(run.process.pid)
    process.rlimit(psutil.RLIMIT_FSIZE, (LIMIT_BYTES, -1))
    run.wait_until(lambda: "trying again" in run.stderr)
    assert max(file.stat().st_size for file in directory.glob("dead.db*")) <= LIMIT_BYTES
    return run


def test_a_full_disk_that_gets_room(tmp_path: Path, launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, firehose=True, count=COUNT)) as simulator:
        run = run_with_a_small_disk(tmp_path, launch, simulator)
        psutil.Process(run.process.pid).rlimit(psutil.RLIMIT_FSIZE, (-1, -1))
        assert run.wait() == 0, run.stderr
    totals = run.summary["totals"]
    assert (totals["received"], totals["dead_lettered"], totals["lost"]) == (COUNT, COUNT, 0)
    letters = run.dead_letters()
    assert [json.loads(letter["payload"])["seq"] for letter in letters] == list(range(COUNT))
    assert "works again" in run.stderr


def test_a_disk_that_stays_full(tmp_path: Path, launch: Callable[..., Any]) -> None:
    """The run ends when it is stopped, and says that letters are neither kept nor forgotten."""
    with SimulatorProcess(SimulatorConfig(endpoints=1, firehose=True)) as simulator:
        run = run_with_a_small_disk(tmp_path, launch, simulator)
        assert run.stop() == 3
    totals = run.summary["totals"]
    assert not run.summary["balanced"]
    assert totals["in_flight"] > 0
    assert totals["received"] == totals["dead_lettered"] + totals["in_flight"] + totals["lost"]
    assert totals["dead_lettered"] == len(run.dead_letters())
