"""The page of results, made of files."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from bench import page, reconnect, report
from bench.cases import CASES
from bench.measure import Round
from bench.reconnect import CHAINS
from bench.sides.result import SideResult, Usage


def save_case(name: str, directory: Path) -> None:
    case = CASES[name]
    results = {side.name: SideResult(1_000, Usage(0.5, 0.5), 1, None, []) for side in case.sides}
    report.save(report.make_report(case, case.sides, 1.0, "", [Round(results)], []), directory)


def test_the_page_has_all_results_there_are_in_the_order_of_the_cases(tmp_path: Path) -> None:
    save_case("many", tmp_path)
    save_case("bulk", tmp_path)
    rounds = {chain: [reconnect.Round(2.0, 1.0)] for chain in CHAINS}
    report.save(reconnect.make_report(rounds, 10, ""), tmp_path)
    text = page.write(tmp_path, [reconnect]).read_text()
    places = [text.index(f"### {name}: ") for name in ("bulk", "many", "reconnect")]
    assert places == sorted(places)
    for name in ("bulk", "many", "overview"):
        assert f"({name}.svg)" in text
        ElementTree.fromstring((tmp_path / f"{name}.svg").read_text())


def test_files_of_an_earlier_version_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bulk.json").write_text('{"case":"bulk"}')
    save_case("many", tmp_path)
    text = page.write(tmp_path, []).read_text()
    assert "### many: " in text and "### bulk: " not in text


def test_without_results_there_is_a_page_all_the_same(tmp_path: Path) -> None:
    assert page.write(tmp_path, []).read_text().startswith("# Results\n")
