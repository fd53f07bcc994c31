"""How the cost of a message grows with the workers, and how many workers one aggregator could feed."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from bench import report
from bench.measure import TIMEOUT_S, Cores, choose_cores, output_of
from bench.report import Origin, Spread
from bench.scaling import CONNECTIONS, SPOOL_DIRECTORY, Turn, measure
from bench.sides.fan_in import FanIn

NAME = "scale"
TITLE = f"{CONNECTIONS} saturated connections over several workers, and an aggregator fed by many"
FAN_IN_WORKERS = 32
FAN_IN_S = 2.0

FEEDS = {
    "bulk, to a file": (1, "out.jsonl"),
    "bulk, to nowhere": (1, "null:"),
    "50 endpoints in a batch, to a file": (50, "out.jsonl"),
}
"""What an aggregator is fed: by name, the endpoints in each batch of some 64 KiB, and the sink."""


class Round(msgspec.Struct, frozen=True):
    """One of each."""

    turns: dict[int, Turn]
    """By the number of workers."""
    fan_in: dict[str, FanIn]


class ScaleFigures(msgspec.Struct, frozen=True):
    """A number of workers over all rounds."""

    messages_per_cpu_s: Spread
    """Of all processes."""
    messages_per_s: Spread
    relative_cost: Spread
    """CPU time of a message over that with one worker, in the same round."""
    aggregator_share: Spread
    """CPU time of a message in the supervisor, with its aggregator, over that in the workers."""


class FanInFigures(msgspec.Struct, frozen=True):
    """An aggregator that does nothing else, over all rounds."""

    messages_per_cpu_s: Spread
    workers: Spread
    """How many workers as fast as a single one, each with a core, it could take the results of with a core."""
    least_share: Spread
    """What came from the worker that was read least, over the mean."""


class Report(Origin, frozen=True):
    """What the result file holds."""

    seconds: float
    workers: dict[int, ScaleFigures]
    fan_in: dict[str, FanInFigures]
    warnings: list[str]
    rounds: list[Round]


def run(rounds: int, seconds: float, directory: Path, progress: Callable[[str], None]) -> Path:
    """Measure, print a table and write the result file; where that is.

    Raises:
        BenchError: a process failed.
    """
    cores = choose_cores()
    SPOOL_DIRECTORY.mkdir(exist_ok=True)
    measured = []
    for number in range(rounds):
        counts = worker_counts() if number % 2 == 0 else worker_counts()[::-1]
        turns = {}
        for count in counts:
            turns[count] = measure(count, seconds, cores)
            progress(
                f"{NAME} {number + 1}/{rounds} {count} workers: "
                f"{turns[count].messages_per_cpu_s:,.0f} messages per CPU-second"
            )
        fan_in = {name: feed(endpoints, sink, cores) for name, (endpoints, sink) in FEEDS.items()}
        measured.append(Round(dict(sorted(turns.items())), fan_in))
    result = make_report(measured, seconds, describe(cores))
    print(f"{markdown(result)}\n", flush=True)
    return report.save(result, directory)


def worker_counts() -> list[int]:
    """1, 2, 4 and so on: up to the cores of the machine, and at least to 2."""
    counts = [1, 2]
    while counts[-1] * 2 <= (os.cpu_count() or 1):
        counts.append(counts[-1] * 2)
    return counts


def feed(endpoints: int, sink: str, cores: Cores | None) -> FanIn:
    """Feed an aggregator for a moment.

    Raises:
        BenchError: it failed.
    """
    with tempfile.TemporaryDirectory(dir=SPOOL_DIRECTORY) as directory:
        uri = sink if sink == "null:" else str(Path(directory) / sink)
        command = [sys.executable, "-m", "bench.sides.fan_in", str(FAN_IN_WORKERS), str(endpoints)]
        command += [str(FAN_IN_S), uri]
        if cores is not None:
            command += ["--core", str(cores.side), "--workers-core", str(cores.generator)]
        return msgspec.json.decode(output_of("fan_in", command, FAN_IN_S + TIMEOUT_S), type=FanIn)


def describe(cores: Cores | None) -> str:
    """Say who runs where."""
    if cores is None:
        return "Nothing is pinned: this machine has no two cores to choose from, so the generator interferes."
    return f"The generator, or the fake workers, run on core {cores.generator} alone, scaleout on the others."


def make_report(measured: list[Round], seconds: float, pinning: str) -> Report:
    """Put together what the result file holds."""
    return Report(
        **asdict(report.origin(NAME, TITLE, pinning)),
        seconds=seconds,
        workers={count: _scale_figures(count, measured) for count in measured[0].turns},
        fan_in={name: _fan_in_figures(name, measured) for name in measured[0].fan_in},
        warnings=warnings(measured),
        rounds=measured,
    )


def _scale_figures(count: int, rounds: Sequence[Round]) -> ScaleFigures:
    turns = [each.turns[count] for each in rounds]
    return ScaleFigures(
        messages_per_cpu_s=report.spread([turn.messages_per_cpu_s for turn in turns]),
        messages_per_s=report.spread([turn.messages / turn.seconds for turn in turns]),
        relative_cost=report.spread(
            [each.turns[1].messages_per_cpu_s / each.turns[count].messages_per_cpu_s for each in rounds]
        ),
        aggregator_share=report.spread([turn.aggregator_cpu_s / turn.workers_cpu_s for turn in turns]),
    )


def _fan_in_figures(name: str, rounds: Sequence[Round]) -> FanInFigures:
    fed = [each.fan_in[name] for each in rounds]
    return FanInFigures(
        messages_per_cpu_s=report.spread([each.messages_per_cpu_s for each in fed]),
        workers=report.spread(
            [
                each.fan_in[name].messages_per_cpu_s * each.turns[1].workers_cpu_s / each.turns[1].messages
                for each in rounds
            ]
        ),
        least_share=report.spread([each.least_share for each in fed]),
    )


def warnings(rounds: Sequence[Round]) -> list[str]:
    """What makes the figures doubtful: wrong counts, a generator at its limit."""
    found = [
        f"Round {number}, {name}: {fault}."
        for number, each in enumerate(rounds, 1)
        for name, fed in each.fan_in.items()
        for fault in fed.faults
    ]
    for count in rounds[0].turns:
        limited = sum(each.turns[count].is_limited_by_generator for each in rounds)
        if limited:
            found.append(
                f"The generator was the limit of {count} workers in {limited} of {len(rounds)} rounds: "
                f"their messages per CPU-second stand, their messages per second don't."
            )
    return found


def markdown(result: Report) -> str:
    """The report as two tables with a few lines around them."""
    return "\n".join(
        [
            f"### {result.case}: {result.title}",
            "",
            f"{result.date}; {result.machine}; {result.python}. {result.pinning}",
            f"Median of {len(result.rounds)} rounds of {result.seconds:g} s, the extremes in brackets.",
            "",
            "| workers | messages per CPU-second | messages per second | a message costs "
            "| aggregator, of the workers' |",
            "|---|---|---|---|---|",
            *(_scale_row(count, figures) for count, figures in result.workers.items()),
            "",
            f"The aggregator alone, fed by {FAN_IN_WORKERS} fake workers that replay batches:",
            "",
            "| what | messages per CPU-second | could feed workers | least read worker, of the mean |",
            "|---|---|---|---|",
            *(_fan_in_row(name, figures) for name, figures in result.fan_in.items()),
            *(["", *(f"**Warning**: {warning}" for warning in result.warnings)] if result.warnings else []),
        ]
    )


def _scale_row(count: int, figures: ScaleFigures) -> str:
    cells = [
        str(count),
        _cell(figures.messages_per_cpu_s, 1e-3, 0, " k"),
        _cell(figures.messages_per_s, 1e-3, 0, " k"),
        _cell(figures.relative_cost, 1, 2, " x"),
        _cell(figures.aggregator_share, 100, 1, " %"),
    ]
    return f"| {' | '.join(cells)} |"


def _fan_in_row(name: str, figures: FanInFigures) -> str:
    cells = [
        name,
        _cell(figures.messages_per_cpu_s, 1e-6, 1, " M"),
        _cell(figures.workers, 1, 1, ""),
        _cell(figures.least_share, 1, 2, ""),
    ]
    return f"| {' | '.join(cells)} |"


def _cell(figure: Spread, scale: float, digits: int, unit: str) -> str:
    middle, low, high = (
        f"{value * scale:,.{digits}f}" for value in (figure.median, figure.smallest, figure.largest)
    )
    return f"{middle}{unit} ({low} to {high})"
