"""Where a control socket may be."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from scaleout.control.place import MAX_PATH_BYTES, length_problem, problem_of


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of sockets are short: be where they are."""
    monkeypatch.chdir(tmp_path)


def test_a_place_where_nothing_is() -> None:
    assert problem_of("s") is None
    assert problem_of("x" * MAX_PATH_BYTES) is None


def test_the_longest_path_is_what_the_system_takes() -> None:
    with socket.socket(socket.AF_UNIX) as longest, socket.socket(socket.AF_UNIX) as longer:
        longest.bind("x" * MAX_PATH_BYTES)
        with pytest.raises(OSError, match="too long"):
            longer.bind("x" * (MAX_PATH_BYTES + 1))


def test_bytes_count() -> None:
    assert "this one has 108: choose a shorter one" in str(length_problem("ü" * 54))
    assert problem_of("ü" * 54) == length_problem("ü" * 54)


def test_a_socket_that_is_there_may_be_replaced() -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s")
        assert problem_of("s") is None


def test_anything_else_may_not(tmp_path: Path) -> None:
    Path("file").write_text("data")
    Path("link").symlink_to("nowhere")
    for name in ("file", "link", str(tmp_path)):
        assert problem_of(name) == (
            f"{name} is there already, and isn't a socket: choose another path, or remove it"
        )
    assert problem_of("no/s") == "there is no directory no"
    assert "Not a directory" in str(problem_of("file/s"))
