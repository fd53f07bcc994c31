"""Numbers and tables as text for people."""

from __future__ import annotations

from collections.abc import Sequence

TERMS = {
    "received": "received",
    "delivered": "delivered",
    "filtered": "filtered",
    "dead_lettered": "dead letters",
    "dropped": "dropped",
    "duplicates": "duplicates",
    "lost": "lost",
    "in_flight": "in flight",
    "gaps": "gaps",
    "missed": "missed",
    "uncertain": "uncertain",
}
"""The terms of the ledger and what its numbers leave out, with their names for people."""


def compact(number: float) -> str:
    """A number in few characters: `950`, `12.3k`, `4.56M`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            scaled = number / size
            return f"{scaled:.{2 if scaled < 9.995 else 1 if scaled < 99.95 else 0}f}{unit}"
    return f"{number:.0f}"


def compact_bytes(size: float) -> str:
    """A size in bytes in few characters: `950 B`, `12.3 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1023.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.5 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def plural(count: int, noun: str) -> str:
    """A count and what is counted: `1 worker`, `2 workers`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable(text: str) -> str:
    """The text with everything escaped that would do something to a terminal instead of being seen."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "replace").decode() for each in text
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns under a header: the first `left` columns flush left, the others right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), line(["─" * width for width in widths]), *map(line, rows)])
