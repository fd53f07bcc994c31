"""A recorded feed: its messages, byte for byte, and when each of them came.

A recording NAME is a pair of gzip files: `NAME.jsonl.gz` holds one text message a line, or `NAME.b64.gz` one
binary message a line in base64; `NAME.times.gz` holds for each line `T CONN`, the microseconds since the
first message and the number of the connection it came on. Without the times, messages come one microsecond
apart.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from scaleout.errors import ConfigError, Fault

_TEXT = ".jsonl.gz"
_BINARY = ".b64.gz"
_TIMES = ".times.gz"


class Recording(Struct, frozen=True):
    """The messages of all recorded connections, in the order of their arrival."""

    name: str
    binary: bool
    messages: Sequence[bytes]
    times_us: Sequence[int]


def recording_name(path: Path) -> str:
    """The name of a recording: its file's without the endings."""
    for ending in (_TEXT, _BINARY):
        if path.name.endswith(ending):
            return path.name.removesuffix(ending)
    raise _fault(path, f"expected a file that ends in {_TEXT} or {_BINARY}")


def is_binary_recording(path: Path) -> bool:
    """Whether a recording's file, by its name, holds binary messages."""
    return path.name.endswith(_BINARY)


def load_recording(path: Path) -> Recording:
    """Read a recording.

    Args:
        path: its `.jsonl.gz` or `.b64.gz` file; the `.times.gz` file is found beside it.

    Raises:
        ConfigError: a file can't be read, or isn't in the format.
    """
    name = recording_name(path)
    binary = is_binary_recording(path)
    lines = _lines(path)
    try:
        messages = [base64.b64decode(line, validate=True) for line in lines] if binary else lines
    except binascii.Error as error:
        raise _fault(path, f"a line is not base64 ({error})") from error
    times_path = path.with_name(name + _TIMES)
    times_us = _times(times_path) if times_path.exists() else range(len(messages))
    if len(times_us) != len(messages):
        raise _fault(times_path, f"expected {len(messages)} lines, one a message, found {len(times_us)}")
    return Recording(name, binary, messages, times_us)


def save_recording(directory: Path, recording: Recording) -> Path:
    """Write a recording into a directory and return the path to load it by."""
    ending = _BINARY if recording.binary else _TEXT
    path = directory / (recording.name + ending)
    encode = base64.b64encode if recording.binary else bytes
    _write(path, b"".join(encode(message) + b"\n" for message in recording.messages))
    _write(
        directory / (recording.name + _TIMES), b"".join(b"%d 0\n" % time_us for time_us in recording.times_us)
    )
    return path


def _write(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(gzip.compress(data, mtime=0))


def _lines(path: Path) -> list[bytes]:
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise _fault(path, f"can't be read ({error})") from error
    lines = data.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def _times(path: Path) -> list[int]:
    try:
        return [int(line.split()[0]) for line in _lines(path)]
    except (ValueError, IndexError) as error:
        raise _fault(path, "expected lines of microseconds and a connection number") from error


def _fault(path: Path, problem: str) -> ConfigError:
    return ConfigError([Fault(str(path), "", problem)])
