"""The plain view: a line a second, and a table at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TextIO

from scaleout.core.ledger import Counts
from scaleout.core.lifecycle import EndpointState, WorkerState
from scaleout.monitor.text import TERMS, compact, compact_bytes, plural, table
from scaleout.supervisor.status import Summary
from scaleout.supervisor.supervisor import Supervisor

INTERVAL_S = 1.0
MAX_ROWS = 40
"""Endpoints in the final table; the others are summed up in one row."""

ALWAYS_SHOWN = ("received", "delivered", "filtered", "dead_lettered", "lost")
"""The others are shown where there is something to show."""


async def watch(supervisor: Supervisor, out: TextIO) -> None:
    """Print a line a second until cancelled, or until nobody looks."""
    loop = asyncio.get_running_loop()
    before, before_at = supervisor.ledger.total(), loop.time()
    while True:
        await asyncio.sleep(INTERVAL_S)
        total, now = supervisor.ledger.total(), loop.time()
        try:
            print(progress(supervisor, before, total, now - before_at), file=out, flush=True)
        except (OSError, ValueError):  # nobody looks any more
            return
        before, before_at = total, now


def progress(supervisor: Supervisor, before: Counts, total: Counts, elapsed_s: float) -> str:
    """One line: rate, workers, endpoints, backlog, and whatever calls for attention."""
    rate = (total.received - before.received) / elapsed_s
    ready = sum(worker.state is WorkerState.READY for worker in supervisor.workers)
    states = [status.state for status in supervisor.endpoints]
    backlog = supervisor.aggregator.pending_bytes + sum(worker.backlog_bytes for worker in supervisor.workers)
    parts = [
        f"{compact(rate):>6} msg/s",
        f"{compact(total.received):>6} received",
        f"{states.count(EndpointState.LIVE)}/{len(states)} endpoints up",
        f"{ready}/{len(supervisor.workers)} workers",
        f"backlog {compact_bytes(backlog)}",
        f"{compact(total.dead_lettered)} dead letters",
    ]
    if quarantined := states.count(EndpointState.QUARANTINED):
        parts.append(f"{quarantined} quarantined")
    if ended := states.count(EndpointState.ENDED):
        parts.append(f"{ended} ended")
    if paused := states.count(EndpointState.PAUSED):
        parts.append(f"{paused} paused")
    if moves := supervisor.endpoints.moves:
        parts.append(plural(moves, "move"))
    if total.lost:
        parts.append(f"{compact(total.lost)} lost")
    if supervisor.aggregator.valve.is_closed:
        parts.append("sink lags")
    if supervisor.is_stopping:
        parts.append("draining")
    return " · ".join(parts)


def final_table(summary: Summary) -> str:
    """What became of the messages of each endpoint, busiest first, and a verdict in words."""
    endpoints = sorted(summary.endpoints.items(), key=lambda item: (-item[1].counts.received, item[0]))
    columns = [column for column in TERMS if column in ALWAYS_SHOWN or getattr(summary.totals, column)]
    rows = [
        _row(name, endpoint.counts, columns, compact(endpoint.connects), endpoint.state.value)
        for name, endpoint in endpoints[:MAX_ROWS]
    ]
    if len(endpoints) > MAX_ROWS:
        others = Counts()
        for _, endpoint in endpoints[MAX_ROWS:]:
            others.add(endpoint.counts)
        rows.append(_row(f"{len(endpoints) - MAX_ROWS} more", others, columns, "", ""))
    connects = sum(endpoint.connects for _, endpoint in endpoints)
    rows.append(_row("total", summary.totals, columns, compact(connects), ""))
    header = ("endpoint", *(TERMS[column] for column in columns), "connects", "state")
    lines = [table(header, rows), "", verdict(summary)]
    errors = [f"  {name}: {endpoint.last_error}" for name, endpoint in endpoints if endpoint.last_error]
    if errors:
        lines += ["last errors:", *errors[:10]]
        if len(errors) > 10:
            lines.append(f"  … and {len(errors) - 10} more")
    return "\n".join(lines)


def _row(name: str, counts: Counts, columns: Sequence[str], connects: str, state: str) -> tuple[str, ...]:
    return (name, *(f"{getattr(counts, column):,}" for column in columns), connects, state)


def verdict(summary: Summary) -> str:
    """The run in two or three sentences."""
    total = summary.totals
    cpu_s = summary.aggregator_cpu_s + sum(worker.cpu_s for worker in summary.workers)
    rate = total.received / summary.duration_s if summary.duration_s else 0.0
    said = (
        f"{total.received:,} messages ({compact_bytes(total.bytes)}) in {summary.duration_s:.1f} s"
        f" = {compact(rate)} msg/s, on {plural(len(summary.workers), 'worker')}"
        f" with {cpu_s:.1f} CPU seconds in all."
    )
    restarts = sum(worker.restarts for worker in summary.workers)
    if restarts:
        said += f" Workers died and were restarted {plural(restarts, 'time')}."
    if summary.moves:
        said += f" Endpoints were moved between workers {plural(summary.moves, 'time')}."
    if summary.balanced:
        return f"{said}\nThe books balance: every message received is accounted for."
    return (
        f"{said}\nThe books DO NOT balance: of {total.in_flight:,} messages nobody knows what became of them"
        " (they were in flight when the run ended)."
    )
