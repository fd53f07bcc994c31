"""Async processors that misbehave: each harms its own messages alone, all are counted, and the run ends in time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout.simulator import SimulatorConfig, SimulatorProcess

COUNT = 200
BAD = 10
"""Messages that are misbehaved on."""

MODULE = """
import asyncio, sys, time
import msgspec

class Numbered(msgspec.Struct):
    seq: int

def is_bad(message):
    return message.seq % 20 == 7

async def well(message: Numbered):
    await asyncio.sleep(0.001)
    return {"seq": message.seq}

async def raises(message: Numbered):
    if is_bad(message):
        raise RuntimeError("no")
    return await well(message)

async def hangs(message: Numbered):
    if is_bad(message):
        try:
            await asyncio.Event().wait()
        finally:
            with open("cleaned", "a") as file:
                file.write(f"{message.seq}\\n")
    return await well(message)

async def ignores(message: Numbered):
    while is_bad(message):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
    return await well(message)

async def blocks(message: Numbered):
    if message.seq == 7:
        time.sleep(2)
    return await well(message)

async def unencodable(message: Numbered):
    return object() if is_bad(message) else await well(message)

async def exits(message: Numbered):
    if is_bad(message):
        sys.exit(1)
    return await well(message)

async def recurses(message: Numbered):
    return await recurses(message) if is_bad(message) else await well(message)

async def generates(message: Numbered):
    yield {"seq": message.seq}
    while is_bad(message):
        await asyncio.sleep(0.001)
        yield {"seq": message.seq}

async def overflows(message: Numbered):
    yield {"seq": message.seq}
    while message.seq == 7:
        yield {"seq": message.seq}
"""

ROWS: dict[str, tuple[dict[str, object], int]] = {
    "well": ({}, 0),
    "raises": ({}, BAD),
    "hangs": ({"timeout": 1.0}, BAD),
    "ignores": ({"timeout": 1.0}, BAD),
    "blocks": ({}, 0),
    "unencodable": ({}, BAD),
    "exits": ({}, BAD),
    "recurses": ({}, BAD),
    "generates": ({"timeout": 1.0}, BAD),
    "overflows": ({}, 1),
}
"""Processor: the endpoint's further keys, and the messages that end as dead letters."""


@pytest.mark.parametrize("ordered", [True, False])
def test_every_misbehaviour_harms_its_own_messages_alone(
    tmp_path: Path, launch: Callable[..., Any], ordered: bool
) -> None:
    (tmp_path / "odd.py").write_text(MODULE)
    with SimulatorProcess(SimulatorConfig(endpoints=len(ROWS), firehose=True, count=COUNT)) as simulator:
        endpoints = [
            {
                "name": name,
                "uri": endpoint.uri,
                "processor": f"odd:{name}",
                "reconnect": "on_error",
                "ordered": ordered,
                **keys,
            }
            for endpoint, (name, (keys, _)) in zip(simulator.endpoints, ROWS.items(), strict=True)
        ]
        run = launch({"endpoints": endpoints, "workers": 1})
        assert run.wait() == 0, run.stderr
    summary = run.summary
    assert summary["balanced"]
    assert summary["totals"]["in_flight"] == summary["totals"]["lost"] == 0
    assert [worker["restarts"] for worker in summary["workers"]] == [0]
    assert summary["duration_s"] < 15
    for name, (_, dead) in ROWS.items():
        books = summary["endpoints"][name]
        found = (books["received"], books["delivered"], books["dead_lettered"])
        assert found == (COUNT, COUNT - dead, dead), name
        numbers = [json.loads(line)["seq"] for line in run.data()[name]]
        assert len(set(numbers)) == len(numbers) == COUNT - dead
        assert not ordered or numbers == sorted(numbers)
    assert len((tmp_path / "cleaned").read_text().split()) == BAD


@pytest.mark.parametrize("processor", ["hangs", "ignores"])
def test_calls_without_an_end_are_cut_off_with_the_run(
    tmp_path: Path, launch: Callable[..., Any], processor: str
) -> None:
    (tmp_path / "odd.py").write_text(MODULE)
    with SimulatorProcess(SimulatorConfig(endpoints=1, firehose=True, count=COUNT)) as simulator:
        run = launch(
            {
                "endpoints": [
                    {
                        "name": "odd",
                        "uri": simulator.endpoints[0].uri,
                        "processor": f"odd:{processor}",
                        "ordered": False,
                        "reconnect": "on_error",
                    }
                ],
                "workers": 1,
                "drain_timeout": 2.0,
            }
        )
        started_at = time.monotonic()
        assert run.wait() == 0, run.stderr
        assert time.monotonic() - started_at < 15
    books = run.summary["endpoints"]["odd"]
    assert (books["received"], books["delivered"], books["dead_lettered"]) == (COUNT, COUNT - BAD, BAD)
    assert run.summary["balanced"]
    if processor == "hangs":
        assert len((tmp_path / "cleaned").read_text().split()) == BAD
