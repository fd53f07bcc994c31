"""Many streams of one endpoint: spread over connections, added and taken away while the others go on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout import Control, ControlError
from scaleout.simulator import ConnectionRecord, Dialogue, SimulatorConfig, SimulatorProcess

Launch = Callable[..., Any]

BY_LIST = {"op": "subscribe", "streams": ["{streams}"]}
BY_ONE = {"op": "subscribe", "streams": ["{stream}"]}
OFF = {"op": "unsubscribe", "streams": ["{streams}"]}
ACKNOWLEDGED = {"match": {"type": "subscribed"}, "within": 30}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of sockets are short: be where they are."""
    monkeypatch.chdir(tmp_path)


def serve(streams: int, **keys: Any) -> SimulatorProcess:
    return SimulatorProcess(SimulatorConfig(**{"endpoints": streams, "rate": 1000, "zipf": 0.0, **keys}))


def endpoint_of(simulator: SimulatorProcess, *names: str, **keys: Any) -> dict[str, Any]:
    return {
        "name": "many",
        "uri": simulator.streams_uri,
        "streams": names or simulator.stream_names,
        "subscribe": [BY_LIST],
        "unsubscribe": [OFF],
        "ready": ACKNOWLEDGED,
        "sequence": "seq",
        "sequence_key": "stream",
        "gap_records": False,
        "backoff": {"initial": 0.05, "maximum": 0.1},
        **keys,
    }


def numbers(run: Any) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for line in run.data().get("many", []):
        message = json.loads(line)
        if "seq" in message:  # that a stream has ended is said in a message, too
            found.setdefault(message["stream"], []).append(message["seq"])
    return found


def open_streams(connections: list[ConnectionRecord]) -> list[list[str]]:
    return sorted(
        sorted(stream.name for stream in record.streams if stream.unsubscribed_at is None)
        for record in connections
        if record.closed_at is None
    )


def live(simulator: SimulatorProcess) -> set[str]:
    return {name for names in open_streams(simulator.connections) for name in names}


@pytest.mark.parametrize("subscribe", [BY_LIST, BY_ONE], ids=["many a message", "one a message"])
def test_streams_are_spread_over_as_few_connections_as_may_be(launch: Launch, subscribe: Any) -> None:
    with serve(10, dialogue=Dialogue(max_streams=4)) as simulator:
        endpoint = endpoint_of(simulator, streams_per_connection=4, subscribe=[subscribe])
        run = launch({"endpoints": [endpoint], "limit": 3000})
        assert run.wait() == 0, run.stderr
        connections = simulator.connections
    assert sorted(len(record.streams) for record in connections) == [3, 3, 4]
    got = numbers(run)
    assert set(got) == set(simulator.stream_names)
    assert all(each == list(range(each[0], each[0] + len(each))) for each in got.values())
    assert run.summary["totals"]["gaps"] == 0
    assert run.summary["endpoints"]["many"]["connects"] == 3


def test_a_stream_in_the_uri_has_a_connection_of_its_own(launch: Launch) -> None:
    with serve(4) as simulator:
        keys = ("name", "streams", "backoff")
        endpoint = {key: endpoint_of(simulator)[key] for key in keys} | {"uri": simulator.stream_template}
        run = launch({"endpoints": [endpoint], "limit": 2000})
        assert run.wait() == 0, run.stderr
        connections = simulator.connections
    assert sorted(record.path for record in connections) == [f"/stream/feed{n}" for n in range(4)]
    assert len(run.lines()) == 2000


def test_streams_come_and_go_without_a_break_in_the_others(launch: Launch) -> None:
    with serve(8) as simulator:
        first = ("feed0", "feed1", "feed2", "feed3")
        endpoint = endpoint_of(simulator, *first, streams_per_connection=3)
        run = launch({"endpoints": [endpoint], "control": "s", "workers": 1})
        run.wait_until(lambda: Path("s").exists() and live(simulator) == set(first))
        run.wait_until(lambda: run.size() and b'"feed1"' in Path("out.jsonl").read_bytes())
        control = Control("s")
        control.change_streams("many", ["feed4", "feed5", "feed6"], ["feed1"])
        wanted = {"feed0", "feed2", "feed3", "feed4", "feed5", "feed6"}
        run.wait_until(lambda: live(simulator) == wanted)
        assert max(map(len, open_streams(simulator.connections))) <= 3
        for add, remove, words in (
            (["feed4"], [], "there already"),
            ([], ["feed1"], "no such stream"),
            ([], sorted(wanted), "has to stay"),
            (["feed7", "feed7"], [], "once"),
        ):
            with pytest.raises(ControlError, match=words):
                control.change_streams("many", add, remove)
        # A new worker has the streams of now, not those of the beginning.
        opened = len(simulator.connections)
        os.kill(run.workers[0].pid, signal.SIGKILL)
        run.wait_until(lambda: len(simulator.connections) > opened and live(simulator) == wanted)
        before = simulator.connections[:opened]
        size = run.size()
        run.wait_until(lambda: run.size() > size + 50_000)
        assert run.stop() == 0, run.stderr
    got = numbers(run)
    assert set(got) == wanted | {"feed1"}
    assert got["feed1"] == list(range(got["feed1"][0], got["feed1"][0] + len(got["feed1"])))
    # The streams that stayed were on one connection from the beginning to the kill.
    for name in ("feed0", "feed2", "feed3"):
        assert sum(stream.name == name for record in before for stream in record.streams) == 1
    assert run.summary["balanced"]


def test_many_streams_are_subscribed_at_the_pace_that_is_allowed(launch: Launch) -> None:
    streams = 1000
    with serve(streams, rate=5000, dialogue=Dialogue(max_inbound_per_s=5)) as simulator:
        endpoint = endpoint_of(simulator, send_rate="5/s")
        run = launch({"endpoints": [endpoint]})
        run.wait_until(lambda: len(live(simulator)) == streams)
        size = run.size()
        run.wait_until(lambda: run.size() > size + 1_500_000)
        assert run.stop() == 0, run.stderr
        (connection,) = simulator.connections
    assert connection.busiest_inbound <= 5
    assert len(connection.received) == streams / 100
    assert len(numbers(run)) == streams
    assert run.summary["totals"]["gaps"] == 0


def test_a_rotation_of_many_streams_is_without_a_gap(launch: Launch) -> None:
    with serve(5, shift=0.2) as simulator:
        endpoint = endpoint_of(simulator, rotate_after=3)
        run = launch({"endpoints": [endpoint], "duration": 12})
        assert run.wait() == 0, run.stderr
    got = numbers(run)
    assert all(each == list(range(each[0], each[0] + len(each))) for each in got.values())
    books = run.summary["endpoints"]["many"]
    assert books["connects"] >= 3
    assert books["uncertain"] == books["gaps"] == books["repeats"] == 0
