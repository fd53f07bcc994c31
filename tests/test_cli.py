"""The command line: what it prints where, its errors, and its exit codes."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scaleout.control.commands import SUBCOMMANDS
from scaleout.errors import SimulatorError, WorkerError
from scaleout.simulator import SimulatorConfig, SimulatorProcess

Invoke = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "nothing to run"),
        (["--wrokers", "3"], "did you mean --workers?"),
        (["--workers", "many", "ws://127.0.0.1/"], "--workers: expected a whole number, found 'many'"),
        (["--workers", "0", "ws://127.0.0.1/"], "workers"),
        (["--limit", "-1", "ws://127.0.0.1/"], "limit"),
        (["--view", "loud"], "--view: expected one of 'auto', 'plain', 'none', found 'loud'"),
        (["stauts", "--control", "run.sock"], "stauts: neither a command nor a file; did you mean status?"),
        (["deadletters", "lst"], "ACTION: expected one of 'list', "),
        (["none.toml"], "none.toml: can't be read"),
        (["a.toml", "b.toml"], "one configuration file at a time"),
        (["http://127.0.0.1/"], "http://127.0.0.1/"),
        (["--demo", "feeds.toml"], "--demo"),
        (["--processor", "nowhere:function", "ws://127.0.0.1/"], "nowhere"),
        (["--sink", "ftp://x/", "ws://127.0.0.1/"], "ftp"),
        (["check"], "CONFIG"),
        (["simulate", "--endpoints", "none"], "endpoints"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(arguments: list[str], expected: str, invoke: Invoke) -> None:
    code, out, err = invoke(*arguments)
    assert code == 2
    assert out == ""
    assert expected in err
    assert len(err.splitlines()) == 1
    assert err.startswith("scaleout: ")


@pytest.mark.parametrize("error", [OSError, SimulatorError, WorkerError])
def test_what_fails_is_one_line_and_code_1(
    error: type[Exception], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> int:
        raise error("it died")

    monkeypatch.setattr("scaleout.demo.run", fail)
    assert invoke("--demo") == (1, "", "scaleout: it died\n")


def test_help_names_every_command(invoke: Invoke) -> None:
    code, out, _ = invoke("--help")
    assert code == 0
    for command in ("run", "check", "simulate", "deadletters", *SUBCOMMANDS):
        assert re.search(rf"^ {{4}}{command}\b", out, re.MULTILINE)


def test_check_shows_what_would_run(tmp_path: Path, invoke: Invoke) -> None:
    path = tmp_path / "feeds.toml"
    path.write_text('[[endpoints]]\nname = "btc"\nuri = "wss://user:secret@example.org/btc?token=secret"\n')
    code, out, err = invoke("check", str(path))
    assert (code, err) == (0, "")
    assert "btc" in out
    assert "secret" not in out


def test_check_reports_every_fault(tmp_path: Path, invoke: Invoke) -> None:
    path = tmp_path / "feeds.toml"
    path.write_text(
        'workres = 2\n[[endpoints]]\nuri = "nonsense"\nlinger = "soon"\nprocessor = "no.such:thing"\n'
    )
    code, _, err = invoke("check", str(path))
    assert code == 2
    assert len(err.splitlines()) == 4
    assert 'workres: unknown key; did you mean "workers"?' in err


def test_standard_output_carries_sink_data_alone(launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=2, rate=1_000)) as simulator:
        uris = [uri for _, uri in simulator.endpoints]
        run = launch(None, *uris, "--limit", "20", "--workers", "2", stdout=subprocess.PIPE)
        out, _ = run.process.communicate(timeout=60)
    records = [json.loads(line) for line in out.splitlines()]
    assert len(records) == 20
    assert all(list(record) == ["endpoint", "received_at", "data"] for record in records)
    assert {record["endpoint"] for record in records} <= {uri.removeprefix("ws://") for uri in uris}
    assert "20 messages" in run.stderr


def test_command_line_counts_more_than_the_file(tmp_path: Path, launch: Callable[..., Any]) -> None:
    (tmp_path / "mine.py").write_text("def length(message: str) -> int:\n    return len(message)\n")
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=1_000, await_subscribe=True)) as simulator:
        endpoints = [{"name": "a", "uri": simulator.endpoints[0].uri}]
        run = launch(
            {"endpoints": endpoints, "limit": 1_000_000},
            *("--limit", "5", "--no-envelope", "--processor", "mine:length", "--subscribe", "hello"),
            *("--sink", "other.jsonl", "--dead-letters", "dead.db"),
        )
        assert run.wait() == 0, run.stderr
        assert simulator.connections[0].received == ("hello",)
    assert run.lines("other.jsonl") == [b"131"] * 5
    assert run.summary["totals"]["received"] == 5


def test_files_that_hold_data_are_private(tmp_path: Path, launch: Callable[..., Any]) -> None:
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=1_000)) as simulator:
        endpoints = [{"uri": simulator.endpoints[0].uri}]
        run = launch({"endpoints": endpoints, "limit": 5, "dead_letters": "dead.db"})
        assert run.wait() == 0, run.stderr
    for name in ("out.jsonl", "summary.json", "dead.db"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


def test_logs_as_json_without_secrets(launch: Callable[..., Any], unused_port: int) -> None:
    uri = f"ws://user:hunter22@127.0.0.1:{unused_port}/?token=hunter22"
    endpoints = [{"name": "a", "uri": uri, "reconnect": "never", "headers": {"X-Key": "${KEY_OF_TEST}"}}]
    environment = {"KEY_OF_TEST": "hunter23"}
    run = launch({"endpoints": endpoints, "log_format": "json"}, environment=environment)
    assert run.wait() == 0, run.stderr
    entries = [json.loads(line) for line in run.stderr.splitlines()]
    assert any("can't connect" in entry["message"] and entry["endpoint"] == "a" for entry in entries)
    assert "hunter2" not in run.stderr
    assert "hunter2" not in json.dumps(run.summary)
