"""The fault matrix of plain processors: each misbehaves at an endpoint of one run, and harms only its own messages.

Async processors are in `test_async_processors.py`; one that is stuck for good is in `test_worker_death.py`.
"""

from __future__ import annotations

import itertools
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from scaleout.simulator import SimulatorConfig, SimulatorProcess
from tests.conftest import Launched

COUNT = 200
BAD = 10
"""Messages that are misbehaved on."""
LEDGER = ("delivered", "filtered", "dead_lettered", "dropped", "duplicates", "lost", "in_flight")
HUGE_BYTES = 64 * 2**20

MODULE = """
import itertools, pathlib, sys, time
from collections.abc import Iterator
import msgspec
from scaleout import Reject

class Numbered(msgspec.Struct):
    seq: int

def is_bad(message):
    return message.seq % 20 == 7

def raises(message: Numbered):
    if is_bad(message):
        raise RuntimeError("no")
    return message.seq

def rejects(message: Numbered):
    if is_bad(message):
        raise Reject("not wanted")
    return message.seq

def unencodable(message: Numbered):
    return object() if is_bad(message) else message.seq

def exits(message: Numbered):
    if is_bad(message):
        sys.exit(1)
    return message.seq

def interrupts(message: Numbered):
    if is_bad(message):
        raise KeyboardInterrupt
    return message.seq

def recurses(message: Numbered):
    return recurses(message) if is_bad(message) else message.seq

def recurses_in_its_result(message: Numbered):
    if is_bad(message):
        endless = []
        endless.append(endless)
        return endless
    return message.seq

class Odd(Exception):
    def __str__(self):
        raise RuntimeError("not even this")

def raises_what_has_no_words(message: Numbered):
    if is_bad(message):
        raise Odd
    return message.seq

def raises_very_much(message: Numbered):
    if is_bad(message):
        raise ValueError("x" * 5_000_000)
    return message.seq

def endless(message: Numbered):
    return itertools.repeat(message.seq) if message.seq == 7 else message.seq

def generates_until_it_raises(message: Numbered) -> Iterator[int]:
    yield message.seq
    if is_bad(message):
        raise RuntimeError("half way")

def batch_raises(messages: list[Numbered]):
    if any(map(is_bad, messages)):
        raise RuntimeError("all of them")
    return [message.seq for message in messages]

def huge(message: Numbered):
    return "x" * (64 * 2**20) if message.seq == 7 else message.seq

def stops_iterating(message: Numbered):
    if is_bad(message):
        raise StopIteration
    return message.seq
"""


class Row(NamedTuple):
    """A misbehaviour, and what is expected."""

    reason: str | None
    """Of its dead letters; None: there are none."""
    dead: int = BAD
    has_traceback: bool = True


ROWS = {
    "raises": Row("RuntimeError: no"),
    "rejects": Row("not wanted", has_traceback=False),
    "unencodable": Row("TypeError: Encoding objects of type object is unsupported"),
    "exits": Row("SystemExit: 1"),
    "interrupts": Row("KeyboardInterrupt"),
    "recurses": Row("RecursionError: maximum recursion depth exceeded"),
    "recurses_in_its_result": Row("RecursionError: maximum recursion depth exceeded"),
    "raises_what_has_no_words": Row("Odd"),
    "raises_very_much": Row("ValueError: xxx"),
    "endless": Row("ValueError: more than 1,000,000 results of one call", 1),
    "generates_until_it_raises": Row("RuntimeError: half way"),
    "batch_raises": Row("RuntimeError: all of them", COUNT),
    "huge": Row(None, 0),
    "stops_iterating": Row("RuntimeError: StopIteration was raised"),
}


class Seen(NamedTuple):
    """What the run was."""

    summary: dict[str, Any]
    results: dict[str, list[int | str]]
    letters: list[dict[str, Any]]
    stderr: str


class Line(msgspec.Struct):
    """A line of the sink."""

    endpoint: str
    data: int | str


