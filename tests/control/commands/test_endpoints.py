"""Endpoints come, go and rest: from which file or text, and what is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout.errors import ConfigError, Fault

Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are where the test is."""
    monkeypatch.chdir(tmp_path)


def test_a_file(control: Any, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "hunter22")
    Path("more.toml").write_text(
        '[defaults]\nweight = 2\n[[endpoints]]\nname = "a"\nuri = "ws://h/?key=${KEY}"\n'
        '[[endpoints]]\nuri = "ws://h/b"\nweight = 3\n'
    )
    assert invoke("add", "more.toml", "--control", "s") == (0, "", "added: a, h/b\n")
    what, (first, second), options = control.asked[-1]
    assert (what, options) == ("add", {"secrets": ("hunter22",), "source": "more.toml"})
    assert (first.uri, first.weight, second.weight) == ("ws://h/?key=hunter22", 2.0, 3.0)


def test_a_text(control: Any, invoke: Invoke) -> None:
    code, out, _ = invoke("add", "--toml", 'name = "a"\nuri = "ws://h/"', "--control", "s", "--json")
    assert (code, json.loads(out)) == (0, {"added": ["a"]})
    assert control.asked[-1][2] == {"secrets": (), "source": "--toml"}


def test_every_fault_is_a_line(control: Any, invoke: Invoke) -> None:
    Path("more.toml").write_text('uri = "http://h/"\nlinger = "soon"\nsink = "x"\n')
    code, out, err = invoke("add", "more.toml", "--control", "s")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "scaleout: more.toml: sink: is a key of the whole run, which goes on as it is: leave it out",
        "scaleout: more.toml: uri: expected a ws:// or wss:// URI (scheme isn't ws or wss), found 'http://h/'",
        "scaleout: more.toml: linger: expected a number of seconds or a text such as \"5ms\", found 'soon'",
    ]
    code, _, err = invoke("add", "--toml", "uri =", "--control", "s")
    assert code == 2 and err.startswith("scaleout: --toml: isn't valid TOML: ")
    assert control.asked == []


def test_faults_that_the_run_finds_are_lines_too(control: Any, invoke: Invoke) -> None:
    control.problem = ConfigError([Fault("--toml", "endpoints[0].processor", "no module named 'x'")])
    assert invoke("add", "--toml", 'uri = "ws://h/"\nprocessor = "x:y"', "--control", "s") == (
        2,
        "",
        "scaleout: --toml: endpoints[0].processor: no module named 'x'\n",
    )


@pytest.mark.parametrize(
    ("command", "done"), [("remove", "removed"), ("pause", "paused"), ("resume", "resumed")]
)
def test_names(control: Any, invoke: Invoke, command: str, done: str) -> None:
    assert invoke(command, "a", "b", "--control", "s") == (0, "", f"{done}: a, b\n")
    assert control.asked[-1] == (command, "a", "b")
    code, out, _ = invoke(command, "a", "--control", "s", "--json")
    assert (code, json.loads(out)) == (0, {done: ["a"]})


def test_nothing_to_resume(control: Any, invoke: Invoke) -> None:
    assert invoke("resume", "--control", "s") == (0, "", "nothing to resume\n")
