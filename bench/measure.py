"""Runs the sides of a case in turn, each in a fresh process, on a core apart from the generator's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from bench import processes
from bench.cases import SIDES, Case, SideName
from bench.sides.result import SideResult
from scaleout.simulator import SimulatorProcess

SATURATED = 0.95
"""A process that uses so much of its core can't do more."""
TIMEOUT_S = 120.0
"""Beyond the time of receiving: start, check of the output, end."""


class BenchError(Exception):
    """A side could not be measured."""


class Cores(NamedTuple):
    """Who runs where."""

    generator: int
    side: int


class Round(msgspec.Struct, frozen=True):
    """One run of each side, in the order in which they ran."""

    results: dict[SideName, SideResult]
    generator_load: dict[SideName, float | None]
    """How much of its core the generator used while the side was receiving, where the system says."""

    def is_limited_by_generator(self, side: SideName) -> bool:
        """Whether the side had to wait for a generator that couldn't do more."""
        load = self.generator_load[side]
        result = self.results[side]
        own_load = result.used_cpu_s / result.receiving_s
        return load is not None and load >= SATURATED and own_load < SATURATED


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
    side: SideName, uris: Sequence[str], seconds: float, cores: Cores | None, timeout_s: float
) -> SideResult:
    """Run one side in a process of its own.

    Args:
        uris: the first half is for all sides, the second for one that has two runs.

    Raises:
        BenchError: it failed; its standard error has been passed on.
    """
    half = len(uris) // 2
    command = [
        sys.executable,
        "-m",
        f"bench.sides.{side}",
        *uris[:half],
        str(seconds),
        "--spare",
        *uris[half:],
    ]
    if cores is not None:
        command += ["--core", str(cores.side)]
    return msgspec.json.decode(output_of(side, command, timeout_s), type=SideResult)


def output_of(name: str, command: Sequence[str], timeout_s: float) -> bytes:
    """Run a command to its end; what it has printed.

    Raises:
        BenchError: it failed; its standard error has been passed on.
    """
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{name} took longer than {timeout_s:g} s") from None
    if done.returncode != 0:
        raise BenchError(f"{name} ended with exit code {done.returncode}")
    return done.stdout


def measure(
    case: Case, rounds: int, seconds: float, cores: Cores | None, progress: Callable[[str], None]
) -> list[Round]:
    """Run all sides in turn, round after round; every second round backwards.

    Raises:
        BenchError: a side failed.
    """
    measured = []
    for number in range(rounds):
        results: dict[SideName, SideResult] = {}
        loads: dict[SideName, float | None] = {}
        for side in list(SIDES) if number % 2 == 0 else list(reversed(SIDES)):
            results[side], loads[side] = _measure_side(side, case, seconds, cores)
            progress(
                f"{case.name} {number + 1}/{rounds} {side}: "
                f"{results[side].messages_per_cpu_s:,.0f} messages per CPU-second"
            )
        measured.append(Round(results, loads))
    return measured


def _measure_side(
    side: SideName, case: Case, seconds: float, cores: Cores | None
) -> tuple[SideResult, float | None]:
    """Run a side with a generator of its own; the result, and the generator's load."""
    with SimulatorProcess(case.simulator) as simulator:
        if cores is not None:
            for pid in simulator.pids:
                os.sched_setaffinity(pid, {cores.generator})
        before_s = processes.cpu_s(simulator.pids)
        result = run_side(side, [uri for _, uri in simulator.endpoints], seconds, cores, seconds + TIMEOUT_S)
        after_s = processes.cpu_s(simulator.pids)
        return result, _load(before_s, after_s, result.receiving_s)


def _load(before_s: float | None, after_s: float | None, receiving_s: float) -> float | None:
    if before_s is None or after_s is None:
        return None
    return (after_s - before_s) / receiving_s
