"""What a client makes of sockets that are missing, stale, foreign, silent or talk nonsense."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scaleout.config import Endpoint, Rate
from scaleout.control.client import Control
from scaleout.control.messages import MAX_REQUEST_BYTES
from scaleout.errors import ConfigError, ControlError, NoRunError

Serve = Callable[[Callable[[socket.socket], None]], Control]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths of sockets are short: be where they are."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves one client in a thread, as it is told to; what is left of a conversation ends with the test."""
    listener = socket.socket(socket.AF_UNIX)
    threads: list[threading.Thread] = []
    ended = threading.Event()

    def start(talk: Callable[[socket.socket], None]) -> Control:
        listener.bind("s")
        listener.listen()

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                talk(connection)
                if connection.fileno() >= 0:
                    ended.wait(30)

        threads.append(threading.Thread(target=run))
        threads[0].start()
        return Control("s", timeout_s=5.0)

    yield start
    ended.set()
    listener.close()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def says(control: Control, problem: str, error: type[ControlError] = ControlError) -> None:
    with pytest.raises(ControlError, match=re.escape(problem)) as caught:
        control.status()
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


def test_no_socket() -> None:
    says(Control("s"), "there is no s: no run has its control socket there", NoRunError)
    says(Control("no/s"), "there is no no/s", NoRunError)


def test_not_a_socket(tmp_path: Path) -> None:
    Path("file").touch()
    says(Control("file"), "file isn't a socket")
    says(Control(tmp_path), f"{tmp_path} isn't a socket")
    says(Control("file/s"), "file/s can't be used: Not a directory")
    says(Control("a\0b"), "can't be used")


def test_a_path_that_is_too_long() -> None:
    says(Control("x" * 120), "a socket's path has at most")


def test_nobody_listens() -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind("s")
    says(Control("s"), "nobody listens at s: its run has ended", NoRunError)


class _RefusedSocket(socket.socket):
    """What others than root get of a socket that isn't theirs."""

    def connect(self, address: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_not_allowed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind("s")
        foreign.listen()
        monkeypatch.setattr(socket, "socket", _RefusedSocket)
        says(Control("s"), "s can be used by the user of its run alone")


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"{}\n", b'{"reply":"done"}\n', b'{"reply":"status"}\n', b"\xff\n"],
)
def test_nonsense(serve: Serve, answer: bytes) -> None:
    control = serve(lambda connection: connection.sendall(answer))
    says(control, "what listens at s doesn't answer as a run of this version of scaleout does")


def test_half_an_answer(serve: Serve) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b'{"reply":')
        connection.close()

    says(serve(talk), "doesn't answer as a run")


def test_hanging_up(serve: Serve) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(100)
        connection.close()

    says(serve(talk), "the run at s ended before it answered", NoRunError)


def test_a_refusal_while_the_request_is_still_being_sent(serve: Serve) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b'{"reply":"refused","problem":"too long"}\n')
        connection.close()

    control = serve(talk)
    with pytest.raises(ControlError, match=r"^too long$"):
        control.send("a", "x" * MAX_REQUEST_BYTES)


def test_silence(serve: Serve) -> None:
    control = serve(lambda connection: None)
    control.timeout_s = 0.05
    says(control, "no answer at s within 0.05 s")


def test_an_answer_that_trickles_in_has_the_same_time(serve: Serve) -> None:
    over = threading.Event()

    def talk(connection: socket.socket) -> None:
        while not over.wait(0.01):
            connection.sendall(b" ")

    control = serve(talk)
    control.timeout_s = 0.1
    try:
        says(control, "no answer at s within 0.1 s")
    finally:
        over.set()


def test_an_answer_in_pieces(serve: Serve) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(100)
        for byte in b'{"reply":"resumed","endpoints":["a"]}\n':
            connection.sendall(bytes([byte]))

    assert serve(talk).resume() == ("a",)


