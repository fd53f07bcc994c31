"""The store: private, bounded, whole after a crash, shared, and picky about the files it opens."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scaleout.deadletters import Limits, NewLetter, Selection, Settlement, Status, Store, problem_of
from scaleout.deadletters.database import VERSION
from scaleout.errors import SinkError

MakeLetter = Callable[..., NewLetter]

SECOND = 10**9
START = 1_767_225_600 * SECOND
ANY = Selection(statuses=())


def ids(store: Store, selection: Selection = ANY) -> list[int]:
    return [letter.id for letter in store.letters(selection)]


def check_totals(store: Store) -> None:
    """The totals are those of the letters."""
    letters = list(store.letters(ANY))
    totals = store.totals()
    assert (totals.letters, totals.bytes) == (len(letters), sum(each.size_bytes for each in letters))


def test_a_letter_is_kept_as_it_came(path: Path, letter: MakeLetter) -> None:
    new = letter(7, "a\"b'", "decode", "why\u20ac", b"\xff\0", is_text=False, traceback="a\nb")
    with Store(path, create=True) as store:
        assert store.add([new], 5) == 0
        check_totals(store)
    with Store(path) as store:
        (kept,) = store.letters(Selection())
    for name in NewLetter.__struct_fields__:
        assert getattr(kept, name) == getattr(new, name), name
    assert (kept.id, kept.attempts, kept.status, kept.added_at, kept.updated_at) == (1, 1, Status.DEAD, 5, 5)
    assert kept.edited is None and kept.current == new.payload
    assert kept.size_bytes == new.size_bytes == 2 + len(new.endpoint) + len("why") + 3 + 3


def test_all_files_are_private_while_it_is_open(path: Path, letter: MakeLetter) -> None:
    before = os.umask(0)
    try:
        with Store(path, create=True) as store:
            store.add([letter()], 0)
            files = sorted(path.parent.iterdir())
            assert [file.name for file in files] == ["dead.db", "dead.db-shm", "dead.db-wal"]
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(before)


def test_the_file_is_never_readable_for_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when it is made: SQLite finds it there."""
    seen: list[int] = []

    def look(*given: object, **more: object) -> None:
        seen.append(stat.S_IMODE(path.stat().st_mode))
        raise sqlite3.OperationalError("enough seen")

    monkeypatch.setattr("sqlite3.connect", look)
    before = os.umask(0)
    try:
        with pytest.raises(SinkError, match="enough seen"):
            Store(path, create=True)
    finally:
        os.umask(before)
    assert seen == [0o600]


def test_the_oldest_leave_where_there_are_too_many(path: Path, letter: MakeLetter) -> None:
    with Store(path, create=True, limits=Limits(letters=3)) as store:
        assert store.add([letter(number) for number in range(3)], 0) == 0
        assert store.add([letter(3), letter(4)], 0) == 2
        assert ids(store) == [3, 4, 5]
        assert store.totals().left_dead == 2
        assert store.add([letter(number) for number in range(10)], 0) == 10
        assert ids(store) == [13, 14, 15]
        check_totals(store)


def test_the_oldest_leave_where_they_are_too_large(path: Path, letter: MakeLetter) -> None:
    large = letter(payload=b"x" * 1_000)
    with Store(path, create=True, limits=Limits(bytes=2_500)) as store:
        assert store.add([large, large], 0) == 0
        assert store.add([large], 0) == 1
        assert ids(store) == [2, 3]
        assert store.add([letter(payload=b"x" * 3_000)], 0) == 3  # itself, too
        assert ids(store) == []
        assert store.totals().left_dead == 4
        check_totals(store)


def test_what_is_dealt_with_leaves_first(path: Path, letter: MakeLetter) -> None:
    with Store(path, create=True, limits=Limits(letters=4)) as store:
        store.add([letter(number) for number in range(4)], 0)
        store.settle([Settlement(id=2)], 0)
        store.discard(Selection(ids=(4,)), 0)
        assert store.add([letter()], 0) == 0
        assert ids(store) == [1, 3, 4, 5]
        assert store.add([letter(), letter()], 0) == 1
        assert ids(store) == [3, 5, 6, 7]
        totals = store.totals()
        assert (totals.left_dead, totals.left_handled) == (1, 2)
        check_totals(store)


def test_settling(filled: Path) -> None:
    with Store(filled) as store:
        failed = Settlement(id=2, failed_in="process", reason="later " * 9, traceback="there", edited=b"abc")
        store.settle([Settlement(id=1), failed], START + 1)
        store.settle([Settlement(id=1, failed_in="decode", reason="too late")], START + 2)
        well, ill = store.letters(Selection(ids=(1, 2), statuses=()))
        assert (well.status, well.attempts, well.updated_at) == (Status.RETRIED, 2, START + 1)
        assert (well.reason, well.stage) == ("JSON is malformed", "decode")
        assert (ill.status, ill.attempts, ill.stage, ill.traceback) == (Status.DEAD, 2, "process", "there")
        assert (ill.payload, ill.edited, ill.current) == (b"\xff\x00", b"abc", b"abc")
        assert ill.size_bytes == len("eth") + len("later " * 9) + len("there") + 2 + 3
        check_totals(store)


