"""Durations and sizes as text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("250ms", 0.25),
        ("5ms", 0.005),
        ("100us", 0.0001),
        ("5s", 5.0),
        ("1.5m", 90.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("5", 5.0),
        (".5s", 0.5),
        (" 3 s ", 3.0),
    ],
)
def test_durations(text: str, expected_s: float) -> None:
    assert parse_duration(text) == expected_s


@pytest.mark.parametrize(
    "text", ["", "s", "5x", "-5s", "1e3s", "5s5", "1.2.3s", "nan", "inf", "٣s", "5 s s", "9" * 65]
)
def test_not_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"found|unknown unit"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected_bytes"),
    [
        ("64KiB", 65536),
        ("4MiB", 4194304),
        ("1GB", 10**9),
        ("1.5kib", 1536),
        ("12", 12),
        ("3 B", 3),
        ("0.1kB", 100),
    ],
)
def test_sizes(text: str, expected_bytes: int) -> None:
    assert parse_size(text) == expected_bytes


@pytest.mark.parametrize("text", ["", "KiB", "1.5B", "0.3KiB", "5s", "-1", "1e6", "0x10"])
def test_not_sizes(text: str) -> None:
    with pytest.raises(ValueError, match=r"found|unknown unit|whole number"):
        parse_size(text)


@given(st.integers(0, 2**60))
def test_a_size_survives_being_written(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


@given(st.integers(0, 10**10).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_survives_being_written(duration_s: float) -> None:
    assert parse_duration(format_duration(duration_s)) == pytest.approx(duration_s)


@given(st.floats(0, 10**9))
def test_any_duration_can_be_written(duration_s: float) -> None:
    assert format_duration(duration_s)


@given(st.text())
def test_other_text_is_refused_with_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size):
        with contextlib.suppress(ValueError):
            assert parse(text) >= 0


def test_written_in_the_largest_whole_unit() -> None:
    assert [format_duration(each) for each in (0.005, 0.5, 1.5, 60, 90, 7200, 86400, 0)] == [
        "5ms",
        "500ms",
        "1500ms",
        "1m",
        "90s",
        "2h",
        "1d",
        "0s",
    ]
    assert [format_size(each) for each in (1000, 1024, 4 * 2**20, 1)] == ["1000B", "1KiB", "4MiB", "1B"]
