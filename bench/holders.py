"""Those who hold idle connections: scaleout and its peers, as they are measured from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from bench import memory, processes
from bench.errors import BenchError
from bench.lag import Lag
from bench.memory import Memory
from bench.sides.quiet_server import Arrived, Expect, ExpectProbes, Probe
from bench.talking import Helper, helper

WORKERS = 2
END_WITHIN_S = 120.0
"""Ten thousand closing handshakes take their time."""
SPOOL_DIRECTORY = Path("build")


class Holder(Protocol):
    """Holds connections."""

    @property
    def pids(self) -> Sequence[int]:
        """Its processes."""

    def lags_ms(self) -> list[float]:
        """The longest that each of its loops was late since it was asked last."""


class Connecting(msgspec.Struct, frozen=True):
    """What it took to open all connections, from the first that the server has seen to the last."""

    seconds: float
    cpu_s: float
    """Of all processes of the holder."""


class Held(NamedTuple):
    """All connections are open."""

    holder: Holder
    empty: Memory
    """Of its processes, without the connections."""
    connecting: Connecting


class Hosts(NamedTuple):
    """The server of the connections."""

    server: Helper
    addresses: Sequence[str]

    def expect(self, connections: int) -> None:
        """To be called before they come."""
        self.server.tell(Expect(connections))

    def wait(self, pids: Callable[[], Sequence[int]]) -> Connecting:
        """Wait until they all have come.

        Args:
            pids: gives the processes that they come from.
        """
        self.server.hear()
        before_s = _cpu_s(pids())
        arrived = msgspec.json.decode(self.server.hear(), type=Arrived)
        return Connecting(arrived.seconds, _cpu_s(pids()) - before_s)

    def uris(self, connections: int) -> list[str]:
        """Of idle connections, spread over the addresses."""
        return [f"{self.addresses[number % len(self.addresses)]}/{number}" for number in range(connections)]


def _cpu_s(pids: Sequence[int]) -> float:
    used_s = processes.cpu_s(list(pids))
    if used_s is None:
        raise BenchError("this system doesn't tell the CPU time of other processes")
    return used_s


Hold = Callable[[Hosts, int], AbstractContextManager[Held]]
"""Opens so many connections and keeps them."""


class _Run:
    """A run of scaleout, which has an endpoint in each worker that tells of its lag."""

    def __init__(self, process: subprocess.Popen[bytes], server: Helper) -> None:
        self._process = process
        self._server = server

    @property
    def pids(self) -> Sequence[int]:
        return list(processes.peak_rss_bytes(self._process.pid))

    def lags_ms(self) -> list[float]:
        self._server.tell(Probe())
        self._server.hear()
        assert self._process.stdout is not None
        lines = [self._process.stdout.readline() for _ in range(WORKERS)]
        return [msgspec.json.decode(line, type=Lag).lag_ms for line in lines]


@contextmanager
def scaleout(hosts: Hosts, connections: int) -> Iterator[Held]:
    """scaleout on two workers."""
    SPOOL_DIRECTORY.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SPOOL_DIRECTORY) as name:
        with _running(Path(name), hosts, 0) as run:
            hosts.server.ask(ExpectProbes(WORKERS), object)
            run.lags_ms()
            empty = memory.of(run.pids)
        hosts.expect(connections)
        with _running(Path(name), hosts, connections) as run:
            connecting = hosts.wait(lambda: run.pids)
            yield Held(run, empty, connecting)


@contextmanager
def _running(directory: Path, hosts: Hosts, connections: int) -> Iterator[_Run]:
    probes = [
        {"name": f"probe{number}", "uri": f"{hosts.addresses[0]}/probe{number}", "worker": number}
        | {"processor": "bench.lag:on_probe", "linger": 0}
        for number in range(WORKERS)
    ]
    idle = [{"name": f"idle{number}", "uri": uri} for number, uri in enumerate(hosts.uris(connections))]
    config = {
        "endpoints": [*probes, *idle],
        "defaults": {"processor": "bench.lag:on_beat"},
        "workers": WORKERS,
        "sink": "-",
        "envelope": False,
        "view": "none",
        "log_level": "error",
    }
    (directory / "feeds.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "scaleout", "feeds.json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    with subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE) as process:
        try:
            yield _Run(process, hosts.server)
        finally:
            process.terminate()
            code = process.wait(END_WITHIN_S)
    if code != 0:
        raise BenchError(f"the run ended with exit code {code}")


class _Peer:
    """A peer in a process of its own."""

    def __init__(self, process: Helper) -> None:
        self._process = process

    @property
    def pids(self) -> Sequence[int]:
        return [self._process.pid]

    def lags_ms(self) -> list[float]:
        return [self._process.ask(Probe(), Lag).lag_ms]


@contextmanager
def _peer(kind: str, hosts: Hosts, connections: int) -> Iterator[Held]:
    with helper("idle_peer", [kind, *hosts.uris(connections)], None) as process:
        process.hear()
        peer = _Peer(process)
        empty = memory.of(peer.pids)
        hosts.expect(connections)
        process.tell(Probe())
        yield Held(peer, empty, hosts.wait(lambda: peer.pids))


def websockets(hosts: Hosts, connections: int) -> AbstractContextManager[Held]:
    """websockets, with a task a connection."""
    return _peer("websockets", hosts, connections)


def picows(hosts: Hosts, connections: int) -> AbstractContextManager[Held]:
    """picows, with a listener a connection."""
    return _peer("picows", hosts, connections)