_lines = msgspec.json.Decoder(Line)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """The one run of all rows, on one worker."""
    directory = tmp_path_factory.mktemp("processors")
    (directory / "odd.py").write_text(MODULE)
    with SimulatorProcess(SimulatorConfig(endpoints=len(ROWS) + 1, firehose=True, count=COUNT)) as simulator:
        endpoints: list[dict[str, object]] = [
            {"name": name, "uri": endpoint.uri, "processor": f"odd:{name}"}
            for endpoint, name in zip(simulator.endpoints, ROWS, strict=False)
        ]
        endpoints.append({"name": "well", "uri": simulator.endpoints[-1].uri, "processor": "odd:well"})
        (directory / "odd.py").write_text(MODULE + "\ndef well(message: Numbered):\n    return message.seq\n")
        config = {
            "endpoints": endpoints,
            "workers": 1,
            "defaults": {"reconnect": "on_error"},
            "sink": "out.jsonl",
            "summary": "summary.json",
            "dead_letters": "dead.db",
            "view": "none",
        }
        (directory / "feeds.json").write_text(json.dumps(config))
        run = Launched(directory, ["feeds.json"])
        try:
            assert run.wait() == 0, run.stderr
        finally:
            run.kill()
    results: dict[str, list[int | str]] = {}
    for line in map(_lines.decode, run.lines()):
        results.setdefault(line.endpoint, []).append(line.data)
    yield Seen(run.summary, results, run.dead_letters(), run.stderr)


@pytest.mark.parametrize("name", ROWS)
def test_it_harms_its_own_messages_alone(name: str, seen: Seen) -> None:
    row, books = ROWS[name], seen.summary["endpoints"][name]
    assert (books["received"], books["delivered"], books["dead_lettered"]) == (
        COUNT,
        COUNT - row.dead,
        row.dead,
    )
    assert books["received"] == sum(books[term] for term in LEDGER)
    assert (books["connects"], books["state"], books["last_error"]) == (1, "ended", None)
    letters = [letter for letter in seen.letters if letter["endpoint"] == name]
    assert len(letters) == row.dead
    for letter in letters:
        assert letter["stage"] == "process"
        assert letter["reason"].startswith(row.reason)
        assert bool(letter["traceback"]) == row.has_traceback
        assert len(letter["reason"]) + len(letter["traceback"] or "") < 20_000
    dead = {json.loads(letter["payload"])["seq"] for letter in letters}
    assert len(dead) == row.dead
    rest = [number for number in range(COUNT) if number not in dead]
    found = seen.results.get(name, [])
    if name == "huge":
        assert found[7] == "x" * HUGE_BYTES
        found[7] = 7
    assert found == rest


def test_the_neighbour_notices_nothing(seen: Seen) -> None:
    assert seen.results["well"] == list(range(COUNT))
    assert seen.summary["endpoints"]["well"]["connects"] == 1


def test_the_run(seen: Seen) -> None:
    assert seen.summary["balanced"]
    assert [worker["restarts"] for worker in seen.summary["workers"]] == [0]
    assert "Traceback" not in seen.stderr


KILLS = """
import os, pathlib, time
import msgspec

class Numbered(msgspec.Struct):
    seq: int

def once(message: Numbered):
    if message.seq >= 50 and not pathlib.Path("killed").exists():
        pathlib.Path("killed").touch()
        os._exit(7)
    return message.seq

def blocks(message: Numbered):
    if message.seq in (50, 150):
        pathlib.Path(f"blocks{message.seq}").touch()
        time.sleep(2)
    return message.seq
"""


def test_one_that_kills_its_worker(tmp_path: Path, launch: Callable[..., Any]) -> None:
    """The worker comes back with its endpoints; what died with it is counted; the other worker goes on."""
    (tmp_path / "odd.py").write_text(KILLS)
    with SimulatorProcess(SimulatorConfig(endpoints=4, rate=800, zipf=0)) as simulator:
        endpoints = [{"name": name, "uri": uri} for name, uri in simulator.endpoints]
        endpoints[0]["processor"] = "odd:once"
        run = launch({"endpoints": endpoints, "defaults": {"backoff": {"initial": 0.05}}})
        run.wait_until(lambda: sum(record.messages > 30 for record in simulator.connections) == 6)
        assert run.stop() == 0, run.stderr
        connections = simulator.connections
    summary = run.summary
    assert summary["balanced"]
    assert sorted(worker["restarts"] for worker in summary["workers"]) == [0, 1]
    assert "exit code 7" in run.stderr
    for name, books in summary["endpoints"].items():
        assert books["received"] == sum(books[term] for term in LEDGER)
        records = sorted(
            (each for each in connections if each.endpoint == name), key=lambda each: each.opened_at
        )
        data = [json.loads(line) for line in run.data()[name]]
        numbers = [each if isinstance(each, int) else each["seq"] for each in data]
        assert books["delivered"] == len(numbers)
        assert books["connects"] == len(records)
        if len(records) == 1:
            assert (books["lost"], books["last_error"]) == (0, None)
            assert numbers == list(range(len(numbers)))
        else:
            assert "exit code 7" in books["last_error"]
            first, second = records
            early = [number for number in numbers if number < (second.first or 0)]
            assert early == list(range(len(early)))
            assert len(early) + books["lost"] <= first.messages
    assert summary["endpoints"][endpoints[0]["name"]]["lost"] >= 1


