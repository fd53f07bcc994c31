"""From what people write as a sink to the sink itself, with a clear problem for everything else."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import msgspec

from scaleout.errors import ConfigError, Fault, MissingExtraError
from scaleout.hints import did_you_mean
from scaleout.sinks.archive import ENDINGS, Compression, require
from scaleout.sinks.base import Sink
from scaleout.sinks.file import FileSink
from scaleout.sinks.null import NullSink
from scaleout.sinks.rotated import RotatedSink, Rotation
from scaleout.sinks.stdout import StdoutSink
from scaleout.units import parse_duration, parse_size

Value = TypeVar("Value")

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
OTHER_FORMATS = {
    ".arrow": "Arrow",
    ".avro": "Avro",
    ".bz2": "bzip2",
    ".csv": "CSV",
    ".db": "SQLite",
    ".feather": "Feather",
    ".ipc": "Arrow",
    ".lz4": "LZ4",
    ".msgpack": "MessagePack",
    ".orc": "ORC",
    ".parquet": "Parquet",
    ".sqlite": "SQLite",
    ".tsv": "TSV",
    ".xz": "xz",
    ".zip": "ZIP",
}
OPTIONS = ("rotate_size", "rotate_every", "compress", "keep")


class FileTarget(msgspec.Struct, frozen=True):
    """A file to append to, rotated or not."""

    path: Path
    rotation: Rotation | None = None


class StdoutTarget(msgspec.Struct, frozen=True):
    """Standard output."""


class NullTarget(msgspec.Struct, frozen=True):
    """Nowhere."""


Target = FileTarget | StdoutTarget | NullTarget


def make_sink(uri: str) -> Sink:
    """Make the sink that a path, `-` or a URI names, without opening it.

    Raises:
        ConfigError: it names no sink.
        MissingExtraError: it needs a package that isn't installed.
    """
    try:
        target = parse(uri)
        if isinstance(target, StdoutTarget) and sys.__stdout__ is None:
            raise ValueError("standard output is closed: redirect it, or choose another sink")
    except ValueError as error:
        raise ConfigError([Fault(source="", key="sink", problem=str(error))]) from error
    if isinstance(target, StdoutTarget):
        return StdoutSink()
    if isinstance(target, NullTarget):
        return NullSink()
    if target.rotation is None:
        return FileSink(target.path, uri=uri)
    if target.rotation.compression is not None:
        require(target.rotation.compression)
    return RotatedSink(target.path, target.rotation, uri=uri)


def check_sink(uri: str) -> str | None:
    """Say what is wrong with a sink, creating and opening nothing.

    Returns:
        The problem in one line; None if the sink can be used as far as one can tell.
    """
    try:
        target = parse(uri)
        if isinstance(target, FileTarget):
            if target.rotation is not None and target.rotation.compression is not None:
                require(target.rotation.compression)
            check_path(target.path, is_rotated=target.rotation is not None)
    except (ValueError, MissingExtraError) as error:
        return str(error)
    return None


def path_of_sink(uri: str) -> Path | None:
    """The file that a sink writes; None if it is no file, or can't be read."""
    try:
        target = parse(uri)
    except ValueError:
        return None
    return target.path if isinstance(target, FileTarget) else None


def parse(uri: str) -> Target:
    """Read what people write as a sink.

    Raises:
        ValueError: it names no sink; the message says why and what to write instead.
    """
    if not uri.strip():
        raise ValueError("expected a path, `-` for standard output, or a URI, found nothing")
    if "\0" in uri:
        raise ValueError("a sink's name can't hold a NUL character")
    if uri == "-":
        return StdoutTarget()
    match = SCHEME.fullmatch(uri)
    if match is None:
        return FileTarget(path_of_ndjson(uri))
    scheme, rest = match.groups()
    read = SCHEMES.get(scheme.lower())
    if read is None:
        known = ", ".join(f"{known}:" for known in SCHEMES)
        hint = did_you_mean(scheme.lower(), SCHEMES, "{}:".format)
        raise ValueError(
            f"unknown kind of sink {scheme}: (known: {known}, a path, or - for standard output);"
            f" for a file of that name write ./{uri}{hint}"
        )
    return read(rest)


def parse_null(rest: str) -> Target:
    """Read what follows `null:`."""
    if rest:
        raise ValueError(f"null: takes nothing after the colon, found {rest!r}")
    return NullTarget()


