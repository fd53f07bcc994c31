"""The fault matrix of the dead letters' disk: full for a while nothing is lost, full to the end nothing is hidden.

A limit on file sizes stands in for the disk. The sink's disk is in `test_slow_sink.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from scaleout.simulator import SimulatorConfig, SimulatorProcess

COUNT = 100
MESSAGE_BYTES = 100_000
LIMIT_BYTES = 300_000
"""Room for two letters, and for all the results."""
LEDGER = ("delivered", "filtered", "dead_lettered", "dropped", "duplicates", "lost", "in_flight")

SIMULATION = SimulatorConfig(endpoints=2, firehose=True, count=COUNT, message_size=MESSAGE_BYTES)

MODULE = """
import msgspec
from scaleout import Reject

class Numbered(msgspec.Struct):
    seq: int

def choosy(message: Numbered):
    if message.seq % 2:
        raise Reject("odd")
    return message.seq if message.seq % 10 == 0 else None
"""


def begin(directory: Path, launch: Callable[..., Any], simulator: SimulatorProcess, **keys: object) -> Any:
    """Start a run whose dead letters find no room."""
    (directory / "odd.py").write_text(MODULE)
    endpoints = [
        {"name": name, "uri": uri, "processor": "odd:choosy", "reconnect": "on_error"}
        for name, uri in simulator.endpoints
    ]
    run = launch({"endpoints": endpoints, "dead_letters": "dead.db", **keys})
    run.wait_until((directory / "dead.db").exists)
    psutil.Process(run.process.pid).rlimit(psutil.RLIMIT_FSIZE, (LIMIT_BYTES, -1))
    run.wait_until(lambda: "trying again" in run.stderr)
    return run


def test_full_for_a_while(tmp_path: Path, launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SIMULATION) as simulator:
        run = begin(tmp_path, launch, simulator)
        psutil.Process(run.process.pid).rlimit(psutil.RLIMIT_FSIZE, (-1, -1))
        assert run.wait() == 0, run.stderr
    assert "works again" in run.stderr
    summary = run.summary
    assert summary["balanced"]
    letters = Counter(letter["endpoint"] for letter in run.dead_letters())
    for name, books in summary["endpoints"].items():
        assert books["received"] == COUNT == sum(books[term] for term in LEDGER)
        assert (books["delivered"], books["dead_lettered"]) == (COUNT // 10, COUNT // 2)
        assert letters[name] == COUNT // 2
        assert books["connects"] == 1


def test_full_to_the_end(tmp_path: Path, launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SIMULATION) as simulator:
        run = begin(tmp_path, launch, simulator, drain_timeout=2.0)
        assert run.stop() == 3, run.stderr
    summary = run.summary
    assert not summary["balanced"]
    kept = len(run.dead_letters())
    totals = summary["totals"]
    assert totals["received"] == sum(totals[term] for term in LEDGER)
    assert totals["dead_lettered"] == kept
    assert totals["in_flight"] > 0
    assert kept < COUNT
    assert "dead.db" in run.stderr
