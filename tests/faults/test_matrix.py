"""The fault matrix: every fault of networks, servers and protocols at once, each at an endpoint of one run.

The rows are in `rows.py`. Beside them healthy neighbours must not notice anything. Where the other faults are:

| fault | test |
|---|---|
| half-open: packets stop | here, `test_half_open` |
| clock jumps | `test_matrix_clock.py` |
| processors that misbehave, block the loop, kill the worker | `test_matrix_processors.py` |
| async processors that misbehave, hang or block | `test_async_processors.py` |
| a processor too slow, or stuck | `test_slow_processor.py`, `test_worker_death.py` |
| worker SIGKILL, SIGSTOP | `test_worker_death.py` |
| sink slow, full, gone | `test_slow_sink.py` |
| dead-letter disk full | `test_matrix_disks.py` |
| stops and second signals | `test_stop.py` |
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psutil
import pytest

from scaleout.simulator import Attempt, ConnectionRecord, Faults, SimulatorConfig, SimulatorProcess
from tests.conftest import Launched
from tests.faults.rows import COUNT, ROWS, Row
from tests.faults.servers import Servers

HEALTHY = 4
HALF_OPEN = "half-open"
WITHIN_S = 45.0
MAX_WORKER_BYTES = 128 * 2**20
LEDGER = ("delivered", "filtered", "dead_lettered", "dropped", "duplicates", "lost", "in_flight")
DEFAULTS = {"reconnect": "on_error", "backoff": {"initial": 0.2, "maximum": 2.0}}
HAPPENINGS = {
    "failed": "can't connect",
    "lived": "live",
    "lost": "connection lost",
    "delayed": "reconnecting in",
    "ended": "the server closed the connection normally",
}
"""By what is logged of them."""
LATENESS_S = 8.0
"""What the longest fault takes to be noticed, and a slow machine besides."""
ROUNDING_S = 0.06
"""Delays are logged to a tenth of a second."""


class Line(msgspec.Struct):
    """A line of the run's log."""

    message: str
    level: str = ""
    endpoint: str = ""


class Result(msgspec.Struct):
    """A line of the sink."""

    class Data(msgspec.Struct):
        seq: int

    endpoint: str
    received_at: int
    data: Data


_lines = msgspec.json.Decoder(Line)
_results = msgspec.json.Decoder(Result)


class Seen(NamedTuple):
    """What the whole run was, on this side and on the servers'."""

    code: int
    summary: dict[str, Any]
    log: list[Line]
    results: dict[str, list[Result]]
    letters: list[dict[str, Any]]
    connections: dict[str, list[ConnectionRecord]]
    attempts: dict[str, list[Attempt]]
    knocks: list[float]
    """At the door that answers with a date."""
    peak_bytes: int
    """Of the largest worker."""

    def logged(self, endpoint: str) -> list[str]:
        """What was logged about an endpoint."""
        return [line.message for line in self.log if line.endpoint == endpoint]

    def delays(self, endpoint: str) -> list[float]:
        """Its delays before reconnects, in seconds."""
        found = (re.fullmatch(r"reconnecting in ([\d.]+) s", message) for message in self.logged(endpoint))
        return [float(match[1]) for match in found if match]

    def numbers(self, endpoint: str) -> list[int]:
        """Of its messages in the sink."""
        return [result.data.seq for result in self.results.get(endpoint, [])]


class Log:
    """The log of a run, read as it grows."""

    def __init__(self, run: Launched) -> None:
        self.lines: list[Line] = []
        self._file = (run.directory / "stderr.txt").open("rb")
        self._rest = b""

    def read(self) -> list[Line]:
        """The lines that have come since the last call."""
        *whole, self._rest = (self._rest + self._file.read()).split(b"\n")
        lines = [_lines.decode(line) for line in whole]
        self.lines += lines
        return lines

    def close(self) -> None:
        """Read no more."""
        self._file.close()


