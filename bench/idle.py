"""What very many idle connections cost: memory, the connecting, and heartbeats that come on all of them at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import asdict

from bench import holders, memory, report
from bench.holders import WORKERS, Hold, Hosts
from bench.report import Origin, Spread
from bench.sides.quiet_server import Storm, Stormed, raise_file_limit
from bench.talking import helper

NAME = "idle"
CONNECTIONS, QUICK_CONNECTIONS = 10_000, 1_000
SETTLE_S = 2.0
"""After connecting, and after a storm: whatever it has begun ends."""
STORMS = 3
"""Of each kind in each round."""
SECONDS_A_ROUND = 2.0
"""A round takes as long however long the others measure, so there are fewer where that is short."""

HolderName = Literal["scaleout", "websockets", "picows"]
HOLDERS: dict[HolderName, tuple[Hold, str]] = {
    "scaleout": (holders.scaleout, f"scaleout, supervisor and {WORKERS} workers"),
    "websockets": (holders.websockets, "websockets, one process"),
    "picows": (holders.picows, "picows, one process"),
}
"""Those who hold the connections, and what each is in a table."""


class Measured(msgspec.Struct, frozen=True):
    """One holder in one round."""

    pss_bytes: float
    """Of a connection: what all processes take over what they take without connections."""
    rss_bytes: float
    connects_per_s: float
    connect_cpu_us: float
    """Of all processes, for each connect."""
    quiet_lag_ms: float
    """The longest that a loop was late while nothing came."""
    ping_lag_ms: float
    """The same in the worst storm of pings."""
    text_lag_ms: float
    """The same in the worst storm of heartbeats in messages."""


class Figures(msgspec.Struct, frozen=True):
    """One holder over all rounds."""

    pss_bytes: Spread
    rss_bytes: Spread
    connects_per_s: Spread
    connect_cpu_us: Spread
    quiet_lag_ms: Spread
    ping_lag_ms: Spread
    text_lag_ms: Spread


class Report(Origin, frozen=True):
    """What the result file holds."""

    connections: int
    figures: dict[HolderName, Figures]
    rounds: list[dict[HolderName, Measured]]


def run(rounds: int, seconds: float, directory: Path, progress: Callable[[str], None]) -> Path:
    """Measure, print a table and write the result file; where that is.

    Raises:
        BenchError: a process failed.
    """
    raise_file_limit()
    connections = CONNECTIONS if seconds >= SECONDS_A_ROUND else QUICK_CONNECTIONS
    settle_s = min(SETTLE_S, seconds)
    rounds = min(rounds, max(1, int(seconds / SECONDS_A_ROUND)))
    measured: list[dict[HolderName, Measured]] = []
    for number in range(rounds):
        found: dict[HolderName, Measured] = {}
        for name in list(HOLDERS) if number % 2 == 0 else reversed(HOLDERS):
            found[name] = measure(HOLDERS[name][0], connections, settle_s)
            kib = found[name].pss_bytes / 1024
            progress(f"{NAME} {number + 1}/{rounds} {name}: {kib:.1f} KiB a connection")
        measured.append({name: found[name] for name in HOLDERS})
    result = make_report(measured, connections)
    print(f"{markdown(result)}\n", flush=True)
    return report.save(result, directory)


def measure(hold: Hold, connections: int, settle_s: float) -> Measured:
    """Open the connections, look at the memory, and raise storms."""
    with helper("quiet_server", [], None) as server:
        hosts = Hosts(server, msgspec.json.decode(server.hear(), type=list[str]))
        with hold(hosts, connections) as (holder, empty, connecting):
            time.sleep(settle_s)
            grown = memory.of(holder.pids) - empty
            holder.lags_ms()  # the first begins to measure
            time.sleep(settle_s)
            quiet_ms = max(holder.lags_ms())
            worst_ms: dict[Literal["ping", "text"], float] = {}
            for kind in ("ping", "text") * STORMS:
                server.ask(Storm(kind), Stormed)
                time.sleep(settle_s / 2)
                worst_ms[kind] = max(worst_ms.get(kind, 0.0), *holder.lags_ms())
    return Measured(
        pss_bytes=grown.pss / connections,
        rss_bytes=grown.rss / connections,
        connects_per_s=connections / connecting.seconds,
        connect_cpu_us=connecting.cpu_s / connections * 1e6,
        quiet_lag_ms=quiet_ms,
        ping_lag_ms=worst_ms["ping"],
        text_lag_ms=worst_ms["text"],
    )


def make_report(measured: list[dict[HolderName, Measured]], connections: int) -> Report:
    """Put together what the result file holds."""
    title = (
        f"{connections:,} connections without data, and a server that sends heartbeats on all of them at once"
    )
    pinning = "Nothing is pinned: the server of the connections runs beside those who hold them."
    return Report(
        **asdict(report.origin(NAME, title, pinning)),
        connections=connections,
        figures={name: _figures([each[name] for each in measured]) for name in HOLDERS},
        rounds=measured,
    )


def _figures(rounds: Sequence[Measured]) -> Figures:
    return Figures(
        **{
            field: report.spread([getattr(each, field) for each in rounds])
            for field in Measured.__struct_fields__
        }
    )


def markdown(result: Report) -> str:
    """The report as a table with a few lines around it."""
    return "\n".join(
        [
            f"### {result.case}: {result.title}",
            "",
            f"{result.date}; {result.machine}; {result.python}. {result.pinning}",
            f"Median of {len(result.rounds)} rounds, the extremes in brackets. Memory is what all processes take "
            "(proportional set size) over what they take without the connections. Lag is the longest that an event "
            f"loop was late; in storms the worst of {STORMS} a round.",
            "",
            "| holder | memory a connection | connects per second | CPU time of a connect "
            "| lag, quiet | lag, all pinged | lag, a text on all |",
            "|---|---|---|---|---|---|---|",
            *(_row(HOLDERS[name][1], figures) for name, figures in result.figures.items()),
        ]
    )


def _row(what: str, figures: Figures) -> str:
    cells = [
        what,
        _cell(figures.pss_bytes, 1 / 1024, "KiB", 1),
        _cell(figures.connects_per_s, 1, "", 0),
        _cell(figures.connect_cpu_us, 1, "µs", 0),
        _cell(figures.quiet_lag_ms, 1, "ms", 1),
        _cell(figures.ping_lag_ms, 1, "ms", 0),
        _cell(figures.text_lag_ms, 1, "ms", 0),
    ]
    return f"| {' | '.join(cells)} |"


def _cell(figure: Spread, scale: float, unit: str, digits: int) -> str:
    middle, low, high = (
        f"{value * scale:,.{digits}f}" for value in (figure.median, figure.smallest, figure.largest)
    )
    return f"{middle}{' ' if unit else ''}{unit} ({low} to {high})"
