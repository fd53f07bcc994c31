"""A terminal that is painted again and again; what stood there before comes back at the end."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from typing import TextIO

_ENTER = "\x1b[?1049h\x1b[?25l"
"""The other screen, without a cursor."""
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _END_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


@contextlib.contextmanager
def screen(out: TextIO) -> Iterator[Callable[[str], None]]:
    """Paint texts on the terminal behind `out`, one in place of the other; the last one stays at the end."""
    last = ""

    def paint(text: str) -> None:
        nonlocal last
        last = text
        size = shutil.get_terminal_size()
        lines = fitted(text, size.columns, size.lines)
        out.write("".join([_HOME, *(f"{line}{_END_OF_LINE}\n" for line in lines), _REST]))
        out.flush()

    out.write(_ENTER)
    try:
        yield paint
    finally:
        with contextlib.suppress(OSError):
            out.write(f"{_LEAVE}{last}\n" if last else _LEAVE)
            out.flush()


def fitted(text: str, columns: int, rows: int) -> list[str]:
    """The lines of a text as far as they fit on a screen, whose last row stays free; and how many don't."""
    lines = text.splitlines()
    if len(lines) >= rows:
        more = len(lines) - max(rows - 2, 0)
        lines = [*lines[: max(rows - 2, 0)], f"… and {more} more lines"]
    return [line if len(line) <= columns else f"{line[: columns - 1]}…" for line in lines]