class Matrix:
    """The run, and all that is around it."""

    def __init__(self, directory: Path, servers: Servers, half_open: SimulatorProcess) -> None:
        self.servers = servers
        self.half_open = half_open
        self.simulators = {name: servers.simulate(simulation(row)) for name, row in ROWS.items()}
        self.healthy = servers.simulate(SimulatorConfig(endpoints=HEALTHY, rate=50.0 * HEALTHY, zipf=0.0))
        uris = {name: simulator.endpoints[0].uri for name, simulator in self.simulators.items()}
        elsewhere = Faults(bad_handshake="redirect", redirect_to=uris["redirect to another port"])
        redirecting = servers.simulate(SimulatorConfig(endpoints=1, faults=elsewhere))
        self.refusing = servers.door(uris["refused"])
        self.dating = servers.door(uris["503, Retry-After as a date"], in_three_seconds)
        self.dating.open()
        uris |= {
            "redirect to another port": redirecting.endpoints[0].uri,
            "refused": self.refusing.uri,
            "503, Retry-After as a date": self.dating.uri,
        }
        self.endpoints: list[Mapping[str, object]] = [
            *(self._endpoint(name, row, uris[name]) for name, row in ROWS.items()),
            {
                "name": HALF_OPEN,
                "uri": half_open.endpoints[0].uri,
                "ping_interval": 0.4,
                "ping_timeout": 0.4,
                "open_timeout": 1.0,
            },
            *({"name": name, "uri": uri} for name, uri in self.healthy.endpoints),
        ]
        self.run = Launched(directory, [str(self._config(directory))])
        self.log = Log(self.run)
        self._happened: Counter[tuple[str, str]] = Counter()
        self.peak_bytes = 0
        self.left: list[str] = []
        """Rows that aren't over."""

    def _endpoint(self, name: str, row: Row, uri: str) -> Mapping[str, object]:
        ca_file = self.simulators[name].ca_file
        return {"name": name, "uri": uri, **({"tls": {"ca": ca_file}} if ca_file else {}), **row.keys}

    def _config(self, directory: Path) -> Path:
        config = {
            "endpoints": self.endpoints,
            "workers": 2,
            "defaults": DEFAULTS,
            "sink": "out.jsonl",
            "summary": "summary.json",
            "dead_letters": "dead.db",
            "view": "none",
            "log_format": "json",
        }
        path = directory / "feeds.json"
        path.write_text(json.dumps(config))
        return path

    def go_through(self) -> Seen:
        """Let everything happen, stop the run, and gather what there is to see."""
        run = self.run
        sink = run.directory / "out.jsonl"
        run.wait_until(lambda: sink.exists() and f'"endpoint":"{HALF_OPEN}"' in sink.read_text())
        self.half_open.pause()
        run.wait_until(lambda: self._follow()[HALF_OPEN, "lost"] > 0)
        self.half_open.unpause()
        run.wait_until(self._is_over, WITHIN_S)
        code = run.stop()
        self.log.read()
        lines = [_results.decode(line) for line in run.lines()]
        by_endpoint = {name: list[Result]() for name in run.summary["endpoints"]}
        for line in lines:
            by_endpoint[line.endpoint].append(line)
        connections = {name: self.servers.connections(each) for name, each in self.simulators.items()}
        connections[HALF_OPEN] = sorted(self.half_open.connections, key=lambda record: record.opened_at)
        return Seen(
            code,
            run.summary,
            self.log.lines,
            by_endpoint,
            run.dead_letters(),
            connections,
            {name: self.servers.attempts(simulator) for name, simulator in self.simulators.items()},
            self.dating.knocks,
            self.peak_bytes,
        )

    def _follow(self) -> Counter[tuple[str, str]]:
        """Count what has happened to each endpoint; open the door that was closed, and look at the memory."""
        self.peak_bytes = max(self.peak_bytes, *map(peak_bytes, self.run.workers))
        for line in self.log.read():
            for word, words in HAPPENINGS.items():
                self._happened[line.endpoint, word] += line.message.startswith(words)
        if self._happened["refused", "failed"] >= 2:
            self.refusing.open()
        return self._happened

    def _is_over(self) -> bool:
        """Whether all that is to happen has happened."""
        happened = self._follow()
        self.left = [
            name
            for name, row in ROWS.items()
            if (
                happened[name, "delayed"] < row.tries if row.state != "ended" else not happened[name, "ended"]
            )
        ]
        return not self.left and happened[HALF_OPEN, "lived"] >= 2


