"""Where the nanoseconds of a message go, step by step, and what compiling saves."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from bench import report
from bench.measure import choose_cores, output_of
from bench.report import Origin
from bench.sides.parts import Parts

NAME = "parts"
TITLE = "the steps of the message path alone, trades of 131 bytes; CPU time of a message in ns"
WITHIN_S = 120.0
STEPS = {
    "scan": "payloads cut out of a read of 256 KiB",
    "utf8": "text is UTF-8",
    "check": "is it JSON? (without a processor)",
    "decode": "msgspec: JSON to a Struct of five fields",
    "process": "the processor: a Python function that makes a Struct of three",
    "encode": "msgspec: results to lines of JSON",
    "envelope": "endpoint and receive time around each line",
    "bulk": "**all together**, from a full read to what goes into the pipe",
    "passed": "the same without a processor: checked and passed on",
    "many_read": "a read of one message: scanned, noted, gathered",
    "many": "the same, to what goes into the pipe, gathered over 200 connections",
}


class Report(Origin, frozen=True):
    """What the result file holds."""

    compiled: dict[str, float]
    """By step: the median over all rounds, in ns."""
    pure: dict[str, float]
    rounds: list[dict[str, Parts]]


def run(rounds: int, seconds: float, directory: Path, progress: Callable[[str], None]) -> Path:
    """Measure, print a table and write the result file; where that is.

    Raises:
        BenchError: the steps could not be measured.
    """
    cores = choose_cores()
    command = [sys.executable, "-m", "bench.sides.parts"]
    if cores is not None:
        command += ["--core", str(cores.side)]
    measured = []
    for number in range(rounds):
        found = {}
        for form, value in (("compiled", "0"), ("pure", "1")):
            environment = {**os.environ, "SCALEOUT_PURE": value}
            output = output_of(f"{NAME}, {form}", command, WITHIN_S, environment=environment)
            found[form] = msgspec.json.decode(output, type=Parts)
        measured.append(found)
        progress(
            f"{NAME} {number + 1}/{rounds}: {found['compiled'].bulk:.0f} ns compiled, {found['pure'].bulk:.0f} not"
        )
    result = Report(
        **asdict(report.origin(NAME, TITLE, "One process on one core.")),
        compiled=_medians([each["compiled"] for each in measured]),
        pure=_medians([each["pure"] for each in measured]),
        rounds=measured,
    )
    print(f"{markdown(result)}\n", flush=True)
    return report.save(result, directory)


def _medians(measured: list[Parts]) -> dict[str, float]:
    return {step: statistics.median(getattr(parts, step) for parts in measured) for step in STEPS}


def markdown(result: Report) -> str:
    """The report as a table with a few lines around it."""
    lines = [
        f"### {result.case}: {result.title}",
        "",
        f"{result.date}; {result.machine}; {result.python}. {result.pinning}",
        f"The least of many repetitions, median of {len(result.rounds)} rounds.",
        "",
        "| step | compiled | not compiled |",
        "|---|---|---|",
        *(
            f"| {what} | {result.compiled[step]:,.0f} | {result.pure[step]:,.0f} |"
            for step, what in STEPS.items()
        ),
    ]
    if not all(each["compiled"].is_compiled for each in result.rounds):
        lines += ["", "**Warning**: nothing is compiled here: both columns are the same code."]
    return "\n".join(lines)
