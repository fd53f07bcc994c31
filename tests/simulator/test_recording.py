"""Recordings are read byte for byte."""

from __future__ import annotations

import gzip
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaleout.errors import ConfigError
from scaleout.simulator.recording import Recording, load_recording, recording_name, save_recording

text_messages = st.lists(
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])).map(str.encode), max_size=20
)


@given(messages=text_messages)
def test_text_comes_back_as_it_was_saved(
    messages: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    recording = Recording("feed", False, messages, [7 * n for n in range(len(messages))])
    assert load_recording(save_recording(tmp_path_factory.mktemp("text"), recording)) == recording


@given(messages=st.lists(st.binary(), max_size=20))
def test_binary_comes_back_as_it_was_saved(
    messages: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    recording = Recording("feed", True, messages, [0] * len(messages))
    path = save_recording(tmp_path_factory.mktemp("binary"), recording)
    assert path.name == "feed.b64.gz"
    assert load_recording(path) == recording


def test_other_line_ends_are_data(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    path.write_bytes(gzip.compress("a\r\nb\x0bc\x85d\u2028e\n\nf\n".encode()))
    assert load_recording(path).messages == [b"a\r", "b\x0bc\x85d\u2028e".encode(), b"", b"f"]


def test_without_times_messages_come_a_microsecond_apart(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl.gz"
    path.write_bytes(gzip.compress(b"a\nb\nc\n"))
    assert list(load_recording(path).times_us) == [0, 1, 2]


def test_a_recording_is_private(tmp_path: Path) -> None:
    path = save_recording(tmp_path, Recording("feed", False, [b"a"], [0]))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "feed.jsonl.gz: can't be read"),
        ({"feed.jsonl.gz": b"not gzip"}, "feed.jsonl.gz: can't be read"),
        (
            {"feed.jsonl.gz": gzip.compress(b"a\nb\n"), "feed.times.gz": gzip.compress(b"0 0\n")},
            "expected 2 lines, one a message, found 1",
        ),
        (
            {"feed.jsonl.gz": gzip.compress(b"a\n"), "feed.times.gz": gzip.compress(b"soon 0\n")},
            "expected lines of microseconds",
        ),
    ],
)
def test_what_is_wrong_with_a_recording_is_said(
    files: dict[str, bytes], problem: str, tmp_path: Path
) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError, match=problem):
        load_recording(tmp_path / "feed.jsonl.gz")


def test_wrong_base64_and_unknown_endings_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "feed.b64.gz"
    path.write_bytes(gzip.compress(b"!!\n"))
    with pytest.raises(ConfigError, match="not base64"):
        load_recording(path)
    with pytest.raises(ConfigError, match="expected a file that ends in"):
        recording_name(Path("feed.txt"))