def simulation(row: Row) -> SimulatorConfig:
    """One endpoint whose next connection goes on where the one before was left."""
    return SimulatorConfig(
        **{
            "endpoints": 1,
            "firehose": True,
            "resume": True,
            "count": COUNT,
            "tick": 0.02,
            "close_timeout": 2.0,
            "faults": row.faults,
            **row.serves,
        }
    )


def in_three_seconds() -> bytes:
    """A refusal that says when to come again; dates are in whole seconds."""
    date = formatdate(time.time() + 3, usegmt=True)
    return f"HTTP/1.1 503 Busy\r\nRetry-After: {date}\r\nContent-Length: 0\r\n\r\n".encode()


def peak_bytes(process: psutil.Process) -> int:
    """The most memory that a process has had; where the system doesn't keep that, what it has now."""
    try:
        status = Path(f"/proc/{process.pid}/status")
        if not status.exists():
            return int(process.memory_info().rss)
        lines = status.read_text().splitlines()
    except (OSError, psutil.Error):  # it is gone
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """The one run of the matrix."""
    paused = SimulatorConfig(endpoints=1, rate=200.0)
    with Servers() as servers, SimulatorProcess(paused) as half_open:
        matrix = Matrix(tmp_path_factory.mktemp("matrix"), servers, half_open)
        try:
            found = matrix.go_through()
        except AssertionError:
            print("still to come:", *matrix.left, sep="\n  ")
            raise
        finally:
            matrix.log.close()
            matrix.run.kill()
    yield found


@pytest.mark.parametrize("name", ROWS)
def test_what_people_are_told(name: str, seen: Seen) -> None:
    row, books = ROWS[name], seen.summary["endpoints"][name]
    if row.said is None:
        assert books["last_error"] is None
    else:
        assert re.search(row.said, books["last_error"])
    states = ("backoff", "connecting", "live") if row.state == "trying" else (row.state,)
    assert books["state"] in states
    logged = "\n".join(seen.logged(name))
    assert all(words in logged for words in row.says)
    assert row.says or "quarantine" not in logged


@pytest.mark.parametrize("name", ROWS)
def test_what_the_server_sees(name: str, seen: Seen) -> None:
    row, connections, attempts = ROWS[name], seen.connections[name], seen.attempts[name]
    if row.connects is not None:
        assert seen.summary["endpoints"][name]["connects"] == len(connections) == row.connects
    else:
        # The run's end may cut a handshake short on one side.
        assert abs(seen.summary["endpoints"][name]["connects"] - len(connections)) <= 1
        assert len(connections) < 2 * row.tries + seen.summary["duration_s"]
    if row.seen is not None:
        assert connections[0].close_code == row.seen
    delays = seen.delays(name)
    assert bool(delays) == (row.pause is not None)
    if row.pause is not None:
        least, most = row.pause
        assert least - ROUNDING_S <= delays[0] <= most + ROUNDING_S
        for (before, after), delay in zip(itertools.pairwise(attempts), delays, strict=False):
            if "redirect" not in name:
                assert delay - ROUNDING_S <= after.at - before.at < delay + LATENESS_S


