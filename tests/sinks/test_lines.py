"""Chunks of lines reach a descriptor completely, whatever the system takes at once."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.sinks import lines
from scaleout.sinks.lines import LineWriter, line_start, remaining

CHUNKS = st.lists(st.binary(max_size=6).map(lambda data: data + b"\n"), max_size=6)


@given(CHUNKS, st.integers(0, 50))
def test_remaining_is_what_follows_the_first_bytes(chunks: list[bytes], done: int) -> None:
    whole = b"".join(chunks)
    done = min(done, len(whole))
    assert b"".join(remaining(chunks, done)) == whole[done:]


@given(CHUNKS, st.integers(0, 50))
def test_line_start_is_the_last_newline_before(chunks: list[bytes], position: int) -> None:
    whole = b"".join(chunks)
    position = min(position, len(whole))
    assert line_start([memoryview(chunk) for chunk in chunks], position) == whole[:position].rfind(b"\n") + 1


def test_more_buffers_than_the_system_takes_at_once(tmp_path: Path) -> None:
    chunks = [b"%d\n" % number for number in range(3 * lines.MAX_BUFFERS + 5)]
    with open(tmp_path / "out", "wb") as file:
        LineWriter().write(file.fileno(), chunks)
    assert (tmp_path / "out").read_bytes() == b"".join(chunks)


def test_waits_for_a_non_blocking_descriptor_without_spinning() -> None:
    chunks = [b"x" * 99_999 + b"\n"] * 20
    received = bytearray()
    read_fd, write_fd = os.pipe()
    flags = fcntl.fcntl(write_fd, fcntl.F_GETFL)
    fcntl.fcntl(write_fd, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    started = threading.Event()

    def read_all() -> None:
        started.wait(10)
        while data := os.read(read_fd, 65_536):
            received.extend(data)

    reader = threading.Thread(target=read_all)
    reader.start()
    real_writev = os.writev
    calls = 0

    def counted(fd: int, buffers: list[bytes]) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            started.set()  # by now the pipe is full and writev has been refused once
        return real_writev(fd, buffers)

    real_wait = lines.wait_until_writable

    def wait(fd: int) -> None:
        started.set()
        real_wait(fd)

    try:
        with mock.patch("os.writev", counted), mock.patch.object(lines, "wait_until_writable", wait):
            LineWriter().write(write_fd, chunks)
    finally:
        started.set()
        os.close(write_fd)
        reader.join(10)
        os.close(read_fd)
    assert bytes(received) == b"".join(chunks)
    assert calls < 2_000_000 // 4096 * 3


def test_leaves_alone_what_somebody_else_appended(tmp_path: Path) -> None:
    path = tmp_path / "out"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    writer = LineWriter()
    pieces = iter([4])

    def writev(fd: int, buffers: list[bytes]) -> int:
        for size in pieces:
            return os.write(fd, b"".join(buffers)[:size])
        with open(path, "ab") as other:
            other.write(b"other\n")
        raise OSError(28, "No space left on device")

    try:
        with mock.patch("os.writev", writev), pytest.raises(OSError, match="No space"):
            writer.write(fd, [b"1\n234\n"])
        assert path.read_bytes() == b"1\n23other\n"
        writer.write(fd, [b"1\n234\n"])
    finally:
        os.close(fd)
    assert path.read_bytes() == b"1\n23other\n4\n"


def test_rolls_back_where_the_descriptor_does_not_append(tmp_path: Path) -> None:
    path = tmp_path / "out"
    writer = LineWriter()
    pieces = iter([4])

    def writev(fd: int, buffers: list[bytes]) -> int:
        for size in pieces:
            return os.write(fd, b"".join(buffers)[:size])
        raise OSError(28, "No space left on device")

    with open(path, "wb") as file:
        with mock.patch("os.writev", writev), pytest.raises(OSError, match="No space"):
            writer.write(file.fileno(), [b"1\n234\n"])
        assert path.read_bytes() == b"1\n"
        writer.write(file.fileno(), [b"1\n234\n"])
    assert path.read_bytes() == b"1\n234\n"
