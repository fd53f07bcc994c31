"""The dead-letter store: letters in SQLite, bounded by count and bytes, shared by runs and people.

Every call is one short transaction, so that a person's look never holds up a run's writing for long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct

from scaleout.deadletters.database import connect, transaction, translated
from scaleout.deadletters.letters import Letter, NewLetter, Selection, Settlement, Status, texts_bytes

PAGE_LETTERS = 500
"""Letters that are read in one go."""
PAGE_BYTES = 8 * 2**20
"""Bytes after which fewer are."""


class Limits(Struct, frozen=True, kw_only=True):
    """What a store may hold; above it the oldest leave, those that are dealt with before the dead."""

    letters: int = 100_000
    bytes: int = 2**30


class Totals(Struct, frozen=True, kw_only=True):
    """What a store holds, and what has left it for lack of room."""

    letters: int
    bytes: int
    """Of payloads and texts."""
    left_dead: int
    left_handled: int
    """Letters that had been retried or discarded."""


class Group(Struct, frozen=True, kw_only=True):
    """Letters of one endpoint that failed in the same way. Times are Unix times in ns."""

    endpoint: str
    stage: str
    reason: str
    letters: int
    bytes: int
    oldest: int
    newest: int


class Store:
    """An open store; it belongs to the thread that opened it.

    Args:
        path: of its file.
        create: whether to make one where there is none.
        limits: what it may hold; they are looked at when letters are added.

    Raises:
        SinkError: it can't be opened, or isn't a store. All methods raise it when the database refuses.
    """

    def __init__(self, path: Path, *, create: bool = False, limits: Limits | None = None) -> None:
        self.path = path
        self._limits = limits or Limits()
        self._connection = connect(path, create=create)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with translated("close", self.path):
            self._connection.close()

    # Writing

    def add(self, letters: Sequence[NewLetter], now_ns: int) -> int:
        """Add letters, all or none; the oldest leave where there is no room.

        Returns:
            How many dead letters have left.
        """
        rows = [
            (
                letter.endpoint,
                letter.stage,
                letter.reason,
                letter.traceback,
                letter.payload,
                letter.is_text,
                letter.received_at,
                letter.size_bytes,
                now_ns,
                now_ns,
            )
            for letter in letters
        ]
        with translated("write to", self.path), transaction(self._connection):
            self._connection.executemany(_INSERT, rows)
            self._count(len(rows), sum(letter.size_bytes for letter in letters))
            return self._make_room()

    def _count(self, letters: int, size_bytes: int) -> None:
        self._connection.execute(
            "UPDATE totals SET letters = letters + ?, bytes = bytes + ?", (letters, size_bytes)
        )

    def _make_room(self) -> int:
        self._let_go("status <> 'dead'", "left_handled")
        return self._let_go("status = 'dead'", "left_dead")

    def _let_go(self, which: str, counter: str) -> int:
        """Let the oldest of those letters go until there is room."""
        totals = self.totals()
        letters, size = totals.letters - self._limits.letters, totals.bytes - self._limits.bytes
        if letters <= 0 and size <= 0:
            return 0
        gone = freed = last = 0
        query = f"SELECT id, size_bytes FROM letters WHERE {which} ORDER BY id"
        for number, size_bytes in self._connection.execute(query):
            if gone >= letters and freed >= size:
                break
            gone, freed, last = gone + 1, freed + size_bytes, number
        self._connection.execute(f"DELETE FROM letters WHERE id <= ? AND {which}", (last,))
        self._count(-gone, -freed)
        self._connection.execute(f"UPDATE totals SET {counter} = {counter} + ?", (gone,))
        return gone

    def settle(self, settlements: Sequence[Settlement], now_ns: int) -> None:
        """Note what retries have come to; letters that aren't dead any more stay as they are."""
        with translated("write to", self.path), transaction(self._connection):
            for each in settlements:
                self._settle(each, now_ns)

    def _settle(self, settlement: Settlement, now_ns: int) -> None:
        number, status = settlement.id, Status.RETRIED
        if settlement.edited is not None:
            self._change("edited = ?", (settlement.edited,), number)
        if settlement.failed_in is not None:
            status = Status.DEAD
            failure = (settlement.failed_in, settlement.reason, settlement.traceback)
            self._change("stage = ?, reason = ?, traceback = ?", failure, number)
        self._change("status = ?, attempts = attempts + 1, updated_at = ?", (status.value, now_ns), number)

    def _change(self, assignments: str, values: tuple[object, ...], number: int) -> None:
        """Change a dead letter, and what it counts for."""
        before = self._size_of(number)
        if before is None:
            return
        self._connection.execute(f"UPDATE letters SET {assignments} WHERE id = ?", (*values, number))
        sized = (
            "SELECT endpoint, reason, traceback, length(payload), length(edited) FROM letters WHERE id = ?"
        )
        *texts, payload, edited = self._connection.execute(sized, (number,)).fetchone()
        size = texts_bytes(*texts) + payload + (edited or 0)
        if size != before:
            self._connection.execute("UPDATE letters SET size_bytes = ? WHERE id = ?", (size, number))
            self._count(0, size - before)

    def _size_of(self, number: int) -> int | None:
        query = "SELECT size_bytes FROM letters WHERE id = ? AND status = 'dead'"
        found = self._connection.execute(query, (number,)).fetchone()
        return None if found is None else found[0]

    def discard(self, selection: Selection, now_ns: int) -> int:
        """Mark dead letters as discarded.

        Returns:
            How many there were.
        """
        condition, values = selection.condition()
        with translated("write to", self.path), transaction(self._connection):
            marked = self._connection.execute(
                "UPDATE letters SET status = 'discarded', updated_at = ?"
                f" WHERE status = 'dead' AND {condition}",
                (now_ns, *values),
            )
            return marked.rowcount

    def write_back(self) -> None:
        """Bring everything from the write-ahead log into the file itself."""
        with translated("write to", self.path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    # Reading

    def letters(
        self, selection: Selection, *, after: int = 0, payload_bytes: int | None = None
    ) -> Iterator[Letter]:
        """The letters that are meant, oldest first; not those that come once the first is read.

        Args:
            after: the id after which to begin.
            payload_bytes: how much of each payload to read; None: all.
        """
        last = self.last_id()
        while page := self.page(selection, after=after, payload_bytes=payload_bytes):
            yield from (letter for letter in page if letter.id <= last)
            after = page[-1].id
            if after >= last:
                break

    def page(
        self,
        selection: Selection,
        *,
        after: int = 0,
        count: int = PAGE_LETTERS,
        payload_bytes: int | None = None,
    ) -> list[Letter]:
        """The first of these letters: `count` of them, or fewer where they are large."""
        condition, values = selection.condition()
        payload = "payload" if payload_bytes is None else f"substr(payload, 1, {payload_bytes})"
        edited = "edited" if payload_bytes is None else f"substr(edited, 1, {payload_bytes})"
        query = (
            f"SELECT {_COLUMNS}, {payload}, {edited} FROM letters"
            f" WHERE id > ? AND {condition} ORDER BY id LIMIT ?"
        )
        page: list[Letter] = []
        size = 0
        with translated("read", self.path):
            cursor = self._connection.execute(query, (after, *values, count))
            for row in cursor:
                page.append(_letter(row))
                size += len(page[-1].payload) + len(page[-1].edited or b"")
                if size > PAGE_BYTES:
                    break
            cursor.close()
        return page

    def last_id(self) -> int:
        """The id of the newest letter; 0 where there is none."""
        with translated("read", self.path):
            (last,) = self._connection.execute("SELECT max(id) FROM letters").fetchone()
        return last or 0

    def statuses(self, ids: Sequence[int]) -> dict[int, Status]:
        """The statuses of those of these letters that are there."""
        condition, values = Selection(ids=tuple(ids), statuses=()).condition()
        with translated("read", self.path):
            rows = self._connection.execute(f"SELECT id, status FROM letters WHERE {condition}", values)
            return {number: Status(status) for number, status in rows}

    def endpoints(self, selection: Selection) -> dict[str, int]:
        """How many letters are meant, by endpoint."""
        condition, values = selection.condition()
        query = (
            f"SELECT endpoint, count(*) FROM letters WHERE {condition} GROUP BY endpoint ORDER BY endpoint"
        )
        with translated("read", self.path):
            return dict(self._connection.execute(query, values))

    def groups(self, selection: Selection) -> list[Group]:
        """The letters that are meant, by endpoint, stage and reason; the largest group first."""
        condition, values = selection.condition()
        query = (
            "SELECT endpoint, stage, reason, count(*), sum(size_bytes), min(received_at), max(received_at)"
            f" FROM letters WHERE {condition} GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3"
        )
        with translated("read", self.path):
            return [
                Group(**dict(zip(Group.__struct_fields__, row, strict=True)))
                for row in self._connection.execute(query, values)
            ]

    def by_status(self) -> dict[Status, int]:
        """How many letters there are of each status."""
        with translated("read", self.path):
            rows = self._connection.execute("SELECT status, count(*) FROM letters GROUP BY status")
            return {Status(status): count for status, count in rows}

    def totals(self) -> Totals:
        """What the store holds, and what has left it."""
        with translated("read", self.path):
            row = self._connection.execute(
                "SELECT letters, bytes, left_dead, left_handled FROM totals"
            ).fetchone()
        letters, size_bytes, left_dead, left_handled = row
        return Totals(letters=letters, bytes=size_bytes, left_dead=left_dead, left_handled=left_handled)


_INSERT = (
    "INSERT INTO letters (status, attempts, endpoint, stage, reason, traceback, payload, is_text, received_at,"
    " size_bytes, added_at, updated_at) VALUES ('dead', 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

_COLUMNS = (
    "id, status, attempts, endpoint, stage, reason, received_at, added_at, updated_at, is_text, size_bytes,"
    " traceback"
)


def _letter(row: tuple[object, ...]) -> Letter:
    names = [*_COLUMNS.split(", "), "payload", "edited"]
    values = dict(zip(names, row, strict=True))
    values["status"] = Status(values["status"])
    values["is_text"] = bool(values["is_text"])
    return Letter(**values)  # type: ignore[arg-type]
