"""The store's file: an SQLite database that is private from its first moment, and known to be ours."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from scaleout.errors import SinkError
from scaleout.sinks.base import sink_error

Database = sqlite3.Connection

APPLICATION_ID = 0x5C0DEAD1
"""In the header of every store, so that it isn't taken for another program's database, nor the other way round."""
VERSION = 1
BUSY_S = 5.0
"""How long to wait while another process writes."""
WAL_BYTES = 16 * 2**20
"""What the write-ahead log may keep of the disk once it is written back."""

_SCHEMA = """
CREATE TABLE letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    stage TEXT NOT NULL,
    reason TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    added_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    is_text INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    traceback TEXT,
    payload BLOB NOT NULL,
    edited BLOB
);
CREATE INDEX handled ON letters (id) WHERE status <> 'dead';
CREATE TABLE totals (
    letters INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    left_dead INTEGER NOT NULL,
    left_handled INTEGER NOT NULL
);
INSERT INTO totals VALUES (0, 0, 0, 0);
"""
"""The payload comes last, so that a look at a letter's other columns doesn't read it. Who changes `letters`
changes `totals` with it."""

_ADVICE = {
    "SQLITE_FULL": "free some space",
    "SQLITE_IOERR": "check the device, its space and the limit on file sizes",
    "SQLITE_CORRUPT": "move it away, and a run begins another one",
    "SQLITE_NOTADB": "choose another file, or move it away",
    "SQLITE_BUSY": "another process is writing to it",
    "SQLITE_READONLY": "allow this user to write there",
    "SQLITE_CANTOPEN": "allow this user to write to the file and its directory",
}


def connect(path: Path, *, create: bool = False) -> Database:
    """Open a store; the connection belongs to the thread that called.

    Args:
        path: of the file; `-wal` and `-shm` beside it are SQLite's, with the same permissions.
        create: whether to make a store where there is no file, or an empty one.

    Raises:
        SinkError: it can't be opened, or isn't a store.
    """
    if create:
        _create_private(path)
    try:
        is_regular = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError as exc:
        raise SinkError(f"there is no file {path}") from exc
    except OSError as exc:
        raise sink_error("open", str(path), exc) from exc
    if not is_regular:
        raise SinkError(f"{path} isn't a regular file: a dead-letter store needs one")
    with translated("open", path):
        uri = f"{path.absolute().as_uri()}?mode=rw"
        database = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
        try:
            _set_up(database, path, create)
        except BaseException:
            database.close()
            raise
    return database


def _create_private(path: Path) -> None:
    # Only where it is missing: closing a second descriptor would drop the locks of this process' connections.
    if not path.exists():
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            pass
        except OSError as exc:
            raise sink_error("create", str(path), exc) from exc


def _set_up(database: Database, path: Path, create: bool) -> None:
    if is_empty(database, path):
        if not create:
            raise SinkError(f"{path} isn't a dead-letter store: it is empty")
        with transaction(database):
            if is_empty(database, path):  # another process may have been quicker
                for statement in _SCHEMA.strip().split(";\n"):
                    database.execute(statement)
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {VERSION}")
    if create:
        database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    database.execute("PRAGMA synchronous = NORMAL")
    # Damage shows where the file is looked at: at its tables, and at both ends of what they hold.
    database.execute("SELECT letters FROM totals").fetchone()
    database.execute("SELECT min(id), length(payload) FROM letters").fetchone()
    database.execute("SELECT max(id), length(payload) FROM letters").fetchone()


def is_empty(database: Database, path: Path) -> bool:
    """Whether there is nothing in a database yet.

    Raises:
        SinkError: it holds something, and that isn't a store of this version.
        sqlite3.Error: it can't be read.
    """
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (objects,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not (application or version or objects):
        return True
    if application != APPLICATION_ID:
        raise SinkError(f"{path} isn't a dead-letter store, but another program's database")
    if version != VERSION:
        raise SinkError(
            f"{path} is a dead-letter store of version {version}; this program knows version {VERSION} alone"
        )
    return False


@contextlib.contextmanager
def transaction(database: Database) -> Iterator[None]:
    """All or nothing, and nobody else writes meanwhile."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def translated(action: str, path: Path) -> Iterator[None]:
    """Say in the words of this project what the database refuses.

    Raises:
        SinkError: in place of any error of the database.
    """
    try:
        yield
    except sqlite3.Error as exc:
        name = getattr(exc, "sqlite_errorname", "")
        advice = next((words for code, words in _ADVICE.items() if name.startswith(code)), None)
        hint = f" ({advice})" if advice else ""
        if name == "SQLITE_NOTADB":
            raise SinkError(f"{path} isn't a dead-letter store, but a file of another kind{hint}") from exc
        raise SinkError(f"can't {action} {path}: {exc}{hint}") from exc


def problem_of(path: Path) -> str | None:
    """What is wrong with a path that a run is to keep its dead letters at, in one line; None if nothing is."""
    if not path.exists():
        if not os.access(path.parent, os.W_OK | os.X_OK):
            return f"{path}: this user may not create files in {path.parent}"
        return None
    if not (os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)):
        return f"{path} can't be written by this user: its permissions, or its directory's, forbid it"
    if path.is_file() and not path.stat().st_size:
        return None
    try:
        connect(path).close()
    except SinkError as exc:
        return str(exc)
    return None
