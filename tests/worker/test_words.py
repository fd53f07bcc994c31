"""What exceptions say, made fit for a line and for UTF-8."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from scaleout.worker.words import MAX_LINE_CHARS, named, one_line, text_of, traceback_of


def test_one_line() -> None:
    assert one_line(" a\n b\r\n\tc ") == "a b c"
    assert one_line("\x1b[31m\x00\x9b") == "\\x1b[31m\\x00\\x9b"
    assert one_line("\ud800\u20ac") == "\\ud800\u20ac"
    assert one_line("x" * 5_000) == "x" * MAX_LINE_CHARS + "…"


@given(st.text(st.characters(exclude_categories=()), max_size=50))
def test_any_text_becomes_one_line_that_can_travel(text: str) -> None:
    line = one_line(text)
    line.encode()
    assert len(line.splitlines()) <= 1


class Unprintable(Exception):
    def __str__(self) -> str:
        raise asyncio.CancelledError


def test_an_exception_that_can_not_speak() -> None:
    assert text_of(Unprintable()) == ""
    assert named(Unprintable()) == "Unprintable"
    assert "Unprintable" in traceback_of(Unprintable())


def test_an_exception_by_its_name() -> None:
    assert named(ValueError("no\nnumber")) == "ValueError: no number"
    assert named(ValueError()) == "ValueError"


def test_a_traceback_can_travel() -> None:
    traceback_of(ValueError("\ud800")).encode()
