"""Dead letters for people: a table, a page about one letter, and counts."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from scaleout.deadletters.letters import Letter, Status
from scaleout.deadletters.store import Group, Totals
from scaleout.monitor.text import compact_bytes, plural, printable, table

EXCERPT_BYTES = 400
"""Of a payload, for a line of the table."""
MOST_GROUPS = 20
"""Groups that the counts show to people."""
_LONGEST = {"endpoint": 16, "reason": 28}
_ROOMY = {"id": 6, "received": 14, "endpoint": 12, "stage": 7, "tries": 5, "reason": 28}
"""Widths that a table begins with where nobody knows what comes."""


# The table


class Row(Struct, frozen=True):
    """A line of the table, before it is cut to its columns."""

    id: str
    received: str
    endpoint: str
    stage: str
    tries: str
    reason: str
    payload: str


_HEADER = Row("ID", "RECEIVED", "ENDPOINT", "STAGE", "TRIES", "REASON", "PAYLOAD")


class Table:
    """The columns' widths, as some letters need them; others are cut to fit.

    Args:
        letters: those that set the widths.
        width: of a line, in characters.
        with_status: whether it is shown in place of the stage.
        is_open: whether letters may come that aren't known, so that no column may be too narrow.
    """

    def __init__(
        self, letters: Sequence[Letter], width: int, *, with_status: bool = False, is_open: bool = False
    ) -> None:
        self._with_status = with_status
        self._header = msgspec.structs.replace(_HEADER, stage="STATUS") if with_status else _HEADER
        rows = [self._header, *map(self._row, letters)]
        self._widths = [
            min(
                _LONGEST.get(name, 30),
                max([_ROOMY[name] * is_open, *(len(getattr(row, name)) for row in rows)]),
            )
            for name in Row.__struct_fields__[:-1]
        ]
        rest = width - sum(self._widths) - 2 * len(self._widths)
        self._widths.append(max(len(_HEADER.payload), rest))

    @property
    def header(self) -> str:
        """The first line."""
        return self._line(self._header)

    def line(self, letter: Letter) -> str:
        """The letter's line."""
        return self._line(self._row(letter))

    def _row(self, letter: Letter) -> Row:
        return Row(
            str(letter.id),
            moment(letter.received_at)[5:],
            printable(letter.endpoint),
            letter.status.value if self._with_status else letter.stage,
            str(letter.attempts),
            printable(letter.reason),
            excerpt(letter.current, letter.is_text),
        )

    def _line(self, row: Row) -> str:
        cells = []
        for name, width in zip(Row.__struct_fields__, self._widths, strict=True):
            text = getattr(row, name)
            if name in _LONGEST or name == "payload":
                text = _cut(text, width)
            cells.append(text.rjust(width) if name in ("id", "tries") else text.ljust(width))
        return "  ".join(cells).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def excerpt(payload: bytes, is_text: bool) -> str:
    """The beginning of a payload on one line."""
    start = payload[:EXCERPT_BYTES]
    return printable(start.decode(errors="ignore")) if is_text else repr(start)


def moment(time_ns: int) -> str:
    """A Unix time in ns as a date and time, UTC."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_ns // 10**9))
    except (OverflowError, ValueError, OSError):
        return str(time_ns)


# One letter


def page_of(letter: Letter) -> str:
    """All about a letter."""
    facts = [
        ("letter", str(letter.id)),
        ("endpoint", printable(letter.endpoint)),
        ("status", letter.status.value),
        ("stage", letter.stage),
        ("reason", printable(letter.reason)),
        ("received", f"{moment(letter.received_at)} UTC ({letter.received_at})"),
        ("attempts", str(letter.attempts)),
        ("added", f"{moment(letter.added_at)} UTC"),
        ("changed", f"{moment(letter.updated_at)} UTC"),
    ]
    lines = [f"{name:<9} {value}" for name, value in facts]
    if letter.traceback is not None:
        lines += ["traceback", *_indented(letter.traceback)]
    lines += [f"payload   {_size_and_kind(letter.payload, letter.is_text)}"]
    lines += _indented(pretty(letter.payload, letter.is_text))
    if letter.edited is not None:
        lines += [f"edited    {_size_and_kind(letter.edited, letter.is_text)}"]
        lines += _indented(pretty(letter.edited, letter.is_text))
    return "\n".join(lines)


def _size_and_kind(payload: bytes, is_text: bool) -> str:
    return f"{len(payload):,} bytes of {'text' if is_text else 'a binary message'}"


def _indented(text: str) -> list[str]:
    return [f"    {printable(line.expandtabs(8))}".rstrip() for line in text.split("\n") if line]


def pretty(payload: bytes, is_text: bool) -> str:
    """A payload to read: JSON on lines of its own, text as it is, bytes in hexadecimal."""
    try:
        payload.decode()
        return msgspec.json.format(payload, indent=2).decode()
    except (ValueError, RecursionError):
        pass
    if is_text:
        return payload.decode(errors="backslashreplace")
    rows = (payload[start : start + 16] for start in range(0, len(payload), 16))
    return "\n".join(f"{16 * number:08x}  {row.hex(' ')}" for number, row in enumerate(rows))


# Counts


def counts_of(groups: Sequence[Group], totals: Totals, by_status: dict[Status, int]) -> str:
    """The counts, for people."""
    lines = []
    if groups:
        rows = [
            (
                printable(_cut(group.endpoint, 20)),
                group.stage,
                printable(_cut(group.reason, 36)),
                moment(group.oldest),
                moment(group.newest)[-8:] if _is_same_day(group) else moment(group.newest)[:10],
                compact_bytes(group.bytes),
                f"{group.letters:,}",
            )
            for group in groups[:MOST_GROUPS]
        ]
        header = ("ENDPOINT", "STAGE", "REASON", "OLDEST", "NEWEST", "SIZE", "LETTERS")
        lines.append(table(header, rows, left=3))
        if len(groups) > MOST_GROUPS:
            rest = sum(group.letters for group in groups[MOST_GROUPS:])
            lines.append(
                f"… and {plural(rest, 'letter')} with {plural(len(groups) - MOST_GROUPS, 'reason')} more"
            )
        lines.append("")
    statuses = ", ".join(f"{by_status.get(status, 0):,} {status.value}" for status in Status)
    lines.append(f"{statuses}; {compact_bytes(totals.bytes)} of payloads and texts")
    left = f"{totals.left_dead:,} dead"
    if totals.left_handled:
        left += f", {totals.left_handled:,} retried or discarded"
    lines.append(f"left for lack of room: {left}")
    return "\n".join(lines)


def _is_same_day(group: Group) -> bool:
    return moment(group.oldest)[:10] == moment(group.newest)[:10]
