"""Files that are private from their first moment, and whole."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from scaleout import privatefiles


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_private_and_new(tmp_path: Path) -> None:
    path = tmp_path / "new"
    with privatefiles.create(path) as file:
        file.write(b"once")
    assert (path.read_bytes(), mode_of(path)) == (b"once", 0o600)
    with pytest.raises(FileExistsError):
        privatefiles.create(path)


def test_a_file_is_replaced_by_a_private_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"long before")
    path.chmod(0o644)
    (tmp_path / "file.part").write_bytes(b"what a crash has left")
    (tmp_path / "file.part").chmod(0o644)
    privatefiles.replace(path, b"after")
    assert (path.read_bytes(), mode_of(path)) == (b"after", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_replaced_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()
    with pytest.raises(OSError):
        privatefiles.replace(path, b"after")
    assert list(tmp_path.iterdir()) == [path]
