"""A screen that is painted again and again."""

from __future__ import annotations

import io
import os

import pytest

from scaleout.control.commands.screen import fitted, screen


@pytest.mark.parametrize(
    ("text", "columns", "rows", "lines"),
    [
        ("a\nb", 80, 24, ["a", "b"]),
        ("abcdef", 4, 24, ["abc…"]),
        ("a\nb\nc", 80, 4, ["a", "b", "c"]),
        ("a\nb\nc\nd", 80, 4, ["a", "b", "… and 2 more lines"]),
        ("a\nb", 80, 1, ["… and 2 more lines"]),
    ],
)
def test_what_fits(text: str, columns: int, rows: int, lines: list[str]) -> None:
    assert fitted(text, columns, rows) == lines
    assert len(lines) < max(rows, 2)


def test_each_text_takes_the_place_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))
    out = io.StringIO()
    with screen(out) as paint:
        paint("one\ntwo")
        paint("three")
    assert out.getvalue() == (
        "\x1b[?1049h\x1b[?25l"
        "\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J"
        "\x1b[Hthree\x1b[K\n\x1b[J"
        "\x1b[?25h\x1b[?1049lthree\n"
    )


def test_the_terminal_is_given_back_whatever_happens() -> None:
    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt), screen(out):
        raise KeyboardInterrupt
    assert out.getvalue().endswith("\x1b[?25h\x1b[?1049l")
