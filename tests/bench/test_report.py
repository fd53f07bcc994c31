"""Medians, ratios, warnings and the table, from made-up rounds."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bench import report
from bench.cases import OURS, SIDES, SideName, bulk
from bench.measure import Round
from bench.sides.result import SideResult


def result(messages: int, *, own_load: float = 1.0, faults: list[str] | None = None) -> SideResult:
    return SideResult(
        messages=messages,
        cpu_s=2.0,
        messages_per_s=messages / 4,
        receiving_s=4.0,
        used_cpu_s=4.0 * own_load,
        output_bytes=1,
        peak_rss_bytes=2**20,
        faults=faults or [],
    )


def make_round(ours: int, peers: int, *, generator_load: float | None = 0.5, own_load: float = 1.0) -> Round:
    results: dict[SideName, SideResult] = {
        side: result(ours if side == OURS else peers, own_load=own_load) for side in SIDES
    }
    return Round(results, dict.fromkeys(SIDES, generator_load))


def test_figures_are_medians_and_ratios_are_by_the_round() -> None:
    rounds = [make_round(200, 100), make_round(900, 300), make_round(400, 400)]
    figures = report.figures(rounds)
    assert figures["picows_msgspec"].ratio == report.Spread(2.0, 1.0, 3.0)
    assert figures["picows_msgspec"].messages_per_cpu_s == report.Spread(150.0, 50.0, 200.0)
    assert figures[OURS].messages_per_cpu_s.median == 200.0
    assert figures[OURS].ratio == report.Spread(1.0, 1.0, 1.0)


def test_wrong_counts_are_warned_of() -> None:
    wrong = make_round(2, 1)
    wrong = Round(
        {**wrong.results, "picows_msgspec": result(1, faults=["one is missing"])}, wrong.generator_load
    )
    assert report.warnings([make_round(2, 1), wrong]) == ["Round 2, picows_msgspec: one is missing."]


def test_a_generator_at_its_limit_is_warned_of() -> None:
    at_limit = make_round(2, 1, generator_load=0.99, own_load=0.6)
    assert len(report.warnings([make_round(2, 1), at_limit])) == len(SIDES)
    assert "in 1 of 2 rounds" in report.warnings([make_round(2, 1), at_limit])[0]


def test_a_busy_generator_is_no_limit_while_the_side_is_busy_too() -> None:
    assert report.warnings([make_round(2, 1, generator_load=0.99, own_load=0.99)]) == []


def test_an_unknown_load_is_not_warned_of() -> None:
    assert report.warnings([make_round(2, 1, generator_load=None, own_load=0.5)]) == []


def test_the_table_has_a_row_for_each_side_and_the_ratio_of_each_peer() -> None:
    made = report.make_report(bulk(), 6.0, "Nothing is pinned.", [make_round(400_000, 100_000)])
    table = report.markdown(made)
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(SIDES)
    assert [row.count("**4.00 x**") for row in rows] == [0, 1, 1]
    assert "200 k (200 to 200)" in rows[0]
    assert "Nothing is pinned." in table


def test_the_file_holds_all_rounds(tmp_path: Path) -> None:
    rounds = [make_round(2, 1), make_round(3, 1)]
    path = report.save(report.make_report(bulk(), 6.0, "", rounds), tmp_path / "results")
    assert path.name == "bulk.json"
    kept = msgspec.json.decode(path.read_bytes(), type=report.Report)
    assert kept.rounds == rounds
    assert kept.date and kept.machine and kept.versions["msgspec"]
