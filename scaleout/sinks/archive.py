"""The rotated files beside an active file: their names, their compression and their removal."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import logging
import os
import queue
import re
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal, NamedTuple

from scaleout import privatefiles
from scaleout.errors import MissingExtraError

logger = logging.getLogger(__name__)

Compression = Literal["gzip", "zstd"]
ENDINGS: dict[Compression, str] = {"gzip": ".gz", "zstd": ".zst"}
PART = ".part"
COPY_BYTES = 1024 * 1024


class Rotated(NamedTuple):
    """A rotated file's name, taken apart; in the order of age."""

    stamp: str
    number: int
    path: Path
    is_compressed: bool
    is_part: bool

    @property
    def age_key(self) -> tuple[str, int]:
        """Equal for a file and its compressed form, larger for newer files."""
        return (self.stamp, self.number)


class Archive:
    """Takes rotated files out of the way in a thread of its own: compresses them, and removes the oldest.

    Args:
        active: the path of the active file.
        compression: how rotated files are compressed; None leaves them plain.
        keep: how many rotated files stay; None keeps all.
    """

    def __init__(self, active: Path, compression: Compression | None, keep: int | None) -> None:
        self._active = active
        self._compression = compression
        self._keep = keep
        self._pattern = re.compile(
            re.escape(active.stem)
            + r"-(\d{8}T\d{6}Z)(?:-(\d+))?"
            + re.escape(active.suffix)
            + r"(\.gz|\.zst)?(\.part)?"
        )
        self._jobs: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, and clear up what a crash left: half-compressed files and uncompressed ones."""
        if self._thread is not None:
            return
        for path in self._clear_leftovers():
            self._jobs.put(path)
        self._thread = threading.Thread(target=self._work, name=f"archive {self._active.name}", daemon=True)
        self._thread.start()

    def name_for(self, now_s: float) -> Path:
        """The path that the active file gets when it is rotated at a Unix time; no such file exists."""
        stamp = datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        taken = [rotated.number for rotated in self._list() if rotated.stamp == stamp]
        number = f"-{max(taken) + 1}" if taken else ""
        return self._active.with_name(f"{self._active.stem}-{stamp}{number}{self._active.suffix}")

    def add(self, path: Path) -> None:
        """Hand over a file that was just rotated."""
        self._jobs.put(path)

    def close(self) -> None:
        """Wait until all files handed over are dealt with."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join()

    def _work(self) -> None:
        while (path := self._jobs.get()) is not None:
            try:
                self._remove_oldest()
                if self._compression is not None and path.exists():
                    compress(path, self._compression)
            except Exception as error:  # a plain file holds the same: it stays until the next start
                logger.warning(
                    "can't compress %s or remove older files, so it stays as it is: %s", path, error
                )

    def _list(self) -> list[Rotated]:
        found = []
        with contextlib.suppress(FileNotFoundError):
            for path in self._active.parent.iterdir():
                if match := self._pattern.fullmatch(path.name):
                    stamp, number, ending, part = match.groups()
                    found.append(Rotated(stamp, int(number or 0), path, ending is not None, part is not None))
        return sorted(found)

    def _clear_leftovers(self) -> list[Path]:
        """Remove what is half done or there twice.

        Returns:
            The rotated files that are plain.
        """
        found = self._list()
        compressed = {rotated.age_key for rotated in found if rotated.is_compressed and not rotated.is_part}
        plain = []
        for rotated in found:
            is_leftover = rotated.is_part or (not rotated.is_compressed and rotated.age_key in compressed)
            if is_leftover:
                rotated.path.unlink(missing_ok=True)
            elif not rotated.is_compressed:
                plain.append(rotated.path)
        return plain

    def _remove_oldest(self) -> None:
        if self._keep is None:
            return
        found = [rotated for rotated in self._list() if not rotated.is_part]
        kept = set(sorted({rotated.age_key for rotated in found})[-self._keep :])
        for rotated in found:
            if rotated.age_key not in kept:
                rotated.path.unlink(missing_ok=True)


def require(compression: Compression) -> None:
    """See that a compression can be used.

    Raises:
        MissingExtraError: its package isn't installed.
    """
    if compression == "zstd" and importlib.util.find_spec("zstandard") is None:
        raise MissingExtraError("compress=zstd", "zstd")


def compress(path: Path, compression: Compression) -> Path:
    """Replace a file by its compressed form, which is complete on the disk before the file goes.

    Returns:
        The path of the compressed file.
    """
    target = path.with_name(path.name + ENDINGS[compression])
    part = target.with_name(target.name + PART)
    try:
        with path.open("rb") as source, open_private(part) as raw:
            COMPRESSORS[compression](source, raw)
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)
    path.unlink()
    return target


def open_private(path: Path) -> IO[bytes]:
    """Open a new private file for writing, in the place of one that is there."""
    path.unlink(missing_ok=True)
    return privatefiles.create(path)


def sync_directory(path: Path) -> None:
    """Make the names of a directory's files durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def copy_gzip(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a file, compressed with gzip."""
    with gzip.GzipFile(filename="", mode="wb", fileobj=target, compresslevel=6) as packed:
        shutil.copyfileobj(source, packed, COPY_BYTES)


def copy_zstd(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a file, compressed with Zstandard."""
    import zstandard

    size = os.fstat(source.fileno()).st_size
    zstandard.ZstdCompressor(write_checksum=True).copy_stream(source, target, size=size)


COMPRESSORS: dict[Compression, Callable[[IO[bytes], IO[bytes]], None]] = {
    "gzip": copy_gzip,
    "zstd": copy_zstd,
}
