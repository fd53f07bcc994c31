"""Every side, run for a moment on a generator, in each of the ways that a case asks for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cases import CASES, NODE, SCALEOUT, UNCOMPILED, Case, Side
from bench.errors import BenchError
from bench.feed import Feed
from bench.generator.process import GeneratorProcess
from bench.measure import run_side
from bench.peers import find_missing
from bench.sides import node_ws
from bench.sides.result import SideResult, Usage, combined

pytestmark = pytest.mark.alone

PACED = Feed(connections=2, rate=4_000)
SIDES = {side.name: side for case in CASES.values() for side in case.sides if side.feed is None}
WAYS = ["bulk", "pass", "async"]


@pytest.fixture(scope="module")
def generator() -> Iterator[GeneratorProcess]:
    with GeneratorProcess(PACED) as generator:
        yield generator


def sides_of(case: Case) -> list[Side]:
    return [side for side in case.sides if side not in (NODE, UNCOMPILED)]


@pytest.mark.parametrize(
    ("way", "side"),
    [(way, side) for way in WAYS for side in sides_of(CASES[way])],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_side_counts_right(way: str, side: Side, generator: GeneratorProcess) -> None:
    problem = find_missing(side)
    if problem is not None:
        pytest.skip(problem)
    result = run_side(side, CASES[way], generator, 0.3, None)
    assert result.faults == []
    assert result.messages > 500
    assert result.usage.cpu_s > 0
    assert result.output_bytes > result.messages * 10
    assert result.peak_rss_bytes is None or result.peak_rss_bytes > 2**20


@pytest.mark.parametrize(
    "side", [side for side in CASES["bulk-8"].sides if side.processes > 1], ids=lambda side: side.name
)
def test_a_side_over_several_processes_counts_right(side: Side) -> None:
    problem = find_missing(side)
    if problem is not None:
        pytest.skip(problem)
    case = CASES["bulk-8"]
    with GeneratorProcess(case.feed, None) as generator:
        result = run_side(side, case, generator, 0.3, None)
    assert result.faults == []
    assert result.messages > 500


def test_processes_side_by_side_are_one_side() -> None:
    one = SideResult(100, Usage(1.0, 2.0, 0.5), 1000, 10, ["a"], 3.0)
    other = SideResult(50, Usage(0.5, 2.1, None), 500, None, ["b"])
    assert combined([one, other]) == SideResult(150, Usage(1.5, 2.1, 0.5), 1500, None, ["a", "b"])


def test_a_batch_processor_gives_the_same_results(generator: GeneratorProcess) -> None:
    batch = CASES["batch"]
    result = run_side(batch.sides[0], batch, generator, 0.3, None)
    assert result.faults == []


@pytest.mark.skipif(
    shutil.which("node") is None or not (node_ws.DIRECTORY / "node_modules" / "ws").is_dir(),
    reason="ws is not installed: python -m bench installs it",
)
def test_node_counts_right(generator: GeneratorProcess) -> None:
    result = run_side(NODE, CASES["bulk"], generator, 0.3, None)
    assert result.faults == []
    assert result.messages > 500


def test_wrong_results_are_faults(generator: GeneratorProcess) -> None:
    bulk = CASES["bulk"]
    wrong = Side(SCALEOUT.name, SCALEOUT.label, SCALEOUT.program, processor="bench.recorded:on_coinbase")
    result = run_side(wrong, bulk, generator, 0.2, None)
    assert any("but 0 lines of output" in fault for fault in result.faults)


def test_a_side_that_fails_is_an_error(generator: GeneratorProcess) -> None:
    unknown = Side("unknown", "", "no_such_module")
    with pytest.raises(BenchError, match="unknown ended with exit code 1"):
        run_side(unknown, CASES["bulk"], generator, 0.1, None)


def test_processors_of_recorded_feeds_are_there(tmp_path: Path) -> None:
    for case in CASES.values():
        for processor in {case.processor, case.reference, *(side.processor for side in case.sides)}:
            if processor is not None:
                module, _, function = processor.partition(":")
                assert hasattr(__import__(module, fromlist=[function]), function)
