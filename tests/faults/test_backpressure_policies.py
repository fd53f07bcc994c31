"""Policies other than `block` at a sink that stalls: the feed is read all the time, memory stays bounded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaleout.simulator import SimulatorConfig, SimulatorProcess
from scaleout.simulator.dialects import trade_message
from scaleout.worker.keeping import PIECE

STALL_S = float(os.environ.get("SCALEOUT_STALL_S", "5"))
FILLING_S = 1.5
"""After that all that comes before the sink is full."""
GROWTH_BYTES = 64 * 2**20
RATE = 10_000
KEPT_S = 3.0
"""What comes in that time is kept of the paced endpoint: less than the stall, more than going on after it takes."""
HIGH_WATER = round(RATE * KEPT_S)
MISSING = round(RATE * (STALL_S - KEPT_S))
"""More than that is missing for the stall, and nothing before it; later a slow reader may cost more."""
PACED = SimulatorConfig(endpoints=1, rate=RATE, max_lag=2**21, ping_interval=2.0)
"""A client that doesn't read for two seconds is cut off, and one that answers no ping for so long."""
FIREHOSE = SimulatorConfig(endpoints=1, firehose=True, ping_interval=2.0)

AFTERWARDS_NS = 10**8
"""The run goes on so long, by the receive times of the paced endpoint, after the sink is read again."""

Launch = Callable[..., Any]


class Trade(msgspec.Struct):
    """A message."""

    seq: int
    side: str


class Line(msgspec.Struct):
    """A record of the sink."""

    endpoint: str
    received_at: int
    data: Trade

    @property
    def seq(self) -> int:
        """The message's number."""
        return self.data.seq

    @property
    def side(self) -> str:
        """One of two."""
        return self.data.side


decode = msgspec.json.Decoder(Line).decode


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "latest"])
def test_a_fifo_nobody_reads(tmp_path: Path, launch: Launch, policy: str) -> None:
    fifo = tmp_path / "out.fifo"
    os.mkfifo(fifo)
    keys = {"backpressure": policy, "high_water": HIGH_WATER, "high_water_bytes": "16MiB"}
    if policy == "latest":
        keys["latest_key"] = "side"
    with SimulatorProcess(PACED) as paced, SimulatorProcess(FIREHOSE) as firehose:
        uris = {"paced": paced.endpoints[0][1], "firehose": firehose.endpoints[0][1]}
        endpoints = [{"name": name, "uri": uri, **keys} for name, uri in uris.items()]
        run = launch({"endpoints": endpoints, "sink": "out.fifo", "sink_backlog": "256KiB", "workers": 1})
        with fifo.open("rb") as reader:
            found: dict[str, list[Line]] = {name: [] for name in uris}
            while not found["paced"]:
                keep(reader.readline(), found)
            before, highest = watch_memory(run)
            read_again_at = time.time_ns()
            read_to_the_end(reader, run, read_again_at, found)
        assert run.wait() == 0, run.stderr
    assert highest - before < GROWTH_BYTES
    summary = run.summary
    assert summary["balanced"]
    assert summary["totals"]["lost"] == 0
    for name, books in summary["endpoints"].items():
        assert books["connects"] == 1, (name, books)
        assert books["dropped"] > 0, (name, books)
        assert books["received"] == books["delivered"] + books["dropped"], (name, books)
        assert books["delivered"] == len(found[name])
        assert all(line.seq < following.seq for line, following in pairwise(found[name]))
    assert summary["endpoints"]["paced"]["dropped"] > MISSING
    check_gap_of_the_stall(policy, found["paced"], read_again_at)


def watch_memory(run: Any) -> tuple[int, int]:
    """Memory once all that is to be filled is full, and the most there is in the time after it."""
    settled = time.monotonic() + FILLING_S
    run.wait_until(lambda: time.monotonic() > settled)
    before = highest = run.memory_bytes
    over = time.monotonic() + STALL_S

    def is_over() -> bool:
        nonlocal highest
        highest = max(highest, run.memory_bytes)
        return time.monotonic() > over

    run.wait_until(is_over, STALL_S + 30)
    return before, highest


def read_to_the_end(
    reader: Iterator[bytes], run: Any, read_again_at: int, found: dict[str, list[Line]]
) -> None:
    """Read on until the paced endpoint is back in the present, then stop the run and take what there is."""
    is_stopped = False
    deadline = time.monotonic() + 30
    for line in reader:
        record = keep(line, found)
        is_back = record.endpoint == "paced" and record.received_at > read_again_at + AFTERWARDS_NS
        if not is_stopped and (is_back or time.monotonic() > deadline):
            run.process.terminate()
            is_stopped = True


def keep(line: bytes, found: dict[str, list[Line]]) -> Line:
    record = decode(line)
    found[record.endpoint].append(record)
    return record


def check_gap_of_the_stall(policy: str, lines: list[Line], read_again_at: int) -> None:
    """See that on both sides of what is missing are the messages that the policy keeps."""
    pairs = enumerate(pairwise(lines), 1)
    index = next(index for index, (line, following) in pairs if following.seq - line.seq > MISSING)
    last, following, next_one = lines[index - 1 : index + 2]
    if policy == "drop_newest":
        assert index > HIGH_WATER - PIECE
        assert last.received_at < read_again_at - (STALL_S - KEPT_S) * 1e9
        assert following.received_at >= read_again_at
    elif policy == "drop_oldest":
        assert last.received_at < read_again_at - STALL_S * 1e9
        assert following.received_at < read_again_at
        kept = lines[index : index + PIECE]
        assert kept[-1].seq - kept[0].seq == PIECE - 1
    else:
        assert following.side != next_one.side
        between = range(following.seq + 1, next_one.seq)
        assert all(side_of(seq) == next_one.side for seq in between)


def side_of(seq: int) -> str:
    side: str = json.loads(trade_message(0, seq))["side"]
    return side