def test_half_a_character() -> None:
    with pytest.raises(ControlError, match="half a character"):
        Control("s").send("a", "\ud800")


Ask = Callable[[Control], object]


def answers(connection: socket.socket, reply: str) -> None:
    connection.recv(10_000)
    connection.sendall(reply.encode() + b"\n")


@pytest.mark.parametrize(
    ("ask", "reply", "result"),
    [
        (
            lambda run: run.add(Endpoint(uri="ws://h/", name="a")),
            '{"reply":"added","endpoints":["a"]}',
            ("a",),
        ),
        (lambda run: run.remove("a"), '{"reply":"removed","endpoints":["a"]}', ("a",)),
        (lambda run: run.pause("a"), '{"reply":"paused","endpoints":["a"]}', ("a",)),
        (lambda run: run.resume(), '{"reply":"resumed","endpoints":["a"]}', ("a",)),
        (lambda run: run.rebalance(), '{"reply":"moved","moves":[]}', ()),
        (lambda run: run.scale(2), '{"reply":"scaled","workers":[0,1]}', (0, 1)),
        (lambda run: run.reload().added, '{"reply":"reloaded","source":"f","added":["a"]}', ("a",)),
        (lambda run: run.drain(), '{"reply":"drained","totals":{"received":1}}', {"received": 1}),
        (lambda run: run.send("a", "x"), '{"reply":"done"}', None),
        (lambda run: run.change_streams("a", ["x"]), '{"reply":"done"}', None),
        (lambda run: run.retry([1]).left, '{"reply":"retried","left":1}', 1),
    ],
)
def test_what_is_asked_is_answered(serve: Serve, ask: Ask, reply: str, result: object) -> None:
    assert ask(serve(lambda connection: answers(connection, reply))) == result


def test_what_is_sent_of_endpoints(serve: Serve) -> None:
    received: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        received.append(connection.recv(10_000))
        connection.sendall(b'{"reply":"added","endpoints":["a"]}\n')

    endpoint = Endpoint(uri="ws://h/?key=hunter22", name="a", send_rate=Rate(20, 1.0))
    assert serve(talk).add(endpoint, secrets=["hunter22"], source="f") == ("a",)
    assert json.loads(received[0]) == {
        "command": "add",
        "endpoints": [{"uri": "ws://h/?key=hunter22", "name": "a", "send_rate": "20/1.0s"}],
        "source": "f",
        "secrets": ["hunter22"],
    }


def test_faults_of_a_configuration(serve: Serve) -> None:
    reply = (
        '{"reply":"refused","problem":"x","faults":['
        '{"source":"f","key":"a","problem":"no"},{"source":"f","key":"b","problem":"neither"}]}'
    )
    with pytest.raises(ConfigError, match=r"^f: a: no\nf: b: neither$"):
        serve(lambda connection: answers(connection, reply)).reload()


def test_what_takes_its_time_may(serve: Serve) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(10_000)
        slow.wait(0.05)  # longer than an answer may take otherwise
        connection.sendall(b'{"reply":"drained","totals":{}}\n')

    slow = threading.Event()
    control = serve(talk)
    control.timeout_s = 0.01
    assert control.drain() == {}


def test_watched_until_the_run_ends() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        listener.listen()

        def run() -> None:
            for _ in range(2):
                connection, _ = listener.accept()
                with connection:
                    answers(
                        connection, '{"reply":"status","status":{"workers":[],"endpoints":[],"totals":{}}}'
                    )
            connection, _ = listener.accept()
            connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert len(list(Control("s").watch(0.001))) == 2
        finally:
            thread.join(30)
    with pytest.raises(NoRunError):
        next(Control("t").watch())


def test_what_can_not_be_said_in_json() -> None:
    with pytest.raises(ControlError, match="can't be sent"):
        Control("s").add(Endpoint(uri="ws://h/", subscribe=(object(),)))  # type: ignore[arg-type]
