"""What is said on the connections of a live run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Invoke = Callable[..., tuple[int, str, str]]


def test_send(control: Any, invoke: Invoke) -> None:
    assert invoke("send", "a", '{"op": 1}', "--control", "s") == (0, "", "sent to a\n")
    assert invoke("send", "--control", "s", "a", "--", "--ping")[0] == 0
    assert [each for each in control.asked if each[0] == "send"] == [
        ("send", "a", '{"op": 1}'),
        ("send", "a", "--ping"),
    ]


def test_streams(control: Any, invoke: Invoke) -> None:
    arguments = ("streams", "a", "--add", "x, y", "--add", "z,", "--remove", "w", "--control", "s")
    assert invoke(*arguments) == (0, "", "a: added x, y, z; removed w\n")
    code, out, _ = invoke(*arguments, "--json")
    assert (code, json.loads(out)) == (0, {"endpoint": "a", "added": ["x", "y", "z"], "removed": ["w"]})
    assert control.asked[-1] == ("streams", "a", ["x", "y", "z"], ["w"])
    invoke("streams", "b", "--add", "x", "--control", "s")
    assert control.asked[-1] == ("streams", "b", ["x"], [])


def test_streams_wants_to_know_which(invoke: Invoke) -> None:
    code, out, err = invoke("streams", "btc", "--control", "s")
    assert (code, out) == (2, "")
    assert err == "scaleout: command line: which streams? give --add, or --remove, or both\n"
