"""Standard streams that are closed, full, or left by their reader; and what workers print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scaleout.simulator import SimulatorConfig, SimulatorProcess

ROOT = Path(__file__).parents[1]


@pytest.fixture
def uri() -> Iterator[str]:
    with SimulatorProcess(SimulatorConfig(endpoints=1, rate=2_000)) as simulator:
        yield simulator.endpoints[0].uri


def shell(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which $S starts the program."""
    return subprocess.run(
        ["sh", "-c", script],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "S": f"{sys.executable} -m scaleout"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_from_the_start(closed: str, uri: str, tmp_path: Path) -> None:
    ran = shell(f"$S {uri} --limit 50 --sink out.jsonl --summary summary.json {closed}", tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 50
    assert json.loads((tmp_path / "summary.json").read_bytes())["balanced"] is True


def test_without_standard_error_nothing_else_gets_into_standard_output(uri: str, tmp_path: Path) -> None:
    ran = shell(f"$S {uri} --limit 50 2>&-", tmp_path)
    assert ran.returncode == 0
    assert [list(json.loads(line)) for line in ran.stdout.splitlines()] == [
        ["endpoint", "received_at", "data"]
    ] * 50


def test_a_sink_on_closed_standard_output_is_bad_usage(uri: str, tmp_path: Path) -> None:
    ran = shell(f"$S {uri} --limit 50 >&-", tmp_path)
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert "sink: standard output is closed: redirect it" in line


@pytest.mark.parametrize("view", ["plain", "none"])
def test_standard_error_that_takes_nothing_does_not_fail_the_run(view: str, uri: str, tmp_path: Path) -> None:
    ran = shell(f"$S {uri} --limit 50 --sink out.jsonl --view {view} 2>/dev/full", tmp_path)
    assert ran.returncode == 0
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 50


@pytest.mark.parametrize(
    ("target", "code", "said"), [(">/dev/full", 1, "No space left on device"), ("| true", 0, "")]
)
def test_a_report_that_nobody_takes(target: str, code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "feeds.toml").write_text('[[endpoints]]\nuri = "ws://127.0.0.1/"\n')
    ran = shell(f"{{ $S check feeds.toml; echo $? >code; }} {target}", tmp_path)
    assert (tmp_path / "code").read_text() == f"{code}\n"
    assert said in ran.stderr
    assert len(ran.stderr.splitlines()) == code


def test_what_processors_print_goes_to_standard_error(
    uri: str, tmp_path: Path, launch: Callable[..., Any]
) -> None:
    (tmp_path / "loud.py").write_text(
        "import os\n"
        "print('imported')\n"
        "def shout(message: str) -> int:\n"
        "    print('printed', flush=True)\n"
        "    os.system('echo echoed')\n"
        "    return 1\n"
    )
    run = launch(None, uri, "--limit", "5", "--processor", "loud:shout", stdout=subprocess.PIPE)
    out, _ = run.process.communicate(timeout=60)
    assert [json.loads(line)["data"] for line in out.splitlines()] == [1] * 5
    for said in ("imported", "printed", "echoed"):
        assert said in run.stderr
