"""A question to a run that has only just begun is answered; one to a run that is gone is refused."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from scaleout.control.exchange import exchange
from scaleout.errors import NoRunError


@pytest.fixture
def bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket at `s` that does not listen."""
    monkeypatch.chdir(tmp_path)  # paths of sockets are short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        yield listener


def test_a_run_that_has_only_just_begun(bound: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def begin_to_listen(seconds: float) -> None:
        waits.append(seconds)
        bound.listen()

    def answer() -> None:
        client, _ = bound.accept()
        with client:
            client.recv(100)
            client.sendall(b"here\n")

    def ask() -> None:
        answers.append(exchange("s", b"who?\n", 10))

    answers: list[bytes] = []
    monkeypatch.setattr(time, "sleep", begin_to_listen)
    asking = Thread(target=ask)
    asking.start()
    while not waits and asking.is_alive():  # it is refused once
        asking.join(0.01)
    assert waits, "it gave up at once"
    answer()
    asking.join(10)
    assert answers[0].strip() == b"here"


def test_a_run_that_is_gone(bound: socket.socket) -> None:
    with pytest.raises(NoRunError, match="its run has ended"):
        exchange("s", b"who?\n", 10)
