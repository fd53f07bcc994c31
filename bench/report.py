"""From rounds to what people read: medians with their spread, ratios, warnings, a Markdown table, a JSON file."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from bench.cases import OURS, Case, Side
from bench.measure import Round
from bench.sides import node_ws
from bench.sides.result import SideResult

PACKAGES = ("scaleout", "msgspec", "uvloop", "websockets", "picows", "aiohttp", "orjson", "websocket-client")
CROWDED = 1.1
"""So many messages in a read, of those that are sent one at a time, are too many."""


class Spread(msgspec.Struct, frozen=True):
    """A figure over all rounds."""

    median: float
    smallest: float
    largest: float


class SideFigures(msgspec.Struct, frozen=True):
    """One side over all rounds."""

    messages_per_cpu_s: Spread
    messages_per_s: Spread
    peak_rss_bytes: Spread | None
    ratio: Spread
    """Messages per CPU-second of scaleout, in multiples of this side's in the same round."""


class Origin(msgspec.Struct, frozen=True):
    """What a result file begins with: what was measured, when, and on what."""

    case: str
    title: str
    date: str
    machine: str
    python: str
    versions: dict[str, str]
    pinning: str


class Report(Origin, frozen=True):
    """What a result file holds."""

    seconds: float
    """How long each side was measured in each round."""
    labels: dict[str, str]
    """What each side is."""
    figures: dict[str, SideFigures]
    warnings: list[str]
    rounds: list[Round]


def spread(values: Sequence[float]) -> Spread:
    """The median and the extremes."""
    return Spread(statistics.median(values), min(values), max(values))


def figures(rounds: Sequence[Round]) -> dict[str, SideFigures]:
    """Every side's figures, in the order of the first round."""
    return {side: _figures_of(side, rounds) for side in rounds[0].results}


def _figures_of(side: str, rounds: Sequence[Round]) -> SideFigures:
    def over(figure: Callable[[SideResult], float]) -> Spread:
        return spread([figure(each.results[side]) for each in rounds])

    peaks = [peak for each in rounds if (peak := each.results[side].peak_rss_bytes) is not None]
    return SideFigures(
        messages_per_cpu_s=over(lambda result: result.messages_per_cpu_s),
        messages_per_s=over(lambda result: result.messages_per_s),
        peak_rss_bytes=spread(peaks) if peaks else None,
        ratio=spread([_ratio(each.results[OURS], each.results[side]) for each in rounds]),
    )


def _ratio(ours: SideResult, theirs: SideResult) -> float:
    """How many times as many messages per CPU-second; 0 where the other side had none, which is a fault."""
    return ours.messages_per_cpu_s / theirs.messages_per_cpu_s if theirs.messages_per_cpu_s else 0.0


def warnings(rounds: Sequence[Round]) -> list[str]:
    """What makes the figures doubtful: wrong counts, a generator at its limit."""
    found = [
        f"Round {number}, {side}: {fault}."
        for number, each in enumerate(rounds, 1)
        for side, result in each.results.items()
        for fault in result.faults[:3]
    ]
    for side in rounds[0].results:
        limited = sum(each.is_limited_by_generator(side) for each in rounds)
        if limited:
            found.append(
                f"The generator was the limit of {side} in {limited} of {len(rounds)} rounds: "
                f"its messages per CPU-second stand, its messages per second don't."
            )
    return found


def crowded(rounds: Sequence[Round]) -> list[str]:
    """A warning where messages that were sent one at a time were read several at a time."""
    found = [each.results[OURS].messages_per_read for each in rounds]
    most = max((messages for messages in found if messages is not None), default=1.0)
    if most <= CROWDED:
        return []
    return [
        f"{OURS} read {most:.2f} messages at a time in some round: it was behind, and a backlog costs less to read."
    ]


def origin(case: str, title: str, pinning: str) -> Origin:
    """Where figures that are measured now come from."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return Origin(case, title, date, machine(), python(), versions(), pinning)


def make_report(
    case: Case, sides: Sequence[Side], seconds: float, pinning: str, rounds: list[Round], left_out: list[str]
) -> Report:
    """Put together what a result file holds; `left_out` says which sides are missing, and why."""
    return Report(
        **asdict(origin(case.name, case.title, pinning)),
        seconds=seconds,
        labels={side.name: side.label for side in sides},
        figures={side.name: figures(rounds)[side.name] for side in sides},
        warnings=[*warnings(rounds), *(crowded(rounds) if case.feed.rate else []), *left_out],
        rounds=rounds,
    )


def markdown(report: Report) -> str:
    """The report as a table with a few lines around it."""
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    return "\n".join(
        [
            f"### {report.case}: {report.title}",
            "",
            f"{report.date}; {report.machine}; {report.python}; {versions}. {report.pinning}",
            f"Median of {len(report.rounds)} rounds of {report.seconds:g} s, the extremes in brackets.",
            "",
            "| side | messages per CPU-second | messages per second | peak memory | scaleout is |",
            "|---|---|---|---|---|",
            *(_row(side, report.labels[side], figures) for side, figures in report.figures.items()),
            *(line for warning in report.warnings for line in ("", f"**Warning**: {warning}")),
        ]
    )


def _row(side: str, label: str, figures: SideFigures) -> str:
    peak = f"{figures.peak_rss_bytes.median / 2**20:.0f} MiB" if figures.peak_rss_bytes else "unknown"
    ratio = figures.ratio
    cells = [
        label,
        _thousands(figures.messages_per_cpu_s),
        f"{figures.messages_per_s.median / 1e3:,.0f} k",
        peak,
        "" if side == OURS else f"**{ratio.median:.2f} x** ({ratio.smallest:.2f} to {ratio.largest:.2f})",
    ]
    return f"| {' | '.join(cells)} |"


def _thousands(figure: Spread) -> str:
    low, middle, high = (value / 1e3 for value in (figure.smallest, figure.median, figure.largest))
    return f"{middle:,.0f} k ({low:,.0f} to {high:,.0f})"


def save(report: Origin, directory: Path) -> Path:
    """Write a report as JSON, into a file with the name of its case."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{report.case}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return path


def machine() -> str:
    """Processor, cores and system."""
    cores = os.cpu_count()
    return f"{_processor()}, {cores} cores, {platform.system()} {platform.release()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def python() -> str:
    """Implementation and version."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def versions() -> dict[str, str]:
    """Of the packages that matter, as far as they are installed."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found | node_ws.versions()
