"""The ledger is exact, whatever a processor does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaleout.simulator import Faults, SimulatorConfig, SimulatorProcess

PROCESSORS = """
from collections.abc import AsyncIterator, Iterator

import msgspec
from scaleout import Context, Reject

class Trade(msgspec.Struct):
    seq: int

def mixed(trade: Trade) -> object:
    if trade.seq % 10 == 0:
        raise ValueError(f"number {trade.seq}")
    if trade.seq % 3 == 0:
        return None
    return iter([trade.seq, -trade.seq])

def rejecting(trade: Trade, context: Context) -> int:
    if trade.seq % 4 == 0:
        raise Reject("every fourth")
    return trade.seq

def batch(trades: list[Trade]) -> Iterator[int]:
    for trade in trades:
        if trade.seq % 2:
            yield trade.seq

async def awaited(trade: Trade) -> int | None:
    if trade.seq % 10 == 0:
        raise ValueError("tenth")
    return trade.seq if trade.seq % 3 else None
"""

COUNT = 3_000


def run_with(processors: list[str], directory: Path, launch: Callable[..., Any], **faults: int) -> Any:
    (directory / "processors.py").write_text(PROCESSORS)
    simulation = SimulatorConfig(
        endpoints=len(processors),
        firehose=True,
        count=COUNT,
        faults=Faults(**faults),  # type: ignore[arg-type]
    )
    with SimulatorProcess(simulation) as simulator:
        endpoints = [
            {"name": processor, "uri": uri, "processor": f"processors:{processor}", "reconnect": "on_error"}
            for processor, (_, uri) in zip(processors, simulator.endpoints, strict=True)
        ]
        run = launch({"endpoints": endpoints, "dead_letters": "dead.db", "log_level": "error"})
        assert run.wait() == 0, run.stderr
    return run


def test_raising_filtering_and_multiplying(tmp_path: Path, launch: Callable[..., Any]) -> None:
    run = run_with(["mixed", "rejecting", "awaited"], tmp_path, launch)
    data = {name: [int(line) for line in lines] for name, lines in run.data().items()}
    numbers = range(COUNT)
    books = run.summary["endpoints"]

    kept = [number for number in numbers if number % 10 and number % 3]
    assert data["mixed"] == [signed for number in kept for signed in (number, -number)]
    assert (books["mixed"]["received"], books["mixed"]["delivered"]) == (COUNT, len(kept))
    assert books["mixed"]["results"] == 2 * len(kept)
    assert books["mixed"]["dead_lettered"] == COUNT // 10
    assert books["mixed"]["filtered"] == COUNT - len(kept) - COUNT // 10

    assert data["rejecting"] == [number for number in numbers if number % 4]
    assert books["rejecting"]["dead_lettered"] == COUNT // 4

    assert data["awaited"] == kept
    assert books["awaited"]["filtered"] == books["mixed"]["filtered"]

    letters = run.dead_letters()
    assert len(letters) == run.summary["totals"]["dead_lettered"] == 2 * COUNT // 10 + COUNT // 4
    mixed = [letter for letter in letters if letter["endpoint"] == "mixed"]
    assert [json.loads(letter["payload"])["seq"] for letter in mixed] == list(range(0, COUNT, 10))
    assert mixed[1]["stage"] == "process"
    assert mixed[1]["reason"] == "ValueError: number 10"
    assert "Traceback" in mixed[1]["traceback"]
    rejected = [letter for letter in letters if letter["endpoint"] == "rejecting"]
    assert {letter["reason"] for letter in rejected} == {"every fourth"}


def test_garbage_and_fragments(tmp_path: Path, launch: Callable[..., Any]) -> None:
    run = run_with(["rejecting"], tmp_path, launch, garbage_every=7, fragment_every=5, ping_every=11)
    books = run.summary["endpoints"]["rejecting"]
    garbage = COUNT // 7
    assert books["received"] == COUNT + garbage
    assert books["dead_lettered"] == garbage + COUNT // 4
    assert [int(line) for line in run.data()["rejecting"]] == [n for n in range(COUNT) if n % 4]
    stages = [letter["stage"] for letter in run.dead_letters()]
    assert stages.count("decode") == garbage


def test_batches(tmp_path: Path, launch: Callable[..., Any]) -> None:
    run = run_with(["batch"], tmp_path, launch)
    assert [int(line) for line in run.data()["batch"]] == list(range(1, COUNT, 2))
    books = run.summary["endpoints"]["batch"]
    assert books["received"] == COUNT == books["delivered"] + books["filtered"]
    assert books["results"] == COUNT // 2
