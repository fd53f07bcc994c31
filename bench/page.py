"""The results as people read them: a plot a case, and a page with all tables, made of the result files alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from bench import plots, standalone
from bench.cases import CASES, OURS
from bench.plots import Bar
from bench.report import Report, Spread, markdown

PAGE = "README.md"
OVERVIEW = "overview.svg"
COMPARED = {
    "picows": "picows + msgspec",
    "websockets": "websockets + msgspec",
    "aiohttp": "aiohttp + msgspec",
}
"""Whom the overview compares to, by preference: the first that is in the case."""

_R = TypeVar("_R")


def write(directory: Path, others: Sequence[standalone.Table]) -> Path:
    """Write the page and its plots; where the page is.

    Args:
        directory: of the result files.
        others: cases that aren't comparisons, in order.
    """
    directory.mkdir(parents=True, exist_ok=True)
    reports = list(_reports(directory))
    parts = [
        "# Results",
        "Made by `python -m bench`. All figures are medians, with the extremes in brackets; a ratio is of messages "
        "per CPU-second, of all processes together, within the same round.",
    ]
    if reports:
        (directory / OVERVIEW).write_text(overview(reports))
        parts.append(f"![overview]({OVERVIEW})")
    for report in reports:
        (directory / f"{report.case}.svg").write_text(plot(report))
        parts += [markdown(report), f"![{report.case}]({report.case}.svg)"]
    parts += [text for other in others if (text := _table(other, directory)) is not None]
    path = directory / PAGE
    path.write_text("\n\n".join(parts) + "\n")
    return path


def plot(report: Report) -> str:
    """The sides of a case beside each other."""
    bars = []
    for side, figures in report.figures.items():
        found, ratio = figures.messages_per_cpu_s, figures.ratio.median
        text = f"{found.median / 1e3:,.0f}" + ("" if side == OURS else f"  ({ratio:.2f} x)")
        bars.append(
            Bar(
                report.labels[side].removesuffix(", worker + aggregator, NDJSON to disk"),
                found.median / 1e3,
                found.smallest / 1e3,
                found.largest / 1e3,
                text,
                is_ours=side == OURS,
            )
        )
    return plots.chart(
        f"{report.case}: {report.title}",
        "thousand messages per CPU-second (in brackets: scaleout, in multiples of it)",
        bars,
    )


def overview(reports: Sequence[Report]) -> str:
    """The ratio to the best known peer, case by case."""
    bars = []
    for report in reports:
        peer = next((name for name in COMPARED if name in report.figures), None)
        if peer is not None:
            bars.append(_ratio_bar(f"{report.case}, to {COMPARED[peer]}", report.figures[peer].ratio))
    return plots.chart(
        "scaleout beside its peers", "messages per CPU-second, in multiples of the peer's", bars, mark=1.0
    )


def _ratio_bar(label: str, ratio: Spread) -> Bar:
    return Bar(label, ratio.median, ratio.smallest, ratio.largest, f"{ratio.median:.2f} x", is_ours=True)


def _reports(directory: Path) -> Iterator[Report]:
    for name in CASES:
        report = _decode(directory / f"{name}.json", Report)
        if report is not None:
            yield report


def _table(other: standalone.Table, directory: Path) -> str | None:
    report = _decode(directory / f"{other.NAME}.json", other.Report)
    return None if report is None else other.markdown(report)


def _decode(path: Path, kind: type[_R]) -> _R | None:
    """A result file; None where there is none, or one that an earlier version has written."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.ValidationError):
        return None
