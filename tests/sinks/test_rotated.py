"""The rotated sink: where files are split, what they are called, and that no byte is lost on the way."""

from __future__ import annotations

import errno
import gzip
import os
import stat
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.errors import SinkError
from scaleout.sinks.rotated import RotatedSink, Rotation

FaultyWritev = Callable[[Sequence[int]], AbstractContextManager[object]]
CHUNKS = st.lists(st.binary(max_size=8).map(lambda data: data.replace(b"\n", b"") + b"\n"), max_size=8)
FAULTS = [errno.ENOSPC, errno.EIO, errno.ESTALE]
NOW = "20231114T221320Z"


class Clock(Protocol):
    now_s: float

    def __call__(self) -> float: ...


def rotated(directory: Path) -> list[bytes]:
    """The contents of the rotated files, oldest first."""

    def age(path: Path) -> tuple[str, int]:
        stamp, _, number = path.name.split(".")[0].removeprefix("out-").partition("-")
        return stamp, int(number or 0)

    paths = sorted(directory.glob("out-*"), key=age)
    return [gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in paths]


def make(directory: Path, rotation: Rotation, clock: Callable[[], float]) -> RotatedSink:
    return RotatedSink(
        directory / "out.jsonl", rotation, uri="file:out.jsonl?…", clock=clock, monotonic=clock
    )


def test_splits_by_size_between_chunks(tmp_path: Path, clock: Clock) -> None:
    sink = make(tmp_path, Rotation(size_bytes=10), clock)
    sink.open()
    sink.write([b"1234\n", b"123\n", b"12345678\n", b"1\n"])
    sink.write([b"a line longer than the limit\n"])
    sink.write([b"2\n"])
    sink.close()
    assert rotated(tmp_path) == [b"1234\n123\n12345678\n", b"1\na line longer than the limit\n"]
    assert (tmp_path / "out.jsonl").read_bytes() == b"2\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "out.jsonl",
        f"out-{NOW}.jsonl",
        f"out-{NOW}-1.jsonl",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_splits_by_age(tmp_path: Path, clock: Clock) -> None:
    sink = make(tmp_path, Rotation(every_s=60), clock)
    sink.open()
    clock.now_s += 59.9
    sink.write([b"1\n", b"2\n"])
    clock.now_s += 0.1
    sink.write([b"3\n"])
    clock.now_s += 60
    sink.write([b"4\n"])
    sink.close()
    assert rotated(tmp_path) == [b"1\n2\n", b"3\n"]
    assert (tmp_path / f"out-{'20231114T221420Z'}.jsonl").exists()
    assert (tmp_path / "out.jsonl").read_bytes() == b"4\n"


def test_an_empty_file_is_never_rotated(tmp_path: Path, clock: Clock) -> None:
    sink = make(tmp_path, Rotation(every_s=60), clock)
    sink.open()
    clock.now_s += 600
    sink.write([b"1\n"])
    sink.close()
    assert rotated(tmp_path) == []


def test_goes_on_with_the_active_file_of_an_earlier_run(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"1\n2\npart")
    sink = make(tmp_path, Rotation(size_bytes=6), clock)
    sink.open()
    sink.write([b"3\n"])
    sink.write([b"4\n"])
    sink.close()
    assert rotated(tmp_path) == [b"1\n2\n3\n"]
    assert path.read_bytes() == b"4\n"


def test_the_age_of_an_earlier_runs_file_counts(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b"1\n")
    os.utime(path, (clock.now_s - 61, clock.now_s - 61))
    sink = make(tmp_path, Rotation(every_s=60), clock)
    sink.open()
    sink.write([b"2\n"])
    sink.close()
    assert rotated(tmp_path) == [b"1\n"]


def test_compresses_and_keeps_the_newest(tmp_path: Path, clock: Clock) -> None:
    sink = make(tmp_path, Rotation(size_bytes=1, compression="gzip", keep=2), clock)
    sink.open()
    for number in range(6):
        sink.write([b"%d\n" % number])
        clock.now_s += number % 2
    sink.close()
    assert rotated(tmp_path) == [b"3\n", b"4\n"]
    assert all(path.suffix == ".gz" for path in tmp_path.glob("out-*"))
    assert (tmp_path / "out.jsonl").read_bytes() == b"5\n"


def test_an_active_file_that_was_deleted_is_begun_anew(tmp_path: Path, clock: Clock) -> None:
    sink = make(tmp_path, Rotation(size_bytes=2), clock)
    sink.open()
    sink.write([b"1\n"])
    (tmp_path / "out.jsonl").unlink()
    sink.write([b"2\n"])
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert (tmp_path / "out.jsonl").read_bytes() == b"2\n"


def test_a_failed_rotation_is_tried_again(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = make(tmp_path, Rotation(size_bytes=2), clock)
    sink.open()
    with monkeypatch.context() as patched:

        def refuse(path: Path, target: Path) -> Path:
            raise PermissionError(errno.EACCES, "Permission denied")

        patched.setattr(Path, "rename", refuse)
        with pytest.raises(SinkError, match="can't rotate"):
            sink.write([b"1\n", b"2\n"])
    sink.write([b"1\n", b"2\n"])
    sink.close()
    assert rotated(tmp_path) == [b"1\n"]
    assert (tmp_path / "out.jsonl").read_bytes() == b"2\n"


def test_a_write_that_failed_midway_is_finished_before_the_next_split(
    tmp_path: Path, clock: Clock, faulty_writev: FaultyWritev
) -> None:
    sink = make(tmp_path, Rotation(size_bytes=6), clock)
    sink.open()
    chunks = [b"1\n", b"2\n", b"3\n", b"4\n"]
    with faulty_writev([4, -errno.ENOSPC]), pytest.raises(SinkError):
        sink.write(chunks)
    sink.write(chunks)
    sink.close()
    assert rotated(tmp_path) == [b"1\n2\n3\n"]
    assert (tmp_path / "out.jsonl").read_bytes() == b"4\n"


def test_only_regular_files_are_rotated(clock: Clock) -> None:
    sink = RotatedSink(Path("/dev/null"), Rotation(size_bytes=2), uri="x", clock=clock)
    with pytest.raises(SinkError, match="isn't a regular file"):
        sink.open()


@given(
    st.lists(CHUNKS, max_size=6),
    st.lists(st.integers(1, 12) | st.sampled_from([-fault for fault in FAULTS]), max_size=20),
    st.integers(1, 20),
    st.sampled_from([None, "gzip"]),
)
def test_any_failures_lose_and_repeat_nothing(
    faulty_writev: FaultyWritev, writes: list[list[bytes]], refusals: list[int], size: int, compression: None
) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        sink = make(directory, Rotation(size_bytes=size, compression=compression), lambda: 1_700_000_000.0)
        sink.open()
        with faulty_writev(refusals):
            for chunks in writes:
                for _ in range(100):
                    try:
                        sink.write(chunks)
                        break
                    except SinkError:
                        assert (directory / "out.jsonl").read_bytes()[-1:] in (b"", b"\n")
        sink.close()
        files = rotated(directory)
        active = (directory / "out.jsonl").read_bytes()
        assert b"".join(files) + active == b"".join(chunk for chunks in writes for chunk in chunks)
        assert all(size <= len(content) < size + 9 and content.endswith(b"\n") for content in files)
        assert len(active) < size + 9
