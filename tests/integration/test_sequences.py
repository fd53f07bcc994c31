"""Numbered feeds that skip, repeat and step back: found, counted, recorded where it is, and acted on."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scaleout.simulator import Dialogue, Faults, SimulatorConfig, SimulatorProcess

Launch = Callable[..., Any]

HOOKS = """
import sys
calls = 0
def note(gap, context):
    with open("gaps.txt", "a") as file:
        print(context.endpoint, gap.expected, gap.got, gap.key, file=file)
def fail(gap):
    sys.exit(7)
async def late(message: dict) -> dict:
    import asyncio
    await asyncio.sleep(message["seq"] % 7 / 500)
    return message
def slow(message: dict) -> dict:
    import time
    time.sleep(0.0002)
    return message
"""


@pytest.fixture(autouse=True)
def hooks(tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(HOOKS)


def serve(**keys: Any) -> SimulatorProcess:
    faults = Faults(**{name: keys.pop(name) for name in tuple(keys) if name in Faults.__struct_fields__})
    return SimulatorProcess(SimulatorConfig(**{"endpoints": 1, "rate": 1000, "faults": faults, **keys}))


def endpoint_of(simulator: SimulatorProcess, **keys: Any) -> dict[str, Any]:
    ((name, uri),) = simulator.endpoints
    backoff = {"initial": 0.05, "maximum": 0.1}
    return {"name": name, "uri": uri, "sequence": "seq", "backoff": backoff, **keys}


def output(run: Any, path: str = "seq") -> list[Any]:
    """The numbers in the sink, and a pair where a gap is."""
    found: list[Any] = []
    for line in run.lines():
        record = json.loads(line)
        if "gap" in record:
            found.append((record["gap"]["expected"], record["gap"]["got"]))
        else:
            found.append(record["data"][path])
    return found


def with_gaps(numbers: list[int]) -> list[Any]:
    """What the output should be."""
    found: list[Any] = numbers[:1]
    for before, after in pairwise(numbers):
        found += [(before + 1, after), after] if after > before + 1 else [after]
    return found


@pytest.mark.parametrize("processor", [None, "hooks:late", "hooks:slow"])
def test_records_are_exactly_where_the_gaps_are(launch: Launch, processor: str | None) -> None:
    with serve(skip_every=10) as simulator:
        keys = {"processor": processor} if processor else {}
        run = launch({"endpoints": [endpoint_of(simulator, **keys)], "limit": 3000})
        assert run.wait() == 0, run.stderr
    found = output(run)
    numbers = [each for each in found if isinstance(each, int)]
    assert len(numbers) == 3000
    assert found == with_gaps(numbers)
    totals = run.summary["totals"]
    gaps = len(found) - 3000
    assert totals["gaps"] == totals["missed"] == gaps >= 300
    assert (totals["delivered"], totals["results"]) == (3000, 3000 + gaps)


def test_repeats_and_steps_back_are_counted(launch: Launch) -> None:
    with serve(repeat_every=10, step_back_every=25) as simulator:
        run = launch({"endpoints": [endpoint_of(simulator, gap_records=False)], "limit": 3000})
        assert run.wait() == 0, run.stderr
    totals = run.summary["totals"]
    assert totals["repeats"] >= 250
    assert totals["backwards"] >= 90
    assert totals["gaps"] == 0
    assert totals["results"] == 3000


def test_ranges(launch: Launch) -> None:
    with serve(dialect="binance-depth", skip_every=20) as simulator:
        keys = {"sequence": "data.u", "sequence_first": "data.U", "sequence_key": "stream"}
        run = launch({"endpoints": [endpoint_of(simulator, **keys)], "limit": 1000})
        assert run.wait() == 0, run.stderr
    totals = run.summary["totals"]
    assert totals["gaps"] >= 49
    assert totals["missed"] == 3 * totals["gaps"]
    keys_told = {json.loads(line)["gap"]["key"] for line in run.lines() if b'"gap"' in line}
    assert len(keys_told) == 1


def test_numbers_of_each_connection_begin_anew(launch: Launch) -> None:
    with serve(dialect="coinbase", disconnect="close", disconnect_every_s=0.5) as simulator:
        keys = {"sequence": "sequence_num", "sequence_scope": "connection"}
        run = launch({"endpoints": [endpoint_of(simulator, **keys)], "duration": 3})
        assert run.wait() == 0, run.stderr
        assert len(simulator.connections) >= 3
    totals = run.summary["totals"]
    assert (totals["gaps"], totals["repeats"], totals["backwards"]) == (0, 0, 0)


def test_what_was_missed_in_a_reconnect_is_a_gap_too(launch: Launch) -> None:
    with serve(disconnect="close", disconnect_every_s=0.7) as simulator:
        run = launch({"endpoints": [endpoint_of(simulator, on_gap="reconnect")], "duration": 4})
        assert run.wait() == 0, run.stderr
        connections = simulator.connections
    found = output(run)
    assert found == with_gaps([each for each in found if isinstance(each, int)])
    totals = run.summary["totals"]
    assert 2 <= totals["gaps"] <= len(connections)
    assert "connection given up: gap" not in run.stderr, "a reconnect is no reason for another"


def test_a_gap_reconnects_but_not_again_for_a_while(launch: Launch) -> None:
    with serve(skip_every=100) as simulator:
        run = launch({"endpoints": [endpoint_of(simulator, on_gap="reconnect")], "duration": 5})
        assert run.wait() == 0, run.stderr
        assert len(simulator.connections) == 2
    assert "connection given up: gap: expected" in run.stderr
    assert run.summary["totals"]["gaps"] >= 20


def test_only_the_stream_with_the_gap_is_subscribed_anew(launch: Launch) -> None:
    with serve(endpoints=3, skip_every=50, only_endpoint=1) as simulator:
        keys = {
            "uri": simulator.streams_uri,
            "streams": ["feed0", "feed1", "feed2"],
            "subscribe": [{"op": "subscribe", "streams": ["{streams}"]}],
            "unsubscribe": [{"op": "unsubscribe", "streams": ["{streams}"]}],
            "ready": {"match": {"type": "subscribed"}},
            "sequence_key": "stream",
            "on_gap": "resubscribe",
        }
        endpoint = {**keys, "name": "many", "sequence": "seq"}
        run = launch({"endpoints": [endpoint], "duration": 4})
        assert run.wait() == 0, run.stderr
        (connection,) = simulator.connections
    asked = [json.loads(text) for text in connection.received]
    assert [(each["op"], each["streams"]) for each in asked] == [
        ("subscribe", ["feed0", "feed1", "feed2"]),
        ("unsubscribe", ["feed1"]),
        ("subscribe", ["feed1"]),
    ]


def test_a_function_is_called_with_each_gap(launch: Launch, tmp_path: Path) -> None:
    with serve(skip_every=100) as simulator:
        run = launch({"endpoints": [endpoint_of(simulator, on_gap="hooks:note")], "limit": 1000})
        assert run.wait() == 0, run.stderr
    calls = (tmp_path / "gaps.txt").read_text().splitlines()
    name, expected, got, key = calls[0].split()
    assert name == "trade-000"
    assert (int(got), key) == (int(expected) + 1, "None")
    assert len(calls) == run.summary["totals"]["gaps"] >= 9


def test_a_function_that_wants_to_end_the_process_does_not(launch: Launch) -> None:
    with serve(skip_every=100) as simulator:
        run = launch({"endpoints": [endpoint_of(simulator, on_gap="hooks:fail")], "limit": 1000})
        assert run.wait() == 0, run.stderr
    assert run.stderr.count("on_gap failed: SystemExit: 7") == 1
    assert run.summary["totals"]["delivered"] == 1000


def test_heartbeats_that_are_numbered_like_the_data_make_no_gaps(launch: Launch) -> None:
    with serve(dialect="coinbase", rate=200, dialogue=Dialogue(heartbeat_every_s=0.05)) as simulator:
        keys = {
            "sequence": "sequence_num",
            "sequence_scope": "connection",
            "heartbeat": {"match": {"channel": "heartbeats"}},
        }
        run = launch({"endpoints": [endpoint_of(simulator, **keys)]})
        run.wait_until(lambda: sum(record.heartbeats for record in simulator.connections) > 20)
        assert run.stop() == 0, run.stderr
    totals = run.summary["totals"]
    assert totals["filtered"] > 10
    assert (totals["gaps"], totals["repeats"], totals["backwards"]) == (0, 0, 0)
