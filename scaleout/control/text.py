"""A live run's status, and what was done to it, as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from scaleout.control.messages import Reloaded
from scaleout.control.views import EndpointView, MoveView, Status, WorkerView
from scaleout.core.lifecycle import EndpointState
from scaleout.monitor.text import TERMS, compact, compact_bytes, plural, printable, table

LONGEST_REASON = 100
SHOWN_MOVES = 5


def status_text(status: Status, now: float) -> str:
    """The status in two tables, a line, and a sentence for each of the latest moves.

    Args:
        status: of the run.
        now: Unix time in seconds.
    """
    return "\n\n".join([_endpoints_table(status.endpoints, now), *_run_in_parts(status, now)])


def screen_text(status: Status, now: float) -> str:
    """The same with what there may be more of than a screen has room for at the end."""
    return "\n\n".join([*_run_in_parts(status, now), _endpoints_table(status.endpoints, now)])


def _run_in_parts(status: Status, now: float) -> list[str]:
    """What concerns the whole run."""
    moves = [_moves(status, now)] if status.recent_moves else []
    return [_workers_table(status.workers), totals_text(status.totals), *moves]


def status_line(status: Status) -> str:
    """The status in a line."""
    live = sum(each.state == EndpointState.LIVE.value for each in status.endpoints)
    parts = [
        f"{compact(sum(each.rate for each in status.endpoints)):>6} msg/s",
        f"{live}/{len(status.endpoints)} endpoints live",
        plural(len(status.workers), "worker"),
        plural(status.moves, "move"),
        totals_text(status.totals),
    ]
    return " · ".join(parts)


def _endpoints_table(endpoints: Sequence[EndpointView], now: float) -> str:
    if not endpoints:
        return "no endpoints"
    rows = [
        (
            printable(each.name),
            str(each.worker) if each.moving_to is None else f"{each.worker} → {each.moving_to}",
            each.state,
            compact(each.rate),
            compact_bytes(each.bytes_rate),
            _cpu(each),
            str(each.moves),
            "" if each.since is None else age(now - each.since),
            _reason(each),
        )
        for each in endpoints
    ]
    header = ("endpoint", "worker", "state", "msg/s", "bytes/s", "CPU", "moves", "since", "reason")
    return _with_text_at_the_end(header, rows)


def _cpu(endpoint: EndpointView) -> str:
    """What its processing takes, and how many helpers do it."""
    share = _percent(endpoint.cpu)
    return f"{share} in {endpoint.processors}" if endpoint.processors else share


def _with_text_at_the_end(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table whose last column is flush left."""
    width = max(len(row[-1]) for row in (header, *rows))
    return table((*header[:-1], header[-1].ljust(width)), [(*row[:-1], row[-1].ljust(width)) for row in rows])


def _reason(endpoint: EndpointView) -> str:
    """Why it brings no data; nothing where it does, or where a person doesn't want any."""
    if endpoint.state == EndpointState.PAUSED.value:
        return ""
    reason = endpoint.stall if endpoint.state == EndpointState.LIVE.value else endpoint.reason
    text = printable(reason or "")
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def _workers_table(workers: Sequence[WorkerView]) -> str:
    rows = [
        (
            f"worker {each.id}",
            each.state,
            str(each.endpoints),
            compact(each.rate),
            _percent(each.utilisation),
            f"{each.received:,}",
            f"{each.cpu_s:.1f} s",
            f"{each.lag_s * 1000:.0f} ms",
            compact_bytes(each.backlog_bytes),
            str(each.restarts),
        )
        for each in workers
    ]
    header = (
        "worker",
        "state",
        "endpoints",
        "msg/s",
        "busy",
        "received",
        "CPU",
        "lag",
        "backlog",
        "restarts",
    )
    return table(header, rows)


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def totals_text(totals: dict[str, int]) -> str:
    """The books in a line."""
    terms = [f"{plural(totals.get('received', 0), 'message')} received"]
    for term, name in (TERMS | {"retried": "retried"}).items():
        if term != "received" and totals.get(term):
            terms.append(f"{totals[term]:,} {name}")
    return " · ".join(terms)


def _moves(status: Status, now: float) -> str:
    latest = status.recent_moves[: -SHOWN_MOVES - 1 : -1]
    lines = [f"{plural(status.moves, 'move')} so far; the latest:"]
    lines += [f"  {age(now - each.at)} ago: {move_text(each)}" for each in latest]
    return "\n".join(lines)


def move_text(move: MoveView) -> str:
    """A move in a sentence."""
    name = printable(move.endpoint)
    if move.problem is not None:
        return f"{name} stayed on worker {move.source}, not moved to {move.target}: {printable(move.problem)}"
    doubt = ", uncertain: messages may be missing or repeated" if move.uncertain else ""
    route = f"from worker {move.source} to {move.target}"
    why = move.why.rpartition(f"{route}: ")[2]  # it may be a sentence of its own, which says the same first
    return f"{name} moved {route}{doubt} ({printable(why)})"


def reload_text(done: Reloaded) -> str:
    """A reload in a line, such as `reloaded feeds.toml: 2 endpoints added, 1 removed`."""
    counts = [
        (len(names), what)
        for names, what in ((done.added, "added"), (done.removed, "removed"), (done.changed, "changed"))
        if names
    ]
    parts = [
        f"{plural(count, 'endpoint') if not index else f'{count:,}'} {what}"
        for index, (count, what) in enumerate(counts)
    ]
    if done.workers is not None:
        parts.append(f"{plural(done.workers, 'worker')} from now on")
    return f"reloaded {printable(done.source)}: {', '.join(parts) or 'nothing has changed'}"


def age(seconds: float) -> str:
    """How long ago, in few characters: `12 s`, `3 min`, `5 h`, `2 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
