"""What the workers have, and how many there are: what is told, and when that is a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from msgspec import structs

Invoke = Callable[..., tuple[int, str, str]]


def test_move(control: Any, invoke: Invoke) -> None:
    assert invoke("move", "btc", "1", "--control", "s") == (
        0,
        "",
        "btc moved from worker 0 to 1 (worker 0 is too busy)\n",
    )
    assert control.asked[-1] == ("move", "btc", 1)
    code, out, _ = invoke("move", "btc", "1", "--control", "s", "--json")
    moved = json.loads(out)["moved"]
    assert (code, moved["endpoint"], moved["source"], moved["target"]) == (0, "btc", 0, 1)


def test_rebalance(control: Any, invoke: Invoke, move_view: Any) -> None:
    eth = structs.replace(move_view, endpoint="eth")
    control.moves = (move_view, eth)
    code, out, err = invoke("rebalance", "--control", "s")
    assert (code, out, len(err.splitlines())) == (0, "", 2)
    control.moves = (move_view, structs.replace(eth, problem="it is silent"))
    code, _, err = invoke("rebalance", "--control", "s")
    assert code == 1
    assert err.splitlines()[1] == "eth stayed on worker 0, not moved to 1: it is silent"
    control.moves = ()
    assert invoke("rebalance", "--control", "s") == (0, "", "nothing to move\n")


def test_scale(control: Any, invoke: Invoke) -> None:
    assert invoke("scale", "3", "--control", "s") == (0, "", "3 workers: 0, 1, 2\n")
    code, out, _ = invoke("scale", "1", "--control", "s", "--json")
    assert (code, json.loads(out)) == (0, {"workers": [0]})
