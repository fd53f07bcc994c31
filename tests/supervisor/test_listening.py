"""The control socket: private, never two of them, and gone at the end."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest

from scaleout.errors import ConfigError
from scaleout.supervisor import listening as module
from scaleout.supervisor.listening import listening


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of sockets are short: be where they are."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_private_from_the_first_moment(umask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    bind = socket.socket.bind

    def bind_and_look(listener: socket.socket, path: str) -> None:
        bind(listener, path)
        modes.append(stat.S_IMODE(Path(path).stat().st_mode))

    monkeypatch.setattr(socket.socket, "bind", bind_and_look)
    before = os.umask(umask)
    try:
        with listening("s"):
            assert stat.S_IMODE(Path("s").stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert modes == [0o600 & ~umask]


def test_private_where_sockets_have_no_mode_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, mode: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fchmod", refuse)
    before = os.umask(0)
    try:
        with listening("s"):
            assert stat.S_IMODE(Path("s").stat().st_mode) == 0o600
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_removed_at_the_end_however_it_comes() -> None:
    with contextlib.suppress(KeyError), listening("s"):
        raise KeyError
    assert not Path("s").exists()


def test_another_ones_socket_is_left_alone() -> None:
    with listening("s"):
        Path("s").unlink()
        Path("s").write_text("somebody else's")
    assert Path("s").read_text() == "somebody else's"
    Path("s").unlink()
    with listening("s"):
        Path("s").unlink()


def test_a_stale_one_is_replaced() -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind("s")
    with listening("s") as listener, socket.socket(socket.AF_UNIX) as client:
        assert listener is not None
        client.connect("s")


def refused(path: str) -> str:
    with pytest.raises(ConfigError) as caught, listening(path):
        pass
    assert [fault.key for fault in caught.value.faults] == ["control"]
    return caught.value.faults[0].problem


def test_a_live_one_is_not() -> None:
    with listening("s"), socket.socket(socket.AF_UNIX) as client:
        assert "another run listens at s" in refused("s")
        client.connect("s")


def test_one_with_a_full_queue_is_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_S", 0.01)
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind("s")
        busy.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect("s")
        assert "another run listens at s" in refused("s")


def test_places_where_it_can_not_be() -> None:
    Path("file").touch()
    assert "isn't a socket" in refused("file")
    assert "at most" in refused("x" * 200)
    assert "no directory" in refused("no/s")
    assert Path("file").exists()


def test_no_path_no_socket() -> None:
    with listening(None) as listener:
        assert listener is None
    assert list(Path().iterdir()) == []
