"""How long it takes from the command to the first message written, and where that time goes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import asdict, astuple
from websockets.frames import Opcode

from bench import report
from bench.errors import BenchError
from bench.generator.handshake import shake_hands
from bench.report import Origin, Spread
from scaleout.simulator.framing import encode_frame

NAME = "start-up"
WORKERS = 2
TITLE = f"from the command to the first message written: {WORKERS} workers with a feed each"
STARTS = 3
"""In each round."""
WITHIN_S = 60.0
LOOK_EVERY_S = 0.002

MESSAGE = encode_frame(
    Opcode.TEXT, b'{"seq":1,"symbol":"BTC-USDT","price":64123.51,"size":0.0425,"side":"buy"}'
)
"""What a feed sends as soon as it is open."""


class Start(msgspec.Struct, frozen=True):
    """One start: seconds from the command, in the order in which things happen."""

    spawned: float
    """The first worker process is there: the interpreter has begun, all is imported, the configuration is read."""
    connecting: float
    """The first worker connects: its interpreter has begun, it has imported all, and has been told what to do."""
    open: float
    """The first feed is open: its handshake is done, and it sends a message."""
    written: float
    """The first line can be read at the sink."""
    all_open: float
    """The last feed is open."""


class Alone(msgspec.Struct, frozen=True):
    """What parts of it take by themselves, in seconds."""

    interpreter: float
    """Python, which does nothing."""
    imports: float
    """The same with all that the command imports."""
    worker_imports: float
    """The same with all that a worker imports."""


class Report(Origin, frozen=True):
    """What the result file holds."""

    start: dict[str, Spread]
    """By the name of the moment, in seconds."""
    alone: dict[str, Spread]
    starts: list[Start]


def run(rounds: int, seconds: float, directory: Path, progress: Callable[[str], None]) -> Path:
    """Measure, print a table and write the result file; where that is.

    Raises:
        BenchError: the command failed.
    """
    measure()  # after which all is compiled, and in the system's cache
    starts, alone = [], []
    for number in range(rounds):
        starts += [measure() for _ in range(STARTS)]
        alone.append(measure_alone())
        progress(f"{NAME} {number + 1}/{rounds}: first message after {starts[-1].written:.2f} s")
    result = make_report(starts, alone)
    print(f"{markdown(result)}\n", flush=True)
    return report.save(result, directory)


def measure() -> Start:
    """Start once, and end it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WITHIN_S)
        port = listener.getsockname()[1]
        uris = [f"ws://127.0.0.1:{port}/{number}" for number in range(WORKERS)]
        command = [sys.executable, "-m", "scaleout", "--workers", str(WORKERS), *uris, "--sink", "-"]
        command += ["--processor", "bench.workload:on_trade", "--view", "none", "--log-level", "error"]
        began_s = time.perf_counter()
        with _running(command) as process:
            moments = _Moments(began_s)
            threads = [
                threading.Thread(target=moments.watch_feeds, args=(listener,)),
                threading.Thread(target=moments.watch_sink, args=(process,)),
            ]
            for thread in threads:
                thread.start()
            moments.watch_children(process)
            for thread in threads:
                thread.join(WITHIN_S)
            moments.close()
        return moments.start()


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) as process:
        try:
            yield process
        finally:
            process.terminate()
            code = process.wait(WITHIN_S)
    if code != 0:
        raise BenchError(f"the run ended with exit code {code}")


def _environment() -> Mapping[str, str]:
    """That of this process, but modules are compiled once and kept, as they are where scaleout is installed."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class _Moments:
    """Notes when things happen; each watch from a thread of its own."""

    def __init__(self, began_s: float) -> None:
        self._began_s = began_s
        self._spawned: float | None = None
        self._written: float | None = None
        self._connecting: list[float] = []
        self._open: list[float] = []
        self._connections: list[socket.socket] = []

    @property
    def _now(self) -> float:
        return time.perf_counter() - self._began_s

    def watch_children(self, process: subprocess.Popen[bytes]) -> None:
        """Until there is a worker, or the run is over."""
        while self._spawned is None and process.poll() is None:
            if has_worker(process.pid):
                self._spawned = self._now
            else:
                time.sleep(LOOK_EVERY_S)

    def watch_sink(self, process: subprocess.Popen[bytes]) -> None:
        """Until the first line is there."""
        assert process.stdout is not None
        if process.stdout.readline():
            self._written = self._now

    def watch_feeds(self, listener: socket.socket) -> None:
        """Until all feeds are open, each of which sends a message then."""
        for _ in range(WORKERS):
            connection, _ = listener.accept()
            self._connecting.append(self._now)
            shake_hands(connection, "off")
            connection.sendall(MESSAGE)
            self._open.append(self._now)
            self._connections.append(connection)

    def close(self) -> None:
        """Hang up, so that the run needs no closing handshakes."""
        for connection in self._connections:
            connection.close()

    def start(self) -> Start:
        """What has been seen."""
        if self._spawned is None or self._written is None or len(self._open) < WORKERS:
            raise BenchError(f"no message was written within {WITHIN_S:g} s")
        return Start(self._spawned, self._connecting[0], self._open[0], self._written, self._open[-1])


def has_worker(pid: int) -> bool:
    """Whether a process has spawned a worker; multiprocessing has a child of its own besides."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = children.read_text().split()
        except OSError:
            continue
        if any(_is_worker(child) for child in below):
            return True
    return False


def _is_worker(pid: str) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def measure_alone() -> Alone:
    """Run the interpreter with parts of what a start does."""
    return Alone(_time_of("pass"), _time_of("import scaleout.cli"), _time_of("import scaleout.worker.main"))


def _time_of(code: str) -> float:
    began_s = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], env=_environment(), timeout=WITHIN_S)
    if done.returncode != 0:
        raise BenchError(f"`{code}` ended with exit code {done.returncode}")
    return time.perf_counter() - began_s


def make_report(starts: list[Start], alone: list[Alone]) -> Report:
    """Put together what the result file holds."""
    return Report(
        **asdict(report.origin(NAME, TITLE, "Nothing is pinned.")),
        start=_over(starts),
        alone=_over(alone),
        starts=starts,
    )


def _over(measured: Sequence[msgspec.Struct]) -> dict[str, Spread]:
    columns = zip(*map(astuple, measured), strict=True)
    names = measured[0].__struct_fields__
    return {name: report.spread(values) for name, values in zip(names, columns, strict=True)}


MOMENTS = {
    "spawned": "the first worker process is spawned",
    "connecting": "it connects",
    "open": "its feed is open, and sends a message",
    "written": "**the first line is written**",
    "all_open": "all feeds are open",
}
ALONE = {
    "interpreter": "the interpreter, which does nothing",
    "imports": "with all that the command imports",
    "worker_imports": "with all that a worker imports",
}
"""What the fields are in a table."""


def markdown(result: Report) -> str:
    """The report as a table with a few lines around it."""
    return "\n".join(
        [
            f"### {result.case}: {result.title}",
            "",
            f"{result.date}; {result.machine}; {result.python}. {result.pinning}",
            f"Median of {len(result.starts)} starts, the extremes in brackets; modules are compiled already.",
            "",
            "| | after the command |",
            "|---|---|",
            *(f"| {what} | {_ms(result.start[name])} |" for name, what in MOMENTS.items()),
            *(f"| alone: {what} | {_ms(result.alone[name])} |" for name, what in ALONE.items()),
        ]
    )


def _ms(spread: Spread) -> str:
    return f"{spread.median * 1e3:,.0f} ms ({spread.smallest * 1e3:,.0f} to {spread.largest * 1e3:,.0f})"