def parse_file(rest: str) -> Target:
    """Read what follows `file:`, a path and options."""
    name, has_options, query = rest.partition("?")
    if name.startswith("//"):
        host, slash, path = name[2:].partition("/")
        if host not in ("", "localhost"):
            raise ValueError(
                f"a file: URI names a file of this machine, found the host {host!r}: write file:PATH"
            )
        name = slash + path
    if not name:
        raise ValueError("file: needs a path: file:PATH")
    return FileTarget(path_of_ndjson(unquote(name)), parse_rotation(query) if has_options and query else None)


def parse_rotation(query: str) -> Rotation:
    """Read the options of a `file:` URI."""
    values: dict[str, str] = {}
    for option in query.split("&"):
        key, _, value = option.partition("=")
        if key not in OPTIONS:
            hint = did_you_mean(key, OPTIONS)
            raise ValueError(f"unknown option {key!r} (known: {', '.join(OPTIONS)}){hint}")
        if key in values:
            raise ValueError(f"option {key} is given twice")
        values[key] = unquote(value)
    if "rotate_size" not in values and "rotate_every" not in values:
        raise ValueError(
            f"{next(iter(values))} needs rotate_size or rotate_every: without them no file is rotated"
        )
    return Rotation(
        size_bytes=parse_option(values, "rotate_size", positive_size),
        every_s=parse_option(values, "rotate_every", positive_duration),
        compression=parse_option(values, "compress", parse_compression),
        keep=parse_option(values, "keep", positive_count),
    )


def parse_option(values: Mapping[str, str], key: str, read: Callable[[str], Value]) -> Value | None:
    """Read one option; None where it isn't given."""
    text = values.get(key)
    if text is None:
        return None
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"option {key}: {error}") from error


def positive_size(text: str) -> int:
    """Read a size of at least one byte."""
    size = parse_size(text)
    if size < 1:
        raise ValueError(f"expected at least one byte, found {text!r}")
    return size


def positive_duration(text: str) -> float:
    """Read a duration longer than nothing, in seconds."""
    duration = parse_duration(text)
    if duration <= 0:
        raise ValueError(f"expected a time longer than 0, found {text!r}")
    return duration


def parse_compression(text: str) -> Compression:
    """Read the name of a compression."""
    for known in ENDINGS:
        if text == known:
            return known
    raise ValueError(f"expected {' or '.join(ENDINGS)}, found {text!r}")


def positive_count(text: str) -> int:
    """Read a number of files, at least one."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"expected a number of files, at least 1, found {text!r}")
    return int(text)


def path_of_ndjson(name: str) -> Path:
    """The path of a file that is to hold NDJSON.

    Raises:
        ValueError: its ending names another format.
    """
    path = Path(name)
    ending = path.suffix.lower()
    if ending in COMPRESSED:
        plain = path.with_suffix("")
        raise ValueError(
            f"{name}: can't write compressed output as it comes; rotated files can be compressed:"
            f" file:{plain}?rotate_size=64MiB&compress={COMPRESSED[ending]}"
        )
    if ending in OTHER_FORMATS:
        raise ValueError(
            f"{name}: {OTHER_FORMATS[ending]} isn't supported; write NDJSON to a path that ends in .jsonl"
        )
    return path


def check_path(path: Path, *, is_rotated: bool) -> None:
    """See that a path can be written to.

    Raises:
        ValueError: it can't.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        check_directory(path.parent, path)
        return
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise ValueError(f"{path} is a directory: name a file in it")
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise ValueError(
            f"{path} is a {'block device' if stat.S_ISBLK(mode) else 'socket'}: name a file or a FIFO"
        )
    if is_rotated:
        if not stat.S_ISREG(mode):
            raise ValueError(f"{path} isn't a regular file: only those can be rotated")
        check_directory(path.parent, path)
    if not os.access(path, os.W_OK | (os.R_OK if stat.S_ISREG(mode) else 0)):
        raise ValueError(f"{path} can't be written by this user: its permissions forbid it")


def check_directory(directory: Path, path: Path) -> None:
    """See that a file can be created in a directory.

    Raises:
        ValueError: it can't.
    """
    if not directory.is_dir():
        raise ValueError(f"{path}: the directory {directory} doesn't exist: create it first")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ValueError(f"{path}: this user may not create files in {directory}")


SCHEMES: dict[str, Callable[[str], Target]] = {"file": parse_file, "null": parse_null}
