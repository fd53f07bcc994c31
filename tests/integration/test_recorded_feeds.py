"""Recorded feeds through the simulator and two workers: byte for byte, in order, nothing missing."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout.simulator import ConnectionRecord, Faults, SimulatorConfig, SimulatorProcess

PROCESSOR = """
import base64

def keep(payload: bytes) -> str:
    return base64.b64encode(payload).decode()
"""


def name_of(recording: Path) -> str:
    return recording.name.split(".")[0]


def expected(recording: Path) -> list[bytes]:
    with gzip.open(recording) as file:
        lines = file.read().splitlines()
    return [b'"%b"' % line for line in lines] if recording.name.endswith(".b64.gz") else lines


def config_for(simulator: SimulatorProcess, directory: Path, reconnect: str) -> dict[str, object]:
    (directory / "keeping.py").write_text(PROCESSOR)
    endpoints: list[dict[str, object]] = []
    for name, uri in simulator.endpoints:
        endpoint: dict[str, object] = {"name": name, "uri": uri}
        if "binary" in name:
            endpoint["processor"] = "keeping:keep"
        endpoints.append(endpoint)
    backoff = {"initial": 0.05, "maximum": 0.1}
    return {"endpoints": endpoints, "defaults": {"reconnect": reconnect, "backoff": backoff}}


def test_everything_arrives_byte_for_byte(
    recorded_feeds: list[Path], tmp_path: Path, launch: Callable[..., Any]
) -> None:
    simulation = SimulatorConfig(replay=tuple(map(str, recorded_feeds)), speed=0)
    with SimulatorProcess(simulation) as simulator:
        run = launch(config_for(simulator, tmp_path, "on_error"))
        assert run.wait() == 0, run.stderr
    data = run.data()
    for recording in recorded_feeds:
        assert data[name_of(recording)] == expected(recording), recording
    assert run.summary["balanced"]
    assert run.summary["totals"]["received"] == sum(map(len, data.values()))


@pytest.mark.parametrize("how", ["close", "reset"])
def test_disconnects_lose_only_what_was_sent_meanwhile(
    how: str, recorded_feeds: list[Path], tmp_path: Path, launch: Callable[..., Any]
) -> None:
    faults = Faults(disconnect_every_s=1.0, disconnect=how)  # type: ignore[arg-type]
    simulation = SimulatorConfig(replay=tuple(map(str, recorded_feeds)), speed=6.0, faults=faults)
    with SimulatorProcess(simulation) as simulator:
        run = launch({**config_for(simulator, tmp_path, "on_error"), "duration": 8.0})
        assert run.wait() == 0, run.stderr
        connections = simulator.connections
    data = run.data()
    summary = run.summary
    missed = 0
    assert summary["balanced"]
    for recording in recorded_feeds:
        name = name_of(recording)
        mine = [record for record in connections if record.endpoint == name]
        assert summary["endpoints"][name]["connects"] == len(mine)
        check_connections(expected(recording), mine, data.get(name, []))
        missed += missed_between(mine)
    assert missed > 0


def missed_between(connections: list[ConnectionRecord]) -> int:
    """How many messages the feed sent while there was no connection."""
    ranges = [(record.first, record.last) for record in connections if record.messages]
    return sum(
        after[0] - before[1] - 1
        for before, after in itertools.pairwise(sorted(ranges))
        if before[1] is not None and after[0] is not None
    )


def check_connections(messages: list[bytes], connections: list[ConnectionRecord], got: list[bytes]) -> None:
    """What came is what each connection was sent, one after the other; only a last end may be cut short."""
    rest = got
    for record in sorted(connections, key=lambda record: record.index):
        if record.first is None or record.last is None:
            continue
        sent = messages[record.first : record.last + 1]
        if record.ended.value == "closed":
            assert rest[: len(sent)] == sent
            rest = rest[len(sent) :]
        else:
            whole = 0
            while whole < min(len(sent), len(rest)) and rest[whole] == sent[whole]:
                whole += 1
            rest = rest[whole:]
    assert not rest
