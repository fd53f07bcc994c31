"""How a status looks."""

from __future__ import annotations

import msgspec
import pytest

from scaleout.control.messages import EndpointView, Status, WorkerView
from scaleout.control.text import age, status_text

WORKER = WorkerView(
    id=1, state="ready", restarts=2, cpu_s=3.21, received=12_345, lag_s=0.0042, backlog_bytes=2048
)
ENDPOINT = EndpointView(
    name="btc",
    worker=1,
    state="live",
    rate=12_345.6,
    received=9,
    reason="connection lost",
    since=1_000.0,
    stall=None,
    connects=2,
    streams=(),
)
TOTALS = {"received": 12_345, "delivered": 12_000, "filtered": 0, "in_flight": 345, "bytes": 99}


def lines_of(*endpoints: EndpointView) -> list[str]:
    text = status_text(Status(workers=(WORKER,), endpoints=endpoints, totals=TOTALS), 1_012.5)
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_status() -> None:
    lines = lines_of(ENDPOINT)
    assert lines[0] == "endpoint worker state msg/s since reason"
    assert lines[2] == "btc 1 live 12.3k 12 s"
    assert lines[4] == "worker state received CPU lag backlog restarts"
    assert lines[6] == "worker 1 ready 12,345 3.2 s 4 ms 2.0 KiB 2"
    assert lines[8] == "12,345 messages received · 12,000 delivered · 345 in flight"


def test_the_reason_why_nothing_comes() -> None:
    replace = msgspec.structs.replace
    quarantined = replace(ENDPOINT, state="quarantined", reason="HTTP 401", rate=0.0)
    stalled = replace(ENDPOINT, stall="only heartbeats")
    waiting = replace(ENDPOINT, state="waiting", since=None, reason="its worker died")
    assert lines_of(quarantined, stalled, waiting)[2:5] == [
        "btc 1 quarantined 0 12 s HTTP 401",
        "btc 1 live 12.3k 12 s only heartbeats",
        "btc 1 waiting 12.3k its worker died",
    ]


def test_reasons_neither_break_the_table_nor_the_terminal() -> None:
    endpoint = msgspec.structs.replace(ENDPOINT, state="backoff", reason="\x1b[2Jbad " + "x" * 500)
    row = lines_of(endpoint)[2]
    assert "\x1b" not in row and "\\x1b[2Jbad" in row
    assert len(row) < 200 and row.endswith("x…")


def test_no_endpoint_with_a_reason_is_a_narrow_table() -> None:
    text = status_text(Status(workers=(WORKER,), endpoints=(ENDPOINT,), totals=TOTALS), 1_012.5)
    assert not any(line.endswith(" ") for line in text.splitlines())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0.9, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text
