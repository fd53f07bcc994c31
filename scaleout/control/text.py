"""A live run's status as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from scaleout.control.messages import EndpointView, Status, WorkerView
from scaleout.core.lifecycle import EndpointState
from scaleout.monitor.text import TERMS, compact, compact_bytes, plural, printable, table

LONGEST_REASON = 100


def status_text(status: Status, now: float) -> str:
    """The status in two tables and a line.

    Args:
        now: Unix time in seconds.
    """
    parts = [
        _endpoints_table(status.endpoints, now),
        _workers_table(status.workers),
        _totals_line(status.totals),
    ]
    return "\n\n".join(parts)


def _endpoints_table(endpoints: tuple[EndpointView, ...], now: float) -> str:
    rows = [
        (
            printable(each.name),
            str(each.worker),
            each.state,
            compact(each.rate),
            "" if each.since is None else age(now - each.since),
            _reason(each),
        )
        for each in endpoints
    ]
    return _with_text_at_the_end(("endpoint", "worker", "state", "msg/s", "since", "reason"), rows)


def _with_text_at_the_end(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table whose last column is flush left."""
    width = max(len(row[-1]) for row in (header, *rows))
    return table((*header[:-1], header[-1].ljust(width)), [(*row[:-1], row[-1].ljust(width)) for row in rows])


def _reason(endpoint: EndpointView) -> str:
    """Why it brings no data; nothing where it does."""
    reason = endpoint.stall if endpoint.state == EndpointState.LIVE.value else endpoint.reason
    text = printable(reason or "")
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def _workers_table(workers: tuple[WorkerView, ...]) -> str:
    rows = [
        (
            f"worker {each.id}",
            each.state,
            f"{each.received:,}",
            f"{each.cpu_s:.1f} s",
            f"{each.lag_s * 1000:.0f} ms",
            compact_bytes(each.backlog_bytes),
            str(each.restarts),
        )
        for each in workers
    ]
    return table(("worker", "state", "received", "CPU", "lag", "backlog", "restarts"), rows)


def _totals_line(totals: dict[str, int]) -> str:
    terms = [f"{plural(totals.get('received', 0), 'message')} received"]
    for term, name in (TERMS | {"retried": "retried"}).items():
        if term != "received" and totals.get(term):
            terms.append(f"{totals[term]:,} {name}")
    return " · ".join(terms)


def age(seconds: float) -> str:
    """How long ago, in few characters: `12 s`, `3 min`, `5 h`, `2 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
