"""Policies other than `block` at a sink that stalls: the feed is read all the time, memory stays bounded."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scaleout.simulator import SimulatorConfig, SimulatorProcess
from scaleout.simulator.dialects import trade_message

STALL_S = float(os.environ.get("SCALEOUT_STALL_S", "5"))
GROWTH_BYTES = 64 * 2**20
RATE = 10_000
HIGH_WATER = 10_000
"""What the paced endpoint brings in a second."""
PACED = SimulatorConfig(endpoints=1, rate=RATE, max_lag=2**20, ping_interval=1.0)
"""A client that doesn't read for a second is cut off, and one that answers no ping for a second."""
FIREHOSE = SimulatorConfig(endpoints=2, firehose=True, ping_interval=1.0)

Launch = Callable[..., Any]


class Line(NamedTuple):
    """A record of the sink."""

    received_at: int
    seq: int
    side: str


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "latest"])
def test_a_fifo_nobody_reads(tmp_path: Path, launch: Launch, policy: str) -> None:
    fifo = tmp_path / "out.fifo"
    os.mkfifo(fifo)
    keys = {"backpressure": policy, "high_water": HIGH_WATER, "low_water": 1}
    if policy == "latest":
        keys["latest_key"] = "side"
    with SimulatorProcess(PACED) as paced, SimulatorProcess(FIREHOSE) as firehose:
        endpoints = [{"name": "paced", "uri": paced.endpoints[0][1], **keys}]
        endpoints += [{"name": f"firehose {name}", "uri": uri, **keys} for name, uri in firehose.endpoints]
        run = launch({"endpoints": endpoints, "sink": "out.fifo"})
        with fifo.open("rb") as reader:
            first = json.loads(reader.readline())
            before, highest = watch_memory(run)
            read_again_at = time.time_ns()
            threading.Timer(2.0, run.process.terminate).start()
            found = read_to_the_end(reader)
        assert run.wait() == 0, run.stderr
    assert highest - before < GROWTH_BYTES
    summary = run.summary
    assert summary["balanced"]
    assert summary["totals"]["lost"] == 0
    for name, books in summary["endpoints"].items():
        assert books["connects"] == 1, (name, books)
        assert books["dropped"] > 0, (name, books)
        assert books["received"] == books["delivered"] + books["dropped"], (name, books)
        assert books["delivered"] == len(found[name]) + (first["endpoint"] == name)
        assert all(line.seq < following.seq for line, following in pairwise(found[name]))
    assert summary["endpoints"]["paced"]["dropped"] > RATE
    check_longest_gap(policy, found["paced"], read_again_at)


def watch_memory(run: Any) -> tuple[int, int]:
    """Memory once all that is to be filled is full, and the most there is in the time after it."""
    settled = time.monotonic() + 1.5
    run.wait_until(lambda: time.monotonic() > settled)
    before = highest = run.memory_bytes
    over = time.monotonic() + STALL_S

    def is_over() -> bool:
        nonlocal highest
        highest = max(highest, run.memory_bytes)
        return time.monotonic() > over

    run.wait_until(is_over, STALL_S + 30)
    return before, highest


def read_to_the_end(reader: Iterator[bytes]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in reader:
        record = json.loads(line)
        data = record["data"]
        found.setdefault(record["endpoint"], []).append(
            Line(record["received_at"], data["seq"], data["side"])
        )
    return found


def check_longest_gap(policy: str, lines: list[Line], read_again_at: int) -> None:
    """See that on both sides of what is missing are the messages that the policy keeps."""
    index = max(range(1, len(lines)), key=lambda index: lines[index].seq - lines[index - 1].seq)
    last, following, next_one = lines[index - 1 : index + 2]
    behind = [line for line in lines[index:] if line.received_at < read_again_at]
    if policy == "drop_newest":
        assert not behind
        assert read_again_at - last.received_at > (STALL_S - 2) * 1e9
    elif policy == "drop_oldest":
        # What was kept is about the last second before it could be handed on, without a gap in it.
        assert behind
        assert following.received_at > read_again_at - 1.5e9
        kept = lines[index : index + HIGH_WATER]
        assert kept[-1].seq - kept[0].seq == HIGH_WATER - 1
    else:
        assert following.side != next_one.side
        between = range(following.seq + 1, next_one.seq)
        assert all(side_of(seq) == next_one.side for seq in between)


def side_of(seq: int) -> str:
    side: str = json.loads(trade_message(0, seq))["side"]
    return side
