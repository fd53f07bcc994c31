"""Rotated files: names, compression, leftovers of a crash, removal of the oldest."""

from __future__ import annotations

import gzip
import stat
from pathlib import Path
from typing import IO

import pytest
import zstandard

from scaleout.sinks import archive
from scaleout.sinks.archive import Archive, Compression, compress

NOW_S = 1_700_000_000.0
STAMP = "20231114T221320Z"


def unpack(path: Path) -> bytes:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as unpacked:
        return unpacked.read()


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("content", [b"", b"1\n", b"some line\n" * 300_000])
def test_compressed_files_hold_the_same_bytes(
    tmp_path: Path, compression: Compression, content: bytes
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(content)
    target = compress(path, compression)
    assert list(tmp_path.iterdir()) == [target]
    assert unpack(target) == content
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("active", "taken", "expected"),
    [
        ("out.jsonl", [], f"out-{STAMP}.jsonl"),
        ("out", [], f"out-{STAMP}"),
        ("a.b.jsonl", [], f"a.b-{STAMP}.jsonl"),
        ("out.jsonl", [f"out-{STAMP}.jsonl"], f"out-{STAMP}-1.jsonl"),
        (
            "out.jsonl",
            [f"out-{STAMP}.jsonl.gz", f"out-{STAMP}-9.jsonl", f"out-{STAMP}-10.jsonl.zst"],
            f"out-{STAMP}-11.jsonl",
        ),
        ("out.jsonl", [f"out-{STAMP}.json", f"other-{STAMP}.jsonl"], f"out-{STAMP}.jsonl"),
    ],
)
def test_names_are_new_and_in_order(tmp_path: Path, active: str, taken: list[str], expected: str) -> None:
    for name in taken:
        (tmp_path / name).touch()
    assert Archive(tmp_path / active, None, None).name_for(NOW_S).name == expected


def test_clears_up_after_a_crash(tmp_path: Path) -> None:
    contents = {
        "out.jsonl": b"active\n",
        "out-20240101T000000Z.jsonl": b"not compressed yet\n",
        "out-20240101T000000Z.jsonl.gz.part": b"half",
        "out-20240102T000000Z.jsonl": b"compressed already\n",
        "out-20240102T000000Z.jsonl.gz": gzip.compress(b"compressed already\n"),
        "out-20240103T000000Z-2.jsonl.zst.part": b"half",
        "out-mine.jsonl": b"somebody else's\n",
        "out-20240101T000000Z.jsonl.part.part": b"somebody else's\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    files = Archive(tmp_path / "out.jsonl", "gzip", None)
    files.start()
    files.close()
    assert {path.name for path in tmp_path.iterdir()} == {
        "out.jsonl",
        "out-20240101T000000Z.jsonl.gz",
        "out-20240102T000000Z.jsonl.gz",
        "out-mine.jsonl",
        "out-20240101T000000Z.jsonl.part.part",
    }
    assert unpack(tmp_path / "out-20240101T000000Z.jsonl.gz") == b"not compressed yet\n"


def test_a_file_that_is_there_twice_goes_even_where_nothing_is_compressed_any_more(tmp_path: Path) -> None:
    plain, packed = tmp_path / f"out-{STAMP}.jsonl", tmp_path / f"out-{STAMP}.jsonl.zst"
    plain.write_bytes(b"1\n")
    packed.write_bytes(zstandard.compress(b"1\n"))
    files = Archive(tmp_path / "out.jsonl", None, None)
    files.start()
    files.close()
    assert list(tmp_path.iterdir()) == [packed]


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_keeps_only_the_newest(tmp_path: Path, compression: Compression | None) -> None:
    names = [f"out-{STAMP}{number}.jsonl" for number in ("", "-1", "-2", "-9", "-10")]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    files = Archive(tmp_path / "out.jsonl", compression, 2)
    files.start()
    files.close()
    ending = ".gz" if compression else ""
    assert {path.name for path in tmp_path.iterdir()} == {names[3] + ending, names[4] + ending}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("broken")])
def test_a_failing_compression_keeps_the_plain_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail(source: IO[bytes], target: IO[bytes]) -> None:
        target.write(b"half")
        raise error

    monkeypatch.setitem(archive.COMPRESSORS, "gzip", fail)
    path = tmp_path / f"out-{STAMP}.jsonl"
    files = Archive(tmp_path / "out.jsonl", "gzip", None)
    files.start()
    path.write_bytes(b"1\n")
    files.add(path)
    files.close()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"1\n"
    assert f"can't compress {path}" in caplog.text