def test_one_that_blocks_the_loop_for_two_seconds(tmp_path: Path, launch: Callable[..., Any]) -> None:
    """Its neighbours are late; no server is taken for dead, nor the worker for stuck, and the state tells why."""
    (tmp_path / "odd.py").write_text(KILLS)
    live = SimulatorConfig(endpoints=3, rate=300, zipf=0)
    quiet = SimulatorConfig(endpoints=1, firehose=True, count=1, at_end="hold")
    with SimulatorProcess(live) as simulator, SimulatorProcess(quiet) as silent:
        endpoints: list[dict[str, object]] = [
            {"name": name, "uri": uri, "stale_after": 1.0, "ping_interval": 0.3, "ping_timeout": 0.3}
            for name, uri in simulator.endpoints
        ]
        endpoints[0]["processor"] = "odd:blocks"
        endpoints.append({"name": "quiet", "uri": silent.endpoints[0].uri})
        run = launch({"endpoints": endpoints, "workers": 1})
        run.wait_until((tmp_path / "blocks150").exists)  # the loop is blocked for the second time
        assert run.stop() == 0, run.stderr
        connections = simulator.connections
    summary = run.summary
    assert summary["balanced"]
    assert summary["workers"][0]["restarts"] == 0
    assert len(connections) == 3
    for name, books in summary["endpoints"].items():
        assert (books["connects"], books["last_error"]) == (1, None), name
    assert summary["endpoints"]["quiet"]["stall"] == "loop blocked"
    lines = [json.loads(line) for line in run.lines()]
    for endpoint in endpoints[1:3]:
        mine = [line for line in lines if line["endpoint"] == endpoint["name"]]
        numbers = [line["data"]["seq"] for line in mine]
        assert numbers == list(range(len(numbers)))
        times = [line["received_at"] for line in mine]
        longest_s = max(after - before for before, after in itertools.pairwise(times)) / 1e9
        assert 1.5 < longest_s < 6


def test_a_stuck_worker_is_found_by_its_heartbeat(tmp_path: Path, launch: Callable[..., Any]) -> None:
    """A stopped process and a short `heartbeat_timeout`: killed, restarted, its endpoints back, the books exact."""
    with SimulatorProcess(SimulatorConfig(endpoints=2, rate=400, zipf=0)) as simulator:
        endpoints = [{"name": name, "uri": uri} for name, uri in simulator.endpoints]
        run = launch(
            {"endpoints": endpoints, "heartbeat_timeout": 1.0, "defaults": {"backoff": {"initial": 0.05}}}
        )
        run.wait_until(lambda: len(simulator.connections) == 2 and run.size() > 5_000)
        victim = run.workers[0]
        struck_at = time.time()
        victim.send_signal(signal.SIGSTOP)
        run.wait_until(lambda: len(simulator.connections) == 3 and simulator.connections[-1].messages > 20)
        back_at = max(record.opened_at for record in simulator.connections)
        assert run.stop() == 0, run.stderr
    assert 1.0 < back_at - struck_at < 8.0
    assert not victim.is_running()
    assert "stuck: no heartbeat for 1 s, killed" in run.stderr
    summary = run.summary
    assert summary["balanced"]
    assert sorted(worker["restarts"] for worker in summary["workers"]) == [0, 1]
    for books in summary["endpoints"].values():
        assert books["received"] == sum(books[term] for term in LEDGER)
