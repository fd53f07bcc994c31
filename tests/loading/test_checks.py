"""Checks of single values."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from scaleout.loading.checks import socket_path
from scaleout.loading.reading import UnusableError, WrongError


def test_a_path_for_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert socket_path("run.sock") == "run.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind("run.sock")
    assert socket_path("run.sock") == "run.sock"


@pytest.mark.parametrize("value", [7, "", None, "a\0b"])
def test_no_path_for_a_socket(value: object) -> None:
    with pytest.raises(WrongError, match="the path of a socket"):
        socket_path(value)


def test_paths_where_no_socket_can_be(tmp_path: Path) -> None:
    for value in ("x" * 200, str(tmp_path), "no/such/directory/s"):
        with pytest.raises(UnusableError):
            socket_path(value)
