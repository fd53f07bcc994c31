"""What people write as a sink: what is understood, and what is said about the rest."""

from __future__ import annotations

import importlib.util
import os
import socket
from pathlib import Path

import pytest

from scaleout.errors import ConfigError, MissingExtraError
from scaleout.sinks import Encoding, check_sink, make_sink
from scaleout.sinks.file import FileSink
from scaleout.sinks.null import NullSink
from scaleout.sinks.rotated import RotatedSink, Rotation
from scaleout.sinks.stdout import StdoutSink
from scaleout.sinks.uri import FileTarget, NullTarget, StdoutTarget, Target, parse


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("-", StdoutTarget()),
        ("null:", NullTarget()),
        ("out.jsonl", FileTarget(Path("out.jsonl"))),
        ("out.ndjson", FileTarget(Path("out.ndjson"))),
        ("out.json", FileTarget(Path("out.json"))),
        ("out", FileTarget(Path("out"))),
        ("out.2024", FileTarget(Path("out.2024"))),
        ("./odd:name?a=1", FileTarget(Path("odd:name?a=1"))),
        ("2024-01-01T10:00", FileTarget(Path("2024-01-01T10:00"))),
        ("file:out.jsonl", FileTarget(Path("out.jsonl"))),
        ("FILE:out.jsonl?", FileTarget(Path("out.jsonl"))),
        ("file:///tmp/a%20b%3Fc", FileTarget(Path("/tmp/a b?c"))),
        ("file://localhost/tmp/out", FileTarget(Path("/tmp/out"))),
        (
            "file:out.jsonl?rotate_size=64MiB&rotate_every=1.5h&compress=zstd&keep=3",
            FileTarget(
                Path("out.jsonl"), Rotation(size_bytes=64 * 2**20, every_s=5400.0, compression="zstd", keep=3)
            ),
        ),
    ],
)
def test_is_understood(uri: str, target: Target) -> None:
    assert parse(uri) == target


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("", "found nothing"),
        (
            "nul:",
            "nul: (known: file:, null:, a path, or - for standard output); for a file of that name write ./nul:;"
            " did you mean null:?",
        ),
        ("kafka://host/topic", "unknown kind of sink kafka:"),
        ("trades:btc", "for a file of that name write ./trades:btc"),
        ("null:x", "null: takes nothing"),
        ("file:", "file: needs a path"),
        ("file://host/out", "found the host 'host'"),
        ("a\0b", "NUL"),
        ("out.jsonl.gz", "file:out.jsonl?rotate_size=64MiB&compress=gzip"),
        ("out.jsonl.ZST", "file:out.jsonl?rotate_size=64MiB&compress=zstd"),
        ("file:out.gz?rotate_size=1MiB&compress=gzip", "file:out?rotate_size=64MiB&compress=gzip"),
        ("out.parquet", "Parquet isn't supported; write NDJSON to a path that ends in .jsonl"),
        ("out.csv", "CSV isn't supported"),
        ("out.arrow", "Arrow isn't supported"),
        (
            "file:out?rotate=1MiB",
            "unknown option 'rotate' (known: rotate_size, rotate_every, compress, keep); did you mean",
        ),
        ("file:out?rotate_size=1MiB&&", "unknown option ''"),
        ("file:out?rotate_size=1MiB&rotate_size=2MiB", "option rotate_size is given twice"),
        ("file:out?rotate_size=large", "option rotate_size: "),
        ("file:out?rotate_size=0", "option rotate_size: expected at least one byte"),
        ("file:out?rotate_every=soon", "option rotate_every: "),
        ("file:out?rotate_every=0s", "option rotate_every: expected a time longer than 0"),
        ("file:out?rotate_size=1MiB&compress=zip", "option compress: expected gzip or zstd, found 'zip'"),
        ("file:out?rotate_size=1MiB&keep=0", "option keep: expected a number of files, at least 1"),
        ("file:out?rotate_size=1MiB&keep=-1", "option keep: "),
        ("file:out?keep=3", "keep needs rotate_size or rotate_every"),
        ("file:out?compress=gzip", "compress needs rotate_size or rotate_every"),
    ],
)
def test_says_what_is_wrong(uri: str, problem: str) -> None:
    found = check_sink(uri)
    assert found is not None
    assert problem in found
    assert "\n" not in found
    with pytest.raises(ConfigError) as caught:
        make_sink(uri)
    assert problem in str(caught.value)


@pytest.mark.parametrize("options", ["", "?rotate_size=1MiB&compress=gzip"])
def test_checking_and_making_create_nothing(tmp_path: Path, options: str) -> None:
    uri = f"file:{tmp_path}/out.jsonl{options}"
    assert check_sink(uri) is None
    make_sink(uri)
    assert list(tmp_path.iterdir()) == []


def test_makes_the_sinks(tmp_path: Path) -> None:
    made = {
        "-": StdoutSink,
        "null:": NullSink,
        str(tmp_path / "out"): FileSink,
        f"file:{tmp_path}/out?rotate_size=1MiB": RotatedSink,
    }
    for uri, kind in made.items():
        sink = make_sink(uri)
        assert isinstance(sink, kind)
        assert sink.uri == uri
        assert sink.encoding is Encoding.NDJSON


def test_the_null_sink_takes_everything() -> None:
    sink = make_sink("null:")
    sink.open()
    sink.write([b"1\n"])
    sink.close()


def test_a_directory_is_a_problem(tmp_path: Path) -> None:
    assert check_sink(str(tmp_path)) == f"{tmp_path} is a directory: name a file in it"


def test_a_missing_directory_is_a_problem(tmp_path: Path) -> None:
    assert "doesn't exist: create it first" in str(check_sink(str(tmp_path / "data" / "out.jsonl")))


def test_a_file_in_place_of_a_directory_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    assert "Not a directory" in str(check_sink(str(tmp_path / "data" / "out.jsonl")))


def test_a_socket_is_a_problem(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert "is a socket" in str(check_sink(str(tmp_path / "s")))


def test_a_fifo_is_fine_but_cannot_be_rotated(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert check_sink(str(tmp_path / "fifo")) is None
    assert "only those can be rotated" in str(check_sink(f"file:{tmp_path}/fifo?rotate_size=1MiB"))


def test_missing_permissions_are_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old.jsonl").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "may not create files in" in str(check_sink(str(tmp_path / "new.jsonl")))
    assert "permissions forbid it" in str(check_sink(str(tmp_path / "old.jsonl")))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    uri = f"file:{tmp_path}/out?rotate_size=1MiB&compress=zstd"
    assert "pip install 'scaleout[zstd]'" in str(check_sink(uri))
    with pytest.raises(MissingExtraError):
        make_sink(uri)
