"""Reads lines from a FIFO and notes when each could be read: the end of the way from a feed to a sink.

Runs alone as `python -m bench.sides.line_reader FIFO`, and obeys a `Begin` or an `End` a line on its standard
input; a `Begin` is answered with an empty line, an `End` with a `Reading`. It keeps what it reads and looks into it
only at the end, so that it is as quick as a reader can be.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gc
import math
import os
import select
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from bench.timed import TimedLine

PIPE_BYTES = 2**20
READ_BYTES = 2**18
PATIENCE_S = 30.0
"""How long to wait for lines that have been sent and are missing."""


class Begin(msgspec.Struct, frozen=True, tag=True):
    """Forget what was read so far."""

    keeps_lines: bool
    """Whether their times are wanted, or only their number."""


class End(msgspec.Struct, frozen=True, tag=True):
    """Wait for the rest, and tell."""

    lines: int
    skip_s: float
    """What came first is left out."""


class Percentiles(msgspec.Struct, frozen=True):
    """Of a latency, over all messages, in ms."""

    p50: float
    p99: float
    p999: float
    largest: float


class Reading(msgspec.Struct, frozen=True):
    """What was read."""

    lines: int
    """All."""
    per_s: float
    """Lines, after what is left out."""
    from_due: Percentiles | None
    """From the time when a message was due to be sent until its line could be read."""
    from_received: Percentiles | None
    """From the read that brought a message until its line could be read."""
    cpu_s: float
    seconds: float


class Chunk(NamedTuple):
    """What one read has brought."""

    at_ns: int
    """Unix time after the read."""
    lines: int
    """Ends of lines in it."""
    data: bytes


class Reader:
    """Reads a descriptor, until the other side has left."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.is_over = False
        self._begin(False)

    def _begin(self, keeps_lines: bool) -> None:
        self._keeps_lines = keeps_lines
        self._chunks: list[Chunk] = []
        self._lines = 0
        self._since_s, self._since_cpu_s = time.perf_counter(), time.process_time()

    def read(self) -> None:
        """Take what there is."""
        data = os.read(self._fd, READ_BYTES)
        at_ns = time.time_ns()
        lines = data.count(b"\n")
        self._lines += lines
        self._chunks.append(Chunk(at_ns, lines, data if self._keeps_lines else b""))
        self.is_over = not data

    def obey(self, command: Begin | End) -> str:
        """Do it; the answer."""
        if isinstance(command, Begin):
            self._begin(command.keeps_lines)
            return ""
        deadline_s = time.monotonic() + PATIENCE_S
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        while self._lines < command.lines and not self.is_over and time.monotonic() < deadline_s:
            if poll.poll(1_000):
                self.read()
        cpu_s, seconds = time.process_time() - self._since_cpu_s, time.perf_counter() - self._since_s
        reading = evaluate(self._chunks, command.skip_s, cpu_s, seconds)
        self._begin(False)
        return msgspec.json.encode(reading).decode()


def evaluate(chunks: Sequence[Chunk], skip_s: float, cpu_s: float, seconds: float) -> Reading:
    """What the chunks tell; without data in them, only rates."""
    from_ns = (chunks[0].at_ns if chunks else 0) + int(skip_s * 1e9)
    counted = sum(chunk.lines for chunk in chunks if chunk.at_ns >= from_ns)
    time_s = (chunks[-1].at_ns - from_ns) / 1e9 if chunks else 0.0
    from_due, from_received = latencies(chunks, from_ns)
    return Reading(
        lines=sum(chunk.lines for chunk in chunks),
        per_s=counted / time_s if time_s > 0 else 0.0,
        from_due=percentiles(from_due),
        from_received=percentiles(from_received),
        cpu_s=cpu_s,
        seconds=seconds,
    )


def latencies(chunks: Sequence[Chunk], from_ns: int) -> tuple[list[int], list[int]]:
    """For each line whose message was due from that time on, in ns: since it was due, since it was received."""
    decode = msgspec.json.Decoder(TimedLine).decode_lines
    from_due: list[int] = []
    from_received: list[int] = []
    rest = b""
    for at_ns, _, data in chunks:
        whole, newline, rest = (rest + data).rpartition(b"\n")
        lines = [line for line in decode(whole + newline) if line.data.at >= from_ns]
        from_due += [at_ns - line.data.at for line in lines]
        from_received += [at_ns - line.received_at for line in lines]
    return from_due, from_received


def percentiles(values_ns: list[int]) -> Percentiles | None:
    """By the nearest rank, in ms; None where there is nothing."""
    if not values_ns:
        return None
    ordered = sorted(values_ns)

    def at(share: float) -> float:
        return ordered[math.ceil(share * len(ordered)) - 1] / 1e6

    return Percentiles(at(0.5), at(0.99), at(0.999), ordered[-1] / 1e6)


def main() -> None:
    """Read, and obey."""
    parser = argparse.ArgumentParser()
    parser.add_argument("fifo", metavar="FIFO")
    parser.add_argument("--core", type=int, help="run on this core alone")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    fd = os.open(arguments.fifo, os.O_RDONLY | os.O_NONBLOCK)
    with contextlib.suppress(AttributeError, OSError):  # another system, or its limit is lower
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    reader = Reader(fd)
    gc.disable()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(sys.stdin, select.POLLIN)
    print(flush=True)
    while not reader.is_over:
        for ready, _ in poll.poll():
            if ready == fd:
                reader.read()
            elif line := sys.stdin.readline():
                print(reader.obey(msgspec.json.decode(line, type=Begin | End)), flush=True)
            else:
                return


if __name__ == "__main__":
    main()
