"""The file sink: whole lines after every failure and crash, and not a byte lost or repeated."""

from __future__ import annotations

import errno
import logging
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.errors import SinkError
from scaleout.sinks import Chunk, Sink
from scaleout.sinks.file import TAIL_BLOCK_BYTES, FileSink

FaultyWritev = Callable[[Sequence[int]], AbstractContextManager[object]]
LINES = st.lists(
    st.binary(max_size=8).map(lambda data: data.replace(b"\n", b"") + b"\n"), min_size=1, max_size=4
)
WRITES = st.lists(st.lists(LINES.map(b"".join), max_size=4), max_size=5)
FAULTS = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.ESTALE, errno.EAGAIN]
REFUSALS = st.lists(st.integers(1, 12) | st.sampled_from([-fault for fault in FAULTS]), max_size=20)


class Clock(Protocol):
    now_s: float

    def __call__(self) -> float: ...


def write_until_taken(sink: Sink, chunks: Sequence[Chunk], after_failure: Callable[[], None]) -> None:
    for _ in range(100):
        try:
            return sink.write(chunks)
        except SinkError:
            after_failure()
    raise AssertionError("the sink never took the chunks")


@given(WRITES, REFUSALS, st.booleans())
def test_any_failures_leave_whole_lines_and_every_byte_once(
    faulty_writev: FaultyWritev, writes: list[list[bytes]], refusals: list[int], as_views: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "out.jsonl")
        whole = b"".join(chunk for chunks in writes for chunk in chunks)

        def check_whole_lines() -> None:
            written = path.read_bytes()
            assert whole.startswith(written)
            assert written == b"" or written.endswith(b"\n")

        sink = FileSink(path)
        sink.open()
        with faulty_writev(refusals):
            for chunks in writes:
                write_until_taken(
                    sink, [memoryview(c) for c in chunks] if as_views else chunks, check_whole_lines
                )
        sink.close()
        assert path.read_bytes() == whole


@given(WRITES, REFUSALS, st.sets(st.integers(0, 10)))
def test_any_failures_and_moves_split_the_bytes_at_lines(
    faulty_writev: FaultyWritev, writes: list[list[bytes]], refusals: list[int], moves: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "out.jsonl")
        moved: list[bytes] = []
        now_s = 0.0

        def maybe_move() -> None:
            nonlocal now_s
            now_s += 1
            if now_s in moves and path.exists():
                moved.append(path.read_bytes())
                path.unlink()

        sink = FileSink(path, monotonic=lambda: now_s)
        with faulty_writev(refusals):
            for chunks in writes:
                maybe_move()
                write_until_taken(sink, chunks, maybe_move)
        sink.close()
        files = [*moved, path.read_bytes()] if path.exists() else moved
        assert b"".join(files) == b"".join(chunk for chunks in writes for chunk in chunks)
        assert all(content == b"" or content.endswith(b"\n") for content in files)


def test_creates_the_file_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        sink = FileSink(tmp_path / "out.jsonl")
        sink.open()
        sink.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o600


def test_appends_and_can_be_closed_twice(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for line in (b"1\n", b"2\n"):
        sink = FileSink(path)
        sink.open()
        sink.write([line])
        sink.close()
        sink.close()
    assert path.read_bytes() == b"1\n2\n"


@pytest.mark.parametrize(
    "kept", [b"", b"1\n2\n", b"x" * TAIL_BLOCK_BYTES + b"\n", b"x" * (TAIL_BLOCK_BYTES - 1) + b"\n"]
)
@pytest.mark.parametrize("tail_bytes", [1, TAIL_BLOCK_BYTES, 2 * TAIL_BLOCK_BYTES + 7])
def test_cuts_off_the_partial_line_of_a_crash(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: bytes, tail_bytes: int
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(kept + b"y" * tail_bytes)
    sink = FileSink(path)
    sink.open()
    sink.write([b"3\n"])
    sink.close()
    assert path.read_bytes() == kept + b"3\n"
    assert f"cut off its last {tail_bytes} bytes" in caplog.text


def test_a_whole_file_is_opened_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"1\n")
    with caplog.at_level(logging.DEBUG):
        FileSink(path).open()
    assert caplog.text == ""


def test_goes_on_in_a_new_file_when_the_old_one_was_moved(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "out.jsonl"
    sink = FileSink(path, monotonic=clock)
    sink.open()
    sink.write([b"1\n"])
    path.rename(tmp_path / "out.jsonl.1")
    clock.now_s += 0.5
    sink.write([b"2\n"])
    clock.now_s += 0.6
    sink.write([b"3\n"])
    sink.close()
    assert (tmp_path / "out.jsonl.1").read_bytes() == b"1\n2\n"
    assert path.read_bytes() == b"3\n"


def test_waits_for_a_vanished_directory_to_come_back(tmp_path: Path, clock: Clock) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    sink = FileSink(directory / "out.jsonl", monotonic=clock)
    sink.open()
    directory.rename(tmp_path / "gone")
    clock.now_s += 1
    with pytest.raises(SinkError, match=r"out\.jsonl: No such file or directory \(create its directory\)"):
        sink.write([b"1\n"])
    with pytest.raises(SinkError):
        sink.write([b"1\n"])
    directory.mkdir()
    sink.write([b"1\n"])
    sink.close()
    assert (directory / "out.jsonl").read_bytes() == b"1\n"


def test_a_failed_open_can_be_repeated(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "data" / "out.jsonl")
    with pytest.raises(SinkError, match="can't open"):
        sink.open()
    (tmp_path / "data").mkdir()
    sink.open()
    sink.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    ballast, path = small_disk / "ballast", small_disk / "out.jsonl"
    ballast.write_bytes(b"x" * 40_000)
    lines = [b"%d %s\n" % (number, b"y" * (7 * number)) for number in range(100)]
    chunks = [b"".join(lines[start : start + 7]) for start in range(0, 100, 7)]
    sink = FileSink(path)
    sink.open()
    for _ in range(3):
        with pytest.raises(SinkError, match=r"No space left on device \(free some space\)"):
            sink.write(chunks)
        written = path.read_bytes()
        assert written and written.endswith(b"\n") and b"".join(chunks).startswith(written)
    ballast.unlink()
    sink.write(chunks)
    sink.close()
    assert path.read_bytes() == b"".join(chunks)


LIMITED = """
import resource, sys
from pathlib import Path
from scaleout.errors import SinkError
from scaleout.sinks.file import FileSink

path = Path(sys.argv[1])
chunks = [b"%d\\n" % number * 50 for number in range(1000)]
sink = FileSink(path)
sink.open()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for limit in (1001, 50_003, 50_004):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        sink.write(chunks)
    except SinkError as error:
        assert "raise the limit on file sizes" in str(error), error
    else:
        raise AssertionError("the limit didn't hold")
    written = path.read_bytes()
    assert limit - 5 < len(written) <= limit and written.endswith(b"\\n"), len(written)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
sink.write(chunks)
sink.close()
assert path.read_bytes() == b"".join(chunks)
"""


def test_a_limit_on_the_file_size_loses_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "out.jsonl")],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr


