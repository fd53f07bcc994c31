"""The commands to a live run: their arguments, what they print where, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from scaleout.control import command
from scaleout.control.messages import Status
from scaleout.errors import ControlError

Invoke = Callable[..., tuple[int, str, str]]


class FakeControl:
    """Stands in the place of a live run, and notes what it is asked."""

    asked: ClassVar[list[tuple[object, ...]]] = []
    problem: str | None = None

    def __init__(self, path: str) -> None:
        self.asked.append(("at", path))
        if self.problem is not None:
            raise ControlError(self.problem)

    def status(self) -> Status:
        return Status(workers=(), endpoints=(), totals={"received": 5})

    def resume(self, *endpoints: str) -> tuple[str, ...]:
        self.asked.append(("resume", *endpoints))
        return endpoints

    def send(self, endpoint: str, text: str) -> None:
        self.asked.append(("send", endpoint, text))

    def change_streams(self, endpoint: str, add: list[str], remove: list[str]) -> None:
        self.asked.append(("streams", endpoint, add, remove))


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> type[FakeControl]:
    """In the place of the client."""
    monkeypatch.setattr(FakeControl, "asked", [])
    monkeypatch.setattr(command, "Control", FakeControl)
    return FakeControl


def test_status(control: Any, invoke: Invoke) -> None:
    code, out, err = invoke("status", "--control", "s")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "5 messages received"
    code, out, err = invoke("status", "--control", "s", "--json")
    assert (code, json.loads(out), err) == (
        0,
        {"workers": [], "endpoints": [], "totals": {"received": 5}},
        "",
    )
    assert out.count("\n") == 1


def test_resume(control: Any, invoke: Invoke) -> None:
    assert invoke("resume", "--control", "s") == (0, "", "nothing to resume\n")
    assert invoke("resume", "a", "b", "--control", "s") == (0, "", "resumed: a, b\n")
    code, out, _ = invoke("resume", "a", "--control", "s", "--json")
    assert (code, json.loads(out)) == (0, {"resumed": ["a"]})
    assert ("resume", "a", "b") in control.asked


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


def test_a_refusal_is_one_line(control: Any, invoke: Invoke) -> None:
    control.problem = "there is no endpoint 'a'"
    try:
        for arguments in (("status",), ("resume",), ("send", "a", "x"), ("streams", "a", "--add", "x")):
            assert invoke(*arguments, "--control", "s") == (
                1,
                "",
                "scaleout: there is no endpoint 'a'\n",
            )
    finally:
        control.problem = None


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("send", "a", "--control", "s"),
        ("send", "a", "b", "c", "--control", "s"),
        ("streams", "--control", "s"),
        ("resume", "--control"),
        ("status", "--contol=s", "--control", "s"),
    ],
)
def test_bad_usage(control: Any, invoke: Invoke, arguments: tuple[str, ...]) -> None:
    code, out, err = invoke(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert control.asked == []


def test_streams_wants_to_know_which(invoke: Invoke) -> None:
    code, out, err = invoke("streams", "btc", "--control", "s")
    assert (code, out) == (2, "")
    assert err == "scaleout: command line: which streams? give --add, or --remove, or both\n"
