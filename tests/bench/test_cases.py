"""The cases as data."""

from __future__ import annotations

from bench.cases import ALL, CASES, OURS, quick


def test_every_case_has_scaleout_and_no_side_twice() -> None:
    for name, case in CASES.items():
        names = [side.name for side in case.sides]
        assert case.name == name
        assert names[0] == OURS
        assert len(set(names)) == len(names)


def test_a_quick_run_has_all_sides_in_the_first_case_alone() -> None:
    assert quick(CASES["bulk"]).sides == ALL
    assert [side.name for side in quick(CASES["many"]).sides] == ["scaleout", "picows", "websockets"]


def test_headlines_are_one_of_each_kind() -> None:
    headlines = [name for name, case in CASES.items() if case.is_headline]
    assert headlines == ["bulk", "many", "tls", "deflate", "pass", "batch", "async"]