ENDLESS = """
import sys
from pathlib import Path
from scaleout.sinks.file import FileSink

sink = FileSink(Path(sys.argv[1]))
sink.open()
number = 0
while True:
    chunks = []
    for _ in range(50):
        chunks.append(b"".join(b"%d %s\\n" % (n, b"z" * 300) for n in range(number, number + 100)))
        number += 100
    sink.write(chunks)
    print(number, flush=True)
"""


def test_a_killed_writer_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writer = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    try:
        for _ in range(5):
            confirmed = int(writer.stdout.readline())
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        writer.stdout.close()
    sink = FileSink(path)
    sink.open()
    sink.close()
    content = path.read_bytes()
    assert content.endswith(b"\n")
    lines = content.splitlines()
    assert len(lines) >= confirmed
    assert all(line == b"%d %s" % (number, b"z" * 300) for number, line in enumerate(lines))


class Reader(threading.Thread):
    """Reads a FIFO until a number of bytes has come, or to its end."""

    def __init__(self, path: Path, at_most: int | None = None) -> None:
        super().__init__(daemon=True)
        self.content = bytearray()
        self._path = path
        self._at_most = at_most
        self.start()

    def run(self) -> None:
        with open(self._path, "rb", buffering=0) as fifo:
            while self._at_most is None or len(self.content) < self._at_most:
                data = fifo.read(4096 if self._at_most is None else self._at_most - len(self.content))
                if not data:
                    return
                self.content += data

    def result(self) -> bytes:
        self.join(10)
        assert not self.is_alive()
        return bytes(self.content)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def test_a_fifo_gets_every_byte_in_order(fifo: Path) -> None:
    chunks = [b"%d %s\n" % (number, b"z" * 5000) for number in range(200)]
    reader = Reader(fifo)
    sink = FileSink(fifo)
    sink.open()
    sink.write(chunks)
    sink.close()
    assert reader.result() == b"".join(chunks)


def test_a_returning_reader_of_a_fifo_starts_with_the_line_that_was_cut(fifo: Path) -> None:
    line_bytes = 30_000
    chunks = [b"%d %s\n" % (number, b"z" * (line_bytes - 4)) for number in range(10, 50)]
    whole = b"".join(chunks)
    first = Reader(fifo, at_most=2 * line_bytes + 100)
    sink = FileSink(fifo)
    sink.open()
    with pytest.raises(SinkError, match=r"Broken pipe \(start a reader\)"):
        sink.write(chunks)
    assert whole.startswith(first.result())
    second = Reader(fifo)
    sink.write(chunks)
    sink.close()
    received = second.result()
    assert whole.endswith(received)
    start = len(whole) - len(received)
    assert start % line_bytes == 0
    assert start >= 2 * line_bytes  # lines that the system had taken whole aren't sent again


def test_a_fifo_stays_whole_through_short_writes(fifo: Path, faulty_writev: FaultyWritev) -> None:
    reader = Reader(fifo)
    sink = FileSink(fifo)
    sink.open()
    with faulty_writev([3, -errno.EIO, 2, -errno.EIO]):
        for _ in range(2):
            with pytest.raises(SinkError):
                sink.write([b"1\n234\n", b"5\n"])
        sink.write([b"1\n234\n", b"5\n"])
    sink.close()
    assert reader.result() == b"1\n234\n5\n"


def test_a_device_takes_everything() -> None:
    sink = FileSink(Path("/dev/null"))
    sink.open()
    sink.write([b"1\n"])
    sink.close()


def test_a_device_that_is_always_full_is_an_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    sink = FileSink(Path("/dev/full"))
    sink.open()
    with pytest.raises(SinkError, match="No space left"):
        sink.write([b"1\n"])
    sink.close()
