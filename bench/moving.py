"""What continuous moves cost: one run, by turns with a move every 200 ms and without any."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec.structs import asdict

from bench import processes, report
from bench.measure import BenchError, choose_cores
from bench.report import Origin, Spread
from scaleout import Control
from scaleout.errors import ControlError
from scaleout.simulator import SimulatorConfig, SimulatorProcess

NAME = "moving"
TITLE = "48 endpoints (Zipf 1.2) on 2 workers, by turns with a move every 200 ms and without moves"
ENDPOINTS, WORKERS = 48, 2
RATE = 60_000.0
EVERY_S = 0.2
SETTLE_S = 2.0
"""After each change of turns: moves that were begun end."""
START_WITHIN_S = 30.0
SPOOL_DIRECTORY = Path("build")


class Turn(msgspec.Struct, frozen=True):
    """What was done in a time."""

    messages_per_s: float
    messages_per_cpu_s: float
    """Of all processes of the run together."""
    moves: int


class Round(msgspec.Struct, frozen=True):
    """A turn of each kind."""

    without: Turn
    with_moves: Turn


class Report(Origin, frozen=True):
    """What the result file holds."""

    seconds: float
    per_s: Spread
    """Messages per second with moves, as a share of those without, in the same round."""
    per_cpu_s: Spread
    """The same for messages per CPU-second."""
    moves: int
    uncertain: int
    missing: int
    """Messages that are missing or repeated, by their numbers."""
    rounds: list[Round]


def run(rounds: int, seconds: float, directory: Path, progress: Callable[[str], None]) -> Path:
    """Measure, print a table and write the result file; where that is.

    Raises:
        BenchError: the run failed, or lost count.
    """
    cores = choose_cores()
    SPOOL_DIRECTORY.mkdir(exist_ok=True)
    with (
        SimulatorProcess(SimulatorConfig(endpoints=ENDPOINTS, rate=RATE, zipf=1.2)) as simulator,
        tempfile.TemporaryDirectory(dir=SPOOL_DIRECTORY) as name,
    ):
        if cores is not None:
            for pid in simulator.pids:
                os.sched_setaffinity(pid, {cores.generator})
        with _running(Path(name), simulator.endpoints) as (process, control):
            measured = []
            for number in range(rounds):
                turns = {}
                for moving in (False, True) if number % 2 == 0 else (True, False):
                    turns[moving] = _turn(process.pid, control, seconds, moving)
                measured.append(Round(turns[False], turns[True]))
                progress(f"{NAME} {number + 1}/{rounds}: {_share(measured[-1]):.3f} of the throughput")
        summary = json.loads((Path(name) / "summary.json").read_bytes())
    result = _report(measured, seconds, summary)
    print(f"{markdown(result)}\n", flush=True)
    return report.save(result, directory)


@contextmanager
def _running(
    directory: Path, endpoints: Sequence[tuple[str, str]]
) -> Iterator[tuple[subprocess.Popen[bytes], Control]]:
    config = {
        "endpoints": [{"name": name, "uri": uri, "sequence": "seq"} for name, uri in endpoints],
        "workers": WORKERS,
        "sink": "out.jsonl",
        "summary": "summary.json",
        "control": "run.sock",
        "rebalance": {"enabled": False},
        "view": "none",
        "log_level": "warning",
    }
    (directory / "feeds.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "scaleout", "feeds.json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    with subprocess.Popen(command, cwd=directory, env=environment) as process:
        try:
            control = Control(directory / "run.sock", timeout_s=90.0)
            _await_live(control)
            yield process, control
        finally:
            process.terminate()
            code = process.wait(60)
    if code != 0:
        raise BenchError(f"the run ended with exit code {code}")


def _await_live(control: Control) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        try:
            if all(each.state == "live" for each in control.status().endpoints):
                return
        except ControlError:
            pass
        if time.monotonic() > deadline:
            raise BenchError(f"the endpoints were not live within {START_WITHIN_S:g} s")
        time.sleep(0.05)


def _turn(pid: int, control: Control, seconds: float, moving: bool) -> Turn:
    pids = list(processes.peak_rss_bytes(pid))
    with _moves(control, moving):
        time.sleep(SETTLE_S)
        before = _look(control, pids)
        time.sleep(seconds)
        after = _look(control, pids)
    delivered = after.delivered - before.delivered
    return Turn(
        messages_per_s=delivered / (after.at_s - before.at_s),
        messages_per_cpu_s=delivered / (after.cpu_s - before.cpu_s),
        moves=after.moves - before.moves,
    )


class _Look(NamedTuple):
    """What the run has come to at a moment."""

    at_s: float
    delivered: int
    moves: int
    cpu_s: float


def _look(control: Control, pids: list[int]) -> _Look:
    status, at_s, cpu_s = control.status(), time.monotonic(), processes.cpu_s(pids)
    if cpu_s is None:
        raise BenchError("this system doesn't tell the CPU time of other processes")
    return _Look(at_s, status.totals["delivered"], status.moves, cpu_s)


@contextmanager
def _moves(control: Control, moving: bool) -> Iterator[None]:
    """Ask for a move of some endpoint every so often, meanwhile."""
    over = threading.Event()
    rng = random.Random(1)

    def keep_asking() -> None:
        with ThreadPoolExecutor(32) as pool:
            while not over.wait(EVERY_S):
                still = [each for each in control.status().endpoints if each.moving_to is None]
                endpoint = rng.choice(still)
                pool.submit(control.move, endpoint.name, 1 - endpoint.worker)

    thread = threading.Thread(target=keep_asking)
    if moving:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if moving:
            thread.join()


def _share(each: Round) -> float:
    return each.with_moves.messages_per_s / each.without.messages_per_s


def _report(measured: list[Round], seconds: float, summary: dict[str, dict[str, int]]) -> Report:
    totals = summary["totals"]
    cores = choose_cores()
    pinning = (
        f"The generator runs on core {cores.generator} alone." if cores is not None else "Nothing is pinned."
    )
    return Report(
        **asdict(report.origin(NAME, TITLE, pinning)),
        seconds=seconds,
        per_s=report.spread([_share(each) for each in measured]),
        per_cpu_s=report.spread(
            [each.with_moves.messages_per_cpu_s / each.without.messages_per_cpu_s for each in measured]
        ),
        moves=sum(each.with_moves.moves for each in measured),
        uncertain=totals["uncertain"],
        missing=totals["missed"] + totals["repeats"] + totals["backwards"] + totals["lost"],
        rounds=measured,
    )


def markdown(result: Report) -> str:
    """The report as a table with a few lines around it."""

    def row(name: str, turns: Sequence[Turn]) -> str:
        per_s = report.spread([turn.messages_per_s / 1e3 for turn in turns]).median
        per_cpu_s = report.spread([turn.messages_per_cpu_s / 1e3 for turn in turns]).median
        moves = sum(turn.moves for turn in turns) / (len(turns) * result.seconds)
        return f"| {name} | {per_s:,.1f} k | {per_cpu_s:,.0f} k | {moves:.1f} |"

    share, cost = result.per_s, result.per_cpu_s
    return "\n".join(
        [
            f"### {result.case}: {result.title}",
            "",
            f"{result.date}; {result.machine}; {result.python}. {result.pinning}",
            f"Median of {len(result.rounds)} rounds of {result.seconds:g} s.",
            "",
            "| turn | messages per second | messages per CPU-second | moves per second |",
            "|---|---|---|---|",
            row("without moves", [each.without for each in result.rounds]),
            row("with moves", [each.with_moves for each in result.rounds]),
            "",
            f"With moves: **{share.median:.3f}** of the messages per second "
            f"({share.smallest:.3f} to {share.largest:.3f}), **{cost.median:.3f}** of those per CPU-second "
            f"({cost.smallest:.3f} to {cost.largest:.3f}); {result.moves} moves, {result.uncertain} uncertain, "
            f"{result.missing} messages missing or repeated.",
        ]
    )
