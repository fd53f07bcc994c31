"""What the end of a connection, or of an attempt, calls for."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.core.remedies import (
    LONGEST_RETRY_AFTER_S,
    Remedy,
    for_close_code,
    for_status,
    retry_after_s,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("remedy", "codes"),
    [
        (Remedy.RETRY, [1000, 1001, 1002, 1005, 1006, 1007, 1009, 1011, 1012, 1014, 1015]),
        (Remedy.RETRY, [3008, 3999, 4000, 4001, 4003, 4400, 4408, 4999]),
        (Remedy.SLOW_RETRY, [1008, 1013]),
        (Remedy.REFUSED, [3000, 3003, 4401, 4403]),
    ],
)
def test_close_codes(remedy: Remedy, codes: list[int]) -> None:
    assert {code: for_close_code(code) for code in codes} == dict.fromkeys(codes, remedy)


@pytest.mark.parametrize(
    ("remedy", "statuses"),
    [
        (Remedy.RETRY, [100, 200, 204, 600, 999]),
        (Remedy.SLOW_RETRY, [408, 418, 425, 429, 500, 502, 503, 504, 599]),
        (Remedy.REFUSED, [301, 302, 307, 308, 400, 401, 403, 404, 407, 410, 426, 451, 499]),
    ],
)
def test_statuses(remedy: Remedy, statuses: list[int]) -> None:
    assert {status: for_status(status) for status in statuses} == dict.fromkeys(statuses, remedy)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("-5", 0),
        ("259200", LONGEST_RETRY_AFTER_S),
        ("259201", LONGEST_RETRY_AFTER_S),
        ("9" * 5000, LONGEST_RETRY_AFTER_S),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sun, 01 Mar 2026 12:01:30 -0000", 90),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90),
        ("Sun Mar  1 12:01:30 2026", 90),
        ("Sun, 01 Mar 2026 11:59:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER_S),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    assert retry_after_s(value, NOW.timestamp()) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *[
            "",
            " ",
            "soon",
            "nan",
            "inf",
            "1e5",
            "1_000",
            "0x10",
            "10 s",
            "10,20",
            "٣",
            "5.",
            ".5",
            "--5",
            "12:00",
        ],
        "Sun, 99 Mar 2026 12:00:00 GMT",
        "Sun, 01 Mar 2026 25:00:00 GMT",
        "01 Mar 2026 12:00:00 +999999999999",
        "01 Mar 2026 12:00:00 +999999999999999999999999",
        "01 Mar 99999999999999999999 12:00:00 GMT",
        "1-- 12:00 GMT",
    ],
)
def test_what_is_neither_seconds_nor_a_date_is_not_read(value: str) -> None:
    assert retry_after_s(value, NOW.timestamp()) is None


def test_a_date_without_a_zone_is_in_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "XYZ-5")
            time.tzset()
            assert retry_after_s("Sun Mar  1 12:01:30 2026", NOW.timestamp()) == 90
    finally:
        time.tzset()


@given(st.integers(-(10**6), 10**6))
def test_a_date_says_the_same_as_the_seconds_up_to_it(ahead_s: int) -> None:
    date = format_datetime(NOW + timedelta(seconds=ahead_s), usegmt=True)
    assert retry_after_s(date, NOW.timestamp()) == retry_after_s(str(ahead_s), NOW.timestamp())


WORDS = st.sampled_from(
    ["Sun,", "Mar", "1", "26", "2026", "12:00:00", "GMT", "-0000", "+0100", ",", "1-Mar-26", ":"]
)


@given(st.one_of(st.text(), st.lists(st.one_of(WORDS, st.text(max_size=3)), max_size=7).map(" ".join)))
def test_no_value_does_harm(value: str) -> None:
    seconds = retry_after_s(value, NOW.timestamp())
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER_S
