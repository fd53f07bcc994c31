"""One run of scaleout between an open-loop generator and a reader of its output, and phases of load on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.errors import BenchError
from bench.measure import Cores
from bench.pinning import move_to, starting_on
from bench.sides.line_reader import Begin, End, Percentiles, Reading
from bench.sides.open_loop import Phase, Sent
from bench.talking import Helper, helper

CONNECTIONS = 8
SKIP_S = 0.5
"""What comes first in a phase is left out."""
END_WITHIN_S = 30.0
SPOOL_DIRECTORY = Path("build")


class Setting(msgspec.Struct, frozen=True):
    """How scaleout runs."""

    linger_ms: int
    apart: bool
    """Whether the supervisor, and with it the aggregator, runs on the generator's core instead of the worker's."""


class Latency(msgspec.Struct, frozen=True):
    """What a phase at a fixed rate has come to."""

    per_s: float
    """Messages, as they were due."""
    from_due: Percentiles
    """From the time a message was due to be sent until its line could be read."""
    from_received: Percentiles
    """From the read that brought a message until its line could be read."""
    generator_late_ms: tuple[float, float]
    """How late the generator's sends were: 99 % of them no more than the first, none more than the second."""
    generator_load: float
    """Share of a core that the generator has used; the reader on the same core needs the rest."""
    reader_load: float


class Capacity(msgspec.Struct, frozen=True):
    """What a saturated phase has come to."""

    per_s: float
    """Messages written."""
    generator_load: float
    reader_load: float


class Loop(NamedTuple):
    """What feeds a run, the run, and what reads its output."""

    generator: Helper
    reader: Helper

    def saturate(self, seconds: float) -> Capacity:
        """Send as much as is taken."""
        sent, reading = self._run(Phase(seconds, None), keeps_lines=False)
        return Capacity(reading.per_s, sent.cpu_s / sent.seconds, reading.cpu_s / reading.seconds)

    def keep_pace(self, seconds: float, per_s: float) -> Latency:
        """Send at that rate.

        Raises:
            BenchError: lines are missing.
        """
        sent, reading = self._run(Phase(seconds, per_s, _skip_s(seconds)), keeps_lines=True)
        if reading.from_due is None or reading.from_received is None:
            raise BenchError(f"{seconds:g} s are too short for a latency")
        return Latency(
            per_s=per_s,
            from_due=reading.from_due,
            from_received=reading.from_received,
            generator_late_ms=sent.late_ms,
            generator_load=sent.cpu_s / sent.seconds,
            reader_load=reading.cpu_s / reading.seconds,
        )

    def _run(self, phase: Phase, *, keeps_lines: bool) -> tuple[Sent, Reading]:
        self.reader.tell(Begin(keeps_lines))
        self.reader.hear()
        sent = self.generator.ask(phase, Sent)
        reading = self.reader.ask(End(sent.messages, _skip_s(phase.seconds)), Reading)
        if reading.lines != sent.messages:
            raise BenchError(f"{sent.messages} messages were sent, {reading.lines} lines came out")
        return sent, reading


def _skip_s(seconds: float) -> float:
    return min(SKIP_S, seconds / 4)


@contextmanager
def running(setting: Setting, cores: Cores | None) -> Iterator[Loop]:
    """Run scaleout with one worker.

    Raises:
        BenchError: a process failed.
    """
    SPOOL_DIRECTORY.mkdir(exist_ok=True)
    others = cores.generator if cores is not None else None
    with tempfile.TemporaryDirectory(dir=SPOOL_DIRECTORY) as name:
        directory = Path(name)
        fifo = directory / "out.fifo"
        os.mkfifo(fifo)
        with (
            helper("open_loop", [str(CONNECTIONS)], others) as generator,
            helper("line_reader", [str(fifo)], others) as reader,
        ):
            reader.hear()
            with _scaleout(directory, int(generator.hear()), setting.linger_ms, cores) as process:
                generator.ask(Phase(0.0, None), Sent)  # which it answers once all connections are there
                if setting.apart and cores is not None:
                    move_to(process.pid, cores.generator)
                yield Loop(generator, reader)


@contextmanager
def _scaleout(
    directory: Path, port: int, linger_ms: int, cores: Cores | None
) -> Iterator[subprocess.Popen[bytes]]:
    config = {
        "endpoints": [
            {"name": f"feed{number}", "uri": f"ws://127.0.0.1:{port}/{number}"}
            for number in range(CONNECTIONS)
        ],
        "defaults": {
            "processor": "bench.timed:on_timed_trade",
            "linger": linger_ms / 1e3,
            "ping_interval": 0,
            "reconnect": "never",
        },
        "workers": 1,
        "sink": "out.fifo",
        "view": "none",
        "log_level": "error",
    }
    (directory / "feeds.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "scaleout", "feeds.json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    with starting_on((cores.side,) if cores is not None else ()):
        process = subprocess.Popen(command, cwd=directory, env=environment)
    with process:
        try:
            yield process
        finally:
            process.terminate()
            code = process.wait(END_WITHIN_S)
    if code != 0:
        raise BenchError(f"the run ended with exit code {code}")
