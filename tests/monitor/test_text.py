"""Numbers and tables for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.monitor.text import compact, compact_bytes, printable, table


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.4, "0"),
        (999, "999"),
        (999.6, "1.00k"),
        (1_000, "1.00k"),
        (9_994, "9.99k"),
        (9_996, "10.0k"),
        (12_345, "12.3k"),
        (99_960, "100k"),
        (999_400, "999k"),
        (999_600, "1.00M"),
        (4_560_000, "4.56M"),
        (7e9, "7.00G"),
        (1.5e13, "15000G"),
    ],
)
def test_numbers(number: float, text: str) -> None:
    assert compact(number) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (12_595, "12.3 KiB"),
        (102_400, "100 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (2**20, "1.0 MiB"),
        (2**30 - 1, "1.0 GiB"),
        (2**41, "2.0 TiB"),
    ],
)
def test_sizes(size: float, text: str) -> None:
    assert compact_bytes(size) == text


@given(st.floats(0, 1e12))
def test_numbers_stay_short(number: float) -> None:
    assert len(compact(number)) <= 5


def test_a_table_is_flush() -> None:
    made = table(("name", "a", "long header"), [("x", "1", "2"), ("longer", "1,000", "")])
    assert made.splitlines() == [
        "name        a  long header",
        "──────  ─────  ───────────",
        "x           1            2",
        "longer  1,000",
    ]


@given(st.text())
def test_what_is_printed_is_printable(text: str) -> None:
    assert printable(text).isprintable()
