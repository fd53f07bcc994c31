"""The sink that starts a new file when the active one is large or old enough."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from scaleout.errors import SinkError
from scaleout.sinks.archive import Archive, Compression
from scaleout.sinks.base import Chunk, Encoding, sink_error
from scaleout.sinks.file import FileSink


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """When a file is rotated and what becomes of it then."""

    size_bytes: int | None = None
    """A file of that size or more takes no further chunk."""
    every_s: float | None = None
    """A file of that age takes no further chunk."""
    compression: Compression | None = None
    keep: int | None = None
    """How many rotated files stay; None keeps all."""


class RotatedSink:
    """Appends lines to a path; at a size or an age the file there is renamed and a new one begun.

    Files are split between chunks, so that a file may be larger than asked for by one chunk.

    Args:
        path: the active file.
        rotation: when and how.
        uri: what people call the sink.
        clock: Unix time in seconds, for the age and the names of rotated files.
        monotonic: the clock that paces the looks at the path, in seconds.
    """

    encoding = Encoding.NDJSON

    def __init__(
        self,
        path: Path,
        rotation: Rotation,
        *,
        uri: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.uri = uri
        self._path = path
        self._rotation = rotation
        self._clock = clock
        self._file = FileSink(
            path,
            monotonic=monotonic,
            on_open=self._note_age,
            is_read_soon=rotation.compression is not None,
        )
        self._archive = Archive(path, rotation.compression, rotation.keep)
        self._since_s = 0.0
        """The Unix time from which the age of the active file counts."""
        self._begin = 0
        self._end = 0
        """The chunks of the write under way that are being written: before `_begin` they are."""

    def open(self) -> None:
        """Open the active file, and deal with what a crash left beside it."""
        self._file.open()
        try:
            self._archive.start()
        except OSError as error:
            raise sink_error("clear up beside", self.uri, error) from error

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Append all chunks, in order, rotating where one of the limits is reached."""
        while self._begin < len(chunks):
            if not self._file.is_midway:
                self._file.open()
                if self._is_due():
                    self._rotate()
                self._end = self._fit(chunks, self._begin)
            self._file.write(chunks[self._begin : self._end])
            self._begin = self._end
        self._begin = 0

    def close(self) -> None:
        """Close the active file, which stays where it is, and wait for the compression of the others."""
        try:
            self._file.close()
        finally:
            self._archive.close()

    def _note_age(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise SinkError(f"can't rotate {self.uri}: it isn't a regular file; choose another path")
        self._since_s = status.st_mtime if status.st_size else self._clock()

    def _is_due(self) -> bool:
        size = self._file.size_bytes
        if size == 0:
            return False
        if self._rotation.size_bytes is not None and size >= self._rotation.size_bytes:
            return True
        return self._rotation.every_s is not None and self._clock() - self._since_s >= self._rotation.every_s

    def _rotate(self) -> None:
        try:
            target = self._archive.name_for(self._clock())
            self._path.rename(target)
        except FileNotFoundError:
            target = None  # moved away or deleted by somebody else: there is nothing left to rotate
        except OSError as error:
            raise sink_error("rotate", self.uri, error) from error
        if target is not None:
            self._archive.add(target)
        self._file.close()
        self._file.open()

    def _fit(self, chunks: Sequence[Chunk], begin: int) -> int:
        """The index of the first chunk that no longer goes into the active file."""
        if self._rotation.size_bytes is None:
            return len(chunks)
        room = self._rotation.size_bytes - self._file.size_bytes
        end = begin
        while end < len(chunks) and (room > 0 or end == begin):
            room -= len(chunks[end])
            end += 1
        return end
