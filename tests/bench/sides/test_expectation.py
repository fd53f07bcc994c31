"""Output and counts, right and wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from bench.feed import Feed
from bench.sides.expectation import Expectation, Output, Tally, check_tallies, lines_between, load_processor
from bench.sides.result import Task
from bench.workload import Trade, on_trade

ON_TRADE = "bench.workload:on_trade"
TASK = Task("ws://localhost/", Feed(), "each", ON_TRADE, ON_TRADE, 0.1, 0.1, 1)
EXPECTATION = Expectation(TASK)
CYCLE = [b'{"seq":%d}' % number for number in range(5)]


def write_lines(path: Path, results: Sequence[tuple[str, int]]) -> Path:
    lines = [
        b'{"endpoint":"%b","received_at":%d,"data":%b}\n' % (endpoint.encode(), place, CYCLE[number])
        for place, (endpoint, number) in enumerate(results)
    ]
    path.write_bytes(b"".join(lines))
    return path


def read(path: Path) -> Output:
    output = Output(CYCLE)
    output.read(path)
    return output


def test_a_processor_is_found_with_its_type() -> None:
    assert load_processor(ON_TRADE) == (on_trade, Trade)


def test_results_are_those_of_the_processor() -> None:
    found = msgspec.json.decode(EXPECTATION.result(7))
    assert (found["seq"], found["symbol"]) == (7, "SIM-0000")
    assert EXPECTATION.result(TASK.feed.cycle_messages + 7) == EXPECTATION.result(7)
    assert len(EXPECTATION.cycle()) == TASK.feed.cycle_messages


def test_messages_that_pass_stay_as_they_are() -> None:
    passing = Expectation(msgspec.structs.replace(TASK, processor=None, reference=None))
    assert msgspec.json.decode(passing.result(7), type=Trade).seq == 7


def test_the_last_result_must_fit_the_count() -> None:
    right = Tally(8, 1, EXPECTATION.result(7))
    assert check_tallies([right, right], EXPECTATION) == []
    assert check_tallies([right._replace(messages=9)], EXPECTATION)[0].startswith(
        "connection 0: after 9 messages"
    )
    assert len(check_tallies([right._replace(last=b"garbage")], EXPECTATION)) == 1


def test_numbers_may_be_written_otherwise() -> None:
    found = msgspec.json.decode(EXPECTATION.result(7))
    assert check_tallies([Tally(8, 1, msgspec.json.format(msgspec.json.encode(found)))], EXPECTATION) == []


def test_a_connection_that_brings_nothing_is_a_fault() -> None:
    assert check_tallies([Tally(0, 0, b"")], EXPECTATION) == ["1 connections brought nothing"]


def test_each_endpoint_has_all_results_in_order_over_and_over(tmp_path: Path) -> None:
    results = [("a", 0), ("b", 0), ("a", 1), ("a", 2), ("b", 1), ("a", 3), ("a", 4), ("a", 0), ("a", 1)]
    output = read(write_lines(tmp_path / "output.jsonl", results))
    assert output.faults == []
    assert (output.lines, output.endpoints, output.reads) == (9, 2, 9)


@pytest.mark.parametrize(
    ("results", "places"),
    [
        ([("a", 0), ("a", 2), ("a", 3)], ["a: b'{\"seq\":2}' at place 1"]),
        ([("a", 0), ("a", 1), ("a", 1), ("a", 2)], ["a: b'{\"seq\":1}' at place 2"]),
        ([("a", 1)], ["a: b'{\"seq\":1}' at place 0"]),
    ],
    ids=["missing", "twice", "not from the first on"],
)
def test_what_is_missing_or_there_twice_is_a_fault(
    tmp_path: Path, results: list[tuple[str, int]], places: list[str]
) -> None:
    assert read(write_lines(tmp_path / "output.jsonl", results)).faults == places


def test_output_that_ends_within_a_line_is_a_fault(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "output.jsonl", [("a", 0)])
    path.write_bytes(path.read_bytes() + b'{"endp')
    assert read(path).faults == ["the output ends within a line"]


def test_lines_are_counted_between_two_positions(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntwo\nthree\n")
    assert lines_between(path, 0, 14) == 3
    assert lines_between(path, 2, 9) == 2
    assert lines_between(path, 8, 13) == 0
