"""Runs the sides of a case in turn, each in a fresh process, on a core apart from the generator's."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from bench.cases import Case, Side
from bench.errors import BenchError as BenchError
from bench.generator.process import GeneratorProcess
from bench.sides.result import SideResult, Task, combined

SATURATED = 0.95
"""A process that uses so much of its core can't do more."""
TIMEOUT_S = 180.0
"""Beyond the time of receiving: start, check of the output, end."""
WARM_UP_S, SHORT_WARM_UP_S = 1.0, 0.3
"""How long a side receives before it is measured: by then it has come into its stride."""


class Cores(NamedTuple):
    """Who runs where."""

    generator: int
    side: int


class Round(msgspec.Struct, frozen=True):
    """One run of each side, in the order in which they ran."""

    results: dict[str, SideResult]

    def is_limited_by_generator(self, side: str) -> bool:
        """Whether the side had to wait for a generator that couldn't do more."""
        result = self.results[side]
        load = result.generator_load
        return load is not None and load >= SATURATED and result.load < SATURATED


def choose_cores() -> Cores | None:
    """A core for the generator and another for the sides; None where there aren't two, or can't be chosen."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return Cores(cores[0], cores[1]) if len(cores) >= 2 else None


def describe_cores(cores: Cores | None) -> str:
    """Say who runs where."""
    if cores is None:
        return "Nothing is pinned: this machine has no two cores to choose from, so the generator interferes."
    return (
        f"The generator runs on core {cores.generator} alone, the side measured on core {cores.side} alone."
    )


def run_side(
    side: Side, case: Case, generator: GeneratorProcess, seconds: float, cores: Cores | None
) -> SideResult:
    """Run one side in a process of its own.

    Raises:
        BenchError: it failed; its standard error has been passed on.
    """
    task = Task(
        uri=generator.uri,
        feed=generator.feed,
        kind=case.kind,
        processor=side.processor if side.processor is not None else case.processor,
        reference=case.reference,
        warm_up_s=WARM_UP_S if seconds >= WARM_UP_S else SHORT_WARM_UP_S,
        seconds=seconds,
        generator_pid=generator.pid,
        ca_file=generator.ca_file,
        core=cores.side if cores is not None else None,
        workers=side.processes,
    )
    if side.processes == 1 or side.has_workers:
        return _run(side, task)
    share = replace(task, feed=replace(task.feed, connections=task.feed.connections // side.processes))
    with ThreadPoolExecutor(side.processes) as pool:
        return combined(list(pool.map(partial(_run, side), [share] * side.processes)))


def _run(side: Side, task: Task) -> SideResult:
    command = [sys.executable, "-m", f"bench.sides.{side.program}"]
    said = output_of(
        side.name,
        command,
        task.seconds + TIMEOUT_S,
        told=msgspec.json.encode(task),
        environment=os.environ | side.environment,
    )
    return msgspec.json.decode(said, type=SideResult)


def output_of(
    name: str,
    command: Sequence[str],
    timeout_s: float,
    *,
    told: bytes = b"",
    environment: dict[str, str] | None = None,
) -> bytes:
    """Run a command to its end; what it has printed.

    Args:
        name: what it is called where it fails.
        command: with its arguments.
        timeout_s: how long it may take.
        told: its standard input.
        environment: its environment; None: this process's.

    Raises:
        BenchError: it failed; its standard error has been passed on.
    """
    try:
        done = subprocess.run(command, input=told, stdout=subprocess.PIPE, timeout=timeout_s, env=environment)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{name} took longer than {timeout_s:g} s") from None
    if done.returncode != 0:
        raise BenchError(f"{name} ended with exit code {done.returncode}")
    return done.stdout


def measure(
    case: Case,
    sides: Sequence[Side],
    rounds: int,
    seconds: float,
    cores: Cores | None,
    progress: Callable[[str], None],
) -> list[Round]:
    """Run sides in turn, round after round; every second round backwards.

    Raises:
        BenchError: a side failed.
    """
    feeds = dict.fromkeys(side.feed or case.feed for side in sides)
    with contextlib.ExitStack() as stack:
        core = cores.generator if cores is not None else None
        generators = {feed: stack.enter_context(GeneratorProcess(feed, core)) for feed in feeds}
        measured = []
        for number in range(rounds):
            in_turn = sides if number % 2 == 0 else sides[::-1]
            results: dict[str, SideResult] = {}
            for side in in_turn:
                generator = generators[side.feed or case.feed]
                result = results[side.name] = run_side(side, case, generator, seconds, cores)
                progress(
                    f"{case.name} {number + 1}/{rounds} {side.name}: "
                    f"{result.messages_per_cpu_s:,.0f} messages per CPU-second"
                )
            measured.append(Round(results))
        return measured
