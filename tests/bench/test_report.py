"""Medians, ratios, warnings and the table, from made-up rounds."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench import report
from bench.cases import CASES, OURS
from bench.measure import Round
from bench.sides.result import SideResult, Usage

BULK = CASES["bulk"]
SIDES = BULK.sides


def result(
    messages: int, *, load: float = 1.0, generator_load: float | None = 0.5, faults: list[str] | None = None
) -> SideResult:
    generator_cpu_s = None if generator_load is None else 4.0 * generator_load
    return SideResult(messages, Usage(4.0 * load, 4.0, generator_cpu_s), 1, 2**20, faults or [])


def make_round(ours: int, peers: int, *, generator_load: float | None = 0.5, load: float = 1.0) -> Round:
    return Round(
        {
            side.name: result(ours if side.name == OURS else peers, load=load, generator_load=generator_load)
            for side in SIDES
        }
    )


def make_report(rounds: list[Round], left_out: list[str] | None = None) -> report.Report:
    return report.make_report(BULK, SIDES, 6.0, "Nothing is pinned.", rounds, left_out or [])


def test_figures_are_medians_and_ratios_are_by_the_round() -> None:
    rounds = [make_round(200, 100), make_round(900, 300), make_round(400, 400)]
    figures = report.figures(rounds)
    assert figures["picows"].ratio == report.Spread(2.0, 1.0, 3.0)
    assert figures["picows"].messages_per_cpu_s == report.Spread(75.0, 25.0, 100.0)
    assert figures[OURS].messages_per_cpu_s.median == 100.0
    assert figures[OURS].ratio == report.Spread(1.0, 1.0, 1.0)


def test_wrong_counts_are_warned_of() -> None:
    wrong = make_round(2, 1)
    wrong = Round({**wrong.results, "picows": result(1, faults=["one is missing"])})
    assert report.warnings([make_round(2, 1), wrong]) == ["Round 2, picows: one is missing."]


def test_a_generator_at_its_limit_is_warned_of() -> None:
    at_limit = make_round(2, 1, generator_load=0.99, load=0.6)
    assert len(report.warnings([make_round(2, 1), at_limit])) == len(SIDES)
    assert "in 1 of 2 rounds" in report.warnings([make_round(2, 1), at_limit])[0]


def test_a_busy_generator_is_no_limit_while_the_side_is_busy_too() -> None:
    assert report.warnings([make_round(2, 1, generator_load=0.99, load=0.99)]) == []


def test_an_unknown_load_is_not_warned_of() -> None:
    assert report.warnings([make_round(2, 1, generator_load=None, load=0.5)]) == []


def test_the_table_has_a_row_for_each_side_and_the_ratio_of_each_peer() -> None:
    made = make_report([make_round(400_000, 100_000)], ["node_ws is left out: Node is not installed"])
    table = report.markdown(made)
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(SIDES)
    assert [row.count("**4.00 x**") for row in rows] == [0, *[1] * (len(SIDES) - 1)]
    assert "100 k (100 to 100)" in rows[0]
    assert "Nothing is pinned." in table
    assert "**Warning**: node_ws is left out: Node is not installed" in table


def test_a_side_without_messages_has_no_ratio() -> None:
    assert report.figures([make_round(400, 0)])["picows"].ratio.median == 0.0


def test_the_file_holds_all_rounds(tmp_path: Path) -> None:
    rounds = [make_round(2, 1), make_round(3, 1)]
    path = report.save(make_report(rounds), tmp_path / "results")
    assert path.name == "bulk.json"
    kept = msgspec.json.decode(path.read_bytes(), type=report.Report)
    assert kept.rounds == rounds
    assert kept.date and kept.machine and kept.versions["msgspec"]


def test_paced_messages_that_come_several_at_once_are_warned_of() -> None:
    def paced(messages_per_read: float | None) -> Round:
        ours = msgspec.structs.replace(result(1), messages_per_read=messages_per_read)
        return Round({OURS: ours})

    assert report.crowded([paced(1.02), paced(None)]) == []
    (warning,) = report.crowded([paced(1.0), paced(1.5)])
    assert warning.startswith("scaleout read 1.50 messages at a time in some round: ")
