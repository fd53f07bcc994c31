"""The status, once and again and again: as tables, as lines, as objects, and on a screen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scaleout.control.views import Status

Invoke = Callable[..., tuple[int, str, str]]


def test_once(control: Any, invoke: Invoke) -> None:
    code, out, err = invoke("status", "--control", "s")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "5 messages received"
    code, out, err = invoke("status", "--control", "s", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "workers": [],
        "endpoints": [],
        "totals": {"received": 5},
        "moves": 0,
        "recent_moves": [],
    }
    assert out.count("\n") == 1


def test_watched_until_the_run_ends(control: Any, invoke: Invoke) -> None:
    control.statuses = [
        Status(workers=(), endpoints=(), totals={"received": count}, moves=2) for count in (5, 7)
    ]
    code, out, err = invoke("status", "--watch", "--control", "s")
    assert (code, err) == (0, "the run has ended; at the last look: 7 messages received\n")
    assert out.splitlines() == [
        f"     0 msg/s · 0/0 endpoints live · 0 workers · 2 moves · {count} messages received"
        for count in (5, 7)
    ]
    assert control.asked[-1] == ("watch", 1.0)
    code, out, err = invoke("status", "--watch", "0.5", "--control", "s", "--json")
    assert code == 0 and err.startswith("the run has ended")
    assert [json.loads(line)["totals"]["received"] for line in out.splitlines()] == [5, 7]
    assert control.asked[-1] == ("watch", 0.5)


def test_watched_until_somebody_has_seen_enough(
    control: Any, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch(self: object, interval_s: float) -> Iterator[Status]:
        yield control.statuses[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(control, "watch", watch)
    code, out, err = invoke("status", "--watch", "--control", "s")
    assert (code, len(out.splitlines()), err) == (0, 1, "")


def test_watched_on_a_terminal(control: Any, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, out, _ = invoke("status", "--watch", "--control", "s")
    assert code == 0
    assert out.startswith("\x1b[?1049h") and "no endpoints" in out
    painted, rest = out.split("\x1b[?1049l")
    assert "5 messages received" in painted
    assert "5 messages received" in rest, "the last status stays on the terminal"
