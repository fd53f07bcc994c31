"""How long a message takes to the sink at fixed rates, counted from when it was due: no wait is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from bench import report
from bench.measure import SATURATED, Cores, choose_cores
from bench.openloop import CONNECTIONS, SKIP_S, Capacity, Latency, Setting, running
from bench.report import Origin, Spread
from bench.sides.line_reader import Percentiles

NAME = "latency"
TITLE = f"from feed to sink at fixed rates: {CONNECTIONS} connections, one worker, NDJSON into a FIFO"

SETTINGS = (Setting(0, apart=False), Setting(5, apart=False), Setting(0, apart=True))
MODEST_PER_S = 10_000.0
"""One message in a read."""
SHARES = (0.5, 0.8)
"""Of the capacity, which is what the same run takes unpaced."""
SATURATE_S = 1.5
LATE_MS = 1.0
"""A generator whose sends are later than that, one in a hundred, is told of."""


class Load(msgspec.Struct, frozen=True):
    """A fixed rate."""

    share: float | None
    """Of the capacity; None: `MODEST_PER_S`."""

    def __str__(self) -> str:
        return f"{MODEST_PER_S:,.0f}/s" if self.share is None else f"{self.share:.0%} of capacity"


LOADS = (Load(None), *map(Load, SHARES))


class Turn(msgspec.Struct, frozen=True):
    """One run of scaleout."""

    setting: Setting
    capacity: Capacity
    latencies: list[Latency]
    """In the order of `LOADS`."""


class Percentile(msgspec.Struct, frozen=True):
    """Percentiles over all rounds, in ms."""

    p50: Spread
    p99: Spread
    p999: Spread
    largest: Spread


class Row(msgspec.Struct, frozen=True):
    """A setting at a load, over all rounds."""

    setting: Setting
    load: str
    per_s: Spread
    from_received: Percentile
    from_due: Percentile


class Report(Origin, frozen=True):
    """What the result file holds."""

    seconds: float
    rows: list[Row]
    warnings: list[str]
    rounds: list[list[Turn]]


def run(rounds: int, seconds: float, directory: Path, progress: Callable[[str], None]) -> Path:
    """Measure, print a table and write the result file; where that is.

    Raises:
        BenchError: a process failed, or messages are missing.
    """
    cores = choose_cores()
    measured = []
    for number in range(rounds):
        ordered = SETTINGS if number % 2 == 0 else SETTINGS[::-1]
        turns = {setting: measure(setting, seconds, cores) for setting in ordered}
        measured.append([turns[setting] for setting in SETTINGS])
        half = measured[-1][0].latencies[1].from_received
        progress(f"{NAME} {number + 1}/{rounds}: p50 {half.p50:.2f} ms, p99 {half.p99:.2f} ms at {LOADS[1]}")
    result = make_report(measured, seconds, describe(cores))
    print(f"{markdown(result)}\n", flush=True)
    return report.save(result, directory)


def measure(setting: Setting, seconds: float, cores: Cores | None) -> Turn:
    """Find the capacity, then keep each pace for so long."""
    with running(setting, cores) as loop:
        capacity = loop.saturate(SATURATE_S)
        rates = [MODEST_PER_S if load.share is None else load.share * capacity.per_s for load in LOADS]
        return Turn(setting, capacity, [loop.keep_pace(seconds, rate) for rate in rates])


def describe(cores: Cores | None) -> str:
    """Say who runs where."""
    if cores is None:
        return "Nothing is pinned: this machine has no two cores to choose from, so all interfere."
    return (
        f"The generator and the reader of the sink share core {cores.generator}, worker and supervisor (with "
        f"the aggregator) core {cores.side}; *apart*: the supervisor runs on core {cores.generator}, too."
    )


def make_report(measured: list[list[Turn]], seconds: float, pinning: str) -> Report:
    """Put together what the result file holds."""
    return Report(
        **asdict(report.origin(NAME, TITLE, pinning)),
        seconds=seconds,
        rows=[
            _row(setting, load, [turns[place].latencies[index] for turns in measured])
            for place, setting in enumerate(SETTINGS)
            for index, load in enumerate(LOADS)
        ],
        warnings=warnings(measured),
        rounds=measured,
    )


def _row(setting: Setting, load: Load, latencies: Sequence[Latency]) -> Row:
    return Row(
        setting,
        str(load),
        report.spread([each.per_s for each in latencies]),
        _over([each.from_received for each in latencies]),
        _over([each.from_due for each in latencies]),
    )


def _over(rounds: Sequence[Percentiles]) -> Percentile:
    return Percentile(
        report.spread([each.p50 for each in rounds]),
        report.spread([each.p99 for each in rounds]),
        report.spread([each.p999 for each in rounds]),
        report.spread([each.largest for each in rounds]),
    )


def warnings(measured: Iterable[Sequence[Turn]]) -> list[str]:
    """What makes the figures doubtful: a generator or a reader at its limit."""
    found = []
    for number, turns in enumerate(measured, 1):
        for turn in turns:
            capacity = turn.capacity
            if capacity.generator_load + capacity.reader_load >= SATURATED:
                found.append(
                    f"Round {number}, {_name(turn.setting)}: the generator was the limit of capacity."
                )
            found += [
                f"Round {number}, {_name(turn.setting)}, {load}: 1 % of the sends were more than "
                f"{latency.generator_late_ms[0]:.1f} ms late."
                for load, latency in zip(LOADS, turn.latencies, strict=True)
                if latency.generator_late_ms[0] > LATE_MS
            ]
    return found


def markdown(result: Report) -> str:
    """The report as a table with a few lines around it."""
    return "\n".join(
        [
            f"### {result.case}: {result.title}",
            "",
            f"{result.date}; {result.machine}; {result.python}. {result.pinning}",
            f"Milliseconds, p50 / p99 / p99.9 / largest; median of {len(result.rounds)} rounds of "
            f"{result.seconds:g} s, of which the first {SKIP_S:g} s are left out. *Received* is the read that "
            "brought the message, *due* the time when the open loop was to send it, *written* the time when "
            "its line could be read at the other end of the sink.",
            "",
            "| | load | messages per second | received → written | due → written |",
            "|---|---|---|---|---|",
            *map(_line, result.rows),
            *(["", *(f"**Warning**: {warning}" for warning in result.warnings)] if result.warnings else []),
        ]
    )


def _line(row: Row) -> str:
    cells = [
        _name(row.setting),
        row.load,
        f"{row.per_s.median / 1e3:,.0f} k",
        _cell(row.from_received),
        _cell(row.from_due),
    ]
    return f"| {' | '.join(cells)} |"


def _name(setting: Setting) -> str:
    return f"linger {setting.linger_ms} ms{', apart' if setting.apart else ''}"


def _cell(latency: Percentile) -> str:
    figures = (latency.p50, latency.p99, latency.p999, latency.largest)
    return " / ".join(f"{figure.median:.2f}" for figure in figures)
