"""What outlives a run, in a small private file: each endpoint's cursor, and its measured load."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from scaleout import privatefiles
from scaleout.core.marks import CursorMark
from scaleout.core.rates import Load

SAVE_EVERY_S = 1.0
VERSION = 1

_log = logging.getLogger("scaleout.state")


class SavedCursor(Struct, frozen=True, omit_defaults=True):
    """Where an endpoint was left."""

    value: str | int | float
    digests: tuple[str, ...] = ()
    """Of the messages with that value that have been delivered, in hex."""


class Saved(Struct, frozen=True):
    """The file."""

    version: int = VERSION
    cursors: dict[str, SavedCursor] = {}
    """By the endpoint's name."""
    rates: dict[str, Load] = {}
    """By the endpoint's name, as last measured."""


class StateFile:
    """Keeps the cursors and rates of a run, in memory and in a file.

    A file that can't be read or written is told once, and the run goes on without it. One that can't be read is
    kept beside the one that is written: it may be of another version, or somebody else's.

    Args:
        path: of the file; None: in memory alone.
        names: each endpoint's name, by slot.
    """

    def __init__(self, path: str | None, names: Mapping[int, str]) -> None:
        self._path = Path(path) if path is not None else None
        self._names = names
        self._is_foreign = False
        self._seen: tuple[int, int] | None = None
        """By what the file that this run has read, or written last, is known; None: there was none."""
        self._has_told_of_others = False
        saved = self._load()
        self._cursors = saved.cursors
        self._rates = saved.rates
        self._order: dict[int, int] = {}
        self._is_dirty = False
        self._has_failed = False
        self._writing = threading.Lock()
        self._encoded = self._written = 0
        """Numbers of the last documents, so that an older one never takes the place of a newer."""

    def _load(self) -> Saved:
        if self._path is None:
            return Saved()
        try:
            self._seen = _identity(self._path)
            saved = msgspec.json.decode(self._path.read_bytes(), type=Saved)
            if saved.version != VERSION:
                raise ValueError(f"it is of version {saved.version}, this is version {VERSION}")
        except FileNotFoundError:
            return Saved()
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else exc
            _log.error(
                "the state file %s can't be read, cursors and rates start anew, and it becomes %s: %s",
                self._path,
                _aside(self._path),
                why,
            )
            self._is_foreign = True
            return Saved()
        return saved

    def cursor(self, slot: int) -> CursorMark | None:
        """Where an endpoint was left."""
        saved = self._cursors.get(self._names[slot])
        if saved is None:
            return None
        try:
            return CursorMark(slot, saved.value, tuple(bytes.fromhex(each) for each in saved.digests))
        except ValueError:
            return CursorMark(slot, saved.value)

    def forget(self, slot: int) -> None:
        """Where an endpoint was left says nothing any more."""
        self._is_dirty = self._cursors.pop(self._names[slot], None) is not None or self._is_dirty

    def loads(self, names: Sequence[str]) -> dict[int, Load]:
        """What an earlier run measured of the endpoints with these names, by slot."""
        return {slot: self._rates[name] for slot, name in enumerate(names) if name in self._rates}

    def note_loads(self, loads: Mapping[str, Load]) -> None:
        """Take what has been measured, by the endpoint's name; what is known of others stays."""
        self._rates |= loads
        self._is_dirty = self._is_dirty or bool(loads)

    def note(self, order: int, mark: CursorMark) -> None:
        """An endpoint has come so far, and its results are in the sinks.

        Args:
            order: of the batches as they came; they may be written in another one.
        """
        if order < self._order.get(mark.slot, -1):
            return
        self._order[mark.slot] = order
        digests = tuple(digest.hex() for digest in mark.digests)
        self._cursors[self._names[mark.slot]] = SavedCursor(mark.value, digests)
        self._is_dirty = True

    async def keep_saving(self) -> None:
        """Save what has changed, at intervals, until cancelled."""
        while self._path is not None:
            await asyncio.sleep(SAVE_EVERY_S)
            if self._is_dirty:
                await asyncio.to_thread(self._write, self._path, *self._encode())

    def save(self) -> None:
        """Save what has changed, at once."""
        if self._path is not None and self._is_dirty:
            self._write(self._path, *self._encode())

    def _encode(self) -> tuple[int, bytes]:
        self._is_dirty = False
        self._encoded += 1
        saved = Saved(cursors=self._cursors, rates=self._rates)
        document = msgspec.json.format(msgspec.json.encode(saved), indent=1)
        return self._encoded, document + b"\n"

    def _write(self, path: Path, number: int, document: bytes) -> None:
        """Replace the file, unless a later document is there already."""
        try:
            with self._writing:
                if number <= self._written:
                    return
                self._make_way(path)
                privatefiles.replace(path, document)
                self._seen = _identity(path)
                self._written = number
        except OSError as exc:
            self._is_dirty = True
            if not self._has_failed:
                _log.error("the state file %s can't be written, trying again: %s", path, exc.strerror or exc)
            self._has_failed = True
        else:
            self._has_failed = False

    def _make_way(self, path: Path) -> None:
        """Keep a file that couldn't be read; tell of another run that writes the same one."""
        if self._is_foreign:
            with contextlib.suppress(FileNotFoundError):
                path.replace(_aside(path))
            self._is_foreign = False
        elif not self._has_told_of_others and _identity(path) not in (self._seen, None):
            self._has_told_of_others = True
            _log.error(
                "the state file %s is written by another run, too, and each undoes what the other notes: "
                "give each a `state` of its own",
                path,
            )


def _aside(path: Path) -> Path:
    return Path(f"{path}.bad")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns
