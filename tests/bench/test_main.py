"""The command as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench import __main__ as command
from bench.cases import Case
from bench.errors import BenchError
from bench.feed import FEEDS_VARIABLE
from bench.report import Report


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != FEEDS_VARIABLE}
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_case_is_measured_and_shown(tmp_path: Path) -> None:
    done = bench("bulk-8", "--rounds", "1", "--seconds", "0.2", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = msgspec.json.decode((tmp_path / "bulk-8.json").read_bytes(), type=Report)
    assert list(found.rounds[0].results) == list(found.figures)
    assert "### bulk-8: " in done.stdout
    assert "### bulk-8: " in (tmp_path / "README.md").read_text()
    assert (tmp_path / "bulk-8.svg").exists()


def test_a_case_that_can_not_be_measured_is_left_out_with_a_line(tmp_path: Path) -> None:
    done = bench("feed-kraken", "--results", str(tmp_path))
    assert done.returncode == 0
    assert "feed-kraken is left out: SCALEOUT_FEEDS names no folder" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["bulk-1"], "argument CASE: expected the name of a case, found 'bulk-1'; did you mean bulk-1k?"),
        (["zzz"], "argument CASE: expected the name of a case, found 'zzz'; --help lists them"),
        (["bulk", "--seconds", "-1"], "argument --seconds: expected seconds, more than 0, found -1"),
        (["bulk", "--results", __file__], f"argument --results: expected a directory, found {__file__!r}"),
    ],
)
def test_bad_usage_is_told_in_a_line(arguments: list[str], complaint: str) -> None:
    done = bench(*arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"python -m bench: error: {complaint}")


def test_help_lists_all_cases() -> None:
    said = bench("--help").stdout
    assert all(name in said for name in ("bulk-64", "many-2000", "feed-nostr", "reconnect", "moving"))


def test_a_case_that_fails_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def run(case: Case, rounds: int, seconds: float, directory: Path) -> bool:
        ran.append(case.name)
        if case.name == "bulk":
            raise BenchError("a side took longer than 180 s")
        return False

    monkeypatch.setattr(command, "_run", run)
    with pytest.raises(SystemExit) as ended:
        command.main(["bulk", "many", "--results", str(tmp_path)])
    assert (ended.value.code, ran) == (1, ["bulk", "many"])
    assert "bench: bulk: a side took longer than 180 s" in capsys.readouterr().err
