"""A run's way to the dead-letter store: written by a thread, and tried again until the store takes them."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from scaleout.core.wire import DeadLetter
from scaleout.deadletters import Limits, NewLetter, Store
from scaleout.errors import SinkError
from scaleout.secrets import Redactor
from scaleout.sinks import Chunk, Encoding
from scaleout.supervisor.writer import Callback, SinkWriter

_log = logging.getLogger("scaleout.deadletters")


class StoreSink:
    """The store as a sink of letters, one a line; a write is done, or nothing is.

    Args:
        path: of the store, which is made where there is none.
        limits: what it may hold.
    """

    encoding = Encoding.NDJSON

    def __init__(self, path: Path, limits: Limits) -> None:
        self.uri = str(path)
        self._path = path
        self._limits = limits
        self._store: Store | None = None
        self._identity = (0, 0)
        self._was_full = False
        self._decoder = msgspec.json.Decoder(NewLetter)

    def open(self) -> None:
        """Open the store."""
        self._opened()

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Add the letters."""
        letters = self._decoder.decode_lines(b"".join(chunks))
        if self._has_moved():
            self._leave()
        try:
            left = self._opened().add(letters, time.time_ns())
        except SinkError:
            self._leave()  # whatever it was, the next try begins from scratch
            raise
        if left and not self._was_full:
            self._was_full = True
            _log.warning("dead letters: %s is full, the oldest leave from now on", self.uri)

    def close(self) -> None:
        """Close the store."""
        store, self._store = self._store, None
        if store is not None:
            store.close()

    def _opened(self) -> Store:
        if self._store is None:
            self._store = Store(self._path, create=True, limits=self._limits)
            status = self._path.stat()
            self._identity = status.st_dev, status.st_ino
        return self._store

    def _has_moved(self) -> bool:
        if self._store is None:
            return False
        try:
            status = self._path.stat()
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self._identity

    def _leave(self) -> None:
        with contextlib.suppress(SinkError):
            if self._store is not None and self._has_moved():
                _log.info("%s was moved or deleted: opening it anew", self.uri)
                self._store.write_back()  # the log has the old name, and would be taken for the new file's
        with contextlib.suppress(SinkError):
            self.close()


class DeadLetters:
    """Takes the dead letters of a run.

    Args:
        writer: the way to the store.
        names: each endpoint's name, by slot.
        redact: what exceptions say may hold secrets; payloads are kept as they came.
    """

    def __init__(self, writer: SinkWriter, names: Mapping[int, str], redact: Redactor | None = None) -> None:
        self._writer = writer
        self._names = names
        self._redact = redact if redact is not None else Redactor(())
        self._encoder = msgspec.json.Encoder()

    @property
    def pending_bytes(self) -> int:
        """What waits to be written."""
        return self._writer.pending_bytes

    def write(self, letters: Sequence[DeadLetter], callback: Callback) -> None:
        """Write the letters, then call back."""
        lines = self._encoder.encode_lines([self._addressed(letter) for letter in letters])
        self._writer.write((lines,), callback)

    def _addressed(self, letter: DeadLetter) -> NewLetter:
        return NewLetter(
            endpoint=self._names[letter.slot],
            stage=letter.stage,
            reason=self._redact(letter.reason),
            payload=letter.payload,
            is_text=letter.is_text,
            received_at=letter.received_at,
            traceback=self._redact.optional(letter.traceback),
        )

    async def drain(self) -> None:
        """Wait until everything is written."""
        await self._writer.drain()

    async def close(self, timeout_s: float) -> None:
        """Close the store."""
        await self._writer.close(timeout_s)
