"""The commands to a live run: each takes what it should, and a refusal is one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scaleout.control.commands import SUBCOMMANDS

Invoke = Callable[..., tuple[int, str, str]]

EACH = {
    "status": (),
    "add": ("--toml", 'uri = "ws://h/"'),
    "remove": ("a",),
    "pause": ("a",),
    "resume": (),
    "move": ("a", "1"),
    "rebalance": (),
    "scale": ("3",),
    "send": ("a", "x"),
    "streams": ("a", "--add", "x"),
    "reload": (),
    "drain": (),
}


def test_all_are_here() -> None:
    assert EACH.keys() == SUBCOMMANDS.keys()


@pytest.mark.parametrize("command", EACH)
def test_a_refusal_is_one_line(control: Any, invoke: Invoke, command: str) -> None:
    control.fail("there is no endpoint 'a'")
    arguments = (command, *EACH[command], "--control", "s")
    assert invoke(*arguments) == (1, "", "scaleout: there is no endpoint 'a'\n")
    assert invoke(*arguments, "--json") == (1, "", "scaleout: there is no endpoint 'a'\n")


@pytest.mark.parametrize("command", EACH)
def test_json_is_one_object_on_standard_output(control: Any, invoke: Invoke, command: str) -> None:
    code, out, err = invoke(command, *EACH[command], "--control", "s", "--json")
    assert (code, err) == (0, "")
    assert out.startswith("{") and out.endswith("}\n") and out.count("\n") == 1


@pytest.mark.parametrize("command", EACH)
def test_the_socket_has_to_be_named(control: Any, invoke: Invoke, command: str) -> None:
    code, out, err = invoke(command, *EACH[command])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--control" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "a", "--control", "s"),
        ("send", "a", "b", "c", "--control", "s"),
        ("streams", "--control", "s"),
        ("streams", "a", "--control", "s"),
        ("resume", "--control"),
        ("status", "--contol=s", "--control", "s"),
        ("status", "--watch", "0", "--control", "s"),
        ("status", "--watch", "soon", "--control", "s"),
        ("remove", "--control", "s"),
        ("pause", "--control", "s"),
        ("move", "a", "--control", "s"),
        ("move", "a", "b", "--control", "s"),
        ("move", "a", "--control", "s", "--", "-1"),
        ("scale", "0", "--control", "s"),
        ("scale", "auto", "--control", "s"),
        ("add", "--control", "s"),
        ("add", "feeds.toml", "--toml", "x", "--control", "s"),
    ],
)
def test_bad_usage(control: Any, invoke: Invoke, arguments: tuple[str, ...]) -> None:
    code, out, err = invoke(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert control.asked == []