def test_discarding_is_for_the_dead(filled: Path) -> None:
    with Store(filled) as store:
        store.settle([Settlement(id=1)], 0)
        assert store.discard(Selection(statuses=()), 0) == 3
        assert store.discard(Selection(statuses=()), 0) == 0
        assert store.by_status() == {Status.RETRIED: 1, Status.DISCARDED: 3}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), [1, 2, 3, 4]),
        (Selection(ids=(2, 9)), [2]),
        (Selection(endpoints=("eth",)), [2, 4]),
        (Selection(endpoints=("eth", "btc"), stages=("decode",)), [1, 2]),
        (Selection(reason="json IS"), [1]),
        (Selection(reason="%"), []),
        (Selection(since_ns=START + 3 * SECOND), [3, 4]),
        (Selection(statuses=(Status.RETRIED,)), []),
        (Selection(endpoints=("eth' OR 1 --",)), []),
    ],
)
def test_selections(selection: Selection, expected: list[int], filled: Path) -> None:
    with Store(filled) as store:
        assert ids(store, selection) == expected
        assert sum(store.endpoints(selection).values()) == len(expected)
        assert sum(group.letters for group in store.groups(selection)) == len(expected)


def test_large_letters_come_a_few_at_a_time(path: Path, letter: MakeLetter) -> None:
    with Store(path, create=True) as store:
        store.add([letter(payload=b"x" * 3 * 2**20) for _ in range(7)], 0)
        assert [each.id for each in store.page(Selection())] == [1, 2, 3]
        assert ids(store) == [1, 2, 3, 4, 5, 6, 7]
        assert {len(each.payload) for each in store.letters(Selection(), payload_bytes=9)} == {9}


def test_reading_ends_while_letters_come(filled: Path, letter: MakeLetter) -> None:
    with Store(filled) as store:
        seen = []
        for each in store.letters(Selection()):
            store.add([letter()] * 1_000, 0)
            seen.append(each.id)
        assert seen == [1, 2, 3, 4]


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE letters (id INTEGER)")


def newer_store(path: Path) -> None:
    Store(path, create=True).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")


def damaged_store(path: Path) -> None:
    with Store(path, create=True) as store:
        store.add([NewLetter("a", "decode", "bad", b"x" * 2_000, True, 0)] * 100, 0)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: path.write_text('{"endpoint":"a"}\n' * 100), "isn't a dead-letter store"),
        (other_database, "another program's database"),
        (newer_store, f"of version {VERSION + 1}"),
        (damaged_store, "malformed"),
        (lambda path: path.mkdir(), "isn't a regular file"),
        (os.mkfifo, "isn't a regular file"),
    ],
)
def test_files_that_are_no_stores(make: Callable[[Path], object], expected: str, path: Path) -> None:
    make(path)
    problem = problem_of(path)
    assert problem is not None and expected in problem and str(path) in problem
    assert "\n" not in problem
    for create in (False, True):
        with pytest.raises(SinkError, match=expected):
            Store(path, create=create)


def test_files_that_can_become_stores(path: Path) -> None:
    assert problem_of(path) is None
    assert not path.exists()
    path.touch()
    assert problem_of(path) is None
    assert path.stat().st_size == 0
    with pytest.raises(SinkError, match="it is empty"):
        Store(path)
    Store(path, create=True).close()
    assert problem_of(path) is None
    Store(path).close()


WRITER = """
import sys
from pathlib import Path
from scaleout.deadletters import Limits, NewLetter, Store
store = Store(Path(sys.argv[1]), create=True, limits=Limits(letters=2_000))
number = 0
while True:
    letters = [NewLetter("a", "decode", str(number + n), b"x" * 3_000, True, number + n) for n in range(50)]
    store.add(letters, 0)
    number += 50
    print(number, flush=True)
"""


def test_killed_in_the_middle_of_writing(path: Path) -> None:
    """Five times at another moment: what was said to be written is there, and the database is whole."""
    for round_ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        said = 0
        for _ in range(20 + 7 * round_):
            said = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        said = max([said, *map(int, writer.stdout.read().split())])
        writer.wait(10)
        writer.stdout.close()
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
        with Store(path) as store:
            last = max(int(letter.reason) for letter in store.letters(Selection()))
            assert last + 1 in (said, said + 50)
            check_totals(store)
            store.discard(Selection(), 0)
        with Store(path, create=True, limits=Limits(letters=0)) as store:
            store.add([], 0)
            assert ids(store) == []


def test_read_and_changed_while_a_run_writes(path: Path) -> None:
    Store(path, create=True).close()
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()
        with Store(path) as store:
            rounds = discarded = 0
            while rounds < 20 or not discarded:  # the newest may have left by the time it is changed
                rounds += 1
                letters = list(store.letters(Selection()))
                assert letters
                store.settle([Settlement(id=letters[-1].id)], rounds)
                discarded += store.discard(Selection(ids=(letters[-2].id,)), rounds)
                writer.stdout.readline()
        assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait(10)
        assert writer.stdout is not None
        writer.stdout.close()
    with Store(path) as store:
        check_totals(store)
