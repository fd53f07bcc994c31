"""A run's dead letters on their way into the store, also where it can't take them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scaleout.core.wire import DeadLetter
from scaleout.deadletters import Letter, Limits, NewLetter, Selection, Store
from scaleout.errors import SinkError
from scaleout.secrets import Redactor
from scaleout.supervisor.deadletters import DeadLetters, StoreSink
from scaleout.supervisor.writer import SinkWriter

Run = Callable[[Awaitable[Any]], Any]

LETTERS = [
    DeadLetter(
        slot=0, stage="decode", reason="bad", payload='{"\u20ac\n'.encode(), is_text=True, received_at=7
    ),
    DeadLetter(slot=1, stage="process", reason="x", payload=b"\xff\x00", is_text=False, received_at=8),
    DeadLetter(
        slot=1, stage="process", reason="y", payload=b"", is_text=False, received_at=9, traceback="a\nb\n"
    ),
]


def kept_in(path: Path) -> list[Letter]:
    with Store(path) as store:
        return list(store.letters(Selection()))


def letters_to(path: Path, limits: Limits | None = None) -> DeadLetters:
    sink = StoreSink(path, limits or Limits())
    return DeadLetters(SinkWriter(sink, lambda: None), {0: 'a"b', 1: "b"})


def test_secrets_in_what_exceptions_say_are_blotted_out(run: Run, tmp_path: Path) -> None:
    letter = msgspec.structs.replace(
        LETTERS[0], reason="KeyError: s3cr3t", traceback="Traceback:\n  s3cr3t", payload=b"s3cr3t"
    )

    async def scenario() -> None:
        sink = StoreSink(tmp_path / "dead.db", Limits())
        letters = DeadLetters(SinkWriter(sink, lambda: None), {0: "a"}, Redactor(["s3cr3t"]))
        letters.write([letter], lambda _: None)
        await letters.close(10)

    run(scenario())
    (kept,) = kept_in(tmp_path / "dead.db")
    assert (kept.reason, kept.traceback, kept.payload) == ("KeyError: ***", "Traceback:\n  ***", b"s3cr3t")


def test_letters_are_kept_as_they_came(run: Run, tmp_path: Path) -> None:
    async def scenario() -> list[bool]:
        answers: list[bool] = []
        letters = letters_to(tmp_path / "dead.db")
        letters.write(LETTERS[:1], answers.append)
        assert letters.pending_bytes > 0
        letters.write(LETTERS[1:], answers.append)
        await letters.drain()
        assert letters.pending_bytes == 0
        await letters.close(10)
        return answers

    assert run(scenario()) == [True, True]
    kept = kept_in(tmp_path / "dead.db")
    assert [each.endpoint for each in kept] == ['a"b', "b", "b"]
    for letter, each in zip(LETTERS, kept, strict=True):
        for name in ("stage", "reason", "payload", "is_text", "received_at", "traceback"):
            assert getattr(each, name) == getattr(letter, name)


def test_runs_share_a_store_in_turn(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        letters = letters_to(tmp_path / "dead.db", Limits(letters=4))
        letters.write(LETTERS, lambda written: None)
        await letters.drain()
        await letters.close(10)

    run(scenario())
    assert "full" not in caplog.text
    run(scenario())
    assert [each.id for each in kept_in(tmp_path / "dead.db")] == [3, 4, 5, 6]
    assert caplog.text.count("is full") == 1


class SmallDisk(StoreSink):
    """A store on a disk that has room for so many pages."""

    pages = 30

    def _opened(self) -> Store:
        store = super()._opened()
        store._connection.execute(f"PRAGMA max_page_count = {self.pages}")
        return store


def test_a_full_disk_loses_nothing_and_holds_on(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = SmallDisk(tmp_path / "dead.db", Limits())
    large = [
        DeadLetter(
            slot=0, stage="decode", reason="r", payload=b"x" * 20_000, is_text=True, received_at=number
        )
        for number in range(12)
    ]

    async def scenario() -> None:
        writer = SinkWriter(sink, lambda: None)
        letters, answers = DeadLetters(writer, {0: "a"}), list[bool]()
        for letter in large:
            letters.write([letter], answers.append)
        while not writer.is_failing:  # noqa: ASYNC110  # the thread says nothing
            await asyncio.sleep(0.001)
        assert letters.pending_bytes > 20_000
        assert len(answers) < 12
        sink.pages = 10_000
        await letters.drain()
        assert (answers, letters.pending_bytes) == ([True] * 12, 0)
        await letters.close(10)

    run(scenario())
    assert [letter.received_at for letter in kept_in(tmp_path / "dead.db")] == list(range(12))
    assert "is full" in caplog.text and "free some space" in caplog.text
    assert "works again" in caplog.text


def test_a_disk_that_stays_full_is_given_up_uncounted(run: Run, tmp_path: Path) -> None:
    """Nobody is told that the letter is written, so that it stays in flight."""
    sink = SmallDisk(tmp_path / "dead.db", Limits())
    letter = DeadLetter(
        slot=0, stage="decode", reason="r", payload=b"x" * 200_000, is_text=True, received_at=1
    )

    async def scenario() -> None:
        letters, answers = DeadLetters(SinkWriter(sink, lambda: None), {0: "a"}), list[bool]()
        letters.write([letter], answers.append)
        await letters.close(0.2)
        assert answers == []

    run(scenario())


def line(number: int) -> bytes:
    letter = NewLetter("a", "decode", str(number), b"", True, received_at=number)
    return msgspec.json.encode(letter) + b"\n"


def test_a_store_that_was_moved_keeps_its_letters(tmp_path: Path) -> None:
    path, moved = tmp_path / "dead.db", tmp_path / "moved.db"
    sink = StoreSink(path, Limits())
    sink.open()
    sink.write([line(1)])
    path.rename(moved)
    sink.write([line(2), line(3)])
    sink.close()
    assert [letter.reason for letter in kept_in(moved)] == ["1"]
    assert [letter.reason for letter in kept_in(path)] == ["2", "3"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_all_of_a_write_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dead.db"
    sink = StoreSink(path, Limits())
    sink.open()
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON letters WHEN NEW.received_at = 2"
            " BEGIN SELECT raise(ABORT, 'not this one'); END"
        )
    with pytest.raises(SinkError, match="not this one"):
        sink.write([line(1), line(2)])
    assert kept_in(path) == []
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER refuse")
    sink.write([line(1), line(2)])
    sink.close()
    assert [letter.received_at for letter in kept_in(path)] == [1, 2]
