"""Letters as text: nothing in them does anything to a terminal, and nothing about them makes printing fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.deadletters import Letter, Status
from scaleout.deadletters.store import Group, Totals
from scaleout.deadletters.text import (
    Table,
    counts_of,
    excerpt,
    moment,
    page_of,
    pretty,
)

KeptLetter = Callable[..., Letter]


@given(st.binary(), st.booleans(), st.text(), st.integers(-(2**63), 2**63 - 1))
def test_any_letter_can_be_printed(
    kept_letter: KeptLetter, payload: bytes, is_text: bool, text: str, time_ns: int
) -> None:
    letter = kept_letter(
        payload=payload, is_text=is_text, reason=text, endpoint=text, traceback=text, received_at=time_ns
    )
    table = Table([], 100, is_open=True)
    assert len(table.line(letter)) <= 100
    for line in (table.header, table.line(letter), *page_of(letter).split("\n")):
        assert line.isprintable()


@pytest.mark.parametrize(
    ("payload", "is_text", "expected"),
    [
        (b'{"a":[1]}', True, '{\n  "a": [\n    1\n  ]\n}'),
        (b'{"a":1}', False, '{\n  "a": 1\n}'),
        (b"not json", True, "not json"),
        (b"\xff" * 17, False, "00000000  " + "ff " * 15 + "ff\n00000010  ff"),
        (b"a\xff", True, "a\\xff"),
        (b"", True, ""),
    ],
)
def test_payloads_to_read(payload: bytes, is_text: bool, expected: str) -> None:
    assert pretty(payload, is_text) == expected


def test_a_payload_that_is_nested_too_deep_is_shown_as_it_is() -> None:
    assert pretty(b"[" * 100_000, True) == "[" * 100_000


def test_an_excerpt_is_not_cut_within_a_character() -> None:
    assert excerpt("x\u20ac".encode()[:-1], True) == "x"


def test_the_edited_payload_is_what_counts(kept_letter: KeptLetter) -> None:
    assert Table([kept_letter()], 100).line(kept_letter(edited=b"better")).endswith("better")
    assert "edited    6 bytes of text" in page_of(kept_letter(edited=b"better"))


def test_times_that_no_calendar_has() -> None:
    assert moment(0) == "1970-01-01 00:00:00"
    assert moment(2**63 - 1)


def test_many_groups_are_summed_up() -> None:
    groups = [
        Group(endpoint="a", stage="decode", reason=f"r{n}", letters=2, bytes=9, oldest=0, newest=10**18)
        for n in range(25)
    ]
    text = counts_of(groups, Totals(letters=60, bytes=9, left_dead=3, left_handled=4), {Status.DEAD: 50})
    assert "… and 10 letters with 5 reasons more" in text
    assert "left for lack of room: 3 dead, 4 retried or discarded" in text
