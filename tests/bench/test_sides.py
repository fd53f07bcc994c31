"""Every side, run for a moment on a simulated firehose, and the checks of their counts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bench.cases import SIDES
from bench.measure import BenchError, run_side
from bench.sides.result import Numbers, check_numbers
from bench.sides.scaleout_ndjson import Output
from scaleout.simulator import SimulatorConfig, SimulatorProcess

pytestmark = pytest.mark.alone

pytest.importorskip("picows")


@pytest.fixture(scope="module")
def uris() -> Iterator[list[str]]:
    with SimulatorProcess(SimulatorConfig(endpoints=4, rate=4_000, zipf=0)) as simulator:
        yield [uri for _, uri in simulator.endpoints]


@pytest.mark.parametrize("side", list(SIDES))
def test_a_side_counts_right(side: str, uris: list[str]) -> None:
    # Longer than starts can differ: scaleout's result is the difference of two runs.
    result = run_side(side, uris, 2.5, None, 60.0)  # type: ignore[arg-type]
    assert result.faults == []
    assert result.messages > 0
    assert result.used_cpu_s > 0
    assert result.output_bytes > result.messages * 10


def test_a_side_that_fails_is_an_error() -> None:
    with pytest.raises(BenchError, match="picows_msgspec ended with exit code 1"):
        run_side("picows_msgspec", ["ws://127.0.0.1:9/"] * 2, 0.1, None, 60.0)


def test_a_case_of_an_unknown_name_is_bad_usage() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "nothing"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "bulk" in done.stderr


def test_numbers_that_do_not_fit_the_count_are_a_fault() -> None:
    assert check_numbers([Numbers(5, 9, 5)]) == []
    assert len(check_numbers([Numbers(5, 9, 4), Numbers(0, 9, 10)])) == 1
    assert check_numbers([Numbers(), Numbers(0, 0, 1)]) == ["1 connections brought nothing"]


def write_lines(path: Path, numbers: list[tuple[str, int]]) -> None:
    lines = [
        msgspec.json.encode({"endpoint": endpoint, "received_at": 1_000 + place, "data": {"seq": number}})
        for place, (endpoint, number) in enumerate(numbers)
    ]
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def test_output_is_checked_by_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "output.jsonl"
    write_lines(path, [("a", 7), ("b", 0), ("a", 8), ("b", 1), ("b", 3), ("a", 9)])
    output = Output()
    output.read(path)
    assert output.faults == ["b: 3 after 1"]
    assert output.lines == 6
    assert output.bytes == path.stat().st_size
    assert output.receiving_s == pytest.approx(5e-9)


def test_output_that_ends_within_a_line_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "output.jsonl"
    write_lines(path, [("a", 0)])
    path.write_bytes(path.read_bytes() + b'{"endp')
    output = Output()
    output.read(path)
    assert output.faults == ["the output ends within a line"]
