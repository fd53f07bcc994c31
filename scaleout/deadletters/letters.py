"""What a dead letter is: as it comes, as it is kept, which of them are meant, and what has become of it."""

from __future__ import annotations

import enum

from msgspec import Struct

STAGES = ("decode", "process", "sink")
"""Where a message may fail."""


class Status(enum.Enum):
    """What has become of a letter. A dead one is retried or discarded once; nothing comes after that."""

    DEAD = "dead"
    RETRIED = "retried"
    """A retry went well: its results are written, or it was filtered out."""
    DISCARDED = "discarded"


class NewLetter(Struct, frozen=True):
    """A letter on its way to the store."""

    endpoint: str
    stage: str
    """One of `STAGES`."""
    reason: str
    payload: bytes
    """As received."""
    is_text: bool
    received_at: int
    """Unix time in ns."""
    traceback: str | None = None

    @property
    def size_bytes(self) -> int:
        """What it counts for in the store: its payload and its texts."""
        return len(self.payload) + texts_bytes(self.endpoint, self.reason, self.traceback)


def texts_bytes(*texts: str | None) -> int:
    """The size of texts in UTF-8."""
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts if text is not None)


class Letter(Struct, frozen=True, kw_only=True):
    """A letter in the store. Times are Unix times in ns."""

    id: int
    """Never given twice; a later letter has a greater one."""
    endpoint: str
    stage: str
    reason: str
    """Why it failed the last time."""
    traceback: str | None
    payload: bytes
    """As received."""
    edited: bytes | None
    """What a person made of the payload, where a retry of that failed or went well; else None."""
    is_text: bool
    received_at: int
    attempts: int
    """How often it was tried: once when it came, and once with each retry."""
    status: Status
    added_at: int
    updated_at: int
    size_bytes: int
    """Of its payload and its texts."""

    @property
    def current(self) -> bytes:
        """The payload that the next retry tries."""
        return self.payload if self.edited is None else self.edited


class Settlement(Struct, frozen=True, kw_only=True):
    """What a retry of a letter has come to."""

    id: int
    failed_in: str | None = None
    """The stage in which it failed again; None: it went well."""
    reason: str = ""
    traceback: str | None = None
    edited: bytes | None = None
    """The payload that was tried, where a person has changed it."""


class Selection(Struct, frozen=True, kw_only=True):
    """Which letters are meant: those to which all of this applies."""

    ids: tuple[int, ...] = ()
    endpoints: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    reason: str | None = None
    """A part of the reason, in upper or lower case."""
    since_ns: int | None = None
    """Received at this Unix time or later."""
    statuses: tuple[Status, ...] = (Status.DEAD,)
    """Without any: all of them."""

    def condition(self) -> tuple[str, list[object]]:
        """The condition in SQL, and the values for its question marks."""
        parts: list[str] = ["1"]
        values: list[object] = []
        if self.ids:
            parts.append(f"id IN ({', '.join(map(str, map(int, self.ids)))})")
        for column, wanted in (
            ("endpoint", self.endpoints),
            ("stage", self.stages),
            ("status", [status.value for status in self.statuses]),
        ):
            if wanted:
                parts.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values.extend(wanted)
        if self.reason is not None:
            parts.append("instr(lower(reason), lower(?)) > 0")
            values.append(self.reason)
        if self.since_ns is not None:
            parts.append("received_at >= ?")
            values.append(self.since_ns)
        return " AND ".join(parts), values
