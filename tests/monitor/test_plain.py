"""The plain view: what a line and the final table tell."""

from __future__ import annotations

import asyncio
import io
from typing import Any, cast

import pytest

from scaleout.config import Config, Endpoint
from scaleout.core.ledger import Counts, Entry, Ledger
from scaleout.core.lifecycle import EndpointState, WorkerState
from scaleout.monitor import plain
from scaleout.monitor.plain import MAX_ROWS, final_table, progress, verdict, watch
from scaleout.supervisor.aggregator import Aggregator
from scaleout.supervisor.status import EndpointSummary, Summary, WorkerSummary
from scaleout.supervisor.supervisor import Supervisor


def supervisor(endpoints: int = 3, workers: int = 2) -> Supervisor:
    """Only in a running loop."""
    ledger = Ledger()
    config = Config(endpoints=tuple(Endpoint(uri="ws://x", name=f"feed {slot}") for slot in range(endpoints)))
    return Supervisor(config, workers, ledger, Aggregator(ledger, [], None), {})


def test_a_line_says_how_it_goes() -> None:
    async def scenario() -> None:
        made = supervisor()
        total = Counts(received=12_500, dead_lettered=3)
        quiet = progress(made, Counts(), total, 2.0)
        assert quiet.split(" · ") == [
            " 6.25k msg/s",
            " 12.5k received",
            "0/3 endpoints up",
            "0/2 workers",
            "backlog 0 B",
            "3 dead letters",
        ]
        made.endpoints[0].state = EndpointState.LIVE
        made.endpoints[1].state = EndpointState.ENDED
        made.endpoints[2].state = EndpointState.QUARANTINED
        made.workers[1].state = WorkerState.READY
        made.workers[1].backlog_bytes = 2048
        made.aggregator.valve.close()
        made.stop("enough")
        made.endpoints[0].moves = 2
        total.lost = 7
        busy = progress(made, Counts(received=12_000), total, 0.5).split(" · ")
        assert busy[0] == " 1.00k msg/s"
        assert busy[2:] == [
            "1/3 endpoints up",
            "1/2 workers",
            "backlog 2.0 KiB",
            "3 dead letters",
            "1 quarantined",
            "1 ended",
            "2 moves",
            "7 lost",
            "sink lags",
            "draining",
        ]

    asyncio.run(scenario())


class ClosedOut(io.StringIO):
    """Takes a few lines, then nobody reads any more."""

    def write(self, text: str) -> int:
        if self.getvalue().count("\n") >= 2:
            raise BrokenPipeError
        return super().write(text)


def test_watching_ends_with_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "INTERVAL_S", 0.001)
    out = ClosedOut()

    async def scenario() -> None:
        made = supervisor()
        made.ledger.report(1, [Entry(slot=0, received=1)])
        await asyncio.wait_for(watch(made, out), 10)

    asyncio.run(scenario())
    assert len(out.getvalue().splitlines()) == 2


def summary(*endpoints: tuple[str, Counts, str | None], workers: int = 2, restarts: int = 0) -> Summary:
    totals = Counts()
    for _, counts, _error in endpoints:
        totals.add(counts)
    made_endpoints = {
        name: EndpointSummary(counts, connects=2, state=EndpointState.LIVE, last_error=error)
        for name, counts, error in endpoints
    }
    made = [WorkerSummary(id=each, cpu_s=1.0, restarts=restarts, received=0) for each in range(workers)]
    return Summary(2.0, tuple(made), 0.5, totals, made_endpoints)


def test_the_table_shows_the_busiest_first_and_adds_up() -> None:
    quiet = Counts(received=10, delivered=8, filtered=2)
    busy = Counts(received=2_000, delivered=1_990, dead_lettered=10, bytes=4096)
    text = final_table(summary(("quiet", quiet, None), ("busy", busy, "connection lost")))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0] == "endpoint received delivered filtered dead letters lost connects state"
    assert lines[2] == "busy 2,000 1,990 0 10 0 2 live"
    assert lines[3] == "quiet 10 8 2 0 0 2 live"
    assert lines[4] == "total 2,010 1,998 2 10 0 4"
    assert text.endswith("last errors:\n  busy: connection lost")


def test_the_table_shows_who_is_quarantined() -> None:
    made = EndpointSummary(Counts(), connects=0, state=EndpointState.QUARANTINED, last_error="HTTP 401")
    text = final_table(Summary(2.0, (), 0.5, Counts(), {"locked": made}))
    assert text.splitlines()[2].split()[-1] == "quarantined"
    assert text.endswith("last errors:\n  locked: HTTP 401")


def test_the_table_hides_no_message() -> None:
    counts = Counts(received=10, delivered=4, dropped=3, lost=1)
    header, _, row, *_ = final_table(summary(("feed", counts, None))).splitlines()
    assert header.split()[5:9] == ["letters", "dropped", "lost", "in"]
    assert " ".join(row.split()) == "feed 10 4 0 0 3 1 2 2 live"


def test_many_endpoints_and_errors_are_summed_up() -> None:
    one = Counts(received=1, delivered=1)
    many: list[Any] = [(f"feed {number:03}", one, "refused") for number in range(MAX_ROWS + 20)]
    text = final_table(summary(*many))
    assert "20 more" in text and f"feed {MAX_ROWS:03}" not in text
    assert text.endswith(f"… and {MAX_ROWS + 10} more")
    (total,) = [line for line in text.splitlines() if line.startswith("total")]
    assert total.split()[1] == str(MAX_ROWS + 20)


def test_the_verdict() -> None:
    good = Counts(received=1_000, delivered=1_000, bytes=2048)
    assert verdict(summary(("a", good, None), workers=1)) == (
        "1,000 messages (2.0 KiB) in 2.0 s = 500 msg/s, on 1 worker with 1.5 CPU seconds in all.\n"
        "The books balance: every message received is accounted for."
    )
    assert "restarted 4 times" in verdict(summary(("a", good, None), restarts=2))
    assert "restarted 1 time." in verdict(summary(("a", good, None), workers=1, restarts=1))
    bad = verdict(summary(("a", Counts(received=5, delivered=3), None)))
    assert "DO NOT balance" in bad and "of 2 messages" in bad


def test_a_run_that_took_no_time() -> None:
    made = cast(Any, summary(("a", Counts(), None)))
    assert "= 0 msg/s" in verdict(Summary(0.0, made.workers, 0.0, made.totals, made.endpoints))
