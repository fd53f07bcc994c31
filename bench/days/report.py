"""The figures of synthetic days as a table and a file."""

from __future__ import annotations

from msgspec.structs import asdict

from bench import report
from bench.days.simulation import GOAL, Figures
from bench.days.world import Settings
from bench.report import Origin

NAME = "days"
WHAT = {
    "scaleout": "scaleout",
    "round-robin": "round-robin",
    "rendezvous": "rendezvous hashing",
    "greedy": "greedy, afresh every tick",
}


class Report(Origin, frozen=True):
    """What the result file holds."""

    settings: Settings
    figures: dict[str, Figures]


def make_report(settings: Settings, figures: dict[str, Figures]) -> Report:
    """Put together what the result file holds."""
    title = (
        f"{settings.endpoints:,} endpoints, {settings.workers:,} workers, {settings.hours:g} hours, "
        f"a look every {settings.tick_s:g} s"
    )
    return Report(
        **asdict(report.origin(NAME, title, "Nothing is pinned.")), settings=settings, figures=figures
    )


def markdown(result: Report) -> str:
    """The report as a table with a few lines around it."""
    return "\n".join(
        [
            f"### {result.case}: {result.title}",
            "",
            f"{result.date}; {result.machine}; {result.python}; seed {result.settings.seed}.",
            "Load of the most loaded worker over the mean; over the least that is possible with whole endpoints: "
            "the mean, or the heaviest one; traffic that changes its worker, of all traffic.",
            "",
            f"| policy | median | 99 % of the day | over the least | worst | up to {GOAL} | moves an hour "
            "| traffic moved an hour | CPU time of a plan | at most |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *(_row(WHAT[name], each) for name, each in result.figures.items()),
        ]
    )


def _row(what: str, figures: Figures) -> str:
    cells = [
        what,
        f"{figures.median:.3f}",
        f"**{figures.most:.3f}**",
        f"{figures.most_over_least:.3f}",
        f"{figures.worst:.3f}",
        f"{100 * figures.within:.1f} %",
        f"{figures.moves_per_hour:,.0f}",
        f"**{100 * figures.moved_per_hour:,.2f} %**",
        _ms(figures.planning_median_s),
        _ms(figures.planning_worst_s),
    ]
    return f"| {' | '.join(cells)} |"


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.0f} ms"
