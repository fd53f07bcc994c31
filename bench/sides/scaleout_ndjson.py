"""scaleout as its users run it: workers and the aggregator, NDJSON with envelopes into a file on disk.

It is measured like the peers, in the middle of a run: what all its processes used between two moments, and how many
lines of output it wrote meanwhile, by the size of the file at both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench import processes
from bench.errors import BenchError
from bench.sides.expectation import Expectation, Output, lines_between
from bench.sides.meter import Meter
from bench.sides.peer import SPOOL_DIRECTORY
from bench.sides.result import SideResult, Task, Usage, main
from scaleout import Control
from scaleout.errors import ControlError

CONNECT_WITHIN_S = 60.0
END_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05


class Ledger(msgspec.Struct):
    """The totals of a summary, as far as they are used."""

    received: int
    delivered: int


class Summary(msgspec.Struct):
    """A summary, as far as it is used."""

    balanced: bool
    totals: Ledger


class Window(msgspec.Struct):
    """What was measured while the run went on."""

    usage: Usage
    start: int
    """Size of the output at the first moment, in bytes."""
    stop: int
    peak_rss_bytes: int | None


def measure(task: Task) -> SideResult:
    """Run it, look twice, end it, and check what it wrote."""
    SPOOL_DIRECTORY.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=SPOOL_DIRECTORY) as name:
        directory = Path(name)
        output = directory / "output.jsonl"
        with _running(task, directory) as process:
            _await_live(process, Control(directory / "run.sock"), task.feed.connections)
            time.sleep(task.warm_up_s)
            window = _look(task, process.pid, output)
        written = Output(Expectation(task).cycle())
        written.read(output)
        return SideResult(
            messages=lines_between(output, window.start, window.stop),
            usage=window.usage,
            output_bytes=output.stat().st_size,
            peak_rss_bytes=window.peak_rss_bytes,
            faults=find_faults(task, written, directory / "summary.json"),
            messages_per_read=written.lines / written.reads if written.reads else None,
        )


def configuration(task: Task) -> dict[str, object]:
    """What scaleout is told, apart from the paths."""
    defaults: dict[str, object] = {"proxy": False}
    if task.processor is not None:
        defaults["processor"] = task.processor
    if task.ca_file is not None:
        defaults["tls"] = {"ca": task.ca_file}
    if task.feed.deflate != "off":
        defaults["compression"] = "deflate"
    return {
        "workers": task.workers,
        "view": "none",
        "log_level": "error",
        "defaults": defaults,
        "endpoints": [
            {"name": f"feed-{index:05}", "uri": task.uri} for index in range(task.feed.connections)
        ],
    }


@contextmanager
def _running(task: Task, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    config = configuration(task) | {
        "sink": str((directory / "output.jsonl").resolve()),
        "summary": str((directory / "summary.json").resolve()),
        "control": os.path.relpath(directory / "run.sock"),
    }
    file = directory / "feeds.json"
    file.write_bytes(msgspec.json.encode(config))
    with subprocess.Popen([sys.executable, "-m", "scaleout", str(file)]) as process:
        try:
            yield process
        finally:
            process.terminate()
            code = process.wait(END_WITHIN_S)
    if code not in (0, 3):
        raise BenchError(f"scaleout ended with exit code {code}")


def _await_live(process: subprocess.Popen[bytes], control: Control, connections: int) -> None:
    deadline_s = time.monotonic() + CONNECT_WITHIN_S
    live = 0
    while time.monotonic() < deadline_s and process.poll() is None:
        time.sleep(LOOK_EVERY_S)
        try:
            live = sum(endpoint.state == "live" for endpoint in control.status().endpoints)
        except ControlError:
            continue
        if live == connections:
            return
    raise BenchError(f"only {live} of {connections} connections were there after {CONNECT_WITHIN_S:g} s")


def _look(task: Task, pid: int, output: Path) -> Window:
    members = list(processes.peak_rss_bytes(pid))

    def cpu_s() -> float:
        used_s = processes.cpu_s(members)
        if used_s is None:
            raise BenchError("scaleout can't be measured here: the system doesn't tell of other processes")
        return used_s

    meter, start = Meter(task, cpu_s), output.stat().st_size
    time.sleep(task.seconds)
    usage, stop = meter.usage(), output.stat().st_size
    return Window(usage, start, stop, sum(processes.peak_rss_bytes(pid).values()) or None)


def find_faults(task: Task, output: Output, summary_file: Path) -> list[str]:
    """What is wrong with a run's output, and with its books."""
    summary = msgspec.json.decode(summary_file.read_bytes(), type=Summary)
    faults = list(output.faults)
    if not summary.balanced:
        faults.append("the ledger is not balanced")
    if not summary.totals.received == summary.totals.delivered == output.lines:
        faults.append(f"{summary.totals}, but {output.lines} lines of output")
    if output.endpoints < task.feed.connections:
        faults.append(f"{task.feed.connections - output.endpoints} connections brought nothing")
    return faults


if __name__ == "__main__":
    main(measure)
