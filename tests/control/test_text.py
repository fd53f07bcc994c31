"""How a status looks."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from scaleout.control.messages import Reloaded
from scaleout.control.text import age, move_text, reload_text, screen_text, status_line, status_text
from scaleout.control.views import EndpointView, MoveView, Status, WorkerView

TOTALS = {"received": 12_345, "delivered": 12_000, "filtered": 0, "in_flight": 345, "bytes": 99}


@pytest.fixture
def status(worker_view: WorkerView, endpoint_view: EndpointView) -> Status:
    """A run with one worker and one endpoint."""
    return Status(workers=(worker_view,), endpoints=(endpoint_view,), totals=TOTALS)


def lines_of(status: Status, **keys: Any) -> list[str]:
    text = status_text(replace(status, **keys), 1_012.5)
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_status(status: Status) -> None:
    lines = lines_of(status)
    assert lines[0] == "endpoint worker state msg/s bytes/s CPU moves since reason"
    assert lines[2] == "btc 1 live 12.3k 2.0 KiB 25 % 3 12 s"
    assert lines[4] == "worker state endpoints msg/s busy received CPU lag backlog restarts"
    assert lines[6] == "worker 1 ready 1 12.3k 87 % 12,345 3.2 s 4 ms 2.0 KiB 2"
    assert lines[8:] == ["12,345 messages received · 12,000 delivered · 345 in flight"]


def test_a_status_on_a_screen(status: Status) -> None:
    lines = [" ".join(line.split()) for line in screen_text(status, 1_012.5).splitlines()]
    assert lines[2].startswith("worker 1 ready") and lines[-1].startswith("btc 1 live")
    assert sorted(lines) == sorted(lines_of(status))


def test_a_run_without_endpoints(status: Status) -> None:
    assert lines_of(status, endpoints=())[0] == "no endpoints"


def test_a_status_in_a_line(status: Status) -> None:
    assert status_line(replace(status, moves=3)) == (
        " 12.3k msg/s · 1/1 endpoints live · 1 worker · 3 moves"
        " · 12,345 messages received · 12,000 delivered · 345 in flight"
    )


def test_the_reason_why_nothing_comes(status: Status, endpoint_view: EndpointView) -> None:
    quarantined = replace(endpoint_view, state="quarantined", reason="HTTP 401", rate=0.0)
    stalled = replace(endpoint_view, stall="only heartbeats")
    waiting = replace(endpoint_view, state="waiting", since=None, reason="its worker died")
    paused = replace(endpoint_view, state="paused", rate=0.0)
    assert lines_of(status, endpoints=(quarantined, stalled, waiting, paused))[2:6] == [
        "btc 1 quarantined 0 2.0 KiB 25 % 3 12 s HTTP 401",
        "btc 1 live 12.3k 2.0 KiB 25 % 3 12 s only heartbeats",
        "btc 1 waiting 12.3k 2.0 KiB 25 % 3 its worker died",
        "btc 1 paused 0 2.0 KiB 25 % 3 12 s",
    ]


def test_an_endpoint_on_its_way(status: Status, endpoint_view: EndpointView) -> None:
    assert lines_of(status, endpoints=(replace(endpoint_view, moving_to=0),))[2].startswith("btc 1 → 0 live")


def test_an_endpoint_with_helpers(status: Status, endpoint_view: EndpointView) -> None:
    line = lines_of(status, endpoints=(replace(endpoint_view, cpu=1.5, processors=3),))[2]
    assert line.startswith("btc 1 live 12.3k 2.0 KiB 150 % in 3 ")


def test_the_latest_moves_in_a_sentence_each(status: Status, move_view: MoveView) -> None:
    moves = tuple(replace(move_view, endpoint=f"e{number}", at=1_000.0 + number) for number in range(7))
    lines = lines_of(status, moves=40, recent_moves=moves)
    assert lines[-6:] == [
        "40 moves so far; the latest:",
        *(
            f"{12 - number} s ago: e{number} moved from worker 0 to 1 (worker 0 is too busy)"
            for number in range(6, 1, -1)
        ),
    ]


def test_moves(move_view: MoveView) -> None:
    assert move_text(move_view) == "btc moved from worker 0 to 1 (worker 0 is too busy)"
    sentence = "btc (5 messages/s) from worker 0 to 1: worker 0 is too busy"
    assert move_text(replace(move_view, why=sentence)) == move_text(move_view)
    assert move_text(replace(move_view, uncertain=True)) == (
        "btc moved from worker 0 to 1, uncertain: messages may be missing or repeated (worker 0 is too busy)"
    )
    assert move_text(replace(move_view, problem="it is\nsilent")) == (
        "btc stayed on worker 0, not moved to 1: it is\\nsilent"
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "nothing has changed"),
        (
            {"added": ("a", "b"), "removed": ("c",), "changed": ("d",)},
            "2 endpoints added, 1 removed, 1 changed",
        ),
        ({"removed": ("c",)}, "1 endpoint removed"),
        ({"changed": ("c", "d"), "workers": 3}, "2 endpoints changed, 3 workers from now on"),
    ],
)
def test_reloads(keys: dict[str, Any], said: str) -> None:
    assert reload_text(Reloaded(source="feeds.toml", **keys)) == f"reloaded feeds.toml: {said}"


def test_reasons_neither_break_the_table_nor_the_terminal(
    status: Status, endpoint_view: EndpointView
) -> None:
    endpoint = replace(endpoint_view, state="backoff", reason="\x1b[2Jbad " + "x" * 500)
    row = lines_of(status, endpoints=(endpoint,))[2]
    assert "\x1b" not in row and "\\x1b[2Jbad" in row
    assert len(row) < 200 and row.endswith("x…")


def test_no_endpoint_with_a_reason_is_a_narrow_table(status: Status) -> None:
    assert not any(line.endswith(" ") for line in status_text(status, 1_012.5).splitlines())


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
