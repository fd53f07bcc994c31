"""Cursors of the real program: over reconnects, the death of a worker, and from one run to the next."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout.simulator import Faults, SimulatorConfig, SimulatorProcess

Launch = Callable[..., Any]

PROCESSOR = """
import asyncio
async def late(message: dict) -> dict:
    await asyncio.sleep(0.01)
    return message
"""


def times(run: Any) -> list[int]:
    return [json.loads(line)["time_us"] for lines in run.data().values() for line in lines]


def endpoint_of(simulator: SimulatorProcess, **keys: Any) -> dict[str, Any]:
    ((name, uri),) = simulator.endpoints
    cursor = {"field": "time_us", "parameter": "cursor"}
    return {"name": name, "uri": uri, "cursor": cursor, "backoff": {"initial": 0.05, "maximum": 0.1}, **keys}


def serve(**keys: Any) -> SimulatorProcess:
    return SimulatorProcess(
        SimulatorConfig(endpoints=1, dialect="jetstream", rate=1000, **{"start": "server", **keys})
    )


def is_whole(found: list[int]) -> bool:
    return found == list(range(found[0], found[0] + 1000 * len(found), 1000))


@pytest.mark.parametrize("how", ["close", "reset"])
def test_over_reconnects_nothing_is_lost_or_repeated(launch: Launch, how: Any) -> None:
    with serve(faults=Faults(disconnect=how, disconnect_every_s=1.0)) as simulator:
        run = launch({"endpoints": [endpoint_of(simulator)], "duration": 5})
        assert run.wait() == 0, run.stderr
        queries = [record.path for record in simulator.connections]
    assert is_whole(times(run))
    books = run.summary["totals"]
    assert books["duplicates"] >= len(queries) - 2 >= 2
    assert run.summary["balanced"]
    assert "cursor" not in queries[0]
    assert all("?cursor=" in query for query in queries[1:])


def test_the_next_run_goes_on_where_this_one_ended(launch: Launch) -> None:
    with serve() as simulator:
        config = {"endpoints": [endpoint_of(simulator)]}
        for limit in (1000, 2000):
            run = launch({**config, "limit": limit})
            assert run.wait() == 0, run.stderr
            # The first message of the second run is the last of the first once more.
            assert run.summary["totals"]["delivered"] == limit
    found = times(run)
    assert len(found) == 3000
    assert is_whole(found)
    assert run.summary["totals"]["duplicates"] == 1
    state = run.directory / "feeds.state.json"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert json.loads(state.read_bytes())["cursors"]["jetstream-000"]["value"] == found[-1]


def test_a_killed_worker_goes_on_after_what_is_in_the_sinks(launch: Launch, tmp_path: Path) -> None:
    """What died with the worker comes again; what is written doesn't."""
    with serve() as simulator:
        (tmp_path / "late.py").write_text(PROCESSOR)
        run = launch({"endpoints": [endpoint_of(simulator, processor="late:late")], "workers": 1})
        for _ in range(3):
            size = run.size()
            run.wait_until(lambda size=size: run.size() > size + 100_000)
            os.kill(run.workers[-1].pid, signal.SIGKILL)
        size = run.size()
        run.wait_until(lambda: run.size() > size + 100_000)
        assert run.stop() == 0, run.stderr
    found = times(run)
    assert sorted(set(found)) == list(range(found[0], found[-1] + 1000, 1000)), "lost"
    assert len(found) - len(set(found)) <= 3 * 1000, "repeated far more than was on its way"
    assert run.summary["balanced"]
    assert run.summary["workers"][0]["restarts"] == 3


def test_a_cursor_in_the_subscription(launch: Launch) -> None:
    with serve(faults=Faults(disconnect="close", disconnect_every_s=0.7)) as simulator:
        endpoint = endpoint_of(
            simulator, cursor={"field": "time_us"}, subscribe=[{"since": "{cursor}", "what": "all"}]
        )
        run = launch({"endpoints": [endpoint], "duration": 3})
        assert run.wait() == 0, run.stderr
        first, *later = [json.loads(record.received[0]) for record in simulator.connections]
    assert first == {"what": "all"}
    assert later
    assert all(each["what"] == "all" and each["since"] > 10**15 for each in later)


@pytest.mark.parametrize("content", ["nonsense", '{"version": 9}'])
def test_a_bad_state_file_is_told(launch: Launch, tmp_path: Path, content: str) -> None:
    (tmp_path / "feeds.state.json").write_text(content)
    with serve() as simulator:
        run = launch({"endpoints": [endpoint_of(simulator)], "limit": 100})
        assert run.wait() == 0, run.stderr
    assert "feeds.state.json can't be read, cursors and rates start anew" in run.stderr
    assert json.loads((tmp_path / "feeds.state.json").read_bytes())["cursors"]
