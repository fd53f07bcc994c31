"""The bare loop counts what has come, however it was cut, and doesn't wait for a server that has gone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from bench.sides.bare_loop import Connection

PROCESSOR = "bench.workload:on_trade"
MESSAGE = b'{"seq":%d,"symbol":"BTC","price":2.5,"size":2}'
RESULT = b'{"seq":%d,"symbol":"BTC","worth":5.0}'
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def frames(*numbers: int) -> bytes:
    messages = [MESSAGE % number for number in numbers]
    return b"".join(bytes((0x81, len(message))) + message for message in messages)


@contextmanager
def served(response: bytes) -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that answers one connection, which it then leaves to the test."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            accepted.append(connection)
            connection.recv(4096)
            connection.sendall(response)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{listener.getsockname()[1]}/feed", accepted
        finally:
            thread.join()
            for connection in accepted:
                connection.close()


def test_a_message_that_comes_in_pieces_counts_once() -> None:
    begun = frames(1, 2, 3)[:-10]
    with served(UPGRADED + begun[:5]) as (uri, accepted):
        connection = Connection(uri, PROCESSOR)
        with connection.socket:
            (server,) = accepted
            counted = []
            for piece in (begun[5:30], begun[30:], frames(3)[-10:] + frames(4)):
                server.sendall(piece)
                connection.take()
                counted.append(connection.tally().messages)
            assert counted == [0, 2, 4]
            assert connection.tally().last == RESULT % 4
            assert connection.tally().output_bytes == 4 * len(RESULT % 0 + b"\n")


def test_a_server_that_leaves_is_an_error() -> None:
    with served(UPGRADED) as (uri, accepted):
        connection = Connection(uri, PROCESSOR)
        accepted[0].close()
        with connection.socket, pytest.raises(ConnectionError, match="has gone"):
            connection.take()


def test_a_refused_upgrade_is_an_error() -> None:
    with served(b"HTTP/1.1 404 Not Found\r\n\r\n") as (uri, _), pytest.raises(ConnectionError, match="404"):
        Connection(uri, PROCESSOR)