@pytest.mark.parametrize("name", ROWS)
def test_the_ledger(name: str, seen: Seen) -> None:
    row, books, connections = ROWS[name], seen.summary["endpoints"][name], seen.connections[name]
    assert books["received"] == sum(books[term] for term in LEDGER)
    assert books["in_flight"] == books["lost"] == books["dropped"] == books["duplicates"] == 0
    numbers, sent = seen.numbers(name), sum(record.messages for record in connections)
    assert books["delivered"] == len(numbers)
    assert row.is_dead(books["dead_lettered"])
    assert books["dead_lettered"] == sum(letter["endpoint"] == name for letter in seen.letters)
    assert books["filtered"] <= sum(record.heartbeats for record in connections)
    if row.is_exact:
        assert numbers == list(range(sent))
        assert books["dead_lettered"] == sum(record.garbage for record in connections)
    else:
        assert numbers == sorted(set(numbers))
        for record in connections:
            mine = [
                n for n in numbers if record.first is not None and record.first <= n <= (record.last or 0)
            ]
            assert mine == list(range(record.first or 0, (record.first or 0) + len(mine)))
    if row.state == "ended":
        assert numbers[-1] == row.messages - 1


def test_half_open(seen: Seen) -> None:
    books, connections = seen.summary["endpoints"][HALF_OPEN], seen.connections[HALF_OPEN]
    logged = seen.logged(HALF_OPEN)
    assert any("1011" in message and "keepalive ping timeout" in message for message in logged)
    assert books["connects"] == 2
    assert books["received"] == books["delivered"] == len(seen.numbers(HALF_OPEN))
    first, *_, last = connections
    numbers = seen.numbers(HALF_OPEN)
    early = [number for number in numbers if number < (last.first or 0)]
    assert early == list(range(len(early)))
    assert numbers[len(early) :] == list(
        range(last.first or 0, (last.first or 0) + len(numbers) - len(early))
    )
    assert len(early) <= first.messages


def test_the_neighbours_notice_nothing(seen: Seen) -> None:
    healthy = [name for name in seen.summary["endpoints"] if name not in ROWS and name != HALF_OPEN]
    assert len(healthy) == HEALTHY
    for name in healthy:
        books, numbers = seen.summary["endpoints"][name], seen.numbers(name)
        assert (books["connects"], books["state"], books["last_error"]) == (1, "live", None)
        assert numbers == list(range(len(numbers)))
        times = [result.received_at for result in seen.results[name]]
        assert max(after - before for before, after in itertools.pairwise(times)) < 2e9
        assert times[-1] - times[0] > 0.8e9 * (seen.summary["duration_s"] - 3)


def test_the_run(seen: Seen) -> None:
    assert seen.code == 0
    assert seen.summary["balanced"]
    assert [worker["restarts"] for worker in seen.summary["workers"]] == [0, 0]
    assert not [line for line in seen.log if line.level == "error" and "quarantined" not in line.message]


def test_the_memory_is_bounded(seen: Seen) -> None:
    """A bomb of 1 GiB, endless fragments and headers, a flood of pings, and messages too large."""
    assert 0 < seen.peak_bytes < MAX_WORKER_BYTES


def test_a_retry_after_that_is_a_date_is_honoured(seen: Seen) -> None:
    first, second = seen.knocks
    assert 2.0 <= second - first < 10.0


def test_after_a_compression_error_none_is_offered(seen: Seen) -> None:
    for name in ("broken compression", "refused compression"):
        offers = ["permessage-deflate" in attempt.extensions for attempt in seen.attempts[name]]
        assert offers == [True, False]
    assert all("permessage-deflate" in each.extensions for each in seen.attempts["decompression bomb"])


def test_subprotocols_are_offered_in_turn(seen: Seen) -> None:
    offers = [attempt.subprotocols for attempt in seen.attempts["refused subprotocol"]]
    assert offers == [("one", "two"), ("one",), ("two",)]


def test_the_pings_of_a_flood_are_answered(seen: Seen) -> None:
    (record,) = seen.connections["ping flood"]
    assert record.pongs > 0


def test_invalid_messages_are_kept_with_the_reason(seen: Seen) -> None:
    letters = [letter for letter in seen.letters if letter["endpoint"] == "garbage messages"]
    assert {letter["stage"] for letter in letters} == {"decode"}
    assert all(re.match("JSON is malformed|Input data was truncated", letter["reason"]) for letter in letters)
