"""scaleout as its users run it: `python -m scaleout --workers 1`, NDJSON with envelopes into a file on disk.

Its CPU time is that of worker and aggregator, from `--summary`, and includes the start of two processes, the
connecting and the closing. Peers are measured without these. So there are two runs, and the second receives
for longer, by just the time asked for: what it received and used more than the first is the result.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench import processes
from bench.sides.result import Numbers, SideResult, main

SHORT_RUN_S = 2.0
"""Duration of the first run: enough to start, connect, and come into its stride."""
SAMPLE_S = 0.1
SPOOL_DIRECTORY = Path("build")
"""Under the repository's top: a system's directory for temporary files may be memory."""
BLOCK_BYTES = 2**24


class _Numbered(msgspec.Struct):
    seq: int


class Line(msgspec.Struct):
    """A line of output, as far as it is checked."""

    endpoint: str
    received_at: int
    data: _Numbered


class Ledger(msgspec.Struct):
    """The totals of a summary, as far as they are used."""

    received: int
    delivered: int


class Used(msgspec.Struct):
    """What a process has used."""

    cpu_s: float


class Summary(msgspec.Struct):
    """A summary, as far as it is used."""

    balanced: bool
    aggregator: Used
    workers: list[Used]
    totals: Ledger

    @property
    def cpu_s(self) -> float:
        """Of all processes."""
        return self.aggregator.cpu_s + sum(worker.cpu_s for worker in self.workers)


class Output:
    """What the output file says, read line by line."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.lines = 0
        self.bytes = 0
        self.first_at = 0
        self.last_at = 0
        self._endpoints: dict[str, Numbers] = {}
        self._decoder = msgspec.json.Decoder(Line)

    def take(self, lines: Sequence[Line]) -> None:
        """Check that each endpoint's numbers go on where they were."""
        endpoints = self._endpoints
        for line in lines:
            seq = line.data.seq
            numbers = endpoints.get(line.endpoint)
            if numbers is None:
                numbers = endpoints[line.endpoint] = Numbers(seq, seq - 1)
            if seq != numbers.last + 1:
                self.faults.append(f"{line.endpoint}: {seq} after {numbers.last}")
            numbers.last = seq
        if lines:
            self.first_at = self.first_at or lines[0].received_at
            self.last_at = lines[-1].received_at
            self.lines += len(lines)

    def read(self, path: Path) -> None:
        """Take a whole file."""
        rest = b""
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                self.bytes += len(block)
                whole, newline, rest = (rest + block).rpartition(b"\n")
                self.take(self._decoder.decode_lines(whole + newline))
        if rest:
            self.faults.append("the output ends within a line")

    @property
    def receiving_s(self) -> float:
        """From the first read to the last."""
        return (self.last_at - self.first_at) / 1e9


class Run(msgspec.Struct):
    """One run of scaleout."""

    messages: int
    cpu_s: float
    receiving_s: float
    output_bytes: int
    peak_rss_bytes: int | None
    faults: list[str]


def run(uris: Sequence[str], duration_s: float, directory: Path) -> Run:
    """Run scaleout, and check what it wrote."""
    output, summary_file = directory / "output.jsonl", directory / "summary.json"
    output.unlink(missing_ok=True)
    command = [sys.executable, "-m", "scaleout", "run", *uris]
    command += ["--workers", "1", "--processor", "bench.workload:on_trade", "--duration", str(duration_s)]
    command += ["--sink", str(output), "--summary", str(summary_file)]
    command += ["--view", "none", "--log-level", "error"]
    peaks: dict[int, int] = {}
    with subprocess.Popen(command) as process:
        while True:
            try:
                code = process.wait(SAMPLE_S)
                break
            except subprocess.TimeoutExpired:
                peaks |= processes.peak_rss_bytes(process.pid)
    if code not in (0, 3):
        raise SystemExit(f"scaleout ended with exit code {code}")
    summary = msgspec.json.decode(summary_file.read_bytes(), type=Summary)
    written = Output()
    written.read(output)
    output.unlink()
    faults = written.faults
    if not summary.balanced:
        faults.append("the ledger is not balanced")
    if not summary.totals.received == summary.totals.delivered == written.lines:
        faults.append(f"{summary.totals}, but {written.lines} lines of output")
    return Run(
        messages=summary.totals.received,
        cpu_s=summary.cpu_s,
        receiving_s=written.receiving_s,
        output_bytes=written.bytes,
        peak_rss_bytes=sum(peaks.values()) or None,
        faults=faults,
    )


def measure(uris: list[str], spare: list[str], seconds: float) -> SideResult:
    """Receive from all URIs for that time longer than a short run does.

    The two runs have feeds of their own: a paced one that was left meanwhile would have a backlog.
    """
    SPOOL_DIRECTORY.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=SPOOL_DIRECTORY) as directory:
        short = run(uris, SHORT_RUN_S, Path(directory))
        long = run(spare, SHORT_RUN_S + seconds, Path(directory))
    return SideResult(
        messages=long.messages - short.messages,
        cpu_s=long.cpu_s - short.cpu_s,
        messages_per_s=long.messages / long.receiving_s,
        receiving_s=short.receiving_s + long.receiving_s,
        used_cpu_s=short.cpu_s + long.cpu_s,
        output_bytes=long.output_bytes,
        peak_rss_bytes=long.peak_rss_bytes,
        faults=[*short.faults, *long.faults],
    )


if __name__ == "__main__":
    main(measure)
